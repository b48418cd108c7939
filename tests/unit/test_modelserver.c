// SPDX-License-Identifier: MIT
// Shows that the model server's core keeps docs/protocol.md: what is stored and
// acknowledged, the order of lockstep, the bounds of ratio, who is refused and
// why, what a lost or restarted peer changes, and how a run ends.
//
// The core is driven by calls in a world with a clock of its own (ms_world.h).
// Peers are numbers: actors from 10 on, the learner 20, the evaluator 30.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "tests/unit/ms_world.h"

enum { ACTOR = 10, OTHER = 11, LEARNER = 20, EVALUATOR = 30, STRANGER = 40 };

static struct world w;

static int ratio_world(void **state) {
    (void)state;
    world_init(&w, PACING_RATIO);
    return 0;
}

static int lockstep_world(void **state) {
    (void)state;
    world_init(&w, PACING_LOCKSTEP);
    return 0;
}

static int end_world(void **state) {
    (void)state;
    world_deinit(&w);
    return 0;
}

static void meet_actor(void) {
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
}

static void meet_learner(void) {
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 1);
    world_policy(&w, LEARNER, w.version, w.updates);
    world_progress(&w, LEARNER);
}

// The actor takes steps one by one until S is `steps`, as far as it may.
static uint64_t walk(uint64_t seq, uint64_t steps) {
    const struct sent *credit;
    while (world_status(&w)->env_steps < steps && (credit = world_last(&w, ACTOR, WIRE_CREDIT)) &&
           credit->a > world_status(&w)->env_steps) {
        world_rows(&w, ACTOR, seq++, 1);
    }
    return seq;
}

static void expect_refusal(uint8_t peer, enum wire_refusal code, bool fatal) {
    const struct sent *s = world_last(&w, peer, WIRE_REFUSE);
    assert_non_null(s);
    assert_int_equal(s->a, code);
    assert_int_equal(s->b, fatal);
}

// ---- actors ----

static void rows_are_stored_before_they_are_acknowledged(void **state) {
    (void)state;
    w.prompt = false;
    meet_actor();
    assert_null(world_last(&w, ACTOR, WIRE_WELCOME)); // its index is not on the disk yet
    world_end_stores(&w);
    const struct sent *s = world_next(&w, ACTOR, WIRE_WELCOME);
    assert_non_null(s);
    assert_int_equal(s->a, 0);
    assert_int_equal(s->b, 1);
    s = world_next(&w, ACTOR, WIRE_CREDIT);
    assert_non_null(s);
    assert_int_equal(s->a, 16); // two messages' worth of the exploration's 20
    assert_int_equal(s->b, 16); // all at random
    assert_int_equal(s->c, 0);  // which needs no policy

    world_rows(&w, ACTOR, 1, 5);
    world_rows(&w, ACTOR, 2, 3);
    world_tick(&w, 50);
    assert_null(world_last(&w, ACTOR, WIRE_ACK));
    assert_int_equal(world_status(&w)->env_steps, 0);
    world_end_stores(&w);
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 2);
    assert_int_equal(world_status(&w)->env_steps, 8);
    assert_int_equal(store_rows(w.store), 8);
    assert_int_equal(world_last(&w, ACTOR, WIRE_CREDIT)->a, 20); // never beyond exploration
}

static void each_message_counts_once_and_in_order(void **state) {
    (void)state;
    meet_actor();
    world_rows(&w, ACTOR, 1, 2);
    world_rows(&w, ACTOR, 1, 2); // again
    assert_int_equal(world_count(&w, ACTOR, WIRE_ACK), 2);
    assert_int_equal(world_counter(&w, "transitions_duplicate"), 1);
    world_rows(&w, ACTOR, 3, 2); // 2 is missing
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 1);
    assert_int_equal(world_counter(&w, "transitions_gap"), 1);
    assert_int_equal(world_status(&w)->env_steps, 2);
    world_rows(&w, ACTOR, 2, 2);
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 6);

    // A new connection of the same start goes on where it was.
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-0", 1);
    const struct sent *s = world_last(&w, OTHER, WIRE_WELCOME);
    assert_int_equal(s->a, 0);
    assert_int_equal(s->b, 4);
    assert_int_equal(s->c, 6);
    // A new start begins at 1 and fences the old one out.
    world_hello(&w, 12, WIRE_ROLE_ACTOR, "actor-0", 2);
    s = world_last(&w, 12, WIRE_WELCOME);
    assert_int_equal(s->a, 0);
    assert_int_equal(s->b, 1);
    assert_int_equal(s->c, 6);
    world_rows(&w, OTHER, 4, 1);
    expect_refusal(OTHER, WIRE_REFUSED_UNKNOWN, false);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-0", 1);
    expect_refusal(OTHER, WIRE_REFUSED_FENCED, true);
    assert_int_equal(world_status(&w)->env_steps, 6);
}

