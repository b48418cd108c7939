// SPDX-License-Identifier: MIT
// Chooses the kind of an environment by the value of task.env, and resolves its paths.
#include "actor/env/env_factory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/description/env_description.h"
#include "actor/env/env_kind.h"
#include "actor/env/env_mujoco.h"
#include "actor/env/env_plugin.h"
#include "actor/env/keepalive.h"
#include "actor/env/mujoco_model.h"
#include "actor/env/process/env_process.h"
#include "actor/env/tasks/task_row.h"

// ---- environments of the user's own ----

static bool ends_in(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

enum env_source env_source_of(const char *env) {
    if (strncmp(env, ENV_PROCESS_PYTHON, strlen(ENV_PROCESS_PYTHON)) == 0) {
        return ENV_SOURCE_PYTHON;
    }
    bool file = ends_in(env, ".so") || ends_in(env, ".yaml");
    return file && (!strpbrk(env, " \t") || access(env, F_OK) == 0) ? ENV_SOURCE_FILE
                                                                    : ENV_SOURCE_COMMAND;
}

bool env_in_process(const struct task *task) {
    return task->env != NULL && (env_source_of(task->env) != ENV_SOURCE_FILE ||
                                 (ends_in(task->env, ".so") && !task->env_shared));
}

// A creation in this process: compiles a model, or runs code of a plug-in.
struct creation {
    const char *file;        // of the user's own environment; NULL: built in
    const struct task *task; // built in
    const struct env_task *row;
    struct env *env;
    char *err;
    size_t err_len;
};

static void run_creation(void *arg) {
    struct creation *c = arg;
    if (c->file == NULL) {
        c->env = env_mujoco_create(c->task, c->row, NULL, c->err, c->err_len);
    } else {
        c->env = ends_in(c->file, ".so") ? env_plugin_create(c->file, c->err, c->err_len)
                                         : env_description_create(c->file, c->err, c->err_len);
    }
}

static struct env *create_here(struct creation c, const struct env_wait *wait) {
    if (!keepalive_call(wait, run_creation, &c)) {
        snprintf(c.err, c.err_len, "stopped before the environment was created");
    }
    return c.env;
}

// The task of the environment is the one that the file or the process defines.
static struct env *create_own(const struct env_spec *spec, const struct env_wait *wait, char *note,
                              size_t note_len, char *err, size_t err_len) {
    if (env_source_of(spec->env) != ENV_SOURCE_FILE) {
        return env_process_create(spec, wait, note, note_len, err, err_len);
    }
    if (ends_in(spec->env, ".so") && !spec->shared) {
        return env_process_create_plugin(spec, wait, err, err_len);
    }
    return create_here((struct creation){.file = spec->env, .err = err, .err_len = err_len}, wait);
}

// The absolute path of an existing file or directory.
static int resolve(char out[CONFIG_STRING_MAX], const char *path, const char *what, char *err,
                   size_t err_len) {
    char real[PATH_MAX];
    if (!realpath(path, real)) {
        snprintf(err, err_len, "%s: the environment's %s is not there", path, what);
        return -1;
    }
    if (strlen(real) >= CONFIG_STRING_MAX) {
        snprintf(err, err_len, "%s: the path of an environment has at most %d bytes", real,
                 CONFIG_STRING_MAX - 1);
        return -1;
    }
    snprintf(out, CONFIG_STRING_MAX, "%.*s", CONFIG_STRING_MAX - 1, real);
    return 0;
}

// Stores the path of the interpreter, so that a run resumed from another shell uses the same one.
// Symbolic links are not resolved: the python3 of a virtual environment is one.
static int resolve_python(char out[CONFIG_STRING_MAX], const char *python, char *err,
                          size_t err_len) {
    char found[PATH_MAX];
    if (env_process_python(found, python ? python : "", err, err_len) < 0) {
        return -1;
    }
    if (strlen(found) >= CONFIG_STRING_MAX) {
        snprintf(err, err_len, "%s: the path of an interpreter has at most %d bytes", found,
                 CONFIG_STRING_MAX - 1);
        return -1;
    }
    snprintf(out, CONFIG_STRING_MAX, "%.*s", CONFIG_STRING_MAX - 1, found);
    return 0;
}

static int resolve_spec(struct env_own *own, const struct env_spec *spec, char *err,
                        size_t err_len) {
    enum env_source source = env_source_of(spec->env);
    if (source == ENV_SOURCE_FILE) {
        return resolve(own->env, spec->env, "file", err, err_len);
    }
    if (strlen(spec->env) >= sizeof(own->env)) {
        snprintf(err, err_len, "%.60s...: longer than %zu bytes", spec->env, sizeof(own->env) - 1);
        return -1;
    }
    snprintf(own->env, sizeof(own->env), "%s", spec->env);
    const char *dir = spec->dir && spec->dir[0] ? spec->dir : ".";
    if (resolve(own->dir, dir, "directory (task.env_dir)", err, err_len) < 0) {
        return -1;
    }
    return source == ENV_SOURCE_PYTHON ? resolve_python(own->python, spec->python, err, err_len)
                                       : 0;
}

int env_own_read(struct env_own *own, const struct env_spec *spec, char *err, size_t err_len) {
    *own = (struct env_own){0};
    if (resolve_spec(own, spec, err, err_len) < 0) {
        return -1;
    }
    struct env_spec resolved = {.env = own->env,
                                .dir = own->dir,
                                .python = own->python,
                                .timeout_s = spec->timeout_s,
                                .shared = spec->shared};
    struct env *env = create_own(&resolved, NULL, own->note, sizeof(own->note), err, err_len);
    if (env == NULL) {
        return -1;
    }
    snprintf(own->name, sizeof(own->name), "%s", env->task->name);
    own->task = *env->task;
    own->memory = env_memory(env);
    own->task.name = own->task.title = own->name;
    own->task.env = own->env;
    own->task.env_dir = own->dir;
    own->task.env_python = own->python;
    own->task.env_timeout_s = spec->timeout_s;
    own->task.env_shared = spec->shared;
    env_destroy(&env);
    return 0;
}

// ---- from a task ----

// A file or program may have changed since the run was started.
static bool agrees(const struct task *has, const struct task *wanted, char *err, size_t err_len) {
    if (has->obs_dim == wanted->obs_dim && has->act_dim == wanted->act_dim) {
        return true;
    }
    snprintf(err, err_len,
             "%s has %d observations and %d actions, but the run's task %s has %d and %d: use the "
             "one that the run was started with",
             wanted->env, has->obs_dim, has->act_dim, wanted->name, wanted->obs_dim,
             wanted->act_dim);
    return false;
}

void env_free_unused(void) {
    mujoco_models_trim();
}

struct env *env_create(const struct task *task, char *err, size_t err_len) {
    return env_create_waiting(task, NULL, err, err_len);
}

struct env *env_create_waiting(const struct task *task, const struct env_wait *wait, char *err,
                               size_t err_len) {
    if (task->env == NULL) {
        const struct env_task *row = env_task_find(task->name);
        if (row == NULL) {
            snprintf(err, err_len, "%s: the task has no environment in this program", task->name);
            return NULL;
        }
        return create_here(
            (struct creation){.task = task, .row = row, .err = err, .err_len = err_len}, wait);
    }
    struct env_spec spec = {.env = task->env,
                            .dir = task->env_dir,
                            .python = task->env_python,
                            .timeout_s = task->env_timeout_s,
                            .shared = task->env_shared};
    struct env *env = create_own(&spec, wait, NULL, 0, err, err_len);
    if (env != NULL && !agrees(env->task, task, err, err_len)) {
        env_destroy(&env);
    }
    if (env != NULL) {
        env->task = task; // the run's own time limit
    }
    return env;
}
