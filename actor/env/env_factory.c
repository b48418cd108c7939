// SPDX-License-Identifier: MIT
#include "actor/env/env_factory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/description/env_description.h"
#include "actor/env/env_kind.h"
#include "actor/env/env_mujoco.h"
#include "actor/env/env_plugin.h"
#include "actor/env/tasks/task_row.h"

// ---- environments in files ----

static bool ends_in(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

bool env_is_file(const char *name) {
    return ends_in(name, ".so") || ends_in(name, ".yaml");
}

// Its task is what the file says of itself.
static struct env *create_from_file(const char *path, char *err, size_t err_len) {
    if (ends_in(path, ".so")) {
        return env_plugin_create(path, err, err_len);
    }
    if (ends_in(path, ".yaml")) {
        return env_description_create(path, err, err_len);
    }
    snprintf(err, err_len,
             "%s: an environment is a FILE.yaml, which describes one in MuJoCo, or a FILE.so, a "
             "plug-in",
             path);
    return NULL;
}

int env_file_read(struct env_file *file, const char *path, char *err, size_t err_len) {
    char real[PATH_MAX];
    if (!realpath(path, real)) {
        snprintf(err, err_len, "%s: the environment's file is not there", path);
        return -1;
    }
    if (strlen(real) >= sizeof(file->path)) {
        snprintf(err, err_len, "%s: the path of an environment has at most %zu bytes", real,
                 sizeof(file->path) - 1);
        return -1;
    }
    struct env *env = create_from_file(real, err, err_len);
    if (env == NULL) {
        return -1;
    }
    snprintf(file->path, sizeof(file->path), "%.*s", (int)sizeof(file->path) - 1, real);
    snprintf(file->name, sizeof(file->name), "%s", env->task->name);
    file->task = *env->task;
    file->task.name = file->task.title = file->name;
    file->task.env = file->path;
    env_destroy(&env);
    return 0;
}

// ---- from a task ----

// A file may have changed since the run was begun with it.
static bool agrees(const struct task *has, const struct task *wanted, char *err, size_t err_len) {
    if (has->obs_dim == wanted->obs_dim && has->act_dim == wanted->act_dim) {
        return true;
    }
    snprintf(err, err_len,
             "%s has %d observations and %d actions, but the run's task %s has %d and %d: take the "
             "file that the run was begun with",
             wanted->env, has->obs_dim, has->act_dim, wanted->name, wanted->obs_dim,
             wanted->act_dim);
    return false;
}

struct env *env_create(const struct task *task, char *err, size_t err_len) {
    if (task->env == NULL) {
        const struct env_task *row = env_task_find(task->name);
        if (row == NULL) {
            snprintf(err, err_len, "%s: the task has no environment in this program", task->name);
            return NULL;
        }
        return env_mujoco_create(task, row, NULL, err, err_len);
    }
    struct env *env = create_from_file(task->env, err, err_len);
    if (env != NULL && !agrees(env->task, task, err, err_len)) {
        env_destroy(&env);
    }
    if (env != NULL) {
        env->task = task; // the run's own time limit
    }
    return env;
}