static void a_restart_of_the_server_loses_nothing(void **state) {
    (void)state;
    meet_actor();
    world_rows(&w, ACTOR, 1, 4);
    world_rows(&w, ACTOR, 2, 4);
    world_restart(&w);
    assert_int_equal(world_status(&w)->env_steps, 8);
    world_rows(&w, ACTOR, 3, 1); // it does not know that connection
    expect_refusal(ACTOR, WIRE_REFUSED_UNKNOWN, false);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
    assert_int_equal(world_last(&w, ACTOR, WIRE_WELCOME)->b, 3);
    world_rows(&w, ACTOR, 2, 4); // had no Ack of it
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 10);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-0", 0); // older than what the store knows
    expect_refusal(OTHER, WIRE_REFUSED_FENCED, true);
}

static void bad_rows_are_handled_and_counted_but_not_stored(void **state) {
    (void)state;
    meet_actor();
    float obs[8] = {0}, act[1] = {1.5f}, reward[1] = {0};
    uint8_t flags[1] = {0};
    struct wire_msg msg = {.type = WIRE_TRANSITIONS, .transitions = {.seq = 1}};
    msg.transitions.rows = (struct wire_rows){.rows = 1,
                                              .obs_dim = 4,
                                              .act_dim = 1,
                                              .obs = obs,
                                              .act = act,
                                              .reward = reward,
                                              .next_obs = obs,
                                              .flags = flags};
    world_message(&w, ACTOR, &msg);
    expect_refusal(ACTOR, WIRE_REFUSED_VALUE, false);
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 1); // handled: it may go on
    assert_int_equal(world_counter(&w, "rows_refused_value"), 1);

    // The same when wire_unpack has found a number that is not finite.
    struct net_peer from = {.len = 1, .id = {ACTOR}};
    msg.transitions.seq = 2;
    msg.transitions.rows.rows = 3;
    ms_on_unparsable(w.ms, w.now, &from, WIRE_REFUSED_VALUE, "row 0 is not finite", &msg);
    world_settle(&w);
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 2);
    assert_int_equal(world_counter(&w, "rows_refused_value"), 4);
    assert_int_equal(world_counter(&w, "refused_value"), 2);
    assert_int_equal(world_status(&w)->env_steps, 0);
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 2);

    msg.transitions.seq = 4;
    msg.transitions.rows.rows = 1;
    msg.transitions.rows.obs_dim = 3; // another task's rows
    act[0] = 0;
    world_message(&w, ACTOR, &msg);
    expect_refusal(ACTOR, WIRE_REFUSED_TASK, true);
    world_rows(&w, ACTOR, 4, 9); // batch_rows_max is 8
    expect_refusal(ACTOR, WIRE_REFUSED_FORMAT, false);
    assert_int_equal(world_status(&w)->env_steps, 2);
}

static void strangers_and_wrong_runs_are_refused(void **state) {
    (void)state;
    world_rows(&w, STRANGER, 1, 1);
    expect_refusal(STRANGER, WIRE_REFUSED_UNKNOWN, false);
    struct net_peer from = {.len = 1, .id = {ACTOR}};
    meet_actor();
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
    world_message(&w, ACTOR, &grant); // not an actor's to send
    expect_refusal(ACTOR, WIRE_REFUSED_FORMAT, false);
    meet_learner();
    world_hello(&w, STRANGER, WIRE_ROLE_LEARNER, "learner-2", 1); // a standby must wait
    expect_refusal(STRANGER, WIRE_REFUSED_MODE, false);
    world_hello(&w, STRANGER, WIRE_ROLE_LEARNER, "actor-0", 5); // an actor's name
    expect_refusal(STRANGER, WIRE_REFUSED_MODE, true);
}

