// SPDX-License-Identifier: MIT
// Arms that reach for a target or push a puck.
//
// The reward depends on distances between bodies. v4 measures them before the step, so an
// action is rewarded one step late; v5 after the step. In rewards and observations, positions of
// bodies lag behind qpos by one evaluation of the simulator. No state ends an episode.
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "actor/env/tasks/tasks.h"

// Distance between the origins of two bodies' frames.
static double distance(const struct env_view *view, int body_a, int body_b) {
    const double *a = view->xpos + (ptrdiff_t)3 * body_a, *b = view->xpos + (ptrdiff_t)3 * body_b;
    double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
    return sqrt(env_sum_squares(d, 3));
}

// ---- reacher: q = shoulder, elbow, target x, target y ----

enum { REACHER_FINGERTIP = 3, REACHER_TARGET = 4 };

// The target is uniform in a disc of radius 0.2, and at rest.
static void reacher_start(double *qpos, double *qvel, const struct env_task *task,
                          const struct env_view *view, struct rng *rng) {
    env_start_uniform(qpos, qvel, task, view, rng);
    do {
        qpos[2] = rng_range(rng, -0.2, 0.2);
        qpos[3] = rng_range(rng, -0.2, 0.2);
    } while (!(sqrt(env_sum_squares(qpos + 2, 2)) < 0.2));
    qvel[2] = qvel[3] = 0.0;
}

static int reacher_v5_observe(double *obs, const struct env_view *view) {
    const double *q = view->qpos, *v = view->qvel;
    const double *fingertip = view->xpos + (ptrdiff_t)3 * REACHER_FINGERTIP;
    const double *target = view->xpos + (ptrdiff_t)3 * REACHER_TARGET;
    const double values[10] = {
        cos(q[0]),
        cos(q[1]),
        sin(q[0]),
        sin(q[1]),
        q[2],
        q[3],
        v[0],
        v[1],
        fingertip[0] - target[0],
        fingertip[1] - target[1],
    };
    memcpy(obs, values, sizeof values);
    return 10;
}

// v4 also observes the difference in height, which is 0.
static int reacher_observe(double *obs, const struct env_view *view) {
    int n = reacher_v5_observe(obs, view);
    obs[n] = view->xpos[3 * REACHER_FINGERTIP + 2] - view->xpos[3 * REACHER_TARGET + 2];
    return n + 1;
}

static double reacher_parts(double parts[ENV_PARTS_MAX], double distance_to_target,
                            const struct env_view *view, const double *action) {
    parts[0] = -distance_to_target;
    parts[1] = -env_sum_squares(action, view->nu);
    return parts[0] + parts[1];
}

static void reacher_mark(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    marks[0] = distance(view, REACHER_FINGERTIP, REACHER_TARGET);
}

static double reacher_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                             const struct env_view *view, const double *action) {
    return reacher_parts(parts, marks[0], view, action);
}

static double reacher_v5_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                                const struct env_view *view, const double *action) {
    (void)marks;
    return reacher_parts(parts, distance(view, REACHER_FINGERTIP, REACHER_TARGET), view, action);
}

// ---- pusher: q = 7 joints of the arm, puck y, puck x, goal y, goal x ----

enum { PUSHER_TIPS = 10, PUSHER_OBJECT = 11, PUSHER_GOAL = 12, PUSHER_ARM_JOINTS = 7 };

// The arm starts in its reference pose, the puck in front of the goal at a minimum distance.
// The first random number is the puck's y, whose slide joint comes first.
static void pusher_start(double *qpos, double *qvel, const struct env_task *task,
                         const struct env_view *view, struct rng *rng) {
    env_start_uniform(qpos, qvel, task, view, rng);
    double *puck = qpos + PUSHER_ARM_JOINTS;
    do {
        puck[0] = rng_range(rng, -0.3, 0.0);
        puck[1] = rng_range(rng, -0.2, 0.2);
    } while (!(sqrt(env_sum_squares(puck, 2)) > 0.17));
    for (int i = PUSHER_ARM_JOINTS; i < view->nv; i++) {
        qvel[i] = 0.0;
    }
}

