// SPDX-License-Identifier: MIT
// A four-legged robot, rewarded for the forward velocity of its torso.
//
// Three tasks with one model: Gymnasium's v4; its v5, which observes and penalises contact
// forces; and MBPO's, with v4's observation (called truncated in the MBPO paper) and the contact
// cost.
#include <math.h>
#include <stddef.h>

#include "actor/env/tasks/tasks.h"

#define TORSO 1 // the first body after the world

// q = position (3), quaternion (4), then hip and ankle of each leg.
static bool ant_terminated(const struct env_view *view) {
    bool healthy = view->qpos[2] >= 0.2 && view->qpos[2] <= 1.0;
    for (int i = 0; i < view->nq; i++) {
        healthy = healthy && isfinite(view->qpos[i]);
    }
    for (int i = 0; i < view->nv; i++) {
        healthy = healthy && isfinite(view->qvel[i]);
    }
    return !healthy;
}

// ---- observation ----

static int ant_observe(double *obs, const struct env_view *view) {
    return env_observe_state(obs, view, 2, INFINITY);
}

static int ant_v5_observe(double *obs, const struct env_view *view) {
    int n = ant_observe(obs, view);
    for (int i = 6; i < 6 * view->nbody; i++) { // without the world's row
        obs[n++] = env_clip(view->cfrc_ext[i], 1.0);
    }
    return n;
}

// ---- reward ----

enum {
    TORSO_X,
    TORSO_Y,
    X_VELOCITY,
    Y_VELOCITY,
    REWARD_FORWARD,
    CTRL_COST,
    HEALTHY_REWARD,
    CONTACT_COST,
};

#define ANT_PARTS                                                                                  \
    {                                                                                              \
        "torso_x", "torso_y", "x_velocity", "y_velocity", "reward_forward", "ctrl_cost",           \
            "healthy_reward", "contact_cost"                                                       \
    }

// The torso's position is a derived value that lags behind qpos, and so does its velocity.
static void ant_mark(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    marks[0] = view->xpos[3 * TORSO];
    marks[1] = view->xpos[3 * TORSO + 1];
}

static void ant_parts(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                      const struct env_view *view, const double *action, bool healthy) {
    double contact = 0.0;
    for (int i = 0; i < 6 * view->nbody; i++) {
        double force = env_clip(view->cfrc_ext[i], 1.0);
        contact += force * force;
    }
    parts[TORSO_X] = view->xpos[3 * TORSO];
    parts[TORSO_Y] = view->xpos[3 * TORSO + 1];
    parts[X_VELOCITY] = (parts[TORSO_X] - marks[0]) / view->dt;
    parts[Y_VELOCITY] = (parts[TORSO_Y] - marks[1]) / view->dt;
    parts[REWARD_FORWARD] = parts[X_VELOCITY]; // weighted by 1
    parts[CTRL_COST] = 0.5 * env_sum_squares(action, view->nu);
    parts[HEALTHY_REWARD] = healthy ? 1.0 : 0.0;
    parts[CONTACT_COST] = 5e-4 * contact;
}

static double ant_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                         const struct env_view *view, const double *action) {
    ant_parts(parts, marks, view, action, true);
    return parts[REWARD_FORWARD] + parts[HEALTHY_REWARD] - parts[CTRL_COST];
}

static double ant_truncated_obs_reward(double parts[ENV_PARTS_MAX],
                                       const double marks[ENV_MARKS_MAX],
                                       const struct env_view *view, const double *action) {
    return ant_reward(parts, marks, view, action) - parts[CONTACT_COST];
}

static double ant_v5_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                            const struct env_view *view, const double *action) {
    ant_parts(parts, marks, view, action, !ant_terminated(view));
    return parts[REWARD_FORWARD] + parts[HEALTHY_REWARD] - (parts[CTRL_COST] + parts[CONTACT_COST]);
}

// ---- the table ----

const struct env_task env_tasks_ant[] = {
    {
        .name = "ant",
        .model = "ant.xml",
        .frame_skip = 5,
        .start = env_start_normal_velocity,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = ant_observe,
        .mark = ant_mark,
        .reward = ant_reward,
        .part_names = ANT_PARTS,
        .terminated = ant_terminated,
        .named = {{"body", TORSO, "torso"}},
    },
    {
        .name = "ant_truncated_obs",
        .model = "ant.xml",
        .frame_skip = 5,
        .start = env_start_normal_velocity,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = ant_observe,
        .mark = ant_mark,
        .reward = ant_truncated_obs_reward,
        .part_names = ANT_PARTS,
        .terminated = ant_terminated,
        .named = {{"body", TORSO, "torso"}},
    },
    {
        .name = "ant_v5",
        .model = "ant.xml",
        .frame_skip = 5,
        .start = env_start_normal_velocity,
        .qpos_noise = 0.1,
        .qvel_noise = 0.1,
        .observe = ant_v5_observe,
        .mark = ant_mark,
        .reward = ant_v5_reward,
        .part_names = ANT_PARTS,
        .terminated = ant_terminated,
        .named = {{"body", TORSO, "torso"}},
    },
    {.name = NULL},
};
