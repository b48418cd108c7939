// SPDX-License-Identifier: MIT
// What the files that include mujoco.h share (env_mujoco.c, env_render.c); for
// nobody else.
#ifndef SPUR_ACTOR_ENV_SIMULATOR_H
#define SPUR_ACTOR_ENV_SIMULATOR_H

#include <stdbool.h>

#include "actor/env.h"

// MuJoCo's own tags of mjModel and mjData.
struct mjModel_;
struct mjData_;

// Borrowed from the environment.
const struct mjModel_ *env_simulator_model(const struct env *env);
const struct mjData_ *env_simulator_data(const struct env *env);

// Runs fn(arg), in which MuJoCo may call its error handler. False when it gave
// up there; simulator_error() then says why, to the same thread.
bool simulator_guarded(void (*fn)(void *arg), void *arg);
const char *simulator_error(void);

#endif
