// SPDX-License-Identifier: MIT
// The definition of a task with a MuJoCo model: one row of a family's table (tasks.h).
//
// A row names the model and contains small functions of the simulator's state: start state,
// observation, reward, termination. They read the state through struct env_view, without
// mujoco.h. A new task is a model file and a row; env_mujoco.c does not change. (A task that
// needs more of the simulator's state adds a pointer to the view.)
#ifndef SPUR_ACTOR_ENV_TASKS_TASK_ROW_H
#define SPUR_ACTOR_ENV_TASKS_TASK_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/rng.h"

#define ENV_MARKS_MAX 4  // numbers saved before a step
#define ENV_PARTS_MAX 16 // named parts of a reward
#define ENV_NAMED_MAX 4  // bodies and sites that a row refers to

// The simulator's state, borrowed, and current whenever a row's function runs. As after
// Gymnasium's steps, only qpos and qvel are those of the end of the step; derived values lag
// behind (see env_mujoco.c).
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
    const double *qfrc_actuator;   // (nv) actuator force on each coordinate
    const double *qfrc_constraint; // (nv) force of limits and contacts
    const double *cfrc_ext;        // (nbody, 6) contact forces; 0 before the first step
    const double *sensordata;      // (nsensordata)

    void *context; // the row's
};

// A body or site whose index is a constant in a row's functions.
struct env_named {
    const char *kind; // "body", "site"
    int index;
    const char *name;
};

struct env; // for bind

struct env_task {
    const char *name;  // of its struct task
    const char *model; // file in actor/env/tasks/models
    int frame_skip;    // simulator steps in one environment step

    // Writes a start state. On entry qpos (nq) and qvel (nv) contain the reference pose.
    void (*start)(double *qpos, double *qvel, const struct env_task *task,
                  const struct env_view *view, struct rng *rng);
    double qpos_noise, qvel_noise; // for start: half-width or standard deviation

    // Writes the observation and returns its length.
    int (*observe)(double *obs, const struct env_view *view);
    // Saves values from before the step that the reward needs; NULL: none.
    void (*mark)(double marks[ENV_MARKS_MAX], const struct env_view *view);
    // Returns the reward of the last step, and its parts (part_names). action: (nu), before the
    // simulator clamps it.
    double (*reward)(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                     const struct env_view *view, const double *action);
    // Whether the state ends the episode; a NaN must. NULL: no state does.
    bool (*terminated)(const struct env_view *view);

    const char *part_names[ENV_PARTS_MAX + 1]; // ends with NULL
    // Checked against the model when an environment is created. Ends with a NULL kind.
    struct env_named named[ENV_NAMED_MAX + 1];

    // For rows of described environments (env_description.h); NULL and false in tables.
    void *context;
    // Looks up names in the compiled model and completes row and task. 0, or -1 with the reason
    // in err.
    int (*bind)(void *context, const struct env *env, char *err, size_t err_len);
    void (*release)(void *context); // when its environment is destroyed
    // Whether derived values are recomputed after each step, so that they do not lag behind.
    bool forward;
};

// NULL when the task has no row.
const struct env_task *env_task_find(const char *name);

#endif