static void a_lost_actors_credit_goes_to_others(void **state) {
    (void)state;
    meet_actor();
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 1);
    uint64_t first = world_last(&w, ACTOR, WIRE_CREDIT)->a;
    assert_int_equal(first, 16);
    assert_int_equal(world_last(&w, OTHER, WIRE_CREDIT)->a, 4); // what is left of 20
    world_rows(&w, OTHER, 1, 4);
    assert_int_equal(world_last(&w, OTHER, WIRE_CREDIT)->a, 4);

    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    for (int i = 0; i < 8; i++) { // only one of them is heard
        world_tick(&w, 500);
        world_message(&w, OTHER, &beat);
    }
    const struct wire_status *s = world_status(&w);
    assert_int_equal(s->actors[0].state, WIRE_PEER_LOST);
    assert_int_equal(s->actors[1].state, WIRE_PEER_CONNECTED);
    assert_int_equal(world_counter(&w, "peers_lost"), 1);
    assert_int_equal(world_last(&w, OTHER, WIRE_CREDIT)->a, 20);
    for (uint64_t seq = 2; seq <= 15; seq++) {
        world_rows(&w, OTHER, seq, 1);
    }
    // Back again, with rows from credit that is not its own any more: they are taken,
    // and so is what the other made of it.
    world_rows(&w, ACTOR, 1, 8);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_CONNECTED);
    assert_int_equal(world_status(&w)->env_steps, 26);
    assert_true(world_last(&w, ACTOR, WIRE_CREDIT)->a <= 8); // but it gets no more
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 1);
    world_rows(&w, OTHER, 16, 2);
    assert_int_equal(world_status(&w)->env_steps, 28);
    assert_int_equal(world_counter(&w, "transitions_deferred"), 0);

    // Rows that nobody ever allowed must wait.
    world_rows(&w, ACTOR, 2, 8);
    assert_int_equal(world_status(&w)->env_steps, 36);
    world_rows(&w, ACTOR, 3, 8);
    assert_int_equal(world_counter(&w, "transitions_deferred"), 1);
    assert_int_equal(world_status(&w)->env_steps, 36);
}

static void a_store_that_fails_is_said_and_survived(void **state) {
    (void)state;
    meet_actor();
    world_rows(&w, ACTOR, 1, 2);
    w.store_fails = true;
    w.prompt = false;
    world_rows(&w, ACTOR, 2, 2);
    world_rows(&w, ACTOR, 3, 2);
    world_settle(&w);
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 1);
    assert_int_equal(world_counter(&w, "store_errors"), 2);
    assert_non_null(strstr(world_status(&w)->waiting, "disk is full"));
    w.store_fails = false;
    w.prompt = true;
    world_rows(&w, ACTOR, 2, 2); // sent again
    world_rows(&w, ACTOR, 3, 2);
    assert_int_equal(world_status(&w)->env_steps, 6);
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, 3);
    assert_null(strstr(world_status(&w)->waiting, "disk"));
}

static void full_sockets_delay_and_lose_nothing(void **state) {
    (void)state;
    w.sockets_full = true;
    meet_actor();
    assert_int_equal(w.sent_count, 0);
    world_tick(&w, 50);
    w.sockets_full = false;
    world_tick(&w, 50);
    assert_non_null(world_next(&w, ACTOR, WIRE_WELCOME)); // in order
    assert_non_null(world_next(&w, ACTOR, WIRE_CREDIT));
    assert_true(world_counter(&w, "sends_delayed") >= 2);
    w.gone = ACTOR;
    world_rows(&w, ACTOR, 1, 1);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_LOST);
    assert_int_equal(world_counter(&w, "sends_failed"), 1);
}

// ---- the learner ----

