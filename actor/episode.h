// SPDX-License-Identifier: MIT
// One episode of an environment: its return, its length, and how it ended. Training,
// evaluation and rendering count by the same rules.
#ifndef SPUR_ACTOR_EPISODE_H
#define SPUR_ACTOR_EPISODE_H

#include <stdint.h>

#include "actor/env/env.h"

enum episode_state {
    EPISODE_NONE, // not begun
    EPISODE_RUNNING,
    EPISODE_TERMINATED, // by the task
    EPISODE_TRUNCATED,  // by the time limit
    EPISODE_BROKEN,     // by a step that failed, or whose reward is not finite as a float
};

struct episode {
    enum episode_state state;
    bool env_broken;       // env_step.broken of the last step
    uint64_t length;       // steps so far, without a broken one
    double episode_return; // sum of their rewards
};

// Resets env from the task's start distribution; advances rng.
void episode_begin(struct episode *e, struct env *env, struct rng *rng);
// The episode `number` of evaluations with this seed: always the same start state.
void episode_begin_evaluation(struct episode *e, struct env *env, uint64_t seed, uint64_t number);
// Executes action (act_dim) in a running episode. Returns the reward; 0 for a broken step.
double episode_step(struct episode *e, struct env *env, const float *action);

#endif
