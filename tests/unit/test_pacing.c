// SPDX-License-Identifier: MIT
// Shows that the limiter holds the ratio of updates to real steps and never deadlocks
// both sides.
//
// Simulates whole runs with random orders of events: an actor takes steps, the learner
// makes updates, trainings and rollouts end, each only as far as pacing allows at that
// moment. After every event the invariant is checked: in ratio G (S - E) - slack <= U <= G (S - E)
// + slack (slack in updates), in lockstep the order of Algorithm 2. If no event is possible before
// the end, the test fails and prints the seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"
#include "modelserver/core/pacing.h"

struct walk {
    struct pacing p;
    struct pacing_view v;
    uint64_t trained_for;
    uint64_t training;      // point of the running training; 0: none
    uint32_t training_left; // number of polls until it ends
    uint64_t every;         // updates that a distribution rollout serves; 0: none are made
};

static struct pacing some_pacing(enum pacing_mode mode, double G, uint64_t slack) {
    struct config c = {0};
    c.pacing.mode = mode;
    c.pacing.updates_per_step = G;
    c.pacing.slack_steps = slack;
    c.run.explore_steps = 50;
    c.run.steps = 400;
    c.model.train_every_steps = 40;
    return pacing_make(&c);
}

static void look(struct walk *w) {
    uint64_t point = pacing_training_point(&w->p, w->v.steps);
    w->v.training_point = w->training;
    if (w->training == 0 && point > w->trained_for) {
        w->v.training_point = point;
    }
}

// One event of the given kind, if it is possible now. Trainings take several events
// unless in a hurry.
static bool happen(struct walk *w, uint32_t kind, bool hurry) {
    struct pacing_view *v = &w->v;
    look(w);
    switch (kind) {
    case 0:
        if (v->steps < pacing_steps_allowed(&w->p, v, NULL, 0)) {
            v->steps++;
            return true;
        }
        return false;
    case 1:
        if (v->updates < pacing_updates_allowed(&w->p, v, NULL, 0)) {
            v->updates++;
            return true;
        }
        return false;
    case 2: // a training begins, or ends
        if (w->training == 0 && v->training_point > 0) {
            w->training = v->training_point;
            w->training_left = 150;
            return true;
        }
        if (w->training > 0 && (hurry || w->training_left-- == 0)) {
            w->trained_for = w->training;
            w->training = 0;
            v->has_model = true;
            return true;
        }
        return false;
    default: // rollouts arrive at the learner
        if (v->has_model && !v->ready) {
            v->ready = true;
            v->updates_supplied = w->every;
            return true;
        }
        // A distribution rollout, at most two ahead of its updates.
        if (v->ready && w->every > 0 && v->updates_supplied < v->updates + 2 * w->every) {
            v->updates_supplied += w->every;
            return true;
        }
        if (v->ready && v->rollout_steps < v->steps) {
            v->rollout_steps++;
            return true;
        }
        return false;
    }
}

static void check_invariants(const struct walk *w, uint64_t seed) {
    const struct pacing *p = &w->p;
    const struct pacing_view *v = &w->v;
    double learnt = v->steps > p->explore ? (double)(v->steps - p->explore) : 0;
    double even = p->updates_per_step * learnt, U = (double)v->updates - (double)p->warm_start;
    double slack = p->mode == PACING_RATIO ? p->updates_per_step * (double)p->slack : 0;
    // In lockstep the current step may follow its updates.
    double behind = p->mode == PACING_RATIO ? slack : p->updates_per_step;
    bool holds = U <= even + slack + 1e-9 && fmax(U, 0) + 1 > even - behind - 1e-9;
    holds = holds && (w->every == 0 || v->updates <= v->updates_supplied);
    uint64_t next_point = w->training + (p->waits ? 0 : p->train_every);
    holds = holds && (w->training == 0 || v->steps <= next_point) && v->steps <= p->steps_max;
    if (!holds) {
        print_error("seed %llu: S %llu, U %llu, G(S - E) %g, slack %g, training %llu\n",
                    (unsigned long long)seed, (unsigned long long)v->steps,
                    (unsigned long long)v->updates, even, slack, (unsigned long long)w->training);
    }
    assert_true(holds);
}

