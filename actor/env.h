// SPDX-License-Identifier: MIT
// One environment to step, whatever is behind it (MuJoCo now: env_mujoco.c
// steps it, env_render.c draws it, no other file includes mujoco.h).
//
// Semantics are Gymnasium's v4 tasks': the action in [-1, 1] is scaled to the
// task's bounds; `terminated` (the task ended the episode) and `truncated` (the
// time limit did) are separate, and the observation after the last step is the
// true one: env_step never resets.
#ifndef SPUR_ACTOR_ENV_H
#define SPUR_ACTOR_ENV_H

#include <stdbool.h>
#include <stddef.h>

#include "common/rng.h"
#include "common/task/task.h"

struct env;

struct env_step {
    double reward;
    bool terminated, truncated;
    bool bad; // the simulator itself warned (non-finite or huge state): drop this step and reset
};

// NULL with a sentence in err if the task has no environment or does not compile.
struct env *env_create(const struct task *task, char *err, size_t err_len);
void env_destroy(struct env **env);

// New episode from the task's start distribution; advances rng.
void env_reset(struct env *env, struct rng *rng);
// action: (act_dim) in [-1, 1], clipped to it.
struct env_step env_step(struct env *env, const float *action);
// The observation of the current state: (obs_dim).
void env_obs(const struct env *env, float *obs);
void env_obs_f64(const struct env *env, double *obs);

// For parity checks and tests: raw access. Sizes are nq and nv.
struct env_dims {
    int nq, nv, nu;
};
struct env_dims env_dims(const struct env *env);
void env_set_state(struct env *env, const double *qpos, const double *qvel); // as a reset does
void env_get_state(const struct env *env, double *qpos, double *qvel);
// The task's own action, unscaled and unclipped, as the reference data hold it.
struct env_step env_step_raw(struct env *env, const double *ctrl);

#endif
