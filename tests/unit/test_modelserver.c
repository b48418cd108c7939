// SPDX-License-Identifier: MIT
// Shows that the model server's core follows docs/protocol.md towards actors and
// unknown peers: storage and acknowledgements, credit, refusals with their reasons,
// lost and restarted peers, a failing disk, and status.
//
// The core is driven by calls in a fixture with a simulated clock (ms_world.h).
#include <stdio.h>
#include <string.h>

#include "tests/unit/ms_setup.h"

static void rows_are_stored_before_they_are_acknowledged(void **state) {
    (void)state;
    w.prompt = false;
    world_meet_actor(&w);
    assert_null(sent_last(&w.sent, ACTOR, WIRE_WELCOME)); // its index is not on disk yet
    world_end_stores(&w);
    const struct wire_msg *s = sent_next(&w.sent, ACTOR, WIRE_WELCOME);
    assert_non_null(s);
    assert_int_equal(s->welcome.actor_index, 0);
    assert_int_equal(s->welcome.next_seq, 1);
    s = sent_next(&w.sent, ACTOR, WIRE_CREDIT);
    assert_non_null(s);
    assert_int_equal(s->credit.steps_allowed, 16); // two messages' worth of the exploration's 20
    assert_int_equal(s->credit.random_steps, 16);  // all at random
    assert_int_equal(s->credit.min_policy_version, 0); // without a policy

    world_rows(&w, ACTOR, 1, 5);
    world_rows(&w, ACTOR, 2, 3);
    world_tick(&w, 50);
    assert_null(sent_last(&w.sent, ACTOR, WIRE_ACK));
    assert_int_equal(world_status(&w)->env_steps, 0);
    world_end_stores(&w);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, 2);
    assert_int_equal(world_status(&w)->env_steps, 8);
    assert_int_equal(w.sim->disk.rows, 8);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed,
                     20); // never beyond exploration
}

static void each_message_counts_once_and_in_order(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_rows(&w, ACTOR, 1, 2);
    world_rows(&w, ACTOR, 1, 2); // again
    assert_int_equal(sent_count(&w.sent, ACTOR, WIRE_ACK), 2);
    assert_int_equal(world_counter(&w, "transitions_duplicate"), 1);
    world_rows(&w, ACTOR, 3, 2); // 2 is missing
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, 1);
    assert_int_equal(world_counter(&w, "transitions_gap"), 1);
    assert_int_equal(world_status(&w)->env_steps, 2);
    world_rows(&w, ACTOR, 2, 2);
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 6);

    // A new connection of the same start continues.
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-0", 1);
    const struct wire_msg *s = sent_last(&w.sent, OTHER, WIRE_WELCOME);
    assert_int_equal(s->welcome.actor_index, 0);
    assert_int_equal(s->welcome.next_seq, 4);
    assert_int_equal(s->welcome.actor_steps, 6);
    // A new start begins at 1 and fences the old one.
    world_hello(&w, 12, WIRE_ROLE_ACTOR, "actor-0", 2);
    s = sent_last(&w.sent, 12, WIRE_WELCOME);
    assert_int_equal(s->welcome.actor_index, 0);
    assert_int_equal(s->welcome.next_seq, 1);
    assert_int_equal(s->welcome.actor_steps, 6);
    world_rows(&w, OTHER, 4, 1);
    expect_refusal(OTHER, WIRE_REFUSED_UNKNOWN, false);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-0", 1);
    expect_refusal(OTHER, WIRE_REFUSED_FENCED, true);
    assert_int_equal(world_status(&w)->env_steps, 6);
}

