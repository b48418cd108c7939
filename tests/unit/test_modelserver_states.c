// SPDX-License-Identifier: MIT
// Tests what the model server sends to a learner that takes the ensemble and the states of
// distribution rollouts: their order and numbers in lockstep, how far they run ahead in ratio, and
// what a learner that returns is sent again.
//
// The core is driven by calls in a fixture with a simulated clock (ms_world.h).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "modelserver/core/rollouts.h"
#include "modelserver/model/versions.h"
#include "proto/epoch.h"
#include "tests/unit/ms_world.h"

enum { EVERY = 4, WARM_START = 8 }; // as in world_init_states; G is 2, E is 20

static struct world w;

static int ratio_world(void **state) {
    (void)state;
    world_init_states(&w, PACING_RATIO);
    return 0;
}

static int lockstep_world(void **state) {
    (void)state;
    world_init_states(&w, PACING_LOCKSTEP);
    return 0;
}

static int end_world(void **state) {
    (void)state;
    world_deinit(&w);
    return 0;
}

static int position(enum wire_type type, int n) {
    return sent_position(&w.sent, LEARNER, type, n);
}

static const struct wire_msg *at(enum wire_type type, int n) {
    return &w.sent.all[position(type, n)]->msg;
}

// The position of the first grant of more than so many updates.
static int grant_beyond(uint64_t updates) {
    for (int i = 0; i < w.sent.count; i++) {
        const struct wire_msg *m = &w.sent.all[i]->msg;
        if (m->type == WIRE_GRANT && m->grant.updates_allowed > updates) {
            return i;
        }
    }
    return -1;
}

// Rows are sent before the grant of the updates that follow them.
static void check_rows_before_grants(void) {
    uint64_t rows = 0;
    for (int i = 0; i < w.sent.count; i++) {
        const struct wire_msg *m = &w.sent.all[i]->msg;
        if (m->type == WIRE_EXPERIENCE) {
            rows = m->experience.first_index + m->experience.rows.rows;
        } else if (m->type == WIRE_GRANT && m->grant.updates_allowed > 0) {
            assert_true(m->grant.updates_allowed <= WARM_START + 2 * (rows - 20));
        }
    }
}

// Training, ensemble, distribution rollout, its updates, the next one: each waits for the one
// before, so that a run is a function of its seed.
static void lockstep_has_one_order(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    assert_int_equal(w.sim->fits, 1);
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed,
                     EVERY); // of 8 due
    world_learn(&w, LEARNER);
    assert_int_equal(w.updates, WARM_START);
    for (uint64_t S = 21; S <= 60; S++) {
        assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, S);
        uint64_t fits = (uint64_t)w.sim->fits;
        world_rows(&w, ACTOR, seq++, 1);
        assert_int_equal((uint64_t)w.sim->fits - fits, S % 10 == 0);
        world_learn(&w, LEARNER);
        assert_int_equal(w.updates, WARM_START + 2 * (S - 20));
        assert_int_equal(w.states, (w.updates + EVERY - 1) / EVERY);
    }
    // Rollout d has the policy after d EVERY updates, and comes before the grant of its updates.
    for (int d = 0; d < (int)w.states; d++) {
        const struct wire_msg *s = at(WIRE_STATES, d);
        assert_int_equal(s->states.number, d);
        assert_int_equal(s->states.rows, 6); // 3 rollouts of 2 steps
        assert_int_equal(s->states.policy_version, epoch_version(w.epoch, (uint64_t)d + 1));
        assert_true(position(WIRE_STATES, d) < grant_beyond((uint64_t)d * EVERY));
    }
    // The ensemble of S = 20, 30, ... comes before the updates of that step.
    for (int v = 0; v < w.sim->fits; v++) {
        const struct wire_msg *s = at(WIRE_ENSEMBLE, v);
        uint64_t before = v == 0 ? 0 : (uint64_t)(WARM_START + 2 * (10 * v - 1));
        assert_int_equal(s->model.version, v + 1);
        assert_int_equal(s->model.env_rows, 20 + 10 * v);
        assert_true(position(WIRE_ENSEMBLE, v) < grant_beyond(before));
    }
    check_rows_before_grants();
}

static void rollouts_run_ahead_by_two(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_walk(&w, 1, 20);
    // Without an update: the first, and two that it may be ahead.
    assert_int_equal(w.states, 3);
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_GRANT)->grant.updates_allowed, 3 * EVERY);
    world_learn(&w, LEARNER);
    assert_true(w.states > 3);
}

