// SPDX-License-Identifier: MIT
// Tests what the holder of a key may say: every type of message for every role, ids, and keys that
// are in no list.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/admission.h"

static char why[WIRE_STRING_MAX];

static bool allows(unsigned roles, const struct wire_msg *msg) {
    const struct key_entry entry = {.name = "robot", .roles = roles};
    return admission_allows(&entry, msg, why, sizeof(why));
}

static void each_message_belongs_to_its_roles(void **state) {
    (void)state;
    const struct {
        enum wire_type type;
        unsigned roles;
    } cases[] = {
        {WIRE_TRANSITIONS, KEY_ACTOR},
        {WIRE_EPISODE, KEY_ACTOR},
        {WIRE_POLICY_GET, KEY_ACTOR},
        {WIRE_EVAL_REPORT, KEY_EVALUATOR},
        {WIRE_POLICY, KEY_LEARNER},
        {WIRE_PROGRESS, KEY_LEARNER},
        {WIRE_STATUS_REQUEST, KEY_OPERATOR},
        {WIRE_HEARTBEAT, KEY_ACTOR | KEY_EVALUATOR | KEY_LEARNER},
        {WIRE_GOODBYE, KEY_ACTOR | KEY_EVALUATOR | KEY_LEARNER},
        {WIRE_REFUSE, KEY_ACTOR | KEY_EVALUATOR | KEY_LEARNER},
        // Of servers.
        {WIRE_WELCOME, 0},
        {WIRE_CREDIT, 0},
        {WIRE_ACK, 0},
        {WIRE_GRANT, 0},
        {WIRE_EXPERIENCE, 0},
        {WIRE_EVAL_REQUEST, 0},
        {WIRE_SHUTDOWN, 0},
        {WIRE_STATUS, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct wire_msg msg = {.type = cases[i].type};
        for (unsigned role = KEY_ACTOR; role <= KEY_OPERATOR; role <<= 1) {
            if (allows(role, &msg) != ((cases[i].roles & role) != 0)) {
                fail_msg("%s of role %u", wire_type_name(msg.type), role);
            }
        }
    }
}

static void a_hello_has_a_role_and_an_id_of_the_key(void **state) {
    (void)state;
    const struct {
        enum wire_role role;
        unsigned bit;
    } roles[] = {{WIRE_ROLE_ACTOR, KEY_ACTOR},
                 {WIRE_ROLE_EVALUATOR, KEY_EVALUATOR},
                 {WIRE_ROLE_LEARNER, KEY_LEARNER}};
    struct wire_msg msg = {.type = WIRE_HELLO};
    for (int i = 0; i < 3; i++) {
        msg.hello.role = roles[i].role;
        snprintf(msg.hello.id, sizeof(msg.hello.id), "robot/1");
        assert_true(allows(roles[i].bit, &msg));
        assert_false(allows(KEY_ALL & ~roles[i].bit, &msg));
        snprintf(msg.hello.id, sizeof(msg.hello.id), "robot-2"); // another's
        assert_false(allows(KEY_ALL, &msg));
        assert_non_null(strstr(why, "the key robot may not use the id robot-2"));
    }
    msg.hello.role = (enum wire_role)0;
    assert_false(allows(KEY_ALL, &msg));
}

static void a_key_without_an_entry_may_do_nothing(void **state) {
    (void)state;
    struct wire_msg msg = {.type = WIRE_STATUS_REQUEST};
    assert_false(admission_allows(NULL, &msg, why, sizeof(why)));
    assert_non_null(strstr(why, "revoked"));
    why[0] = '\0';
    assert_false(allows(0, &msg));
    assert_non_null(strstr(why, "or was revoked"));
    msg.type = WIRE_HEARTBEAT;
    assert_false(allows(0, &msg));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_belongs_to_its_roles),
        cmocka_unit_test(a_hello_has_a_role_and_an_id_of_the_key),
        cmocka_unit_test(a_key_without_an_entry_may_do_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
