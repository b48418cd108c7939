// SPDX-License-Identifier: MIT
// Tests when the model server requests evaluations, how a run ends, stops and resumes,
// and that it reaches its end within the bounds of ratio for any order of events.
//
// The core is driven by calls in a fixture with a simulated clock (ms_world.h).
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "tests/unit/ms_setup.h"

static void evaluations_take_turns(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 10);
    assert_null(sent_last(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST));
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    assert_int_equal(sent_last(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST)->eval_request.env_steps, 10);
    seq = world_walk(&w, seq, 20);
    while (world_status(&w)->env_steps < 40) {
        seq = world_walk(&w, seq, 40);
        world_learn(&w, LEARNER);
    }
    // One is outstanding, the newest waits: 20 and 30 were replaced.
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 1);
    assert_int_equal(world_counter(&w, "eval_requests_replaced"), 2);
    // A lost evaluator that returns receives the same request again.
    world_hello(&w, 31, WIRE_ROLE_EVALUATOR, "evaluator", 2);
    assert_int_equal(sent_last(&w.sent, 31, WIRE_EVAL_REQUEST)->eval_request.env_steps, 10);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 3);
    world_report(&w, 50);
    assert_int_equal(w.sim->evaluations, 1);
    assert_int_equal(w.sim->evaluation.row.env_steps, 10);
    assert_true(w.sim->evaluation.row.return_mean == 50 && w.sim->evaluation.row.return_std == 1);
    assert_non_null(w.sim->evaluation.best);
    assert_int_equal(sent_last(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST)->eval_request.env_steps, 40);
    world_report(&w, 40);
    assert_true(*metrics_find(&w.sim->evaluation.row.model, "rollout_length") == 2);
    assert_null(w.sim->evaluation.best); // not better than 50
    assert_int_equal(world_status(&w)->evaluations, 2);
    world_report(&w, 40); // again
    assert_int_equal(world_counter(&w, "eval_reports_stale"), 1);
}

// Its request, or its report, was lost although the connection lives.
static void an_idle_evaluator_is_asked_again(void **state) {
    (void)state;
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 0);
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_walk(&w, 1, 10);
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 1);
    for (int i = 0; i < 20; i++) { // it plays
        world_tick(&w, 500);
        world_message(&w, EVALUATOR, &beat);
    }
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 1);
    memcpy(beat.heartbeat.waiting, "the next evaluation", 20);
    for (int i = 0; i < 8; i++) {
        world_tick(&w, 500);
        world_message(&w, EVALUATOR, &beat);
    }
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 2);
    assert_int_equal(world_counter(&w, "eval_requests_resent"), 1);
    world_report(&w, 50);
    assert_int_equal(w.sim->evaluations, 1);
    for (int i = 0; i < 20; i++) {
        world_tick(&w, 500);
        world_message(&w, EVALUATOR, &beat);
    }
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 2);
}

// Found by the simulator: the request was sent again, without its policy.
static void a_report_is_the_first_word_of_an_evaluator_that_was_lost(void **state) {
    (void)state;
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 0);
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_walk(&w, 1, 10);
    world_tick(&w, 3500);
    world_report(&w, 50);
    assert_int_equal(w.sim->evaluations, 1);
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 1);
}

// Found by the simulator: it was connected, but was asked for no evaluation.
static void a_lost_evaluator_returns_after_another_had_its_place(void **state) {
    (void)state;
    struct wire_msg beat = {.type = WIRE_HEARTBEAT};
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 0);
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_tick(&w, 3500);
    world_hello(&w, 31, WIRE_ROLE_EVALUATOR, "another", 0);
    world_tick(&w, 3500);
    world_message(&w, EVALUATOR, &beat);
    assert_int_equal(sent_last(&w.sent, EVALUATOR, WIRE_REFUSE)->refuse.code, WIRE_REFUSED_UNKNOWN);
    world_rejoin(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    world_progress(&w, LEARNER);
    world_meet_actor(&w);
    world_walk(&w, 1, 10);
    assert_int_equal(sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST), 1);
    world_report(&w, 50);
    assert_int_equal(w.sim->evaluations, 1);
}

