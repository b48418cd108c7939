// SPDX-License-Identifier: MIT
// Access to the simulator of a MuJoCo environment: its model and data for files that include
// mujoco.h, and inspection for the parity program, benchmarks and tests.
#ifndef SPUR_ACTOR_ENV_MUJOCO_INTERNAL_H
#define SPUR_ACTOR_ENV_MUJOCO_INTERNAL_H

#include <stdbool.h>

#include "actor/env/env.h"

// MuJoCo's struct tags of mjModel and mjData.
struct mjModel_;
struct mjData_;

// Borrowed from the environment.
const struct mjModel_ *mujoco_env_model(const struct env *env);
const struct mjData_ *mujoco_env_data(const struct env *env);

// Calls fn(arg) with MuJoCo's errors caught. False after an error; mujoco_error() then returns its
// text in the same thread.
bool mujoco_guarded(void (*fn)(void *arg), void *arg);
const char *mujoco_error(void);

// ---- inspection ----

// The embedded MJCF text of a task's model; NULL if it has none.
const char *env_model_text(const struct task *task);

// Reads a field of the compiled model by name: "nq", "opt.timestep", "stat.extent", "body_pos".
// Returns its length and writes the first max numbers as doubles; -1: this version of MuJoCo has
// no such field.
int env_model_values(double *out, int max, const struct env *env, const char *field);
// Name of an object of the model; kind: "body", "joint", "geom", "site",
// "tendon", "actuator". "" without a name or without such an object.
const char *env_model_name(const struct env *env, const char *kind, int index);

// Parts of the last step's reward with their names, both borrowed. Returns their number.
int env_reward_parts(const double **values, const char *const **names, const struct env *env);

// The simulator's part of env_step_raw: no reward, no termination, no error handling. A baseline
// for benchmarks.
void env_simulate(struct env *env, const double *ctrl);

// Simulator steps in an environment step, and its duration in seconds.
int env_frame_skip(const struct env *env);
double env_dt(const struct env *env);

#endif
