// SPDX-License-Identifier: MIT
// Shows who may join a run, as docs/protocol.md says: starts of one id, names of the roles, and
// what happens when more ids come than can be remembered.
//
// The core is driven by calls in a fixture with a simulated clock (ms_world.h).
#include <stdio.h>
#include <string.h>

#include "modelserver/core/peers.h"
#include "tests/unit/ms_setup.h"

// An id may come back with any clock once its holder has left or is lost. The start before can only
// continue where it is the newest: as a new one it would send its rows again.
static void a_start_needs_no_larger_clock(void **state) {
    (void)state;
    enum { FIRST = 100, SECOND = 50, THIRD = 20, ROUTE_2 = 12, ROUTE_3 = 13 };
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", FIRST);
    world_rows(&w, ACTOR, 1, 2);
    world_hello(&w, ROUTE_2, WIRE_ROLE_ACTOR, "actor-0", SECOND);
    expect_refusal(ROUTE_2, WIRE_REFUSED_FENCED, true); // the first one is connected

    world_tick(&w, 5000);
    assert_int_equal(world_counter(&w, "peers_lost"), 1);
    world_hello(&w, ROUTE_2, WIRE_ROLE_ACTOR, "actor-0", SECOND);
    const struct wire_msg *s = sent_last(&w.sent, ROUTE_2, WIRE_WELCOME);
    assert_int_equal(s->welcome.next_seq, 1);    // its messages begin at 1
    assert_int_equal(s->welcome.actor_steps, 2); // the id's steps continue
    world_rows(&w, ROUTE_2, 1, 3);
    assert_int_equal(world_status(&w)->env_steps, 5);
    // The first one was only cut off, and returns: its clock is ahead, its place is taken.
    world_rows(&w, ACTOR, 2, 2);
    expect_refusal(ACTOR, WIRE_REFUSED_UNKNOWN, false);
    world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", FIRST);
    expect_refusal(ACTOR, WIRE_REFUSED_FENCED, true);
    world_rows(&w, ROUTE_2, 2, 1);
    assert_int_equal(world_status(&w)->env_steps, 6);

    // After Goodbye at once, and not even then for an earlier start.
    struct wire_msg goodbye = {.type = WIRE_GOODBYE};
    world_message(&w, ROUTE_2, &goodbye);
    world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", FIRST);
    expect_refusal(ACTOR, WIRE_REFUSED_FENCED, true);
    world_hello(&w, ROUTE_3, WIRE_ROLE_ACTOR, "actor-0", THIRD);
    assert_int_equal(sent_last(&w.sent, ROUTE_3, WIRE_WELCOME)->welcome.actor_steps, 6);
    world_rows(&w, ROUTE_3, 1, 1);
    // The same after a restart of the server, which knows the start from the store.
    world_restart(&w);
    world_rejoin(&w, ROUTE_2, WIRE_ROLE_ACTOR, "actor-0", SECOND);
    expect_refusal(ROUTE_2, WIRE_REFUSED_FENCED, true);
    world_rejoin(&w, ROUTE_3, WIRE_ROLE_ACTOR, "actor-0", THIRD);
    assert_int_equal(sent_last(&w.sent, ROUTE_3, WIRE_WELCOME)->welcome.next_seq, 2);
    assert_int_equal(world_status(&w)->env_steps, 7);
}

