// SPDX-License-Identifier: MIT
// Tests the model server's pacing.mode free: actors never wait for credit.
#include "tests/unit/ms_setup.h"

// Credit for the whole run at once, random steps for what is left of exploration; no row is
// deferred until the budget of 60 steps is spent, and the last message may exceed it.
static void free_actors_have_all_credit(void **state) {
    (void)state;
    world_meet_actor(&w);
    const struct wire_msg *credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT);
    assert_true(credit->credit.steps_allowed > UINT64_C(1) << 39);
    assert_int_equal(credit->credit.random_steps, 20);
    world_rows(&w, ACTOR, 1, 8);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 0);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.random_steps, 12);
    for (uint64_t seq = 2; seq <= 4; seq++) {
        world_rows(&w, ACTOR, seq, 8);
    }
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.random_steps,
                     0); // exploration has ended
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.random_steps, 0);

    // The server was away while the actor made rows; it may go on at once.
    world_restart(&w);
    world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
    for (int i = 0; i < w.sent.count; i++) {
        const struct wire_msg *m = &w.sent.all[i]->msg;
        assert_true(m->type != WIRE_CREDIT || m->credit.steps_allowed > UINT64_C(1) << 39);
    }
    for (uint64_t seq = 5; seq <= 9; seq++) {
        world_rows(&w, ACTOR, seq, 8);
    }
    assert_int_equal(world_counter(&w, "transitions_deferred"), 1);
    assert_int_equal(world_status(&w)->env_steps, 64);
}

// A new learner's policy may be out of the actor's reach: it acts on with the one that it has.
static void free_actors_wait_for_no_learner(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        world_rows(&w, ACTOR, seq, 8);
    }
    world_learn(&w, LEARNER);
    uint64_t before = sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.newest_policy_version;
    assert_true(before > 0);
    world_tick(&w, 4000); // the learner is lost
    world_hello(&w, LEARNER + 1, WIRE_ROLE_LEARNER, "learner", 0);
    world_policy(&w, LEARNER + 1, 1, 0);
    world_rows(&w, ACTOR, 5, 8);
    assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.newest_policy_version >
                before); // of the next epoch
    for (int i = 0; i < w.sent.count; i++) {
        const struct wire_msg *m = &w.sent.all[i]->msg;
        assert_true(m->type != WIRE_CREDIT || m->credit.min_policy_version == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FREE(free_actors_have_all_credit),
        FREE(free_actors_wait_for_no_learner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
