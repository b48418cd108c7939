// SPDX-License-Identifier: MIT
// Tests the model server's pacing.mode free: actors never wait for credit.
#include "tests/unit/ms_setup.h"

// Credit for the whole run at once, random steps for what is left of exploration; no row is
// deferred until the budget of 60 steps is spent, and the last message may exceed it.
static void free_actors_have_all_credit(void **state) {
    (void)state;
    world_meet_actor(&w);
    const struct sent *credit = world_last(&w, ACTOR, WIRE_CREDIT);
    assert_true(credit->a > UINT64_C(1) << 39);
    assert_int_equal(credit->b, 20);
    world_rows(&w, ACTOR, 1, 8);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 0);
    assert_int_equal(world_last(&w, OTHER, WIRE_CREDIT)->b, 12);
    for (uint64_t seq = 2; seq <= 4; seq++) {
        world_rows(&w, ACTOR, seq, 8);
    }
    assert_int_equal(world_last(&w, ACTOR, WIRE_CREDIT)->b, 0); // exploration has ended
    assert_int_equal(world_last(&w, OTHER, WIRE_CREDIT)->b, 0);

    // The server was away while the actor made rows; it may go on at once.
    world_restart(&w);
    world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
    for (int i = 0; i < w.sent_count; i++) {
        assert_true(w.sent[i].type != WIRE_CREDIT || w.sent[i].a > UINT64_C(1) << 39);
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
    uint64_t before = world_last(&w, ACTOR, WIRE_CREDIT)->d;
    assert_true(before > 0);
    world_tick(&w, 4000); // the learner is lost
    world_hello(&w, LEARNER + 1, WIRE_ROLE_LEARNER, "learner", 0);
    world_policy(&w, LEARNER + 1, 1, 0);
    world_rows(&w, ACTOR, 5, 8);
    assert_true(world_last(&w, ACTOR, WIRE_CREDIT)->d > before); // of the next epoch
    for (int i = 0; i < w.sent_count; i++) {
        assert_true(w.sent[i].type != WIRE_CREDIT || w.sent[i].c == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FREE(free_actors_have_all_credit),
        FREE(free_actors_wait_for_no_learner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