// Steps through a whole run and checks every message to the learner between two
// steps: real row, rollouts, grant, in that order and amount.
static void lockstep_is_algorithm_2(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    uint64_t seq = walk(1, 19);
    assert_int_equal(w.fits, 0);
    assert_int_equal(w.rollouts, 0);
    seq = walk(seq, 20);
    assert_int_equal(w.fits, 1); // at E
    // F * M = 30 rollouts of 2 steps, in one block; no update yet.
    assert_int_equal(w.model_rows, 60);
    assert_int_equal(world_last(&w, LEARNER, WIRE_GRANT)->a, 0);
    for (uint64_t S = 21; S <= 60; S++) {
        const struct sent *credit = world_last(&w, ACTOR, WIRE_CREDIT);
        assert_int_equal(credit->a, S); // one more, with the newest policy
        assert_int_equal(credit->c, w.version);
        w.seen = w.sent_count;
        uint64_t fits = (uint64_t)w.fits, version = w.version;
        world_rows(&w, ACTOR, seq++, 1);
        assert_int_equal((uint64_t)w.fits - fits, S % 10 == 0);
        const struct sent *s = world_next(&w, LEARNER, WIRE_EXPERIENCE);
        assert_int_equal(s->a, WIRE_REAL);
        assert_int_equal(s->b, 1);
        assert_int_equal(s->c, S - 1);
        s = world_next(&w, LEARNER, 0);
        assert_int_equal(s->type, WIRE_EXPERIENCE);
        assert_int_equal(s->a, WIRE_MODEL);
        assert_int_equal(s->b, 6);       // M rollouts of k steps
        assert_int_equal(s->c, version); // with the policy of the last publication
        s = world_next(&w, LEARNER, 0);
        assert_int_equal(s->type, WIRE_GRANT);
        assert_int_equal(s->a, 2 * (S - 20)); // G (S - E)
        assert_null(world_next(&w, LEARNER, 0));
        // No step before the updates are made and their policy is here.
        assert_true(world_last(&w, ACTOR, WIRE_CREDIT)->a == S);
        w.updates += 1;
        world_progress(&w, LEARNER);
        w.updates += 1;
        world_progress(&w, LEARNER); // both made, but the policy is still on its way
        assert_true(world_last(&w, ACTOR, WIRE_CREDIT)->a == S);
        world_policy(&w, LEARNER, ++w.version, w.updates);
        world_progress(&w, LEARNER);
    }
    assert_int_equal(w.real_rows, 60);
    assert_int_equal(w.model_rows, 60 + 40 * 6);
}

static void lockstep_has_one_actor(void **state) {
    (void)state;
    meet_actor();
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 1);
    expect_refusal(OTHER, WIRE_REFUSED_MODE, true);
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_LEFT);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 1); // the place is free
    assert_non_null(world_last(&w, OTHER, WIRE_WELCOME));
}

static void ratio_collects_while_the_model_trains(void **state) {
    (void)state;
    w.prompt = false;
    meet_actor();
    world_settle(&w);
    meet_learner();
    uint64_t seq = 1;
    for (uint64_t S = 1; S <= 20; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
    }
    assert_non_null(w.fit); // under way
    assert_int_equal(w.fit->rows, 20);
    assert_true(world_status(&w)->model_training_now);
    assert_int_equal(world_last(&w, ACTOR, WIRE_CREDIT)->a, 24); // slack 4
    for (uint64_t S = 21; S <= 24; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
    }
    assert_non_null(strstr(world_status(&w)->waiting, "actors wait for the learner"));
    assert_int_equal(world_last(&w, LEARNER, WIRE_GRANT)->a, 0);
    world_end_fit(&w);
    world_settle(&w);
    // G (24 - 20) + G slack, once the fill and the rollouts are there.
    assert_int_equal(world_last(&w, LEARNER, WIRE_GRANT)->a, 16);
    world_learn(&w, LEARNER);
    assert_int_equal(w.updates, 16);
    assert_int_equal(world_last(&w, ACTOR, WIRE_CREDIT)->a, 32); // 20 + 16 / 2 + 4
    // The next training is due at 30 and is not over: 40 is the end.
    for (uint64_t S = 25; S <= 30; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
        world_learn(&w, LEARNER);
        while (w.block) {
            world_end_rollout(&w);
        }
    }
    assert_non_null(w.fit);
    for (uint64_t S = 31; S <= 40; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
        while (w.block) {
            world_end_rollout(&w);
        }
        world_learn(&w, LEARNER);
    }
    assert_int_equal(world_last(&w, ACTOR, WIRE_CREDIT)->a, 40);
    world_tick(&w, 600); // a heartbeat: the reason is that of now
    assert_non_null(strstr(world_last(&w, ACTOR, WIRE_CREDIT)->text, "training"));
    world_end_fit(&w);
    assert_int_equal(world_status(&w)->model_version, 2);
    assert_true(world_last(&w, ACTOR, WIRE_CREDIT)->a > 40);
}

