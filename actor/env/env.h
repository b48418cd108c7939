// SPDX-License-Identifier: MIT
// The interface of an environment: reset, step, observe. env_factory.h creates environments;
// env_kind.h defines the table of functions that implements one.
//
// The semantics are those of Gymnasium's v4 tasks: actions in [-1, 1] are scaled to the task's
// bounds; `terminated` (by the task) and `truncated` (by the time limit) are separate; and the
// observation after the last step is the true one, because env_step never resets.
#ifndef SPUR_ACTOR_ENV_ENV_H
#define SPUR_ACTOR_ENV_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/rng.h"
#include "common/task/task.h"

#define ENV_NAME_MAX 64 // of an environment of the user, NUL included

struct env;

struct env_step {
    double reward;
    bool terminated, truncated;
    bool bad;    // the simulator failed (non-finite or huge state): drop this step and reset
    bool broken; // bad, and so are all later steps, also after a reset
};

// Source of an environment of the user's own.
struct env_spec {
    const char *env;    // FILE.yaml, FILE.so, python:MODULE:FUNCTION, or a command
    const char *dir;    // working directory of its process; NULL or "": the current one
    const char *python; // interpreter for python:; NULL or "": the default (env_process.h)
    double timeout_s;   // for each reply of its process; 0: ENV_TIMEOUT_S
    bool shared;        // load FILE.so into this process (task.isolate: false)
};
#define ENV_TIMEOUT_S 60.0

// Called every ENV_WAIT_MS during a wait for an environment in another process, and during the
// creation of any environment, to send heartbeats. Must not use the environment. False ends the
// wait, and the call fails.
#define ENV_WAIT_MS 100
struct env_wait {
    void *arg;
    // since_ms: begin of the call. In another thread while the caller's is blocked.
    bool (*fn)(void *arg, uint64_t now_ms, uint64_t since_ms);
    // Ends the process if fn has returned false during a creation in this process, which cannot
    // be interrupted. NULL: the creation runs to its end.
    void (*abandon)(void *arg);
};

void env_destroy(struct env **env);

// Bytes of memory of the simulator in this process, of which `shared` exist once for all
// environments of one model. 0: unknown.
struct env_memory {
    uint64_t shared, each;
};
struct env_memory env_memory(const struct env *env);

// Begins an episode from the task's start distribution; advances rng.
void env_reset(struct env *env, struct rng *rng);
// action: (act_dim), clipped to [-1, 1].
struct env_step env_step(struct env *env, const float *action);
// The observation of the current state: (obs_dim).
void env_obs(const struct env *env, float *obs);
void env_obs_f64(const struct env *env, double *obs);

// An image that an environment in another process has drawn.
struct env_picture {
    int width, height;
    double fps;         // frames per second in real time; 0: unknown
    const uint8_t *rgb; // (height, width, 3), top row first; valid until the next call
};
// Whether the environment draws itself. Call env_prepare_pictures before the first reset;
// env_draw draws the current state. Both return 0, or -1 with the reason in err.
bool env_draws(const struct env *env);
int env_prepare_pictures(struct env *env, char *err, size_t err_len);
int env_draw(struct env_picture *picture, struct env *env, char *err, size_t err_len);

// For parity checks and tests: raw access, only to environments in MuJoCo. Sizes are nq and nv.
struct env_dims {
    int nq, nv, nu;
};
struct env_dims env_dims(const struct env *env);
void env_set_state(struct env *env, const double *qpos, const double *qvel); // like a reset
void env_get_state(const struct env *env, double *qpos, double *qvel);
// A step with the task's action, unscaled and unclipped, as in the reference data.
struct env_step env_step_raw(struct env *env, const double *ctrl);

#endif