static void a_restart_of_the_server_loses_nothing(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_rows(&w, ACTOR, 1, 4);
    world_rows(&w, ACTOR, 2, 4);
    world_restart(&w);
    assert_int_equal(world_status(&w)->env_steps, 8);
    world_rows(&w, ACTOR, 3, 1); // unknown connection
    expect_refusal(ACTOR, WIRE_REFUSED_UNKNOWN, false);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_WELCOME)->welcome.next_seq, 3);
    world_rows(&w, ACTOR, 2, 4); // not acknowledged
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 10);
    world_rejoin(&w, OTHER, WIRE_ROLE_ACTOR, "actor-0", 2); // not the one in the store
    expect_refusal(OTHER, WIRE_REFUSED_FENCED, true);
}

static void bad_rows_are_handled_and_counted_but_not_stored(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_refused_rows(&w, ACTOR, 1, 3);
    expect_refusal(ACTOR, WIRE_REFUSED_VALUE, false);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq,
                     1); // handled: the actor continues
    assert_int_equal(world_counter(&w, "rows_refused_value"), 3);
    assert_int_equal(world_counter(&w, "refused_value"), 1);
    assert_int_equal(world_status(&w)->env_steps, 0);
    world_rows(&w, ACTOR, 2, 2);
    assert_int_equal(world_status(&w)->env_steps, 2);

    const float numbers[3 * 4] = {0};
    const uint8_t flags[3] = {0};
    struct wire_msg msg = {
        .type = WIRE_TRANSITIONS,
        .transitions = {.seq = 3,
                        .rows = {3, 4, 1, numbers, numbers, numbers, numbers, flags, NULL}}};
    msg.transitions.rows.obs_dim = 3; // another task's rows
    world_message(&w, ACTOR, &msg);
    expect_refusal(ACTOR, WIRE_REFUSED_TASK, true);
    msg.transitions.rows.obs_dim = 4;
    msg.transitions.rows.act_dim = 2;
    world_message(&w, ACTOR, &msg);
    assert_int_equal(world_counter(&w, "refused_task"), 2);
    world_rows(&w, ACTOR, 3, 9); // batch_rows_max is 8
    expect_refusal(ACTOR, WIRE_REFUSED_FORMAT, false);
    assert_int_equal(world_status(&w)->env_steps, 2);
}

// The actor counts refused rows as made. So they use up credit, and more must follow, also after a
// restart of the server.
static void refused_rows_use_up_credit(void **state) {
    (void)state;
    world_meet_actor(&w);
    uint64_t made = 0;
    for (uint64_t seq = 1; seq <= 12; seq++) {
        if (seq == 7) {
            world_restart(&w);
            world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
        }
        uint64_t credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed;
        if (made + 8 > credit) {
            fail_msg("message %llu: %llu rows made, credit for %llu", (unsigned long long)seq,
                     (unsigned long long)made, (unsigned long long)credit);
        }
        made += 8;
        world_refused_rows(&w, ACTOR, seq, 8);
        assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, seq);
    }
    assert_int_equal(world_counter(&w, "rows_refused_value"), 48); // since the restart
    for (int i = 0; i < 30; i++) { // rows that nobody may use are no progress
        world_tick(&w, 2100);
        world_refused_rows(&w, ACTOR, 13 + (uint64_t)i, 1);
    }
    assert_string_equal(world_status(&w)->stuck,
                        "nothing has moved for 63 s: the last 78 rows of actor-0 were refused");
    assert_int_equal(world_status(&w)->env_steps, 0);
}

static void lockstep_goes_on_after_a_refused_row(void **state) {
    (void)state;
    world_meet_actor(&w);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        world_rows(&w, ACTOR, seq, 1);
    }
    world_meet_learner(&w);
    world_settle(&w);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 21);
    world_refused_rows(&w, ACTOR, 21, 1);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 22);
}