// Figures that do not exist yet are not 0.
static void nothing_is_known_before_learning(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_walk(&w, 1, 10); // of 20 that explore
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    assert_true(isnan(world_status(&w)->updates_per_step_achieved));
    assert_true(isnan(world_status(&w)->actors[0].last_return));
    world_report(&w, 50);
    assert_int_equal(w.sim->evaluations, 1);
    assert_true(isnan(w.sim->evaluation.row.updates_per_step));
}

static void a_run_ends_when_its_budget_is_spent(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    uint64_t seq = 1;
    while (world_status(&w)->env_steps < 60 || w.updates < 80) {
        seq = world_walk(&w, seq, 60);
        world_learn(&w, LEARNER);
    }
    assert_int_equal(w.updates, 80); // G (60 - 20), no slack at the end
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed, 80);
    // A report of fewer episodes than were asked for is refused, and the request stays.
    world_report_of(&w, 1000, 2);
    assert_int_equal(sent_last(&w.sent, EVALUATOR, WIRE_REFUSE)->refuse.code, WIRE_REFUSED_FORMAT);
    assert_int_equal(world_counter(&w, "eval_reports_wrong"), 1);
    assert_int_equal(world_status(&w)->evaluations, 0);
    world_report(&w, 1); // of the outstanding one
    assert_int_equal(ms_phase(w.ms), MS_RUNNING);
    assert_int_equal(sent_last(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST)->eval_request.env_steps, 60);
    assert_int_equal(sent_last(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST)->eval_request.policy.version,
                     world_version(&w));
    assert_non_null(strstr(world_status(&w)->waiting, "for the last evaluation: 10 episodes of"));
    assert_int_equal(world_status(&w)->eval_episodes_cut, 1);
    world_report(&w, 2);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    for (uint8_t peer = ACTOR; peer <= EVALUATOR; peer += 10) {
        assert_int_equal(sent_last(&w.sent, peer, WIRE_SHUTDOWN)->shutdown.done, 1);
    }
    int saves = w.sim->saves;
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    world_message(&w, EVALUATOR, &bye);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING); // the learner saves its checkpoint
    world_tick(&w, 2000);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    world_message(&w, LEARNER, &bye);
    world_tick(&w, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);
    assert_int_equal(w.sim->saves, saves + 1);
    assert_int_equal(w.sim->disk.state.rollout_steps, 60);
    assert_string_equal(ms_end_text(w.ms), "step budget spent");
}

static void a_run_ends_when_it_is_solved(void **state) {
    (void)state;
    world_deinit(&w);
    world_init(&w, PACING_LOCKSTEP);
    w.config.run.stop_when_solved = true;
    w.config.eval.every_steps = 10;
    world_restart(&w);
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    uint64_t seq = world_walk(&w, 1, 10);
    world_report(&w, 150); // one is not enough
    seq = world_walk(&w, seq, 20);
    world_report(&w, 99); // and they must be in a row
    while (world_status(&w)->env_steps < 30) {
        seq = world_walk(&w, seq, 30);
        world_learn(&w, LEARNER);
    }
    // In lockstep the next step waits for what may end the run.
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 30);
    assert_non_null(strstr(world_status(&w)->waiting, "evaluation"));
    world_report(&w, 101);
    while (world_status(&w)->env_steps < 40) {
        seq = world_walk(&w, seq, 40);
        world_learn(&w, LEARNER);
    }
    world_report(&w, 100);
    world_tick(&w, 20);
    world_progress(&w, LEARNER); // it has its checkpoint of this step
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    assert_string_equal(ms_end_text(w.ms), "solved");
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_SHUTDOWN)->shutdown.done, 1);
    // Without an answer the wait is bounded.
    for (int i = 0; i < 50 && ms_phase(w.ms) != MS_STOPPED; i++) {
        world_tick(&w, 500);
    }
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);
}

// Number of checkpoints at the end of a whole run. F is 10, so there are four trainings.
static int saves_of_a_run(void) {
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    assert_int_equal(w.sim->saves, 1); // the first model
    while (world_status(&w)->env_steps < 60) {
        seq = world_walk(&w, seq, 60);
        world_learn(&w, LEARNER);
    }
    assert_int_equal(w.sim->fits, 5);
    return w.sim->saves;
}

