// SPDX-License-Identifier: MIT
// Functions that several families of tasks share, and the search for a task's row.
#include "actor/env/tasks/tasks.h"

#include <stddef.h>
#include <string.h>

#include "common/base/check.h"

// ---- start states ----

void env_start_uniform(double *qpos, double *qvel, const struct env_task *task,
                       const struct env_view *view, struct rng *rng) {
    for (int i = 0; i < view->nq; i++) {
        qpos[i] += rng_range(rng, -task->qpos_noise, task->qpos_noise);
    }
    for (int i = 0; i < view->nv; i++) {
        qvel[i] += rng_range(rng, -task->qvel_noise, task->qvel_noise);
    }
}

void env_start_normal_velocity(double *qpos, double *qvel, const struct env_task *task,
                               const struct env_view *view, struct rng *rng) {
    for (int i = 0; i < view->nq; i++) {
        qpos[i] += rng_range(rng, -task->qpos_noise, task->qpos_noise);
    }
    for (int i = 0; i < view->nv; i++) {
        qvel[i] += task->qvel_noise * rng_normal(rng);
    }
}

// ---- observation and reward ----

void env_mark_x(double marks[ENV_MARKS_MAX], const struct env_view *view) {
    marks[0] = view->qpos[0];
}

int env_observe_state(double *obs, const struct env_view *view, int skip, double limit) {
    int n = 0;
    for (int i = skip; i < view->nq; i++) {
        obs[n++] = view->qpos[i];
    }
    for (int i = 0; i < view->nv; i++) {
        obs[n++] = env_clip(view->qvel[i], limit);
    }
    return n;
}

double env_clip(double x, double limit) {
    return x < -limit ? -limit : x > limit ? limit : x;
}

double env_sum_squares(const double *x, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sum;
}

// ---- the tables ----

static const struct env_task *const families[] = {
    env_tasks_ant, env_tasks_arms, env_tasks_humanoid, env_tasks_pendulums, env_tasks_runners,
};

const struct env_task *env_task_find(const char *name) {
    CHECK(name != NULL);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        for (const struct env_task *row = families[i]; row->name != NULL; row++) {
            if (strcmp(row->name, name) == 0) {
                return row;
            }
        }
    }
    return NULL;
}