static void a_learner_that_returns_gets_what_it_lacks(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    uint64_t seq = walk(1, 20);
    for (int i = 0; i < 5; i++) {
        seq = walk(seq, 60);
        world_learn(&w, LEARNER);
    }
    uint64_t S = world_status(&w)->env_steps;
    assert_true(S > 25);
    // It comes back from a checkpoint of long ago: real rows from there on.
    w.seen = w.sent_count;
    w.updates = 4;
    w.version = 3;
    w.real_rows = 10;
    world_hello(&w, 21, WIRE_ROLE_LEARNER, "learner", 2);
    assert_non_null(world_next(&w, 21, WIRE_WELCOME));
    const struct sent *s = world_next(&w, 21, WIRE_EXPERIENCE);
    assert_int_equal(s->a, WIRE_REAL);
    assert_int_equal(s->c, 10);
    assert_int_equal(s->b, S - 10);
    world_policy(&w, 21, 3, 4); // older than what was known, and right
    assert_int_equal(world_counter(&w, "policies_rewound"), 1);
    assert_int_equal(world_status(&w)->policy_version, 3);
    world_policy(&w, 21, 2, 2);
    assert_int_equal(world_counter(&w, "policies_stale"), 1);
    assert_int_equal(world_status(&w)->policy_version, 3);

    // And once more, with nothing: D_model is filled again before any update.
    w.updates = w.real_rows = w.model_rows = 0;
    w.version = 1;
    w.prompt = false;
    world_hello(&w, 22, WIRE_ROLE_LEARNER, "learner", 3);
    world_policy(&w, 22, 1, 0);
    assert_int_equal(world_last(&w, 22, WIRE_GRANT)->a, 0);
    world_settle(&w);
    assert_true(w.model_rows >= 60);
    assert_true(world_last(&w, 22, WIRE_GRANT)->a > 0);
    assert_int_equal(w.real_rows, S);

    struct wire_msg hello = {
        .type = WIRE_HELLO,
        .hello = {
            .role = WIRE_ROLE_LEARNER, .incarnation = 4, .id = "learner", .real_rows = S + 1}};
    world_message(&w, 23, &hello); // it knows rows that this store never had
    expect_refusal(23, WIRE_REFUSED_RUN, true);
}

static void the_feed_keeps_its_window(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    uint64_t seq = walk(1, 20);
    uint64_t before = w.experience_seq;
    // The learner takes nothing in any more; each step is one message or more.
    w.updates = 1000;
    for (int i = 0; i < 40; i++) {
        seq = walk(seq, 60);
        struct wire_msg msg = {
            .type = WIRE_PROGRESS,
            .progress = {.experience_seq = before, .updates = w.updates, .policy_version = 1}};
        world_message(&w, LEARNER, &msg);
    }
    assert_int_equal(world_status(&w)->env_steps, 60);
    assert_int_equal(w.experience_seq, before + FEED_WINDOW);
    world_progress(&w, LEARNER); // now it does
    assert_true(w.experience_seq > before + FEED_WINDOW);
}

// ---- evaluations and the end ----

static void report(double value) {
    const struct sent *s = world_last(&w, EVALUATOR, WIRE_EVAL_REQUEST);
    assert_non_null(s);
    double returns[2] = {value - 1, value + 1}, lengths[2] = {5, 5};
    struct wire_msg msg = {.type = WIRE_EVAL_REPORT,
                           .eval_report = {.id = s->a,
                                           .env_steps = s->b,
                                           .policy_version = s->c,
                                           .episodes = 2,
                                           .returns = returns,
                                           .lengths = lengths}};
    world_message(&w, EVALUATOR, &msg);
}

