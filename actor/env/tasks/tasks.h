// SPDX-License-Identifier: MIT
// The tables of tasks, one for each family of robots, and their shared functions.
//
// Numbers and names are those of Gymnasium's v4 classes. Rewards are computed in double, in the
// order of those classes. The healthy (alive) reward is included in every step, also in the one
// that ends the episode; the v5 classes omit it there.
#ifndef SPUR_ACTOR_ENV_TASKS_TASKS_H
#define SPUR_ACTOR_ENV_TASKS_TASKS_H

#include "actor/env/tasks/task_row.h"

// Each table ends with a row without a name.
extern const struct env_task env_tasks_ant[];
extern const struct env_task env_tasks_arms[];
extern const struct env_task env_tasks_humanoid[];
extern const struct env_task env_tasks_pendulums[];
extern const struct env_task env_tasks_runners[];

// For start: independent noise on every coordinate and velocity, uniform within +-qpos_noise and
// +-qvel_noise ...
void env_start_uniform(double *qpos, double *qvel, const struct env_task *task,
                       const struct env_view *view, struct rng *rng);
// ... or, for velocities, normal with standard deviation qvel_noise.
void env_start_normal_velocity(double *qpos, double *qvel, const struct env_task *task,
                               const struct env_view *view, struct rng *rng);

// For mark: marks[0] = qpos[0], for rewards with the velocity of the root.
void env_mark_x(double marks[ENV_MARKS_MAX], const struct env_view *view);

// obs = qpos[skip..], qvel clipped to +-limit. Returns its length.
int env_observe_state(double *obs, const struct env_view *view, int skip, double limit);
double env_clip(double x, double limit); // to +-limit
double env_sum_squares(const double *x, int n);

#endif
