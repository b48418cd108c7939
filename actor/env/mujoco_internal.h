// SPDX-License-Identifier: MIT
// Access to the simulator behind a MuJoCo environment: its model and data for the files
// that include mujoco.h, and inspection for the parity program, benchmarks and tests.
#ifndef SPUR_ACTOR_ENV_MUJOCO_INTERNAL_H
#define SPUR_ACTOR_ENV_MUJOCO_INTERNAL_H

#include <stdbool.h>

#include "actor/env/env.h"

// MuJoCo's own tags of mjModel and mjData.
struct mjModel_;
struct mjData_;

// Borrowed from the environment.
const struct mjModel_ *mujoco_env_model(const struct env *env);
const struct mjData_ *mujoco_env_data(const struct env *env);

// Runs fn(arg), in which MuJoCo may call its error handler. False when it gave
// up there; mujoco_error() then says why, to the same thread.
bool mujoco_guarded(void (*fn)(void *arg), void *arg);
const char *mujoco_error(void);

// ---- inspection ----

// The model of a task as MJCF text, which the program carries; NULL when it has none.
const char *env_model_text(const struct task *task);

// Field of the compiled model by name: "nq", "opt.timestep", "stat.extent",
// "body_pos". Returns how many numbers it has and writes the first max of them;
// -1: this MuJoCo has no such field. Integers come out as equal doubles.
int env_model_values(double *out, int max, const struct env *env, const char *field);
// Name of an object of the model; kind: "body", "joint", "geom", "site",
// "tendon", "actuator". "" without a name or without such an object.
const char *env_model_name(const struct env *env, const char *kind, int index);

// Parts of the last step's reward, in the order of their names. Returns how many
// there are; both are borrowed.
int env_reward_parts(const double **values, const char *const **names, const struct env *env);

// What env_step_raw does in the simulator and nothing else: no reward, no ending,
// no guard against MuJoCo's errors. The bare loop that a step is measured against.
void env_simulate(struct env *env, const double *ctrl);

// Simulator steps in an environment step, and its duration in seconds.
int env_frame_skip(const struct env *env);
double env_dt(const struct env *env);

#endif
