// SPDX-License-Identifier: MIT
// Shows that `spur check` finds each fault of an environment's numbers and none in a good one, with
// a point on a line that has one fault at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "actor/env/env_kind.h"
#include "cli/check/findings.h"

enum { OBS = 4, ACT = 2, HORIZON = 30 };

enum fault {
    NONE,
    CONSTANT,
    ROUNDING,
    LARGE,
    OFFSET,
    SAME_START,
    CONSTANT_REWARD,
    LARGE_REWARD,
    SMALL_REWARD,
    STANDING_STILL,
    STANDING_STILL_UNCLEAR, // better by less than the spread of returns
    END_WITHOUT_RULE,
    RULE_MISSES,
    RULE_CONTRADICTS,
    RULE_AT_START,
    BAD,
    BROKEN,
    SHORT,
    NO_SEED,
    NO_REPEAT,
    USELESS_ACTION,
    WITHOUT_END,
};

struct point {
    struct env env;
    enum fault fault;
    double x, y, start;
    int steps, resets;
    uint64_t calls;
};

static void reset(struct env *env, struct rng *rng) {
    struct point *p = (struct point *)env;
    p->resets++;
    p->steps = 0;
    p->x = rng_range(rng, -1, 1);
    p->y = rng_range(rng, -1, 1);
    if (p->fault == SAME_START) {
        p->x = p->y = 0.5;
    } else if (p->fault == NO_SEED) {
        p->x += 0.01 * p->resets;
    }
    p->start = p->x;
}

static double reward_of(const struct point *p, const float *action) {
    switch (p->fault) {
    case CONSTANT_REWARD:
        return 1;
    case LARGE_REWARD:
        return 1e6 * p->x;
    case SMALL_REWARD:
        return 1e-6 * p->x;
    case STANDING_STILL:
        return -fabs((double)action[0]);
    case STANDING_STILL_UNCLEAR:
        return p->start - 0.001 * fabs((double)action[0]);
    default:
        return p->x - p->start;
    }
}

static struct env_step step(struct env *env, const float *action) {
    struct point *p = (struct point *)env;
    p->steps++;
    p->calls++;
    p->x += 0.1 * (double)action[0];
    p->y = 0.9 * p->y + (p->fault == USELESS_ACTION ? 0 : 0.1 * (double)action[1]);
    if (p->fault == NO_REPEAT) {
        p->y += 1e-6 * (double)p->calls;
    }
    bool ends = p->fault == END_WITHOUT_RULE || p->fault == RULE_MISSES || p->fault == SHORT;
    struct env_step s = {.reward = reward_of(p, action)};
    s.bad = (p->fault == BAD || p->fault == BROKEN) && p->steps == 5;
    s.broken = p->fault == BROKEN && s.bad;
    s.terminated = ends && p->steps >= (p->fault == SHORT ? 1 : 10);
    s.truncated = !s.terminated && p->steps >= p->env.task->horizon;
    return s;
}

static void observe(const struct env *env, double *obs) {
    const struct point *p = (const struct point *)env;
    obs[0] = p->fault == LARGE ? 3000 * p->x : p->x;
    obs[1] = p->fault == OFFSET ? 900 + 0.05 * p->y : p->y;
    obs[2] = p->fault == CONSTANT   ? 0.7
             : p->fault == ROUNDING ? (double)(0.7f + (p->x > 0 ? 6e-8f : 0))
                                    : p->x * p->y;
    obs[3] = p->fault == CONSTANT ? 0.7 : p->x + p->y;
}

static void destroy(struct env *env) {
    (void)env;
}

static const struct env_kind kind = {
    .destroy = destroy, .reset = reset, .step = step, .observe = observe};

