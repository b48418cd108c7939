// SPDX-License-Identifier: MIT
// Shows that an actor finds the learner: at the address that it was given, or at the one that the
// model server names, when the learner has moved, is silent or was replaced.
//
// The core is driven by calls, with a simulated clock (actor_world.h).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/base/log.h"
#include "proto/epoch.h"
#include "tests/unit/actor_world.h"

static void a_learner_that_moves_is_followed(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    w->told = w->who.learner;
    credit(w, 1, 0, 1, 1);
    give_policy(w, 1);
    step(w);
    assert_null(w->learner_at);
    w->told = "tcp://b:7001";
    sent_forget(&w->sent);
    credit(w, 2, 0, 2, 2);
    assert_string_equal(w->learner_at, "tcp://b:7001");
    pass(w, 100);
    assert_int_equal(find_sent(w, WIRE_POLICY_GET, 0)->policy_get.have_version, 1);
    give_policy(w, 2);
    step(w);
    assert_int_equal(steps_taken, 2);
    // While a request is outstanding: it is sent again to the new address.
    credit(w, 3, 0, 3, 3);
    w->told = "tcp://c:7001";
    sent_forget(&w->sent);
    credit(w, 3, 0, 3, 3);
    pass(w, 100);
    assert_string_equal(w->learner_at, "tcp://c:7001");
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    world_free(w);
}

// What an operator gave is used as long as it answers: the other may be out of reach from here.
static void the_other_address_is_tried_after_silence(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    w->told = "tcp://b:7001";
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    credit(w, 1, 0, 1, 1);
    assert_null(w->learner_at);
    const char *const at[] = {"tcp://b:7001", w->who.learner, "tcp://b:7001"};
    for (int i = 0; i < 3; i++) {
        const char *before = w->learner_at;
        for (int ms = 0; ms < 20000 && w->learner_at == before; ms += 500) {
            pass(w, 500);
            hear(w, PORT_MODELSERVER, &beat);
        }
        assert_string_equal(w->learner_at, at[i]);
    }
    // One of another run answers, but not with policies.
    struct wire_msg refuse = {.type = WIRE_REFUSE, .refuse = {.code = WIRE_REFUSED_RUN}};
    hear(w, PORT_LEARNER, &refuse);
    assert_string_equal(w->learner_at, w->who.learner);
    give_policy(w, 1);
    step(w);
    assert_int_equal(steps_taken, 1);
    world_free(w);
}

// The learner before, replaced while it was cut off, answers actors that ask it.
static void a_replaced_learner_is_left(void **state) {
    (void)state;
    struct world *w = world_make(false);
    welcome(w);
    credit(w, 1, 0, 1, 1);
    give_policy(w, 1);
    step(w);
    w->told = "tcp://b:7001"; // the first that this actor hears of it
    uint64_t began = w->now_ms;
    while (!w->learner_at && w->now_ms < began + 20000) {
        credit(w, 2, 0, epoch_version(2, 1), epoch_version(2, 1));
        pass(w, 50);
        give_policy(w, 1);
        sent_forget(&w->sent);
    }
    assert_string_equal(w->learner_at, "tcp://b:7001");
    give_policy(w, epoch_version(2, 1));
    step(w);
    assert_int_equal(steps_taken, 2);
    world_free(w);
}

static void an_actor_without_an_address_is_told(void **state) {
    (void)state;
    struct world *w = world_make(false);
    actor_destroy(&w->actor);
    w->who.learner = NULL;
    w->actor = actor_create(&w->who, &w->port, w->now_ms);
    welcome(w);
    credit(w, 1, 0, 1, 1);
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 0);
    assert_non_null(strstr(line_of(w).waiting, "the model server has no learner yet"));
    w->told = "tcp://b:7001";
    credit(w, 1, 0, 1, 1);
    assert_string_equal(w->learner_at, "tcp://b:7001");
    pass(w, 100);
    assert_int_equal(count_sent(w, WIRE_POLICY_GET), 1);
    world_free(w);
}

// An actor whose place was given away may be started again; one that was replaced may not.
static void the_exit_code_says_whether_to_start_again(void **state) {
    (void)state;
    static const struct {
        enum wire_refusal code;
        int exit_code;
    } cases[] = {{WIRE_REFUSED_RUN, EXIT_CODE_TEMPFAIL}, {WIRE_REFUSED_FENCED, EXIT_CODE_PROTOCOL}};
    for (int i = 0; i < 2; i++) {
        struct world *w = world_make(false);
        welcome(w);
        struct wire_msg refuse = {.type = WIRE_REFUSE,
                                  .refuse = {.code = cases[i].code, .fatal = true}};
        hear(w, PORT_MODELSERVER, &refuse);
        int code;
        const char *why;
        assert_true(actor_finished(w->actor, &code, &why));
        assert_int_equal(code, cases[i].exit_code);
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learner_that_moves_is_followed),
        cmocka_unit_test(the_other_address_is_tried_after_silence),
        cmocka_unit_test(a_replaced_learner_is_left),
        cmocka_unit_test(an_actor_without_an_address_is_told),
        cmocka_unit_test(the_exit_code_says_whether_to_start_again),
    };
    log_init("test_actor_learner", LOG_ERROR, -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