static int pusher_observe(double *obs, const struct env_view *view) {
    static const int bodies[] = {PUSHER_TIPS, PUSHER_OBJECT, PUSHER_GOAL};
    int n = 0;
    for (int i = 0; i < PUSHER_ARM_JOINTS; i++) {
        obs[n++] = view->qpos[i];
    }
    for (int i = 0; i < PUSHER_ARM_JOINTS; i++) {
        obs[n++] = view->qvel[i];
    }
    for (int b = 0; b < 3; b++) {
        for (int i = 0; i < 3; i++) {
            obs[n++] = view->xpos[3 * bodies[b] + i];
        }
    }
    return n;
}

// As marks, or after the step.
static void pusher_distances(double distances[ENV_MARKS_MAX], const struct env_view *view) {
    distances[0] = distance(view, PUSHER_OBJECT, PUSHER_TIPS);
    distances[1] = distance(view, PUSHER_OBJECT, PUSHER_GOAL);
}

// The parts are unweighted.
static double pusher_reward(double parts[ENV_PARTS_MAX], const double distances[ENV_MARKS_MAX],
                            const struct env_view *view, const double *action) {
    parts[0] = -distances[0];
    parts[1] = -distances[1];
    parts[2] = -env_sum_squares(action, view->nu);
    return parts[1] + 0.1 * parts[2] + 0.5 * parts[0];
}

static double pusher_v5_reward(double parts[ENV_PARTS_MAX], const double marks[ENV_MARKS_MAX],
                               const struct env_view *view, const double *action) {
    (void)marks;
    double distances[ENV_MARKS_MAX];
    pusher_distances(distances, view);
    return pusher_reward(parts, distances, view, action);
}

// ---- the table ----

const struct env_task env_tasks_arms[] = {
    {
        .name = "pusher",
        .model = "pusher.xml",
        .frame_skip = 5,
        .start = pusher_start,
        .qvel_noise = 0.005,
        .observe = pusher_observe,
        .mark = pusher_distances,
        .reward = pusher_reward,
        .part_names = {"reward_near", "reward_dist", "reward_ctrl"},
        .named =
            {
                {"body", PUSHER_TIPS, "tips_arm"},
                {"body", PUSHER_OBJECT, "object"},
                {"body", PUSHER_GOAL, "goal"},
            },
    },
    {
        .name = "pusher_v5",
        .model = "pusher_v5.xml",
        .frame_skip = 5,
        .start = pusher_start,
        .qvel_noise = 0.005,
        .observe = pusher_observe,
        .reward = pusher_v5_reward,
        .part_names = {"reward_near", "reward_dist", "reward_ctrl"},
        .named =
            {
                {"body", PUSHER_TIPS, "tips_arm"},
                {"body", PUSHER_OBJECT, "object"},
                {"body", PUSHER_GOAL, "goal"},
            },
    },
    {
        .name = "reacher",
        .model = "reacher.xml",
        .frame_skip = 2,
        .start = reacher_start,
        .qpos_noise = 0.1,
        .qvel_noise = 0.005,
        .observe = reacher_observe,
        .mark = reacher_mark,
        .reward = reacher_reward,
        .part_names = {"reward_dist", "reward_ctrl"},
        .named =
            {
                {"body", REACHER_FINGERTIP, "fingertip"},
                {"body", REACHER_TARGET, "target"},
            },
    },
    {
        .name = "reacher_v5",
        .model = "reacher.xml",
        .frame_skip = 2,
        .start = reacher_start,
        .qpos_noise = 0.1,
        .qvel_noise = 0.005,
        .observe = reacher_v5_observe,
        .reward = reacher_v5_reward,
        .part_names = {"reward_dist", "reward_ctrl"},
        .named =
            {
                {"body", REACHER_FINGERTIP, "fingertip"},
                {"body", REACHER_TARGET, "target"},
            },
    },
    {.name = NULL},
};