static void evaluations_take_turns(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    uint64_t seq = walk(1, 10);
    assert_null(world_last(&w, EVALUATOR, WIRE_EVAL_REQUEST));
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    assert_int_equal(world_last(&w, EVALUATOR, WIRE_EVAL_REQUEST)->b, 10);
    seq = walk(seq, 20);
    while (world_status(&w)->env_steps < 40) {
        seq = walk(seq, 40);
        world_learn(&w, LEARNER);
    }
    // One is out, the newest waits: 20 and 30 were replaced.
    assert_int_equal(world_count(&w, EVALUATOR, WIRE_EVAL_REQUEST), 1);
    assert_int_equal(world_counter(&w, "eval_requests_replaced"), 2);
    // Lost and back: it gets the same request again.
    world_hello(&w, 31, WIRE_ROLE_EVALUATOR, "evaluator", 2);
    assert_int_equal(world_last(&w, 31, WIRE_EVAL_REQUEST)->b, 10);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 3);
    report(50);
    assert_int_equal(w.evaluations, 1);
    assert_int_equal(w.evaluation.row.env_steps, 10);
    assert_true(w.evaluation.row.return_mean == 50 && w.evaluation.row.return_std == 1);
    assert_non_null(w.evaluation.best);
    assert_int_equal(world_last(&w, EVALUATOR, WIRE_EVAL_REQUEST)->b, 40);
    report(40);
    assert_int_equal(w.evaluation.row.rollout_length, 2);
    assert_null(w.evaluation.best); // not better than 50
    assert_int_equal(world_status(&w)->evaluations, 2);
    report(40); // again
    assert_int_equal(world_counter(&w, "eval_reports_stale"), 1);
}

static void a_run_ends_when_its_budget_is_spent(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    uint64_t seq = 1;
    while (world_status(&w)->env_steps < 60 || w.updates < 80) {
        seq = walk(seq, 60);
        world_learn(&w, LEARNER);
    }
    assert_int_equal(w.updates, 80); // G (60 - 20), no slack at the end
    assert_int_equal(world_last(&w, LEARNER, WIRE_GRANT)->a, 80);
    report(1); // of the one that was out
    assert_int_equal(ms_phase(w.ms), MS_RUNNING);
    assert_int_equal(world_last(&w, EVALUATOR, WIRE_EVAL_REQUEST)->b, 60);
    assert_int_equal(world_last(&w, EVALUATOR, WIRE_EVAL_REQUEST)->c, w.version);
    report(2);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    for (uint8_t peer = ACTOR; peer <= EVALUATOR; peer += 10) {
        assert_int_equal(world_last(&w, peer, WIRE_SHUTDOWN)->a, 1);
    }
    int saves = w.saves;
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    world_message(&w, EVALUATOR, &bye);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING); // the learner saves its checkpoint
    world_tick(&w, 2000);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    world_message(&w, LEARNER, &bye);
    world_tick(&w, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);
    assert_int_equal(w.saves, saves + 1);
    assert_int_equal(w.saved_state.rollout_steps, 60);
    assert_string_equal(ms_end_text(w.ms), "step budget spent");
}

static void a_run_ends_when_it_is_solved(void **state) {
    (void)state;
    world_deinit(&w);
    world_init(&w, PACING_LOCKSTEP);
    w.config.run.stop_when_solved = true;
    world_restart(&w);
    meet_learner();
    meet_actor();
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    uint64_t seq = walk(1, 10);
    report(150); // one is not enough
    seq = walk(seq, 20);
    report(99); // and they must be in a row
    while (world_status(&w)->env_steps < 30) {
        seq = walk(seq, 30);
        world_learn(&w, LEARNER);
    }
    // In lockstep the next step waits for what may end the run.
    assert_int_equal(world_last(&w, ACTOR, WIRE_CREDIT)->a, 30);
    assert_non_null(strstr(world_status(&w)->waiting, "evaluation"));
    report(101);
    while (world_status(&w)->env_steps < 40) {
        seq = walk(seq, 40);
        world_learn(&w, LEARNER);
    }
    report(100);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    assert_string_equal(ms_end_text(w.ms), "solved");
    assert_int_equal(world_last(&w, LEARNER, WIRE_SHUTDOWN)->a, 1);
    // Nobody answers: it does not wait for ever.
    for (int i = 0; i < 50 && ms_phase(w.ms) != MS_STOPPED; i++) {
        world_tick(&w, 500);
    }
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);
}