static void walk_through(enum pacing_mode mode, double G, uint64_t slack, uint64_t seed) {
    struct walk w = {.p = some_pacing(mode, G, slack),
                     .v = {.rollout_steps = 50, .has_policy = true}};
    w.p.waits = w.p.waits || seed % 2 == 1;
    w.p.warm_start = seed % 3 * 7;
    w.every = seed % 4 == 3 ? 5 : 0;
    struct rng rng = rng_make(seed, RNG_TEST, 0);
    uint32_t favourite = 0;
    while (w.v.steps < w.p.steps_max || w.v.updates < pacing_updates_total(&w.p)) {
        // Long phases in which one side is faster than the others.
        favourite = rng_below(&rng, 20) == 0 ? rng_below(&rng, 4) : favourite;
        uint32_t first = rng_below(&rng, 2) ? favourite : rng_below(&rng, 4);
        bool any = false;
        for (uint32_t i = 0; i < 4 && !any; i++) {
            any = happen(&w, (first + i) % 4, false);
        }
        any = any || happen(&w, 2, true); // all wait for the training
        if (!any) {
            print_error("seed %llu, G %g, slack %llu: all wait at S %llu, U %llu\n",
                        (unsigned long long)seed, G, (unsigned long long)slack,
                        (unsigned long long)w.v.steps, (unsigned long long)w.v.updates);
        }
        assert_true(any);
        check_invariants(&w, seed);
    }
    assert_int_equal(w.v.updates, pacing_updates_total(&w.p)); // exactly
    assert_int_equal(w.v.steps, w.p.steps_max);
}

static const double ratios[] = {0.01, 0.3, 0.5, 1, 2.5, 20};

static void ratio_holds_at_all_times(void **state) {
    (void)state;
    for (int g = 0; g < 6; g++) {
        for (uint64_t seed = 0; seed < 40; seed++) {
            walk_through(PACING_RATIO, ratios[g], 1 + seed % 3 * 12, seed);
        }
    }
}

static void lockstep_holds_at_all_times(void **state) {
    (void)state;
    for (int g = 0; g < 6; g++) {
        for (uint64_t seed = 0; seed < 40; seed++) {
            walk_through(PACING_LOCKSTEP, ratios[g], 25, seed);
        }
    }
}

static void lockstep_waits_for_each_part_in_turn(void **state) {
    (void)state;
    struct pacing p = some_pacing(PACING_LOCKSTEP, 2, 25);
    struct pacing_view v = {.steps = 90,
                            .updates = 80,
                            .rollout_steps = 90,
                            .has_model = true,
                            .ready = true,
                            .has_policy = true};
    char why[128];
    assert_int_equal(pacing_steps_allowed(&p, &v, why, sizeof(why)), 91);
    v.training_point = 90;
    assert_int_equal(pacing_steps_allowed(&p, &v, why, sizeof(why)), 90);
    assert_non_null(strstr(why, "training"));
    v.training_point = 0;
    v.rollout_steps = 89;
    assert_int_equal(pacing_steps_allowed(&p, &v, why, sizeof(why)), 90);
    assert_non_null(strstr(why, "rollouts"));
    assert_int_equal(pacing_updates_allowed(&p, &v, why, sizeof(why)), 78);
    v.rollout_steps = 90;
    v.updates = 77;
    assert_int_equal(pacing_steps_allowed(&p, &v, why, sizeof(why)), 90);
    assert_non_null(strstr(why, "3 updates behind"));
    v.updates = 80;
    v.has_policy = false;
    assert_int_equal(pacing_steps_allowed(&p, &v, why, sizeof(why)), 90);
    assert_non_null(strstr(why, "policy"));
}

static void exploration_needs_no_learner(void **state) {
    (void)state;
    for (int mode = PACING_LOCKSTEP; mode <= PACING_RATIO; mode++) {
        struct pacing p = some_pacing((enum pacing_mode)mode, 20, 25);
        struct pacing_view v = {.steps = 3, .rollout_steps = 50};
        char why[128];
        assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 50);
        assert_int_equal(pacing_updates_allowed(&p, &v, why, sizeof(why)), 0);
        assert_non_null(strstr(why, "exploration: 3 of 50"));
        assert_int_equal(pacing_training_point(&p, 49), 0);
        assert_int_equal(pacing_training_point(&p, 50), 50);
        assert_int_equal(pacing_training_point(&p, 129), 90);
    }
}

