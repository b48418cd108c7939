// SPDX-License-Identifier: MIT
// Tests the model server's messages to its learner and their order: Algorithm 2 in
// lockstep, overlapping work within its bounds in ratio, and resending to a learner
// that returns.
//
// The core is driven by calls in a fixture with a simulated clock (ms_world.h).
#include <string.h>

#include "modelserver/core/experience_queue.h"
#include "proto/epoch.h"
#include "tests/unit/ms_setup.h"

// Steps through a whole run and checks every message to the learner between two
// steps: real row, rollouts, grant, in that order and amount.
static void lockstep_is_algorithm_2(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 19);
    assert_int_equal(w.sim->fits, 0);
    assert_int_equal(w.sim->rollouts, 0);
    seq = world_walk(&w, seq, 20);
    assert_int_equal(w.sim->fits, 1); // at E
    // F * M = 30 rollouts of 2 steps, in one block; no update yet.
    assert_int_equal(w.model_rows, 60);
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed, 0);
    for (uint64_t S = 21; S <= 60; S++) {
        const struct wire_msg *credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT);
        assert_int_equal(credit->credit.steps_allowed, S); // one more step, with the newest policy
        assert_int_equal(credit->credit.min_policy_version, world_version(&w));
        w.sent.seen = w.sent.count;
        uint64_t fits = (uint64_t)w.sim->fits, version = world_version(&w);
        world_rows(&w, ACTOR, seq++, 1);
        assert_int_equal((uint64_t)w.sim->fits - fits, S % 10 == 0);
        const struct wire_msg *s = sent_next(&w.sent, LEARNER, WIRE_EXPERIENCE);
        assert_int_equal(s->experience.kind, WIRE_REAL);
        assert_int_equal(s->experience.rows.rows, 1);
        assert_int_equal(s->experience.first_index, S - 1);
        s = sent_next(&w.sent, LEARNER, 0);
        assert_int_equal(s->type, WIRE_EXPERIENCE);
        assert_int_equal(s->experience.kind, WIRE_MODEL);
        assert_int_equal(s->experience.rows.rows, 6); // M rollouts of k steps
        assert_int_equal(s->experience.policy_version,
                         version); // with the policy of the last publication
        s = sent_next(&w.sent, LEARNER, 0);
        assert_int_equal(s->type, WIRE_GRANT);
        assert_int_equal(s->grant.updates_allowed, 2 * (S - 20)); // G (S - E)
        assert_null(sent_next(&w.sent, LEARNER, 0));
        // No step before the updates are made and their policy has arrived.
        assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed == S);
        w.updates += 1;
        world_progress(&w, LEARNER);
        w.updates += 1;
        world_progress(&w, LEARNER); // both updates made, but the policy has not arrived
        assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed == S);
        world_policy(&w, LEARNER, ++w.version, w.updates);
        world_progress(&w, LEARNER);
    }
    assert_int_equal(w.real_rows, 60);
    assert_int_equal(w.model_rows, 60 + 40 * 6);
}

// Lockstep goes on from checkpoints of one step: the process that is ahead starts again.
static void lockstep_goes_back_to_a_pair(void **state) {
    (void)state;
    uint64_t step;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20); // a pair of checkpoints is made
    world_learn(&w, LEARNER);
    world_progress(&w, LEARNER);
    uint64_t updates = w.updates, model_rows = w.model_rows;
    for (uint64_t S = 21; S <= 22; S++) {
        seq = world_walk(&w, seq, S);
        world_learn(&w, LEARNER);
    }
    assert_false(ms_starts_again(w.ms, &step));
    // The server is killed, and the learner lives.
    world_restart(&w);
    assert_int_equal(world_status(&w)->env_steps, 20);
    world_rejoin(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", w.epoch);
    expect_refusal(LEARNER, WIRE_REFUSED_UNKNOWN, true);
    assert_false(ms_starts_again(w.ms, &step));
    // Again as of its checkpoint: the stored steps are taken one at a time.
    w.updates = updates;
    w.model_rows = model_rows;
    w.real_rows = w.experience_seq = 0;
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    world_policy(&w, LEARNER, w.version, w.updates);
    world_progress(&w, LEARNER);
    assert_int_equal(world_status(&w)->env_steps, 21);
    world_learn(&w, LEARNER);
    assert_int_equal(world_status(&w)->env_steps, 22);
    // The learner is killed: so the server goes back.
    world_hello(&w, LEARNER + 10, WIRE_ROLE_LEARNER, "learner", 0);
    assert_true(ms_starts_again(w.ms, &step));
    assert_int_equal(step, 20);
    expect_refusal(LEARNER + 10, WIRE_REFUSED_MODE, false);
}

