// SPDX-License-Identifier: MIT
// Planar robots, rewarded for their forward velocity.
#include <math.h>
#include <stddef.h>

#include "actor/env/tasks/tasks.h"

// Reward of hopper and walker: forward velocity + healthy reward - control cost.
static double walking_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                             const struct env_view *view, const double *action, bool healthy) {
    double x_velocity = (view->qpos[0] - marks[0]) / view->dt;
    double ctrl_cost = 1e-3 * env_sum_squares(action, view->nu);
    double healthy_reward = healthy ? 1.0 : 0.0;
    parts[0] = x_velocity;
    parts[1] = x_velocity; // weighted by 1
    parts[2] = ctrl_cost;
    parts[3] = healthy_reward;
    return x_velocity + healthy_reward - ctrl_cost;
}

// v4 includes the healthy reward also in the step that ends the episode.
static double walking_v4_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                                const struct env_view *view, const double *action) {
    return walking_reward(parts, marks, view, action, true);
}

#define WALKING_PARTS                                                                              \
    { "x_velocity", "reward_forward", "ctrl_cost", "healthy_reward" }

// The state without x.
static int planar_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 1, INFINITY);
}

// Gymnasium's classes clip the velocities of hopper and walker.
static int walking_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 1, 10.0);
}

// ---- hopper: q = x, height, angle, thigh, leg, foot ----

static bool hopper_terminated(const struct env_view *view) {
    const double *q = view->qpos, *v = view->qvel;
    bool healthy = q[1] > 0.7 && fabs(q[2]) < 0.2;
    // The bound applies to the state, before the observation clips velocities.
    for (int i = 2; i < view->nq; i++) {
        healthy = healthy && fabs(q[i]) < 100.0;
    }
    for (int i = 0; i < view->nv; i++) {
        healthy = healthy && fabs(v[i]) < 100.0;
    }
    return !healthy;
}

static double hopper_v5_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                               const struct env_view *view, const double *action) {
    return walking_reward(parts, marks, view, action, !hopper_terminated(view));
}

// ---- swimmer: q = x, y, angle, two joints ----

static int swimmer_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 2, INFINITY);
}

static void swimmer_mark(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    marks[0] = view->qpos[0];
    marks[1] = view->qpos[1];
}

static double swimmer_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                             const struct env_view *view, const double *action) {
    double x_velocity = (view->qpos[0] - marks[0]) / view->dt;
    double ctrl_cost = 1e-4 * env_sum_squares(action, view->nu);
    parts[0] = x_velocity;
    parts[1] = (view->qpos[1] - marks[1]) / view->dt;
    parts[2] = x_velocity; // weighted by 1
    parts[3] = ctrl_cost;
    return x_velocity - ctrl_cost;
}

// ---- walker2d: q = x, height, angle, right and left thigh, leg, foot ----

static bool walker2d_terminated(const struct env_view *view) {
    const double *q = view->qpos;
    return !(q[1] > 0.8 && q[1] < 2.0 && fabs(q[2]) < 1.0);
}

static double walker2d_v5_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                                 const struct env_view *view, const double *action) {
    return walking_reward(parts, marks, view, action, !walker2d_terminated(view));
}

// ---- half_cheetah: q = x, height, angle, hind and front thigh, shin, foot ----

static double half_cheetah_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                                  const struct env_view *view, const double *action) {
    double x_velocity = (view->qpos[0] - marks[0]) / view->dt;
    double ctrl_cost = 0.1 * env_sum_squares(action, view->nu);
    parts[0] = x_velocity;
    parts[1] = x_velocity; // weighted by 1
    parts[2] = ctrl_cost;
    return x_velocity - ctrl_cost;
}

// ---- the table ----

const struct env_task env_tasks_runners[] = {
    {
        .name = "half_cheetah",
        .model = "half_cheetah.xml",
        .frame_skip = 5,
        .start = env_start_normal_velocity,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = planar_observe,
        .mark = env_mark_x,
        .reward = half_cheetah_reward,
        .part_names = {"x_velocity", "reward_forward", "ctrl_cost"},
    },
    {
        .name = "hopper",
        .model = "hopper.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = walking_observe,
        .mark = env_mark_x,
        .reward = walking_v4_reward,
        .part_names = WALKING_PARTS,
        .terminated = hopper_terminated,
    },
    {
        .name = "hopper_unclipped",
        .model = "hopper.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = planar_observe,
        .mark = env_mark_x,
        .reward = walking_v4_reward,
        .part_names = WALKING_PARTS,
        .terminated = hopper_terminated,
    },
    {
        .name = "hopper_v5",
        .model = "hopper.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = walking_observe,
        .mark = env_mark_x,
        .reward = hopper_v5_reward,
        .part_names = WALKING_PARTS,
        .terminated = hopper_terminated,
    },
    {
        .name = "swimmer",
        .model = "swimmer.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = swimmer_observe,
        .mark = swimmer_mark,
        .reward = swimmer_reward,
        .part_names = {"x_velocity", "y_velocity", "reward_forward", "ctrl_cost"},
    },
    {
        .name = "walker2d",
        .model = "walker2d.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = walking_observe,
        .mark = env_mark_x,
        .reward = walking_v4_reward,
        .part_names = WALKING_PARTS,
        .terminated = walker2d_terminated,
    },
    {
        .name = "walker2d_unclipped",
        .model = "walker2d.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = planar_observe,
        .mark = env_mark_x,
        .reward = walking_v4_reward,
        .part_names = WALKING_PARTS,
        .terminated = walker2d_terminated,
    },
    {
        .name = "walker2d_v5",
        .model = "walker2d_v5.xml",
        .frame_skip = 4,
        .start = env_start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = walking_observe,
        .mark = env_mark_x,
        .reward = walker2d_v5_reward,
        .part_names = WALKING_PARTS,
        .terminated = walker2d_terminated,
    },
    {.name = NULL},
};