static void steps_wait_for_a_training(void **state) {
    (void)state;
    w.config.pacing.training = PACING_TRAINING_WAIT;
    world_restart(&w);
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    world_learn(&w, LEARNER);
    w.prompt = false;
    for (uint64_t S = 21; S <= 30; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
        while (w.server->block) {
            world_end_rollout(&w);
        }
        world_learn(&w, LEARNER);
    }
    assert_non_null(w.server->fit);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 30);
    assert_non_null(strstr(world_status(&w)->waiting, "training"));
    world_end_fit(&w);
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_ENSEMBLE)->model.version, 2);
    assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed > 30);
}

// A long training moves with every epoch; without one it is what holds the run up.
static void a_training_moves_by_epochs(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 19);
    w.prompt = false;
    world_rows(&w, ACTOR, seq, 1);
    world_end_stores(&w);
    assert_non_null(w.server->fit);
    for (int i = 0; i < 5; i++) {
        world_tick(&w, 50000);
        assert_string_equal(world_status(&w)->stuck, "");
        atomic_fetch_add(w.server->fit->epochs, 1);
        world_tick(&w, 10);
    }
    world_tick(&w, 61000);
    assert_non_null(strstr(world_status(&w)->stuck, "the ensemble is being trained"));
}

// Ten steps without an update, the training, all their updates, and only then steps by the policy
// after them.
static void phases_take_turns(void **state) {
    (void)state;
    w.config.pacing.training = PACING_TRAINING_PHASE;
    world_restart(&w);
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    world_learn(&w, LEARNER);
    assert_int_equal(w.updates, WARM_START);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 30);
    w.prompt = false;
    for (uint64_t S = 21; S <= 30; S++) {
        world_rows(&w, ACTOR, seq++, 1);
        world_end_stores(&w);
        world_learn(&w, LEARNER);
    }
    assert_int_equal(w.updates, WARM_START);
    assert_non_null(w.server->fit);
    world_end_fit(&w);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 30);
    w.prompt = true;
    while (w.server->block) {
        world_end_rollout(&w);
    }
    world_learn(&w, LEARNER);
    assert_int_equal(w.updates, WARM_START + 2 * 10);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed, 40);
    // Not by an older policy.
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.min_policy_version,
                     sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.newest_policy_version);
}

// The rollouts of a run are shortened as the error of its ensemble says (1 and more here).
static void errors_shorten_the_rollouts_of_a_run(void **state) {
    (void)state;
    w.config.dhmbpo.error_sum = 1.5;
    w.config.dhmbpo.states = 3;
    world_restart(&w);
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_walk(&w, 1, 20);
    world_learn(&w, LEARNER);
    assert_int_equal(at(WIRE_STATES, 0)->states.rows, 3); // 3 rollouts of 1 step, not of 2
    assert_int_equal(world_status(&w)->rollout_length, 1);
}

// Ends all jobs; each rollout that starts has the versions that were asked for.
static void settle_and_check_lags(uint64_t trainings, uint64_t updates) {
    while (world_is_busy(&w)) {
        if (!w.server->block) {
            w.server->batches > 0 ? world_end_stores(&w)
            : w.server->fit       ? world_end_fit(&w)
                                  : world_end_save(&w);
            continue;
        }
        const struct wire_status *s = world_status(&w);
        uint64_t newest = (epoch_number(s->policy_version) - 1) * EVERY, model = s->model_version;
        assert_int_equal(w.server->block->job.policy->updates,
                         newest > updates ? newest - updates : 0);
        assert_int_equal(w.server->block->job.model->version,
                         model > trainings ? model - trainings : 1);
        world_end_rollout(&w);
    }
}