static void lockstep_has_one_actor(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 1);
    expect_refusal(OTHER, WIRE_REFUSED_MODE, true);
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    assert_int_equal(world_status(&w)->actors[0].state, WIRE_PEER_LEFT);
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 1); // there is no actor now
    assert_non_null(sent_last(&w.sent, OTHER, WIRE_WELCOME));
}

static void ratio_collects_while_the_model_trains(void **state) {
    (void)state;
    w.prompt = false;
    world_meet_actor(&w);
    world_settle(&w);
    world_meet_learner(&w);
    uint64_t seq = 1;
    for (uint64_t S = 1; S <= 20; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
    }
    assert_non_null(w.server->fit); // running
    assert_int_equal(w.server->fit->rows, 20);
    assert_true(world_status(&w)->model_training_now);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 24); // slack 4
    for (uint64_t S = 21; S <= 24; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
    }
    assert_non_null(strstr(world_status(&w)->waiting, "actors wait for the learner"));
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed, 0);
    world_end_fit(&w);
    world_settle(&w);
    // G (24 - 20) + G slack, once the fill and the rollouts are done.
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed, 16);
    world_learn(&w, LEARNER);
    assert_int_equal(w.updates, 16);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed,
                     32); // 20 + 16 / 2 + 4
    // The next training is due at 30 and still running: 40 is the limit.
    for (uint64_t S = 25; S <= 30; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
        world_learn(&w, LEARNER);
        while (w.server->block) {
            world_end_rollout(&w);
        }
    }
    assert_non_null(w.server->fit);
    for (uint64_t S = 31; S <= 40; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
        while (w.server->block) {
            world_end_rollout(&w);
        }
        world_learn(&w, LEARNER);
    }
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 40);
    world_tick(&w, 600); // a heartbeat with the current reason
    assert_non_null(strstr(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.reason, "training"));
    world_end_fit(&w);
    assert_int_equal(world_status(&w)->model_version, 2);
    assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed > 40);
}

static void a_returning_learner_receives_missing_rows(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    for (int i = 0; i < 5; i++) {
        seq = world_walk(&w, seq, 60);
        world_learn(&w, LEARNER);
    }
    uint64_t S = world_status(&w)->env_steps;
    assert_true(S > 25);
    // It returns with an old checkpoint: real rows from there on.
    w.sent.seen = w.sent.count;
    w.updates = 4;
    w.version = 3;
    w.real_rows = 10;
    world_hello(&w, 21, WIRE_ROLE_LEARNER, "learner", 0);
    assert_non_null(sent_next(&w.sent, 21, WIRE_WELCOME));
    const struct wire_msg *s = sent_next(&w.sent, 21, WIRE_EXPERIENCE);
    assert_int_equal(s->experience.kind, WIRE_REAL);
    assert_int_equal(s->experience.first_index, 10);
    assert_int_equal(s->experience.rows.rows, S - 10);
    world_policy(&w, 21, 3, 4); // a smaller number than the known one, of a new epoch
    assert_int_equal(world_counter(&w, "policies_rewound"), 1);
    assert_int_equal(world_status(&w)->policy_version, epoch_version(2, 3));
    world_policy(&w, 21, 2, 2);
    assert_int_equal(world_counter(&w, "policies_stale"), 1);
    assert_int_equal(world_status(&w)->policy_version, epoch_version(2, 3));

    // Again, with an empty state: D_model is filled again before any update.
    w.updates = w.real_rows = w.model_rows = 0;
    w.version = 1;
    w.prompt = false;
    world_hello(&w, 22, WIRE_ROLE_LEARNER, "learner", 0);
    world_end_stores(&w);
    world_policy(&w, 22, 1, 0);
    assert_int_equal(sent_last(&w.sent, 22, WIRE_GRANT)->grant.updates_allowed, 0);
    world_settle(&w);
    assert_true(w.model_rows >= 60);
    assert_true(sent_last(&w.sent, 22, WIRE_GRANT)->grant.updates_allowed > 0);
    assert_int_equal(w.real_rows, S);

    struct wire_msg hello = {
        .type = WIRE_HELLO,
        .hello = {.role = WIRE_ROLE_LEARNER, .id = "learner", .real_rows = S + 1}};
    world_message(&w, 23, &hello); // it has rows that this store never had
    expect_refusal(23, WIRE_REFUSED_RUN, true);
}

