// SPDX-License-Identifier: MIT
// The tasks, with the numbers and names of Gymnasium's v4 classes.
//
// Rewards are computed in double, in the order in which those classes compute
// them. The healthy (alive) reward is paid on every step, also on the one that
// ends the episode.
#include "actor/env_task.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "common/check.h"

// ---- shared by tasks ----

// Uniform noise on every coordinate and velocity, independently.
static void start_uniform(double *qpos, double *qvel, const struct env_task *task,
                          const struct env_view *view, struct rng *rng) {
    for (int i = 0; i < view->nq; i++) {
        qpos[i] += rng_range(rng, -task->qpos_noise, task->qpos_noise);
    }
    for (int i = 0; i < view->nv; i++) {
        qvel[i] += rng_range(rng, -task->qvel_noise, task->qvel_noise);
    }
}

// obs = qpos[skip..], qvel clipped to +-limit.
static int observe_state(double *obs, const struct env_view *view, int skip, double limit) {
    int n = 0;
    for (int i = skip; i < view->nq; i++) {
        obs[n++] = view->qpos[i];
    }
    for (int i = 0; i < view->nv; i++) {
        double v = view->qvel[i];
        obs[n++] = v < -limit ? -limit : v > limit ? limit : v;
    }
    return n;
}

static double sum_squares(const double *x, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sum;
}

// For tasks paid by how far the root has come.
static void mark_x(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    marks[0] = view->qpos[0];
}

// ---- inverted_pendulum: q = slider, hinge ----

static int inverted_pendulum_observe(double *obs, const struct env_view *view) {
    return observe_state(obs, view, 0, INFINITY);
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

// ---- hopper: q = x, height, angle, thigh, leg, foot ----

static int hopper_observe(double *obs, const struct env_view *view) {
    return observe_state(obs, view, 1, 10.0);
}

static double hopper_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                            const struct env_view *view, const double *action) {
    double x_velocity = (view->qpos[0] - marks[0]) / view->dt;
    double ctrl_cost = 1e-3 * sum_squares(action, view->nu);
    double healthy_reward = 1.0;
    parts[0] = x_velocity;
    parts[1] = x_velocity; // weighted by 1
    parts[2] = ctrl_cost;
    parts[3] = healthy_reward;
    return x_velocity + healthy_reward - ctrl_cost;
}

static bool hopper_terminated(const struct env_view *view) {
    const double *q = view->qpos, *v = view->qvel;
    bool healthy = q[1] > 0.7 && fabs(q[2]) < 0.2;
    // The bound is on the state itself, before velocities are clipped for the
    // observation.
    for (int i = 2; i < view->nq; i++) {
        healthy = healthy && fabs(q[i]) < 100.0;
    }
    for (int i = 0; i < view->nv; i++) {
        healthy = healthy && fabs(v[i]) < 100.0;
    }
    return !healthy;
}

// ---- the table ----

static const struct env_task tasks[] = {
    {
        .name = "inverted_pendulum",
        .model = "inverted_pendulum.xml",
        .frame_skip = 2,
        .start = start_uniform,
        .qpos_noise = 0.01,
        .qvel_noise = 0.01,
        .observe = inverted_pendulum_observe,
        .reward = inverted_pendulum_reward,
        .part_names = {"reward_alive"},
        .terminated = inverted_pendulum_terminated,
    },
    {
        .name = "hopper",
        .model = "hopper.xml",
        .frame_skip = 4,
        .start = start_uniform,
        .qpos_noise = 5e-3,
        .qvel_noise = 5e-3,
        .observe = hopper_observe,
        .mark = mark_x,
        .reward = hopper_reward,
        .part_names = {"x_velocity", "reward_forward", "ctrl_cost", "healthy_reward"},
        .terminated = hopper_terminated,
    },
};

const struct env_task *env_task_find(const char *name) {
    CHECK(name != NULL);
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        if (strcmp(tasks[i].name, name) == 0) {
            return &tasks[i];
        }
    }
    return NULL;
}