// The ensemble is the larger part of what a run writes.
static void in_ratio_trainings_are_not_saved_one_by_one(void **state) {
    (void)state;
    w.config.checkpoint.every_s = 1000;
    world_restart(&w);
    assert_int_equal(saves_of_a_run(), 1);
    world_tick(&w, 999000);
    assert_int_equal(w.sim->saves, 1);
    world_tick(&w, 1000);
    assert_int_equal(w.sim->saves, 2);
    // A resumed run trains the model that its checkpoint lacks.
    int fits = w.sim->fits;
    w.sim->disk.state.trained_for = w.sim->disk.model_rows = 20;
    world_restart(&w);
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    assert_int_equal(w.sim->fits, fits + 1);
}

// The model server first, then the learner, both of one step; no step is taken meanwhile.
static void in_lockstep_checkpoints_are_pairs(void **state) {
    (void)state;
    w.config.checkpoint.every_s = 1;
    world_restart(&w);
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    world_tick(&w, 20);
    assert_int_equal(w.sim->saves, 1); // the first model
    assert_int_equal(w.sim->disk.state.checkpoint_id, 20);
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.checkpoint_id, 20);
    world_tick(&w, 1000);
    assert_int_equal(w.sim->saves, 1); // the learner has not answered
    seq = world_walk(&w, seq, 21);
    world_learn(&w, LEARNER);
    w.prompt = false;
    world_tick(&w, 1000);
    assert_non_null(w.server->save);
    world_rows(&w, ACTOR, seq++, 1);
    world_end_stores(&w);
    assert_int_equal(world_status(&w)->env_steps, 21); // stored, and not yet taken
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.checkpoint_id, 20);
    world_end_save(&w);
    assert_int_equal(w.sim->disk.state.checkpoint_id, 21);
    assert_int_equal(w.checkpoint, 21);
    assert_int_equal(world_status(&w)->env_steps, 22);
}

static void a_stopped_run_resumes(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    for (int i = 0; i < 3; i++) {
        seq = world_walk(&w, seq, 60);
        world_learn(&w, LEARNER);
    }
    uint64_t S = world_status(&w)->env_steps;
    bool lockstep = w.config.pacing.mode == PACING_LOCKSTEP;
    world_progress(&w, LEARNER);
    ms_stop(w.ms, w.now, false, "stopped by a signal");
    world_tick(&w, 20);
    if (lockstep) { // which ends with a pair of checkpoints
        assert_int_equal(w.checkpoint, S);
        assert_null(sent_last(&w.sent, LEARNER, WIRE_SHUTDOWN));
        world_progress(&w, LEARNER);
    }
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_SHUTDOWN)->shutdown.done, 0);
    world_rows(&w, ACTOR, seq++, 1); // the actor's remaining rows are stored
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, seq - 1);
    struct wire_msg bye = {.type = WIRE_GOODBYE};
    world_message(&w, ACTOR, &bye);
    world_message(&w, LEARNER, &bye);
    world_tick(&w, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);

    int fits = w.sim->fits;
    uint64_t model_rows = w.model_rows, real_rows = w.real_rows;
    world_restart(&w);
    assert_int_equal(world_status(&w)->env_steps, lockstep ? S : S + 1);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 2);
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    world_policy(&w, LEARNER, w.version, w.updates);
    assert_int_equal(world_status(&w)->env_steps, S + 1);
    assert_int_equal(w.sim->fits, fits);            // nothing is trained twice,
    assert_int_equal(w.model_rows, model_rows + 6); // rolled out only for the new step,
    assert_int_equal(w.real_rows, real_rows + 1);   // and sent twice
    seq = 1;
    while (world_status(&w)->env_steps < 60 || w.updates < 80) {
        uint64_t before = world_status(&w)->env_steps + w.updates;
        const struct wire_msg *credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT);
        while (credit->credit.steps_allowed >= seq) {
            world_rows(&w, ACTOR, seq++, 1);
            credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT);
        }
        world_learn(&w, LEARNER);
        assert_true(world_status(&w)->env_steps + w.updates > before);
    }
    assert_int_equal(w.updates, 80);
}