static void a_stopped_run_goes_on(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    uint64_t seq = walk(1, 20);
    for (int i = 0; i < 3; i++) {
        seq = walk(seq, 60);
        world_learn(&w, LEARNER);
    }
    uint64_t S = world_status(&w)->env_steps;
    ms_stop(w.ms, w.now, false, "stopped by a signal");
    world_tick(&w, 20);
    assert_int_equal(world_last(&w, LEARNER, WIRE_SHUTDOWN)->a, 0);
    world_rows(&w, ACTOR, seq++, 1); // what the actor still has is taken in
    assert_int_equal(world_last(&w, ACTOR, WIRE_ACK)->a, seq - 1);
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    world_message(&w, LEARNER, &bye);
    world_tick(&w, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);

    int fits = w.fits;
    uint64_t model_rows = w.model_rows, real_rows = w.real_rows;
    world_restart(&w);
    assert_int_equal(world_status(&w)->env_steps, S + 1);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 2);
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 2);
    world_policy(&w, LEARNER, w.version, w.updates);
    assert_int_equal(w.fits, fits);                 // nothing is trained twice,
    assert_int_equal(w.model_rows, model_rows + 6); // rolled out only for the new step,
    assert_int_equal(w.real_rows, real_rows + 1);   // and sent twice
    seq = 1;
    while (world_status(&w)->env_steps < 60 || w.updates < 80) {
        uint64_t before = world_status(&w)->env_steps + w.updates;
        const struct sent *credit = world_last(&w, ACTOR, WIRE_CREDIT);
        while (credit->a >= seq) {
            world_rows(&w, ACTOR, seq++, 1);
            credit = world_last(&w, ACTOR, WIRE_CREDIT);
        }
        world_learn(&w, LEARNER);
        assert_true(world_status(&w)->env_steps + w.updates > before);
    }
    assert_int_equal(w.updates, 80);
}

static void rows_on_their_way_go_before_the_end(void **state) {
    (void)state;
    w.prompt = false;
    meet_actor();
    world_settle(&w);
    meet_learner();
    for (uint64_t seq = 1; seq <= 20; seq++) {
        world_rows(&w, ACTOR, seq, 1);
        world_end_stores(&w);
    }
    world_end_fit(&w);
    assert_non_null(w.block);
    w.seen = w.sent_count;
    ms_stop(w.ms, w.now, false, "stopped by a signal");
    world_tick(&w, 20);
    assert_null(world_last(&w, LEARNER, WIRE_SHUTDOWN));
    world_end_rollout(&w);
    const struct sent *s = world_next(&w, LEARNER, WIRE_EXPERIENCE);
    assert_non_null(s);
    assert_int_equal(s->a, WIRE_MODEL);
    assert_non_null(world_next(&w, LEARNER, WIRE_SHUTDOWN));
    assert_null(w.block); // and nothing new is begun
}

static void a_broken_first_training_ends_the_run(void **state) {
    (void)state;
    w.fit_result = FIT_BROKEN;
    meet_learner();
    meet_actor();
    walk(1, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    assert_true(ms_failed(w.ms));
    assert_int_equal(world_counter(&w, "trainings_broken"), 1);
}

// ---- everything at random ----

// Peers, jobs and the clock go on in a random order, connections break and come
// back; at every moment the ratio must hold, and the run must come to its end.
static void ratio_holds_whatever_happens(uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 1);
    w.prompt = false;
    meet_actor();
    meet_learner();
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    uint64_t seq = 1, rows = 0, incarnation = 1;
    for (int i = 0; i < 20000 && ms_phase(w.ms) == MS_RUNNING; i++) {
        uint32_t what = rng_below(&rng, 11);
        const struct sent *credit = world_last(&w, ACTOR, WIRE_CREDIT);
        const struct sent *grant = world_last(&w, LEARNER, WIRE_GRANT);
        const struct sent *ack = world_last(&w, ACTOR, WIRE_ACK);
        if (what == 0 && w.batch_count > 0) {
            world_end_stores(&w);
        } else if (what == 1 && w.fit) {
            world_end_fit(&w);
        } else if (what == 2 && w.block) {
            world_end_rollout(&w);
        } else if (what == 3 && w.save) {
            world_end_save(&w);
        } else if (what == 4 && credit && rows < credit->a) {
            world_rows(&w, ACTOR, seq++, 1);
            rows++;
        } else if (what == 5 && grant && w.updates < grant->a) {
            w.updates++;
            if (w.updates % 2 == 0) {
                world_policy(&w, LEARNER, ++w.version, w.updates);
            }
            world_progress(&w, LEARNER);
        } else if (what == 6) {
            world_tick(&w, 100);
        } else if (what == 7 && rng_below(&rng, 20) == 0) {
            world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 1); // a new connection
        } else if (what == 8 && rng_below(&rng, 20) == 0 && ack && w.batch_count == 0) {
            world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", ++incarnation); // a new start
            world_end_stores(&w);
            seq = 1;
            rows = 0;
            w.seen = w.sent_count;
        } else if (what == 9 && w.evaluations < world_count(&w, EVALUATOR, WIRE_EVAL_REQUEST)) {
            report(1);
        } else {
            struct wire_msg beat = {.type = WIRE_HEARTBEAT};
            world_message(&w, ACTOR, &beat);
            world_message(&w, EVALUATOR, &beat);
            world_progress(&w, LEARNER);
        }
        double S = (double)world_status(&w)->env_steps, U = (double)w.updates;
        double even = S > 20 ? 2 * (S - 20) : 0;
        if (U > even + 8 || U < even - 8) {
            fail_msg("seed %llu, event %d: S %g, U %g", (unsigned long long)seed, i, S, U);
        }
    }
    if (ms_phase(w.ms) == MS_RUNNING) {
        fail_msg("seed %llu: no end; S %llu, U %llu: %s", (unsigned long long)seed,
                 (unsigned long long)world_status(&w)->env_steps, (unsigned long long)w.updates,
                 world_status(&w)->waiting);
    }
    assert_int_equal(store_rows(w.store), 60);
    assert_int_equal(w.updates, 80);
}

