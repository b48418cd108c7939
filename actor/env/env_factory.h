// SPDX-License-Identifier: MIT
// Creates environments: of a built-in task, of a description (FILE.yaml), or in another process
// (a plug-in, FILE.so; python:MODULE:FUNCTION; a command). Only this file refers to all kinds.
#ifndef SPUR_ACTOR_ENV_ENV_FACTORY_H
#define SPUR_ACTOR_ENV_ENV_FACTORY_H

#include "actor/env/env.h"

enum env_source { ENV_SOURCE_FILE, ENV_SOURCE_PYTHON, ENV_SOURCE_COMMAND };
// The kind of environment that a value of task.env names. Files end in .yaml or .so; a value with
// blanks is a file only if that file exists, because a command may have the same ending.
enum env_source env_source_of(const char *env);
// Whether a task's environment runs in another process.
bool env_in_process(const struct task *task);

// An environment of the user's own: its source, and the task that it defines.
struct env_own {
    char env[CONFIG_STRING_MAX];                            // an absolute path, or as given
    char dir[CONFIG_STRING_MAX], python[CONFIG_STRING_MAX]; // of a process; absolute
    char name[ENV_NAME_MAX];
    struct env_memory memory;
    char note[1024];  // message of a process to the user; "": none
    struct task task; // points into this struct: do not copy it. Its horizon may be 0: none
};
// Creates the environment once, to validate it and to read its task. 0, or -1 with the reason in
// err: the file, and line or field. The output of a process is in the log.
int env_own_read(struct env_own *own, const struct env_spec *spec, char *err, size_t err_len);

// Creates the environment of a task, built in or of the user's own (task->env). Borrows task. NULL
// with the reason in err.
struct env *env_create(const struct task *task, char *err, size_t err_len);
// The same with a function that is called during the creation, and during every wait for another
// process in later steps. Borrows wait; NULL: none.
struct env *env_create_waiting(const struct task *task, const struct env_wait *wait, char *err,
                               size_t err_len);
// Frees the model that is kept loaded for further environments (mujoco_model.h).
void env_free_unused(void);

#endif