// The end of a run without peers takes no time, and a standby learner requests the status at
// intervals: it would then wait for a model server that was restarted.
static void an_end_waits_for_a_standby_learner(void **state) {
    (void)state;
    const struct net_peer from = {.len = 1, .id = {STRANGER}};
    struct wire_msg ask = {.type = WIRE_STATUS_REQUEST, .status_request.standby = true};
    ms_on_message(w.ms, w.now, &from, &ask);
    world_tick(&w, 500);
    ms_stop(w.ms, w.now, false, "stopped by a signal");
    world_tick(&w, 500);
    world_tick(&w, 500);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    ask.status_request.standby = false; // `spur status`
    ms_on_message(w.ms, w.now, &from, &ask);
    world_tick(&w, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    ask.status_request.standby = true;
    ms_on_message(w.ms, w.now, &from, &ask);
    world_tick(&w, 20);
    world_tick(&w, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPED);
}

// One that went away before, or that hangs now, is not waited for, or not for long.
static void an_end_does_not_wait_for_a_standby_that_is_gone(void **state) {
    (void)state;
    const struct net_peer from = {.len = 1, .id = {STRANGER}};
    const struct wire_msg ask = {.type = WIRE_STATUS_REQUEST, .status_request.standby = true};
    for (int hangs = 0; hangs < 2; hangs++) {
        ms_on_message(w.ms, w.now, &from, &ask);
        world_tick(&w, hangs ? 500 : 2500);
        ms_stop(w.ms, w.now, false, "stopped by a signal");
        for (int i = 0; i < (hangs ? 30 : 2); i++) {
            world_tick(&w, 110);
        }
        assert_int_equal(ms_phase(w.ms), MS_STOPPED);
        world_deinit(&w);
        world_init(&w, PACING_RATIO);
    }
}

static void rows_in_flight_are_sent_before_the_end(void **state) {
    (void)state;
    w.prompt = false;
    world_meet_actor(&w);
    world_settle(&w);
    world_meet_learner(&w);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        world_rows(&w, ACTOR, seq, 1);
        world_end_stores(&w);
    }
    world_end_fit(&w);
    assert_non_null(w.server->block);
    w.sent.seen = w.sent.count;
    ms_stop(w.ms, w.now, false, "stopped by a signal");
    world_tick(&w, 20);
    assert_null(sent_last(&w.sent, LEARNER, WIRE_SHUTDOWN));
    world_end_rollout(&w);
    const struct wire_msg *s = sent_next(&w.sent, LEARNER, WIRE_EXPERIENCE);
    assert_non_null(s);
    assert_int_equal(s->experience.kind, WIRE_MODEL);
    assert_non_null(sent_next(&w.sent, LEARNER, WIRE_SHUTDOWN));
    assert_null(w.server->block); // and no new job starts
}

static void a_broken_first_training_ends_the_run(void **state) {
    (void)state;
    w.sim->fit_result = FIT_BROKEN;
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_walk(&w, 1, 20);
    assert_int_equal(ms_phase(w.ms), MS_STOPPING);
    assert_true(ms_failed(w.ms));
    assert_int_equal(world_counter(&w, "trainings_broken"), 1);
}

// ---- everything at random ----