// Versions that are too old to be there yet: the oldest. Ensembles are sent when they are used.
static void stale_versions_are_used_on_request(void **state) {
    (void)state;
    enum { TRAININGS = 2, UPDATES = 3 * EVERY };
    w.config.model.lag_trainings = TRAININGS;
    w.config.rollout.policy_lag_updates = UPDATES - 1; // rounded up to publications
    world_restart(&w);
    w.prompt = false;
    world_meet_learner(&w);
    world_meet_actor(&w);
    world_end_stores(&w);
    for (uint64_t seq = 1; seq <= 60; seq++) {
        world_rows(&w, ACTOR, seq, 1);
        settle_and_check_lags(TRAININGS, UPDATES);
        world_learn(&w, LEARNER);
        settle_and_check_lags(TRAININGS, UPDATES);
    }
    assert_true(w.updates > 2 * UPDATES);
    assert_int_equal(w.sim->fits, 5);
    assert_int_equal(sent_count(&w.sent, LEARNER, WIRE_ENSEMBLE), 5 - TRAININGS);
    assert_int_equal(sent_last(&w.sent, LEARNER, WIRE_ENSEMBLE)->model.version, 5 - TRAININGS);
}

// A learner that is back gets the ensemble again, and the rollouts after those that it has.
static void a_learner_that_returns_goes_on(void **state) {
    (void)state;
    world_meet_learner(&w);
    world_meet_actor(&w);
    uint64_t seq = world_walk(&w, 1, 20);
    world_learn(&w, LEARNER);
    world_rows(&w, ACTOR, seq++, 1);
    world_learn(&w, LEARNER);
    uint64_t states = w.states, updates = w.updates;
    // Killed; its checkpoint is from after 5 updates, with two distribution rollouts.
    w.updates = 5;
    w.states = 2;
    w.version = 2;
    int models = sent_count(&w.sent, LEARNER, WIRE_ENSEMBLE);
    w.sent.seen = w.sent.count;
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    world_policy(&w, LEARNER, w.version, 4);
    world_progress(&w, LEARNER);
    assert_int_equal(sent_count(&w.sent, LEARNER, WIRE_ENSEMBLE), models + 1);
    world_learn(&w, LEARNER);
    assert_int_equal(w.states, states);
    assert_int_equal(w.updates, updates);
    assert_int_equal(sent_next(&w.sent, LEARNER, WIRE_STATES)->states.number, 2);
    // Without a checkpoint: from the first one.
    w.updates = w.states = 0;
    w.version = 1;
    w.sent.seen = w.sent.count;
    world_hello(&w, LEARNER, WIRE_ROLE_LEARNER, "learner", 0);
    world_policy(&w, LEARNER, w.version, 0);
    world_progress(&w, LEARNER);
    assert_int_equal(sent_next(&w.sent, LEARNER, WIRE_STATES)->states.number, 0);
    world_learn(&w, LEARNER);
    assert_int_equal(w.updates, updates);
    assert_int_equal(w.states, states);
}

// An ensemble whose errors are large is rolled out for fewer steps than the schedule says.
static void large_errors_shorten_rollouts(void **state) {
    (void)state;
    struct model m = {.elites = 1};
    struct config *c = &w.config;
    assert_int_equal(c->rollout.schedule.n, 4);
    c->rollout.schedule.v[2] = c->rollout.schedule.v[3] = 20;
    m.holdout_mse[0] = 0.04F;
    assert_int_equal(rollouts_length(c, 0, &m), 20);
    c->dhmbpo.error_sum = 0.21;
    assert_int_equal(rollouts_length(c, 0, NULL), 20);
    assert_int_equal(rollouts_length(c, 0, &m), 5);
    m.holdout_mse[0] = 0.001F;
    assert_int_equal(rollouts_length(c, 0, &m), 20);
    m.holdout_mse[0] = 1;
    assert_int_equal(rollouts_length(c, 0, &m), 1);
    m.holdout_mse[0] = INFINITY;
    assert_int_equal(rollouts_length(c, 0, &m), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lockstep_has_one_order, lockstep_world, end_world),
        cmocka_unit_test_setup_teardown(rollouts_run_ahead_by_two, ratio_world, end_world),
        cmocka_unit_test_setup_teardown(steps_wait_for_a_training, ratio_world, end_world),
        cmocka_unit_test_setup_teardown(a_training_moves_by_epochs, ratio_world, end_world),
        cmocka_unit_test_setup_teardown(phases_take_turns, ratio_world, end_world),
        cmocka_unit_test_setup_teardown(large_errors_shorten_rollouts, ratio_world, end_world),
        cmocka_unit_test_setup_teardown(errors_shorten_the_rollouts_of_a_run, lockstep_world,
                                        end_world),
        cmocka_unit_test_setup_teardown(stale_versions_are_used_on_request, ratio_world, end_world),
        cmocka_unit_test_setup_teardown(a_learner_that_returns_goes_on, ratio_world, end_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