// Whatever happens to the learner and the server, the versions that an actor hears of grow, and
// its Credit then asks for a newer policy than the dead learner's.
static void versions_never_go_back(void **state) {
    (void)state;
    uint64_t newest = 0, epoch = 0, seq = 1;
    for (int start = 0; start < 4; start++) {
        w.updates = w.real_rows = w.model_rows = w.experience_seq = 0; // it has no checkpoint
        w.version = 1;
        uint8_t learner = (uint8_t)(LEARNER + start);
        world_hello(&w, learner, WIRE_ROLE_LEARNER, "learner", 0);
        world_policy(&w, learner, w.version, w.updates);
        world_progress(&w, learner);
        assert_true(w.epoch > epoch);
        epoch = w.epoch;
        w.sent.seen = w.sent.count;
        if (start == 0) {
            world_meet_actor(&w);
        } else {
            world_rejoin(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 1);
        }
        for (const struct wire_msg *s; (s = sent_next(&w.sent, ACTOR, WIRE_CREDIT));) {
            assert_true(s->credit.newest_policy_version > newest);
            assert_true(s->credit.min_policy_version <= s->credit.newest_policy_version);
        }
        seq = world_walk(&w, seq, 21 + (uint64_t)start);
        const struct wire_msg *credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT);
        assert_true(credit->credit.min_policy_version >= epoch_version(epoch, 1));
        world_learn(&w, learner);
        world_tick(&w, 20);
        newest = sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.newest_policy_version;
        assert_int_equal(newest, world_version(&w));
        if (start % 2 == 0) { // the server dies with it, and learns of the epoch from its store
            world_restart(&w);
        }
    }
    assert_int_equal(epoch, 4);
}

// A learner that was cut off and replaced is refused, under any id, and none of its policies and
// reports counts.
static void a_replaced_learner_is_fenced(void **state) {
    (void)state;
    enum { NEXT = 21 };
    world_meet_learner(&w);
    uint64_t old = w.epoch;
    world_tick(&w, 5000);
    assert_int_equal(world_status(&w)->learner_state, WIRE_PEER_LOST);
    world_hello(&w, NEXT, WIRE_ROLE_LEARNER, "learner-2", 0);
    assert_int_equal(w.epoch, old + 1);
    world_policy(&w, NEXT, 1, 0);
    world_policy(&w, LEARNER, 2, 2); // it wakes up
    expect_refusal(LEARNER, WIRE_REFUSED_UNKNOWN, false);
    world_rejoin(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", old);
    expect_refusal(LEARNER, WIRE_REFUSED_FENCED, true);
    assert_int_equal(world_status(&w)->policy_version, epoch_version(old + 1, 1));
    // Also by a server that has just started.
    world_restart(&w);
    world_rejoin(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", old);
    expect_refusal(LEARNER, WIRE_REFUSED_FENCED, true);
    world_rejoin(&w, NEXT, WIRE_ROLE_LEARNER, "learner-2", old + 1);
    assert_int_equal(w.epoch, old + 1);
    // A learner of before, with a clock for its number, is refused with the advice to build it
    // again.
    world_hello(&w, 22, WIRE_ROLE_LEARNER, "learner", 1700000000000000000);
    expect_refusal(22, WIRE_REFUSED_SCHEMA, true);
}

static void actors_are_told_where_the_learner_is(void **state) {
    (void)state;
    world_meet_actor(&w);
    assert_string_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.learner, "");
    static const char *const given[] = {"ipc:///a", "tcp://0.0.0.0:7001", "tcp://[::]:7002"};
    static const char *const told[] = {"ipc:///a", "tcp://here:7001", "tcp://here:7002"};
    for (int i = 0; i < 3; i++) {
        w.endpoint = given[i];
        w.sent.seen = w.sent.count;
        world_hello(&w, (uint8_t)(LEARNER + i), WIRE_ROLE_LEARNER, "learner", 0);
        assert_string_equal(sent_next(&w.sent, ACTOR, WIRE_CREDIT)->credit.learner, told[i]);
    }
    w.endpoint = NULL;
    world_hello(&w, OTHER, WIRE_ROLE_ACTOR, "actor-1", 0); // later ones too
    assert_string_equal(sent_last(&w.sent, OTHER, WIRE_CREDIT)->credit.learner, "tcp://here:7002");
}

static void the_feed_keeps_its_window(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    uint64_t before = w.experience_seq;
    // The learner accepts nothing more; each step is at least one message.
    w.updates = 1000;
    for (int i = 0; i < 40; i++) {
        seq = world_walk(&w, seq, 60);
        struct wire_msg msg = {
            .type = WIRE_PROGRESS,
            .progress = {.experience_seq = before, .updates = w.updates, .policy_version = 1}};
        world_message(&w, LEARNER, &msg);
    }
    assert_int_equal(world_status(&w)->env_steps, 60);
    assert_int_equal(w.experience_seq, before + EXPERIENCE_QUEUE_WINDOW);
    w.sent.seen = w.sent.count;
    world_progress(&w, LEARNER); // now it does: real rows before the rollouts that wait with them
    assert_int_equal(sent_next(&w.sent, LEARNER, WIRE_EXPERIENCE)->experience.kind, WIRE_REAL);
    assert_true(w.experience_seq > before + EXPERIENCE_QUEUE_WINDOW);
}

static void report_q_mean(double q_mean) {
    struct wire_msg msg = {.type = WIRE_PROGRESS,
                           .progress = {.experience_seq = w.experience_seq,
                                        .updates = ++w.updates,
                                        .policy_version = world_version(&w)}};
    metrics_set(&msg.progress.metrics, "q_mean", q_mean);
    metrics_set(&msg.progress.metrics, "discount", 0.99);
    world_message(&w, LEARNER, &msg);
}

// The status names it, also after a restart, and the run goes on.
static void diverging_critics_are_reported(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    report_q_mean(0);
    assert_string_equal(world_status(&w)->warning, "");
    report_q_mean(1e9);
    assert_non_null(strstr(world_status(&w)->warning, "the critics' mean value is 1e+09"));
    uint64_t steps = world_status(&w)->env_steps;
    world_walk(&w, seq, 60);
    assert_true(world_status(&w)->env_steps > steps);
    report_q_mean(0);
    assert_string_equal(world_status(&w)->warning, "");

    world_restart(&w); // the range of rewards is that of all stored rows
    w.experience_seq = 0;
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    report_q_mean(1e9);
    assert_non_null(strstr(world_status(&w)->warning, "the critics' mean value is 1e+09"));
}

// A method without model rollouts: real rows and grants alone, and no figure of a model.
static void walk_without_a_model(uint64_t slack) {
    w.config.method = METHOD_sac;
    world_restart(&w);
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    for (uint64_t S = 21; S <= 60; S++) {
        seq = world_walk(&w, seq, S);
        assert_int_equal(world_status(&w)->env_steps, S);
        uint64_t allowed = 2 * (S - 20 + slack);
        assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed,
                         allowed < 80 ? allowed : 80);
        world_learn(&w, LEARNER);
    }
    assert_int_equal(w.updates, 80); // G for each step after exploration
    assert_int_equal(w.sim->fits, 0);
    assert_int_equal(w.sim->rollouts, 0);
    assert_int_equal(w.real_rows, 60);
    assert_int_equal(w.model_rows, 0);
    const struct wire_status *s = world_status(&w);
    assert_string_equal(s->method, "sac");
    assert_false(s->has_model);
    assert_int_equal(s->model_capacity, 0);
}