// Events of peers, jobs and clock in random order, with broken and renewed
// connections: the ratio must hold at all times, and the run must end.
static void ratio_holds_whatever_happens(uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 1);
    w.prompt = false;
    world_meet_actor(&w);
    world_meet_learner(&w);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "evaluator", 1);
    uint64_t seq = 1, rows = 0, incarnation = 1;
    for (int i = 0; i < 20000 && ms_phase(w.ms) == MS_RUNNING; i++) {
        uint32_t what = rng_below(&rng, 11);
        const struct wire_msg *credit = sent_last(&w.sent, ACTOR, WIRE_CREDIT);
        const struct wire_msg *grant = sent_last(&w.sent, LEARNER, WIRE_GRANT);
        const struct wire_msg *ack = sent_last(&w.sent, ACTOR, WIRE_ACK);
        if (what == 0 && w.server->batches > 0) {
            world_end_stores(&w);
        } else if (what == 1 && w.server->fit) {
            world_end_fit(&w);
        } else if (what == 2 && w.server->block) {
            world_end_rollout(&w);
        } else if (what == 3 && w.server->save) {
            world_end_save(&w);
        } else if (what == 4 && credit && rows < credit->credit.steps_allowed) {
            world_rows(&w, ACTOR, seq++, 1);
            rows++;
        } else if (what == 5 && grant && w.updates < grant->grant.updates_allowed) {
            w.updates++;
            if (w.updates % 2 == 0) {
                world_policy(&w, LEARNER, ++w.version, w.updates);
            }
            world_progress(&w, LEARNER);
        } else if (what == 6) {
            world_tick(&w, 100);
        } else if (what == 7 && rng_below(&rng, 20) == 0) {
            world_rejoin(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", w.epoch); // a new connection
        } else if (what == 8 && rng_below(&rng, 20) == 0 && ack && w.server->batches == 0) {
            world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", ++incarnation); // a new start
            world_end_stores(&w);
            seq = 1;
            rows = 0;
            w.sent.seen = w.sent.count;
        } else if (what == 9 &&
                   w.sim->evaluations < sent_count(&w.sent, EVALUATOR, WIRE_EVAL_REQUEST)) {
            world_report(&w, 1);
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
    assert_int_equal(w.sim->disk.rows, 60);
    assert_int_equal(w.updates, 80);
}

// Trainings that end with broken weights keep the model before; status and exit code say so.
static void a_model_that_is_no_longer_trained_is_said(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_meet_learner(&w);
    world_hello(&w, EVALUATOR, WIRE_ROLE_EVALUATOR, "eval", 1);
    uint64_t seq = world_walk(&w, 1, 21);
    assert_string_equal(world_status(&w)->state, "learning");
    w.sim->fit_result = FIT_BROKEN;
    for (uint64_t steps = 22; steps <= 60; steps++) {
        world_learn(&w, LEARNER);
        seq = world_walk(&w, seq, steps);
        bool said = world_counter(&w, "trainings_broken") >= 3;
        const struct wire_status *s = world_status(&w);
        assert_true(said == (strcmp(s->state, "learning without training the model") == 0));
        assert_true(said == (strstr(s->warning, "the model is no longer trained: ") != NULL));
        assert_true(!said || strstr(s->warning, "spur data list"));
    }
    assert_true(world_counter(&w, "trainings_broken") >= 3);
    assert_false(ms_untrained(w.ms));
    world_learn(&w, LEARNER);
    while (ms_phase(w.ms) == MS_RUNNING) {
        world_report(&w, 50);
        world_learn(&w, LEARNER);
        world_tick(&w, 100);
    }
    assert_true(ms_untrained(w.ms));
}

// A store that can take no more ends the run; other errors of the disk may pass.
static void a_disk_that_failed_ends_the_run(void **state) {
    (void)state;
    const int errors[] = {-ENOSPC, -EIO, -ENOTRECOVERABLE};
    world_meet_actor(&w);
    for (int i = 0; i < 3; i++) {
        w.prompt = false;
        world_rows(&w, ACTOR, 1, 2);
        assert_int_equal(w.server->batches, 1);
        w.server->batches = 0;
        w.server->batch[0]->error = errors[i];
        ms_on_stored(w.ms, w.now, w.server->batch[0], "the disk failed");
        assert_null(sent_last(&w.sent, ACTOR, WIRE_ACK));
        assert_int_equal(ms_phase(w.ms), i < 2 ? MS_RUNNING : MS_STOPPING);
    }
    assert_true(ms_failed(w.ms) && ms_unsaved(w.ms));
    assert_string_equal(ms_end_text(w.ms), "the disk failed");
}

static void ratio_holds_from_many_seeds(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 25; seed++) {
        ratio_holds_whatever_happens(seed);
        world_deinit(&w);
        world_init(&w, PACING_RATIO);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RATIO(evaluations_take_turns),
        RATIO(an_idle_evaluator_is_asked_again),
        RATIO(a_report_is_the_first_word_of_an_evaluator_that_was_lost),
        RATIO(a_lost_evaluator_returns_after_another_had_its_place),
        RATIO(nothing_is_known_before_learning),
        RATIO(a_run_ends_when_its_budget_is_spent),
        RATIO(a_run_ends_when_it_is_solved),
        RATIO(in_ratio_trainings_are_not_saved_one_by_one),
        LOCKSTEP(in_lockstep_checkpoints_are_pairs),
        LOCKSTEP(a_stopped_run_resumes),
        RATIO(a_stopped_run_resumes),
        RATIO(an_end_waits_for_a_standby_learner),
        RATIO(an_end_does_not_wait_for_a_standby_that_is_gone),
        RATIO(rows_in_flight_are_sent_before_the_end),
        RATIO(a_broken_first_training_ends_the_run),
        RATIO(a_model_that_is_no_longer_trained_is_said),
        RATIO(a_disk_that_failed_ends_the_run),
        RATIO(ratio_holds_from_many_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