// The server numbers the starts, and has the number on disk before the Welcome.
static void starts_are_numbered(void **state) {
    (void)state;
    enum { SECOND = 12, THIRD = 13 };
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 0);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.incarnation, 1);
    world_rows(&w, ACTOR, 1, 2);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 0); // its first Hello again: the same start
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.incarnation, 1);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.next_seq, 2);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 0);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_WELCOME)->welcome.incarnation, 2);

    // The next start of the id takes the place at once: the one before may have died.
    world_hello(&w, SECOND, WIRE_ROLE_ACTOR, "actor-0", 0);
    assert_int_equal(sent_last(&w.sent, SECOND, WIRE_WELCOME)->welcome.incarnation, 3);
    assert_int_equal(sent_last(&w.sent, SECOND, WIRE_WELCOME)->welcome.next_seq, 1);
    world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
    expect_refusal(ACTOR, WIRE_REFUSED_FENCED, true);
    world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 0); // it does not say which it is
    expect_refusal(ACTOR, WIRE_REFUSED_FENCED, true);
    world_restart(&w);
    world_hello(&w, THIRD, WIRE_ROLE_ACTOR, "actor-2", 0);
    assert_int_equal(sent_last(&w.sent, THIRD, WIRE_WELCOME)->welcome.incarnation, 4);
    world_rejoin(&w, SECOND, WIRE_ROLE_ACTOR, "actor-0", 3);
    assert_int_equal(sent_last(&w.sent, SECOND, WIRE_WELCOME)->welcome.incarnation, 3);

    w.sim->disk.full = true;
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-3", 0);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_WELCOME)->welcome.incarnation,
                     2); // none for this Hello
    w.sim->disk.full = false;
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-3", 0);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_WELCOME)->welcome.incarnation, 5);
}

// An actor with the name of the learner or the evaluator is in nobody's way.
static void names_belong_to_roles(void **state) {
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "learner", 0);
        world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "evaluator", 0);
        world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
        world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 0);
        assert_int_equal(sent_count(&w.sent, 0, WIRE_REFUSE), 0);
        assert_int_equal(sent_count(&w.sent, 0, WIRE_WELCOME), 4 * (restart + 1));
        assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_CONNECTED);
        world_restart(&w);
    }
}

// So many actors come and go that their ids cannot all be remembered.
static void ids_that_left_are_forgotten(void **state) {
    (void)state;
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    char id[16];
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "lost", 0);
    world_rows(&w, OTHER, 1, 2);
    world_tick(&w, 5000); // it is cut off, with rows that are not acknowledged
    w.prompt = false;
    for (int i = 1; i < PEERS_ACTORS_MAX; i++) {
        snprintf(id, sizeof(id), "left-%d", i);
        world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, id, 0);
        world_message(&w, ACTOR, &bye);
        if (i % 1000 == 0) {
            world_end_stores(&w);
        }
    }
    world_settle(&w);
    w.prompt = true;
    assert_int_equal(world_counter(&w, "refused_full"), 0);
    for (int i = 0; i < 3; i++) { // the place of the first that left
        snprintf(id, sizeof(id), "new-%d", i);
        world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, id, 0);
        assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.actor_index, i + 1);
        world_rows(&w, ACTOR, 1, 1);
    }
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 0);
    assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_CONNECTED);
    assert_int_equal(world_status(&w)->actor_count, PEERS_ACTORS_MAX + 1);

    // After a restart all are lost, and none may be forgotten at once.
    world_restart(&w);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "newer", 0);
    expect_refusal(ACTOR, WIRE_REFUSED_FULL, false);
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_CONNECTED);
    world_tick(&w, PEERS_FORGET_MS);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "newer", 0);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.actor_index, 0);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.next_seq, 1);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.actor_steps,
                     2);                                 // the place's random streams go on
    world_rejoin(&w, OTHER, WIRE_ROLE_ACTOR, "lost", 1); // it might send rows again
    expect_refusal(OTHER, WIRE_REFUSED_RUN, true);
    assert_int_equal(world_status(&w)->env_steps, 5);
}

// Learners and evaluators under ever new ids.
static void other_roles_have_places_of_their_own(void **state) {
    (void)state;
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    char id[24];
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "learner-%d", i);
        world_hello(&w, (uint8_t)(LEARNER + i % 2), WIRE_ROLE_LEARNER, id, 0);
        assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_CONNECTED);
        assert_int_equal(w.epoch, i + 1);
        snprintf(id, sizeof(id), "evaluator-%d", i);
        world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, id, 0);
        world_message(&w, EVALUATOR, &bye);
        world_message(&w, (uint8_t)(LEARNER + i % 2), &bye);
    }
    assert_int_equal(sent_count(&w.sent, 0, WIRE_REFUSE), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RATIO(a_start_needs_no_larger_clock),
        RATIO(starts_are_numbered),
        RATIO(names_belong_to_roles),
        RATIO(ids_that_left_are_forgotten),
        RATIO(other_roles_have_places_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
