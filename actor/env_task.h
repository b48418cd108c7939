// SPDX-License-Identifier: MIT
// What makes a MuJoCo model a task: one row of env_tasks.c.
//
// The row names the model and holds small functions of the simulator's state:
// where an episode starts, what is observed, what is paid, what ends it. They
// see the state through struct env_view, without mujoco.h, so that a new task
// is a model file and a row, and env_mujoco.c stays as it is. (A task that needs
// more of the simulator than the view shows adds a pointer to it.)
#ifndef SPUR_ACTOR_ENV_TASK_H
#define SPUR_ACTOR_ENV_TASK_H

#include <stdbool.h>

#include "common/rng.h"

#define ENV_MARKS_MAX 4 // numbers kept from before a step
#define ENV_PARTS_MAX 8 // named parts of a reward

// The simulator's state, borrowed from it: current whenever a row's function
// runs. As after Gymnasium's steps, only qpos and qvel belong to the end of the
// step; what is derived from them lags behind (see env_mujoco.c).
struct env_view {
    int nq, nv, nu;
    double dt;          // seconds in one environment step
    const double *qpos; // (nq)
    const double *qvel; // (nv)
};

struct env_task {
    const char *name;  // that of its struct task
    const char *model; // file in actor/models
    int frame_skip;    // simulator steps in one environment step

    // Writes a start state over the model's pose at rest, which qpos (nq) and
    // qvel (nv) hold.
    void (*start)(double *qpos, double *qvel, const struct env_task *task,
                  const struct env_view *view, struct rng *rng);
    double qpos_noise, qvel_noise; // for start: half-widths of uniform noise

    // Returns how many numbers it wrote.
    int (*observe)(double *obs, const struct env_view *view);
    // Keeps what the reward needs from before the step; NULL when nothing.
    void (*mark)(double marks[ENV_MARKS_MAX], const struct env_view *view);
    // Returns the reward of the step that led here, with its parts (part_names).
    // action: (nu), as given, before the simulator clamps it.
    double (*reward)(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                     const struct env_view *view, const double *action);
    // Written such that a state with a NaN ends the episode.
    bool (*terminated)(const struct env_view *view);

    const char *part_names[ENV_PARTS_MAX + 1]; // NULL behind the last one
};

// NULL when the task has no row.
const struct env_task *env_task_find(const char *name);

#endif
