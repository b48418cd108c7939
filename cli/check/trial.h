// SPDX-License-Identifier: MIT
// Episodes of an environment with random or zero actions, and their figures.
#ifndef SPUR_CLI_CHECK_TRIAL_H
#define SPUR_CLI_CHECK_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "actor/actions.h"
#include "actor/env/env.h"
#include "common/task/task.h"

#define TRIAL_EPISODES_MAX 1024
#define TRIAL_PARTS_MAX 16 // named parts of a reward

// Range, mean and spread of a number over many steps (Welford's algorithm). Zeroed: empty.
struct column {
    uint64_t n;
    double min, max, mean, m2;
};
void column_add(struct column *c, double x);
double column_std(const struct column *c); // of the population; 0 for n == 0
// Whether all values are equal, or differ by no more than rounding of floats does.
bool column_is_constant(const struct column *c);
bool column_is_rounding(const struct column *c);

// Observations of all trials: columns of obs_dim numbers.
struct trial_obs {
    struct column *all, *start; // every observation; the first ones of episodes
};

struct trial_plan {
    enum actions actions; // that need no policy
    uint64_t seed;
    int episodes;       // 1 .. TRIAL_EPISODES_MAX
    uint64_t steps_max; // of an episode, which is cut then
    double seconds_max; // no episode begins, and none goes on, after that time
};

struct trial {
    int episodes; // that were played
    double returns[TRIAL_EPISODES_MAX], lengths[TRIAL_EPISODES_MAX];
    struct column reward;
    int parts; // of the reward, of environments in MuJoCo; names are the environment's
    const char *part_name[TRIAL_PARTS_MAX];
    struct column part[TRIAL_PARTS_MAX];
    uint64_t steps, bad, terminated, truncated, cut;
    // Ends that the task's rule does not explain; steps that it would have ended; first
    // observations that it would end.
    uint64_t unexplained, contradicted, ended_at_start;
    double step_s, reset_s; // time in all
    bool broken;            // the environment cannot go on
    bool late;              // seconds_max was reached
};

// Whether the task has a termination rule, and whether it holds in an observation.
bool trial_has_rule(const struct task *task);
bool trial_rule_holds(const struct task *task, const float *obs);

void trial_play(struct trial *t, struct trial_obs *obs, struct env *env, const struct task *task,
                const struct trial_plan *plan);

// ---- one start state, several times ----

#define PROBE_STEPS 20

struct probe {
    bool valid;       // no step was bad
    bool same_start;  // a seed gives the same first observation
    bool same_steps;  // and, with the same actions, the same observations and rewards
    uint64_t useless; // actions that change nothing, as bits; only if same_steps
};

// After trials, so that a state that survives a reset shows.
void probe_run(struct probe *p, struct env *env, const struct task *task, uint64_t seed);

#endif
