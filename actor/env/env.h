// SPDX-License-Identifier: MIT
// The interface of an environment: reset, step, observe. env_factory.h makes
// environments; env_kind.h has the table of functions behind one.
//
// Semantics are Gymnasium's v4 tasks': the action in [-1, 1] is scaled to the
// task's bounds; `terminated` (the task ended the episode) and `truncated` (the
// time limit did) are separate, and the observation after the last step is the
// true one: env_step never resets.
#ifndef SPUR_ACTOR_ENV_ENV_H
#define SPUR_ACTOR_ENV_ENV_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/rng.h"
#include "common/task/task.h"

#define ENV_NAME_MAX 64 // of an environment of the user, NUL included

struct env;

struct env_step {
    double reward;
    bool terminated, truncated;
    bool bad; // the simulator itself failed (non-finite or huge state): drop this step and reset
};

void env_destroy(struct env **env);

// New episode from the task's start distribution; advances rng.
void env_reset(struct env *env, struct rng *rng);
// action: (act_dim) in [-1, 1], clipped to it.
struct env_step env_step(struct env *env, const float *action);
// The observation of the current state: (obs_dim).
void env_obs(const struct env *env, float *obs);
void env_obs_f64(const struct env *env, double *obs);

// For parity checks and tests: raw access, to environments in MuJoCo alone. Sizes are nq and nv.
struct env_dims {
    int nq, nv, nu;
};
struct env_dims env_dims(const struct env *env);
void env_set_state(struct env *env, const double *qpos, const double *qvel); // as a reset does
void env_get_state(const struct env *env, double *qpos, double *qvel);
// The task's own action, unscaled and unclipped, as the reference data hold it.
struct env_step env_step_raw(struct env *env, const double *ctrl);

#endif
