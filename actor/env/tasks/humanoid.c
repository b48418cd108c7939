// SPDX-License-Identifier: MIT
// A humanoid robot, rewarded for the forward velocity of its centre of mass.
//
// Three tasks with one model: Gymnasium's v4; its v5, which omits constant zeros from the
// observation and penalises contact forces; and MBPO's, which observes only positions and
// velocities and has the contact cost.
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "actor/env/tasks/tasks.h"

#define ROOT_DOFS 6 // of the free joint, which has no actuator

// q = position (3), quaternion (4), then the joints.
static bool humanoid_terminated(const struct env_view *view) {
    return !(view->qpos[2] > 1.0 && view->qpos[2] < 2.0);
}

// MBPO counts the limits themselves as healthy.
static bool humanoid_truncated_obs_terminated(const struct env_view *view) {
    return !(view->qpos[2] >= 1.0 && view->qpos[2] <= 2.0);
}

// ---- observation ----

static int humanoid_truncated_obs_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 2, INFINITY);
}

static double *append(double *out, const double *x, int n) {
    memcpy(out, x, (size_t)n * sizeof *x);
    return out + n;
}

// Inertias, velocities, actuator forces and contact forces, from body `body` and coordinate
// `dof` on.
static int observe_all(double *obs, const struct env_view *view, int body, int dof) {
    double *out = obs + env_observe_state(obs, view, 2, INFINITY);
    int bodies = view->nbody - body;
    out = append(out, view->cinert + (ptrdiff_t)10 * body, 10 * bodies);
    out = append(out, view->cvel + (ptrdiff_t)6 * body, 6 * bodies);
    out = append(out, view->qfrc_actuator + dof, view->nv - dof);
    out = append(out, view->cfrc_ext + (ptrdiff_t)6 * body, 6 * bodies);
    return (int)(out - obs);
}

static int humanoid_observe(double *obs, const struct env_view *view) {
    return observe_all(obs, view, 0, 0);
}

static int humanoid_v5_observe(double *obs, const struct env_view *view) {
    return observe_all(obs, view, 1, ROOT_DOFS);
}

// ---- reward ----

enum {
    COM_X,
    COM_Y,
    X_VELOCITY,
    Y_VELOCITY,
    REWARD_FORWARD,
    CTRL_COST,
    HEALTHY_REWARD,
    CONTACT_COST,
};

#define HUMANOID_PARTS                                                                             \
    {                                                                                              \
        "com_x", "com_y", "x_velocity", "y_velocity", "reward_forward", "ctrl_cost",               \
            "healthy_reward", "contact_cost"                                                       \
    }

// The centre of mass in the plane, from positions that lag behind qpos.
static void centre_of_mass(double xy[2], const struct env_view *view) {
    double mass = 0.0;
    xy[0] = xy[1] = 0.0;
    for (int body = 0; body < view->nbody; body++) {
        mass += view->body_mass[body];
        xy[0] += view->body_mass[body] * view->xipos[3 * body];
        xy[1] += view->body_mass[body] * view->xipos[3 * body + 1];
    }
    xy[0] /= mass;
    xy[1] /= mass;
}

static void humanoid_mark(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    centre_of_mass(marks, view);
}

static void humanoid_parts(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                           const struct env_view *view, const double *action, bool healthy) {
    centre_of_mass(&parts[COM_X], view);
    parts[X_VELOCITY] = (parts[COM_X] - marks[0]) / view->dt;
    parts[Y_VELOCITY] = (parts[COM_Y] - marks[1]) / view->dt;
    parts[REWARD_FORWARD] = 1.25 * parts[X_VELOCITY];
    parts[CTRL_COST] = 0.1 * env_sum_squares(action, view->nu);
    parts[HEALTHY_REWARD] = healthy ? 5.0 : 0.0;
    parts[CONTACT_COST] = fmin(5e-7 * env_sum_squares(view->cfrc_ext, 6 * view->nbody), 10.0);
}

static double humanoid_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                              const struct env_view *view, const double *action) {
    humanoid_parts(parts, marks, view, action, true);
    return parts[REWARD_FORWARD] + parts[HEALTHY_REWARD] - parts[CTRL_COST];
}

static double humanoid_truncated_obs_reward(double parts[ENV_PARTS_MAX],
                                            const double marks[ENV_MARKS_MAX],
                                            const struct env_view *view, const double *action) {
    return humanoid_reward(parts, marks, view, action) - parts[CONTACT_COST];
}

static double humanoid_v5_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                                 const struct env_view *view, const double *action) {
    humanoid_parts(parts, marks, view, action, !humanoid_terminated(view));
    return parts[REWARD_FORWARD] + parts[HEALTHY_REWARD] - (parts[CTRL_COST] + parts[CONTACT_COST]);
}

// ---- the table ----

const struct env_task env_tasks_humanoid[] = {
    {
        .name = "humanoid",
        .model = "humanoid.xml",
        .frame_skip = 5,
        .start = env_start_uniform,
        .qpos_noise = 0.01,
        .qvel_noise = 0.01,
        .observe = humanoid_observe,
        .mark = humanoid_mark,
        .reward = humanoid_reward,
        .part_names = HUMANOID_PARTS,
        .terminated = humanoid_terminated,
    },
    {
        .name = "humanoid_truncated_obs",
        .model = "humanoid.xml",
        .frame_skip = 5,
        .start = env_start_uniform,
        .qpos_noise = 0.01,
        .qvel_noise = 0.01,
        .observe = humanoid_truncated_obs_observe,
        .mark = humanoid_mark,
        .reward = humanoid_truncated_obs_reward,
        .part_names = HUMANOID_PARTS,
        .terminated = humanoid_truncated_obs_terminated,
    },
    {
        .name = "humanoid_v5",
        .model = "humanoid.xml",
        .frame_skip = 5,
        .start = env_start_uniform,
        .qpos_noise = 0.01,
        .qvel_noise = 0.01,
        .observe = humanoid_v5_observe,
        .mark = humanoid_mark,
        .reward = humanoid_v5_reward,
        .part_names = HUMANOID_PARTS,
        .terminated = humanoid_terminated,
    },
    {.name = NULL},
};
