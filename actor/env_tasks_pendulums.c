// SPDX-License-Identifier: MIT
// A cart that balances one pole or two.
#include <math.h>
#include <stddef.h>

#include "actor/env_tasks.h"

// ---- inverted_pendulum: q = slider, hinge ----

static int inverted_pendulum_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 0, INFINITY);
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

static bool inverted_pendulum_terminated(const struct env_view *view) {
    const double *q = view->qpos, *v = view->qvel;
    bool finite = isfinite(q[0]) && isfinite(q[1]) && isfinite(v[0]) && isfinite(v[1]);
    return !(finite && fabs(q[1]) <= 0.2);
}

// ---- the table ----

const struct env_task env_tasks_pendulums[] = {
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
    {.name = NULL},
};