static void no_step_is_allowed_beyond_the_budget(void **state) {
    (void)state;
    for (int mode = PACING_LOCKSTEP; mode <= PACING_RATIO; mode++) {
        struct pacing p = some_pacing((enum pacing_mode)mode, 2, 25);
        struct pacing_view v = {.steps = 399,
                                .updates = pacing_updates_total(&p),
                                .rollout_steps = 399,
                                .has_model = true,
                                .ready = true,
                                .has_policy = true};
        assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 400);
        v.steps = 400;
        assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 400);
    }
}

// Whole runs: neither side moves while the other's turn or a training lasts.
static void phases_follow_each_other(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct walk w = {.p = some_pacing(PACING_RATIO, ratios[seed % 6], 25),
                         .v = {.rollout_steps = 50, .has_policy = true}};
        w.p.waits = w.p.phases = true;
        w.p.warm_start = seed % 3 * 7;
        w.p.steps_max = seed % 2 ? 400 : 50 + 8 * 40;
        w.every = seed % 4 == 3 ? 5 : 0;
        struct rng rng = rng_make(seed, RNG_TEST, 0);
        while (w.v.steps < w.p.steps_max || w.v.updates < pacing_updates_total(&w.p)) {
            struct pacing_view before = w.v;
            uint32_t first = rng_below(&rng, 4);
            bool any = false;
            for (uint32_t i = 0; i < 4 && !any; i++) {
                any = happen(&w, (first + i) % 4, false);
            }
            assert_true(any || happen(&w, 2, true));
            uint64_t point = pacing_training_point(&w.p, before.steps);
            uint64_t due = pacing_updates_due(&w.p, point);
            if (w.v.steps > before.steps && before.steps >= 50) {
                assert_true(w.training == 0 && w.trained_for == point && w.v.updates >= due);
            }
            if (w.v.updates > before.updates) {
                assert_true(w.training == 0 && w.trained_for == point);
                assert_true(w.v.updates <= due || w.v.steps == w.p.steps_max);
            }
        }
        assert_int_equal(w.v.updates, pacing_updates_total(&w.p));
    }
}

static void phases_say_what_they_wait_for(void **state) {
    (void)state;
    struct pacing p = some_pacing(PACING_RATIO, 2, 25);
    p.waits = p.phases = true;
    struct pacing_view v = {.steps = 95,
                            .updates = 80,
                            .rollout_steps = 95,
                            .has_model = true,
                            .ready = true,
                            .has_policy = true};
    char why[128];
    assert_int_equal(pacing_updates_allowed(&p, &v, why, sizeof(why)), 80);
    assert_non_null(strstr(why, "steps of this phase"));
    assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 130);
    v.steps = v.training_point = 130;
    assert_int_equal(pacing_updates_allowed(&p, &v, why, sizeof(why)), 80);
    assert_non_null(strstr(why, "training"));
    v.training_point = 0;
    assert_int_equal(pacing_updates_allowed(&p, &v, NULL, 0), 160);
    assert_int_equal(pacing_steps_allowed(&p, &v, why, sizeof(why)), 130);
    assert_non_null(strstr(why, "80 are left"));
}

// Whatever the learner does, actors go on; it makes what is due, and no more.
static void free_actors_never_wait(void **state) {
    (void)state;
    struct pacing p = some_pacing(PACING_FREE, 2, 25);
    struct pacing_view v = {.steps = 3};
    assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 400);
    assert_int_equal(pacing_updates_allowed(&p, &v, NULL, 0), 0);
    v = (struct pacing_view){.steps = 300, .training_point = 290, .rollout_steps = 200};
    assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 400);
    assert_int_equal(pacing_updates_allowed(&p, &v, NULL, 0), 0); // there is no model
    v.has_model = v.ready = true;
    assert_int_equal(pacing_updates_allowed(&p, &v, NULL, 0), 2 * (225 - 50));
    v.rollout_steps = 280;
    assert_int_equal(pacing_updates_allowed(&p, &v, NULL, 0), 2 * (300 - 50));
    v.updates = 490;
    assert_int_equal(pacing_steps_allowed(&p, &v, NULL, 0), 400);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratio_holds_at_all_times),
        cmocka_unit_test(lockstep_holds_at_all_times),
        cmocka_unit_test(lockstep_waits_for_each_part_in_turn),
        cmocka_unit_test(exploration_needs_no_learner),
        cmocka_unit_test(no_step_is_allowed_beyond_the_budget),
        cmocka_unit_test(phases_follow_each_other),
        cmocka_unit_test(phases_say_what_they_wait_for),
        cmocka_unit_test(free_actors_never_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
