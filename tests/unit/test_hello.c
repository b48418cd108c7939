// SPDX-License-Identifier: MIT
// Tests the content of Hello, and its validation independent of connected peers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/hello.h"

static const struct hello_sender actor = {
    .role = WIRE_ROLE_ACTOR,
    .id = "actor-3",
    .host = "robot",
    .version = "1",
    .endpoint = "tcp://robot:7",
    .incarnation = 9,
    .pid = 77,
    .task = "hopper",
    .obs_dim = 11,
    .act_dim = 3,
    .environments = 4,
};
static const struct hello_run hopper = {
    .task = "hopper", .obs_dim = 11, .act_dim = 3, .real_rows = 5};

static void a_sender_fills_it_in(void **state) {
    (void)state;
    struct wire_hello h;
    memset(&h, 0xff, sizeof(h));
    hello_fill(&h, &actor);
    assert_int_equal(h.role, WIRE_ROLE_ACTOR);
    assert_string_equal(h.id, "actor-3");
    assert_string_equal(h.host, "robot");
    assert_string_equal(h.version, "1");
    assert_string_equal(h.endpoint, "tcp://robot:7");
    assert_string_equal(h.task, "hopper");
    assert_true(h.incarnation == 9 && h.pid == 77);
    assert_true(h.obs_dim == 11 && h.act_dim == 3 && h.environments == 4);
    assert_true(h.updates == 0 && h.policy_version == 0 && h.real_rows == 0 && h.model_rows == 0);
    // Any task, and no endpoint.
    struct hello_sender any = actor;
    any.task = any.endpoint = NULL;
    hello_fill(&h, &any);
    assert_string_equal(h.task, "");
    assert_string_equal(h.endpoint, "");
    assert_true(h.obs_dim == 0 && h.act_dim == 0);
}

static struct wire_hello hello_of(const struct hello_sender *sender) {
    struct wire_hello h;
    hello_fill(&h, sender);
    return h;
}

static void refused(const struct wire_hello *h, const struct hello_run *run,
                    enum wire_refusal expected, const char *part) {
    enum wire_refusal code;
    char text[WIRE_STRING_MAX];
    assert_int_equal(hello_check(&code, text, sizeof(text), h, run), -1);
    assert_int_equal(code, expected);
    if (!strstr(text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", text, part);
    }
}

static void a_run_validates_it(void **state) {
    (void)state;
    enum wire_refusal code;
    char text[WIRE_STRING_MAX];
    struct wire_hello h = hello_of(&actor);
    assert_int_equal(hello_check(&code, text, sizeof(text), &h, &hopper), 0);
    h.act_dim = 4;
    refused(&h, &hopper, WIRE_REFUSED_TASK, "11 observations and 4 actions");
    h = hello_of(&actor);
    h.obs_dim = 12;
    refused(&h, &hopper, WIRE_REFUSED_TASK, "this run's task is hopper with 11 and 3");
    h = hello_of(&actor);
    memcpy(h.task, "ant", 4);
    refused(&h, &hopper, WIRE_REFUSED_TASK, "has ant with");
    h = hello_of(&actor);
    h.id[0] = '\0';
    refused(&h, &hopper, WIRE_REFUSED_FORMAT, "without an id");

    struct hello_run lockstep = hopper;
    lockstep.lockstep = true;
    h = hello_of(&actor);
    refused(&h, &lockstep, WIRE_REFUSED_MODE, "--envs-per-actor 1");
    h.environments = 1;
    assert_int_equal(hello_check(&code, text, sizeof(text), &h, &lockstep), 0);

    h.role = WIRE_ROLE_LEARNER;
    h.real_rows = 5;
    assert_int_equal(hello_check(&code, text, sizeof(text), &h, &hopper), 0);
    h.real_rows = 6;
    refused(&h, &hopper, WIRE_REFUSED_RUN, "has 6 real rows, the store only 5");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_fills_it_in),
        cmocka_unit_test(a_run_validates_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