// The earlier peers of a connection are gone, and their credit returns.
static void a_connection_belongs_to_its_last_hello(void **state) {
    (void)state;
    char id[16];
    for (int i = 0; i < 9; i++) {
        snprintf(id, sizeof(id), "actor-%d", i);
        world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, id, 0);
        assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed,
                         16); // of exploration's 20
    }
    const struct wire_status *s = world_status(&w);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(s->actors[i].state, i < 8 ? WIRE_PEER_LOST : WIRE_PEER_CONNECTED);
    }
    world_hello(&w, ACTOR, WIRE_ROLE_LEARNER, "learner", 0);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-8", 0);
    world_hello(&w, LEARNER, WIRE_ROLE_EVALUATOR, "evaluator", 0);
    world_hello(&w, ACTOR, WIRE_ROLE_EVALUATOR, "evaluator-2", 0); // its place is not free
    assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_CONNECTED);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-1", 0);
    assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_LOST);
}

// An actor that hangs, but sends heartbeats, keeps its credit from an actor that has none.
static void credit_that_is_not_used_goes_to_others(void **state) {
    (void)state;
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    world_meet_actor(&w);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 0);
    uint64_t seq = 1, credit = 0;
    for (int i = 0; i < 60 && world_status(&w)->env_steps < 20; i++) {
        credit = sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.steps_allowed;
        while (seq <= credit) {
            world_rows(&w, OTHER, seq++, 1);
        }
        world_tick(&w, 500);
        world_message(&w, ACTOR, &beat);
        world_message(&w, OTHER, &beat);
    }
    assert_int_equal(world_status(&w)->env_steps, 20);
    world_rows(&w, ACTOR, 1, 8); // it wakes up: its rows count
    assert_int_equal(world_status(&w)->env_steps, 28);
}

// Status and log say who or what holds the run up; after a day it is stopped.
static void a_standstill_is_reported(void **state) {
    (void)state;
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    memcpy(beat.heartbeat.waiting, "the arm to cool down", 21);
    world_tick(&w, 59000);
    assert_string_equal(world_status(&w)->stuck, "");
    world_tick(&w, 2000);
    assert_string_equal(world_status(&w)->stuck, "nothing has moved for 61 s: no actor has joined");
    world_meet_actor(&w);
    world_rows(&w, ACTOR, 1, 1);
    world_tick(&w, 20);
    assert_string_equal(world_status(&w)->stuck, "");
    for (int i = 0; i < 70; i++) {
        world_tick(&w, 1000);
        world_message(&w, ACTOR, &beat);
    }
    assert_string_equal(world_status(&w)->stuck,
                        "nothing has moved for 70 s: actor-0 has credit for 16 steps and makes "
                        "none; it waits for: the arm to cool down");
    assert_int_equal(world_counter(&w, "standstills"), 2);
    world_tick(&w, 5000);
    assert_non_null(strstr(world_status(&w)->stuck, "no actor is connected; actor-0 is lost, heard "
                                                    "of 5 s ago"));
    world_tick(&w, 86400 * 1000);
    assert_true(ms_failed(w.ms));
    assert_non_null(strstr(ms_end_text(w.ms), "no actor is connected"));
}

static void unknown_peers_and_wrong_runs_are_refused(void **state) {
    (void)state;
    world_rows(&w, STRANGER, 1, 1);
    expect_refusal(STRANGER, WIRE_REFUSED_UNKNOWN, false);
    struct net_peer from = {.len = 1, .id = {ACTOR}};
    world_meet_actor(&w);
    struct wire_msg beat = {.type = WIRE_HEARTBEAT, .run_id = w.run_id + 1};
    ms_on_message(w.ms, w.now, &from, &beat);
    expect_refusal(ACTOR, WIRE_REFUSED_RUN, false);

    struct wire_msg hello = {.type = WIRE_HELLO, .hello = {.role = WIRE_ROLE_ACTOR, .id = "x"}};
    memcpy(hello.hello.task, "hopper", 7);
    world_message(&w, STRANGER, &hello);
    expect_refusal(STRANGER, WIRE_REFUSED_TASK, true);
    hello.hello.task[0] = '\0';
    hello.hello.obs_dim = 11;
    world_message(&w, STRANGER, &hello);
    expect_refusal(STRANGER, WIRE_REFUSED_TASK, true);
    assert_int_equal(world_counter(&w, "refused_task"), 2);

    ms_on_unparsable(w.ms, w.now, &from, WIRE_REFUSED_SCHEMA, "schema 7", &beat);
    expect_refusal(ACTOR, WIRE_REFUSED_SCHEMA, true);
    ms_on_unparsable(w.ms, w.now, &from, WIRE_REFUSED_FORMAT, "garbage", &beat);
    expect_refusal(ACTOR, WIRE_REFUSED_FORMAT, false);
    struct wire_msg grant = {.type = WIRE_GRANT};
    world_message(&w, ACTOR, &grant); // not a message of actors
    expect_refusal(ACTOR, WIRE_REFUSED_FORMAT, false);
    world_meet_learner(&w);
    world_hello(&w, STRANGER, WIRE_ROLE_LEARNER, "learner-2", 0); // a standby must wait
    expect_refusal(STRANGER, WIRE_REFUSED_MODE, false);
}

