// SPDX-License-Identifier: MIT
// What makes a MuJoCo model a task: one row of a family's table (env_tasks.h).
//
// The row names the model and holds small functions of the simulator's state:
// where an episode starts, what is observed, what is paid, what ends it. They
// see the state through struct env_view, without mujoco.h, so that a new task
// is a model file and a row, and env_mujoco.c stays as it is. (A task that needs
// more of the simulator than the view shows adds a pointer to it.)
#ifndef SPUR_ACTOR_ENV_TASKS_TASK_ROW_H
#define SPUR_ACTOR_ENV_TASKS_TASK_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/rng.h"

#define ENV_MARKS_MAX 4  // numbers kept from before a step
#define ENV_PARTS_MAX 16 // named parts of a reward
#define ENV_NAMED_MAX 4  // bodies and sites that a row refers to

// The simulator's state, borrowed from it: current whenever a row's function
// runs. As after Gymnasium's steps, only qpos and qvel belong to the end of the
// step; what is derived from them lags behind (see env_mujoco.c).
struct env_view {
    int nq, nv, nu, nbody;
    double dt;          // seconds in one environment step
    const double *qpos; // (nq)
    const double *qvel; // (nv)

    // Of the model. Body 0 is the world.
    const double *body_mass; // (nbody)

    // Derived, in MuJoCo's conventions: spatial vectors are rotation, then
    // translation, about the centre of mass of the kinematic tree.
    const double *xpos;            // (nbody, 3) origins of the bodies' frames
    const double *xipos;           // (nbody, 3) centres of mass
    const double *site_xpos;       // (nsite, 3)
    const double *cinert;          // (nbody, 10) inertia
    const double *cvel;            // (nbody, 6) velocity
    const double *qfrc_actuator;   // (nv) what the motors do to each coordinate
    const double *qfrc_constraint; // (nv) what limits and contacts do
    const double *cfrc_ext;        // (nbody, 6) contact forces; 0 before the first step
    const double *sensordata;      // (nsensordata)

    void *context; // the row's
};

// A body or site that a row's functions know by its index.
struct env_named {
    const char *kind; // "body", "site"
    int index;
    const char *name;
};

struct env; // for bind

struct env_task {
    const char *name;  // that of its struct task
    const char *model; // file in actor/models
    int frame_skip;    // simulator steps in one environment step

    // Writes a start state over the model's pose at rest, which qpos (nq) and
    // qvel (nv) hold.
    void (*start)(double *qpos, double *qvel, const struct env_task *task,
                  const struct env_view *view, struct rng *rng);
    double qpos_noise, qvel_noise; // for start: how wide

    // Returns how many numbers it wrote.
    int (*observe)(double *obs, const struct env_view *view);
    // Keeps what the reward needs from before the step; NULL when nothing.
    void (*mark)(double marks[ENV_MARKS_MAX], const struct env_view *view);
    // Returns the reward of the step that led here, with its parts (part_names).
    // action: (nu), as given, before the simulator clamps it.
    double (*reward)(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                     const struct env_view *view, const double *action);
    // Written such that a state with a NaN ends the episode. NULL: none does.
    bool (*terminated)(const struct env_view *view);

    const char *part_names[ENV_PARTS_MAX + 1]; // NULL behind the last one
    // Checked against the model when an environment is made. NULL kind behind the last one.
    struct env_named named[ENV_NAMED_MAX + 1];

    // Of a row that is made from a file (env_description.h); NULL and false in tables.
    void *context;
    // Looks names up in the compiled model (env_inspect.h) and completes row and task.
    // 0, or -1 with a sentence in err.
    int (*bind)(void *context, const struct env *env, char *err, size_t err_len);
    void (*release)(void *context); // with its environment
    // What is derived from the state is computed again after a step, in place of lagging behind.
    bool forward;
};

// NULL when the task has no row.
const struct env_task *env_task_find(const char *name);

#endif
