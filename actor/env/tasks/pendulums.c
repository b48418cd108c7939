// SPDX-License-Identifier: MIT
// A cart that balances one pole, or two poles on top of each other.
#include <math.h>
#include <stddef.h>

#include "actor/env/tasks/tasks.h"

// ---- inverted_pendulum: q = slider, hinge ----

static int inverted_pendulum_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 0, INFINITY);
}

static bool inverted_pendulum_terminated(const struct env_view *view) {
    const double *q = view->qpos, *v = view->qvel;
    bool finite = isfinite(q[0]) && isfinite(q[1]) && isfinite(v[0]) && isfinite(v[1]);
    return !(finite && fabs(q[1]) <= 0.2);
}

static double inverted_pendulum_reward(double parts[ENV_PARTS_MAX],
                                       const double marks[ENV_MARKS_MAX],
                                       const struct env_view *view, const double *action) {
    (void)marks;
    (void)view;
    (void)action;
    parts[0] = 1.0;
    return parts[0];
}

static double inverted_pendulum_v5_reward(double parts[ENV_PARTS_MAX],
                                          const double marks[ENV_MARKS_MAX],
                                          const struct env_view *view, const double *action) {
    (void)marks;
    (void)action;
    parts[0] = inverted_pendulum_terminated(view) ? 0.0 : 1.0;
    return parts[0];
}

// ---- inverted_double_pendulum: q = slider, lower hinge, upper hinge ----

enum { DOUBLE_PENDULUM_TIP = 0 };

// The last number is the constraint force of the rail's end on the cart.
static int double_pendulum_v5_observe(double *obs, const struct env_view *view) {
    const double *q = view->qpos;
    int n = 0;
    obs[n++] = q[0];
    obs[n++] = sin(q[1]);
    obs[n++] = sin(q[2]);
    obs[n++] = cos(q[1]);
    obs[n++] = cos(q[2]);
    for (int i = 0; i < 3; i++) {
        obs[n++] = env_clip(view->qvel[i], 10.0);
    }
    obs[n++] = env_clip(view->qfrc_constraint[0], 10.0);
    return n;
}

// v4 also observes those of the hinges, which have no limits: always 0.
static int double_pendulum_observe(double *obs, const struct env_view *view) {
    int n = double_pendulum_v5_observe(obs, view);
    obs[n++] = env_clip(view->qfrc_constraint[1], 10.0);
    obs[n++] = env_clip(view->qfrc_constraint[2], 10.0);
    return n;
}

// The tip's position lags behind the state.
static bool double_pendulum_terminated(const struct env_view *view) {
    return !(view->site_xpos[3 * DOUBLE_PENDULUM_TIP + 2] > 1.0);
}

static double double_pendulum_parts(double parts[ENV_PARTS_MAX], double alive_bonus,
                                    const struct env_view *view) {
    const double *tip = view->site_xpos + (ptrdiff_t)3 * DOUBLE_PENDULUM_TIP;
    const double *v = view->qvel;
    double x = tip[0], z = tip[2];
    parts[0] = alive_bonus;
    parts[1] = 0.01 * (x * x) + (z - 2.0) * (z - 2.0);
    parts[2] = 1e-3 * (v[1] * v[1]) + 5e-3 * (v[2] * v[2]);
    parts[3] = x;
    parts[4] = z;
    return parts[0] - parts[1] - parts[2];
}

static double double_pendulum_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                                     const struct env_view *view, const double *action) {
    (void)marks;
    (void)action;
    return double_pendulum_parts(parts, 10.0, view);
}

static double double_pendulum_v5_reward(double parts[ENV_PARTS_MAX],
                                        const double marks[ENV_MARKS_MAX],
                                        const struct env_view *view, const double *action) {
    (void)marks;
    (void)action;
    return double_pendulum_parts(parts, double_pendulum_terminated(view) ? 0.0 : 10.0, view);
}

// ---- the table ----

const struct env_task env_tasks_pendulums[] = {
    {
        .name = "inverted_double_pendulum",
        .model = "inverted_double_pendulum.xml",
        .frame_skip = 5,
        .start = env_start_normal_velocity,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = double_pendulum_observe,
        .reward = double_pendulum_reward,
        .part_names = {"alive_bonus", "dist_penalty", "vel_penalty", "tip_x", "tip_z"},
        .terminated = double_pendulum_terminated,
        .named = {{"site", DOUBLE_PENDULUM_TIP, "tip"}},
    },
    {
        .name = "inverted_double_pendulum_v5",
        .model = "inverted_double_pendulum.xml",
        .frame_skip = 5,
        .start = env_start_normal_velocity,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = double_pendulum_v5_observe,
        .reward = double_pendulum_v5_reward,
        .part_names = {"alive_bonus", "dist_penalty", "vel_penalty", "tip_x", "tip_z"},
        .terminated = double_pendulum_terminated,
        .named = {{"site", DOUBLE_PENDULUM_TIP, "tip"}},
    },
    {
        .name = "inverted_pendulum",
        .model = "inverted_pendulum.xml",
        .frame_skip = 2,
        .start = env_start_uniform,
        .qpos_noise = 0.01,
        .qvel_noise = 0.01,
        .observe = inverted_pendulum_observe,
        .reward = inverted_pendulum_reward,
        .part_names = {"reward_alive"},
        .terminated = inverted_pendulum_terminated,
    },
    {
        .name = "inverted_pendulum_v5",
        .model = "inverted_pendulum.xml",
        .frame_skip = 2,
        .start = env_start_uniform,
        .qpos_noise = 0.01,
        .qvel_noise = 0.01,
        .observe = inverted_pendulum_observe,
        .reward = inverted_pendulum_v5_reward,
        .part_names = {"reward_alive"},
        .terminated = inverted_pendulum_terminated,
    },
    {.name = NULL},
};
