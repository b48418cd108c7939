// SPDX-License-Identifier: MIT
// The task of a run from its configuration: built in, or an environment of the user.
#include <stdio.h>
#include <string.h>

#include "common/task/task.h"

static void list_tasks(char *out, size_t out_len) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < task_count() && n < out_len; i++) {
        n += (size_t)snprintf(out + n, out_len - n, "%s%s", i ? ", " : "", task_at(i)->name);
    }
}

bool task_outside_ranges(const struct task *task, const float *next_obs) {
    for (int i = 0; i < task->ranges; i++) {
        const struct task_range *r = &task->range[i];
        if (!(r->low < next_obs[r->index] && next_obs[r->index] < r->high)) {
            return true;
        }
    }
    return false;
}

static void user_task(struct task *task, const struct config *c) {
    const struct config_list *h = &c->task.healthy;
    *task = (struct task){
        .name = c->run.task,
        .title = c->run.task,
        .env = c->task.env,
        .env_dir = c->task.env_dir,
        .env_python = c->task.env_python,
        .env_timeout_s = c->task.env_timeout_s,
        .env_shared = !c->task.isolate,
        .obs_dim = c->task.obs_dim,
        .act_dim = c->task.act_dim,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .terminated = task_outside_ranges,
        .ranges = h->n / 3,
    };
    for (int i = 0; i < task->ranges; i++) {
        const double *v = h->v + 3 * i;
        task->range[i] = (struct task_range){(int)v[0], (float)v[1], (float)v[2]};
    }
    task->clips = c->task.clipped.n / 4;
    for (int i = 0; i < task->clips; i++) {
        const double *v = c->task.clipped.v + 4 * i;
        task->clip[i] = (struct task_clip){(int)v[0], (int)v[1], (float)v[2], (float)v[3]};
    }
}

int task_from_config(struct task *task, const struct config *c, char *err, size_t err_len) {
    const struct task *built_in = task_find(c->run.task);
    if (c->task.env[0] != '\0') {
        if (built_in) {
            snprintf(err, err_len,
                     "run.task is the built-in task %s, but task.env is \"%s\": give your own "
                     "environment another name",
                     c->run.task, c->task.env);
            return -1;
        }
        user_task(task, c);
    } else if (built_in) {
        *task = *built_in;
    } else {
        char all[1024];
        list_tasks(all, sizeof(all));
        const char *similar = task_similar(c->run.task);
        snprintf(err, err_len,
                 "there is no task \"%.60s\"%s%s%s The tasks are: %s (an environment of your own "
                 "needs task.env)",
                 c->run.task, similar ? "; did you mean " : "", similar ? similar : "",
                 similar ? "?" : ".", all);
        return -1;
    }
    task->termination = config_termination(c);
    task->clips = c->rollout.clip ? task->clips : 0;
    task->horizon = c->task.horizon > 0 ? c->task.horizon : task->horizon;
    return 0;
}