// Plays the point with a fault, and collects what is found.
static void check(struct findings *f, enum fault fault) {
    static struct measured m;
    struct column all[OBS] = {0}, start[OBS] = {0};
    struct task task = {.name = "point",
                        .env = "point.so",
                        .obs_dim = OBS,
                        .act_dim = ACT,
                        .horizon = fault == WITHOUT_END ? 1000000000 : HORIZON,
                        .terminated = task_outside_ranges,
                        .termination =
                            fault == SHORT ? TASK_TERMINATION_LEARNED : TASK_TERMINATION_RULE};
    // A rule that never holds, one that sometimes does, and one that always does.
    if (fault == RULE_MISSES || fault == RULE_CONTRADICTS || fault == RULE_AT_START) {
        task.ranges = 1;
        task.range[0] = (struct task_range){0, -100,
                                            fault == RULE_MISSES        ? 100
                                            : fault == RULE_CONTRADICTS ? 1.05f
                                                                        : -50};
    }
    struct config config;
    config_defaults(&config);
    config.run.steps = 1000;
    struct point point = {.env = {.kind = &kind, .task = &task}, .fault = fault};
    memset(&m, 0, sizeof(m));
    m.task = &task;
    m.config = &config;
    m.obs = (struct trial_obs){.all = all, .start = start};
    for (int i = 0; i < CHECK_TRIALS; i++) {
        const struct trial_plan plan = {.actions =
                                            i == CHECK_RANDOM ? ACTIONS_RANDOM : ACTIONS_ZERO,
                                        .seed = 1,
                                        .episodes = 10,
                                        .steps_max = 100,
                                        .seconds_max = 60};
        trial_play(&m.trial[i], &m.obs, &point.env, &task, &plan);
    }
    if (!m.trial[CHECK_ZERO].broken) {
        probe_run(&m.probe, &point.env, &task, 1);
    }
    findings_collect(f, &m);
}

static void each_fault_is_found(void **state) {
    (void)state;
    static const struct {
        enum fault fault;
        const char *words; // the beginning of the only finding
        bool error;
    } wanted[] = {
        {NONE, NULL, false},
        {CONSTANT, "observation 2 to 3: never changes", false},
        {ROUNDING, "observation 2: changes by rounding errors only", false},
        {LARGE, "observation 0: goes beyond 1000", false},
        {OFFSET, "observation 1: its mean is more than 10000 standard deviations", false},
        {SAME_START, "every episode starts with the same observation", false},
        {CONSTANT_REWARD, "the reward is always 1 and no episode was terminated", false},
        {LARGE_REWARD, "rewards reach ", false},
        {SMALL_REWARD, "no reward is larger than ", false},
        {STANDING_STILL, "actions of 0 have a mean return of 0, random ones of -", false},
        {STANDING_STILL_UNCLEAR, NULL, false},
        {END_WITHOUT_RULE, "20 episodes were terminated, and the task has no rule", false},
        {RULE_MISSES, "20 of 20 terminated episodes ended where the termination rule", false},
        {RULE_CONTRADICTS, "the termination rule holds in ", false},
        {BAD, "20 of 100 steps were bad", true},
        {BROKEN, "the environment cannot go on after 10 steps", true},
        {SHORT, "random actions end an episode after 1.0 steps", false},
        {NO_SEED, "reset with the same seed gives another observation", false},
        {NO_REPEAT, "the same seed and actions give other steps", false},
        {USELESS_ACTION, "action 1 changes nothing within 20 steps", false},
        {WITHOUT_END, "the time limit is 1000000000 steps", false},
    };
    static struct findings f;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        check(&f, wanted[i].fault);
        int n = f.errors + f.warnings;
        const char *first = f.errors > 0 ? f.error[0] : f.warning[0];
        if (n != (wanted[i].words != NULL) || (f.errors > 0) != wanted[i].error ||
            (n > 0 && strncmp(first, wanted[i].words, strlen(wanted[i].words)) != 0)) {
            fail_msg("fault %d: %d errors, %d warnings, \"%s\", then \"%s\"; expected \"%s\"",
                     (int)wanted[i].fault, f.errors, f.warnings, n > 0 ? first : "",
                     f.warnings > 1 ? f.warning[1] : "",
                     wanted[i].words ? wanted[i].words : "nothing");
        }
    }
    check(&f, RULE_AT_START);
    assert_true(f.errors == 1);
    assert_non_null(strstr(f.error[0], "holds in 20 start states"));
}

static void columns_are_exact_beside_an_offset(void **state) {
    (void)state;
    struct column c = {0};
    for (int i = 0; i < 1000; i++) {
        column_add(&c, 1e9 + (i % 2));
    }
    assert_true(c.n == 1000 && c.min == 1e9 && c.max == 1e9 + 1);
    assert_true(fabs(c.mean - 1e9 - 0.5) < 1e-6 && fabs(column_std(&c) - 0.5) < 1e-6);
    assert_true(column_is_rounding(&c) && !column_is_constant(&c));
    struct column zero = {0};
    column_add(&zero, 0);
    assert_true(column_is_constant(&zero) && column_std(&zero) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(columns_are_exact_beside_an_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