static void a_lost_actors_credit_goes_to_others(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 1);
    uint64_t first = sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed;
    assert_int_equal(first, 16);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.steps_allowed,
                     4); // the rest of 20
    world_rows(&w, OTHER, 1, 4);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.steps_allowed, 4);

    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    for (int i = 0; i < 8; i++) { // only one of them sends
        world_tick(&w, 500);
        world_message(&w, OTHER, &beat);
    }
    const struct wire_status *s = world_status(&w);
    assert_int_equal(s->actors[0].state, WIRE_PEER_LOST);
    assert_int_equal(s->actors[1].state, WIRE_PEER_CONNECTED);
    assert_int_equal(world_counter(&w, "peers_lost"), 1);
    assert_int_equal(sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.steps_allowed, 20);
    for (uint64_t seq = 2; seq <= 15; seq++) {
        world_rows(&w, OTHER, seq, 1);
    }
    // It returns with rows made on withdrawn credit. They are accepted, and so are
    // the other actor's rows on the same credit.
    world_rows(&w, ACTOR, 1, 8);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_CONNECTED);
    assert_int_equal(world_status(&w)->env_steps, 26);
    assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed <=
                8); // but it receives no more
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, 1);
    world_rows(&w, OTHER, 16, 2);
    assert_int_equal(world_status(&w)->env_steps, 28);
    assert_int_equal(world_counter(&w, "transitions_deferred"), 0);

    // Rows without any credit must wait.
    world_rows(&w, ACTOR, 2, 8);
    assert_int_equal(world_status(&w)->env_steps, 36);
    world_rows(&w, ACTOR, 3, 8);
    assert_int_equal(world_counter(&w, "transitions_deferred"), 1);
    assert_int_equal(world_status(&w)->env_steps, 36);
}

static void a_failing_store_is_reported_and_survived(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_rows(&w, ACTOR, 1, 2);
    w.sim->disk.full = true;
    w.prompt = false;
    world_rows(&w, ACTOR, 2, 2);
    world_rows(&w, ACTOR, 3, 2);
    world_settle(&w);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, 1);
    assert_int_equal(world_counter(&w, "store_errors"), 2);
    assert_non_null(strstr(world_status(&w)->waiting, "disk is full"));
    w.sim->disk.full = false;
    w.prompt = true;
    world_rows(&w, ACTOR, 2, 2); // sent again
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 6);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, 3);
    assert_null(strstr(world_status(&w)->waiting, "disk"));
    // What the disk did not take used up no credit, nor did it bring any.
    world_rows(&w, ACTOR, 4, 8);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 20);
}