static void ratio_holds_from_many_seeds(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 25; seed++) {
        ratio_holds_whatever_happens(seed);
        world_deinit(&w);
        world_init(&w, PACING_RATIO);
    }
}

static void status_tells_the_whole(void **state) {
    (void)state;
    meet_learner();
    meet_actor();
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    beat.heartbeat.policy_version = 1;
    beat.heartbeat.unacked_rows = 3;
    memcpy(beat.heartbeat.waiting, "for credit", 11);
    world_message(&w, ACTOR, &beat);
    uint64_t seq = walk(1, 20);
    world_message(&w, ACTOR, &beat);
    walk(seq, 23);
    struct wire_msg ask = {.type = WIRE_STATUS_REQUEST};
    struct net_peer stranger = {.len = 1, .id = {STRANGER}};
    ms_on_message(w.ms, w.now, &stranger, &ask); // without a Hello
    assert_non_null(world_last(&w, STRANGER, WIRE_STATUS));
    const struct wire_status *s = world_status(&w);
    assert_string_equal(s->task, "inverted_pendulum");
    assert_string_equal(s->state, "learning");
    assert_string_equal(s->pacing_mode, "ratio");
    assert_int_equal(s->env_steps, 23);
    assert_int_equal(s->actor_count, 1);
    assert_int_equal(s->actors[0].steps, 23);
    assert_int_equal(s->actors[0].state, WIRE_PEER_WAITING);
    assert_int_equal(s->actors[0].unacked_rows, 3);
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

#define LOCKSTEP(test) cmocka_unit_test_setup_teardown(test, lockstep_world, end_world)
#define RATIO(test) cmocka_unit_test_setup_teardown(test, ratio_world, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        RATIO(rows_are_stored_before_they_are_acknowledged),
        RATIO(each_message_counts_once_and_in_order),
        RATIO(a_restart_of_the_server_loses_nothing),
        RATIO(bad_rows_are_handled_and_counted_but_not_stored),
        RATIO(strangers_and_wrong_runs_are_refused),
        RATIO(a_lost_actors_credit_goes_to_others),
        RATIO(a_store_that_fails_is_said_and_survived),
        RATIO(full_sockets_delay_and_lose_nothing),
        LOCKSTEP(lockstep_is_algorithm_2),
        LOCKSTEP(lockstep_has_one_actor),
        RATIO(ratio_collects_while_the_model_trains),
        RATIO(a_learner_that_returns_gets_what_it_lacks),
        RATIO(the_feed_keeps_its_window),
        RATIO(evaluations_take_turns),
        RATIO(a_run_ends_when_its_budget_is_spent),
        RATIO(a_run_ends_when_it_is_solved),
        LOCKSTEP(a_stopped_run_goes_on),
        RATIO(a_stopped_run_goes_on),
        RATIO(rows_on_their_way_go_before_the_end),
        RATIO(a_broken_first_training_ends_the_run),
        RATIO(status_tells_the_whole),
        RATIO(ratio_holds_from_many_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