static void lockstep_without_a_model(void **state) {
    (void)state;
    walk_without_a_model(0);
    // The row of a step is sent before its updates, which may sample it.
    uint64_t rows = 0;
    for (int i = 0; i < w.sent.count; i++) {
        const struct wire_msg *m = &w.sent.all[i]->msg;
        if (m->type == WIRE_EXPERIENCE) {
            rows = m->experience.first_index + m->experience.rows.rows;
        } else if (m->type == WIRE_GRANT && m->grant.updates_allowed > 0) {
            assert_int_equal(m->grant.updates_allowed, 2 * (rows - 20));
        }
    }
}

static void ratio_without_a_model(void **state) {
    (void)state;
    walk_without_a_model(4);
}

// A socket that is full for one message only must not let rows overtake the Grant before them.
static void rows_wait_for_the_grant(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    w.sockets_full = true;
    world_rows(&w, ACTOR, seq, 1); // stored, but not sent to the learner
    w.sockets_full = false;
    w.busy = LEARNER;
    w.busy_sends = 1;
    w.sent.seen = w.sent.count;
    world_tick(&w, 600); // a heartbeat is due to the learner, which is a Grant
    assert_int_equal(w.busy_sends, 0);
    world_tick(&w, 50);
    assert_int_equal(sent_next(&w.sent, LEARNER, 0)->type, WIRE_GRANT);
    assert_non_null(sent_next(&w.sent, LEARNER, WIRE_EXPERIENCE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOCKSTEP(lockstep_is_algorithm_2),
        LOCKSTEP(lockstep_goes_back_to_a_pair),
        LOCKSTEP(lockstep_has_one_actor),
        RATIO(ratio_collects_while_the_model_trains),
        RATIO(a_returning_learner_receives_missing_rows),
        RATIO(versions_never_go_back),
        RATIO(a_replaced_learner_is_fenced),
        RATIO(actors_are_told_where_the_learner_is),
        RATIO(the_feed_keeps_its_window),
        LOCKSTEP(lockstep_without_a_model),
        RATIO(ratio_without_a_model),
        RATIO(rows_wait_for_the_grant),
        RATIO(diverging_critics_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