static void full_sockets_delay_and_lose_nothing(void **state) {
    (void)state;
    w.sockets_full = true;
    world_meet_actor(&w);
    assert_int_equal(w.sent.count, 0);
    world_tick(&w, 50);
    w.sockets_full = false;
    world_tick(&w, 50);
    assert_non_null(sent_next(&w.sent, ACTOR, WIRE_WELCOME)); // in order
    assert_non_null(sent_next(&w.sent, ACTOR, WIRE_CREDIT));
    assert_true(world_counter(&w, "sends_delayed") >= 2);
    w.gone = ACTOR;
    world_rows(&w, ACTOR, 1, 1);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_LOST);
    assert_int_equal(world_counter(&w, "sends_failed"), 1);
}

// Its connection is gone when the server next writes to it, while its earlier
// messages are still queued.
static void the_last_rows_of_a_leaving_actor_count(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_rows(&w, ACTOR, 1, 2);
    w.gone = ACTOR;
    world_rows(&w, ACTOR, 2, 2); // the acknowledgement fails
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_LOST);
    world_rows(&w, ACTOR, 3, 2);
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    assert_int_equal(world_status(&w)->env_steps, 6);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_LEFT);
    assert_int_equal(world_counter(&w, "refused_unknown"), 0);
}

static void status_covers_the_whole_system(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    beat.heartbeat.policy_version = 1;
    beat.heartbeat.unacked_rows = 3;
    beat.heartbeat.steps_bad = 2;
    memcpy(beat.heartbeat.waiting, "for credit", 11);
    world_message(&w, ACTOR, &beat);
    uint64_t seq = world_walk(&w, 1, 20);
    world_message(&w, ACTOR, &beat);
    world_walk(&w, seq, 23);
    struct wire_msg ask = {.type = WIRE_STATUS_REQUEST};
    struct net_peer stranger = {.len = 1, .id = {STRANGER}};
    ms_on_message(w.ms, w.now, &stranger, &ask); // without a Hello
    assert_non_null(sent_last(&w.sent, STRANGER, WIRE_STATUS));
    const struct wire_status *s = world_status(&w);
    assert_string_equal(s->task, "inverted_pendulum");
    assert_string_equal(s->state, "learning");
    assert_string_equal(s->pacing_mode, "ratio");
    assert_int_equal(s->env_steps, 23);
    assert_int_equal(s->actor_count, 1);
    assert_int_equal(s->actors[0].steps, 23);
    assert_int_equal(s->actors[0].state, WIRE_PEER_WAITING);
    assert_int_equal(s->actors[0].unacked_rows, 3);
    assert_int_equal(s->actors[0].steps_bad, 2);
    assert_int_equal(s->actors[0].environments, 1);
    assert_string_equal(s->actors[0].waiting, "for credit");
    assert_int_equal(s->model_version, 1);
    assert_int_equal(s->members, 7);
    assert_int_equal(s->elites, 5);
    assert_true(s->holdout_mse[6] == 7);
    assert_int_equal(s->model_age_steps, 3);
    assert_int_equal(s->rollout_length, 2);
    assert_int_equal(s->steps_allowed, 24);
    assert_int_equal(s->updates_allowed, 2 * 3 + 8);
    assert_true(s->has_learner && s->has_model && s->has_pacing && s->has_eval);
    assert_true(s->counter_count > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RATIO(rows_are_stored_before_they_are_acknowledged),
        RATIO(each_message_counts_once_and_in_order),
        RATIO(a_restart_of_the_server_loses_nothing),
        RATIO(bad_rows_are_handled_and_counted_but_not_stored),
        RATIO(refused_rows_use_up_credit),
        LOCKSTEP(lockstep_goes_on_after_a_refused_row),
        RATIO(a_connection_belongs_to_its_last_hello),
        RATIO(credit_that_is_not_used_goes_to_others),
        RATIO(a_standstill_is_reported),
        RATIO(unknown_peers_and_wrong_runs_are_refused),
        RATIO(a_lost_actors_credit_goes_to_others),
        RATIO(a_failing_store_is_reported_and_survived),
        RATIO(full_sockets_delay_and_lose_nothing),
        RATIO(the_last_rows_of_a_leaving_actor_count),
        RATIO(status_covers_the_whole_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
