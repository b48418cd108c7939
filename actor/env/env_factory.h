// SPDX-License-Identifier: MIT
// Makes environments: of a built-in task, of a description (FILE.yaml), of a plug-in (FILE.so),
// or in a process of its own (python:MODULE:FUNCTION, or a command). The only file that knows all
// kinds.
#ifndef SPUR_ACTOR_ENV_ENV_FACTORY_H
#define SPUR_ACTOR_ENV_ENV_FACTORY_H

#include "actor/env/env.h"

enum env_source { ENV_SOURCE_FILE, ENV_SOURCE_PYTHON, ENV_SOURCE_COMMAND };
// The kind of environment that a value of task.env names. A file is known by its end, .yaml or
// .so; a command of several words may end in the same, so a name with blanks must exist to be a
// file.
enum env_source env_source_of(const char *env);
// Whether a task's environment runs in a process of its own.
bool env_in_process(const struct task *task);

// An environment of the user's own: what it is, and what it says of itself.
struct env_own {
    char env[CONFIG_STRING_MAX];                            // an absolute path, or as given
    char dir[CONFIG_STRING_MAX], python[CONFIG_STRING_MAX]; // of a process; absolute
    char name[ENV_NAME_MAX];
    char note[1024];  // of a process, to the user; "": none
    struct task task; // points into this struct: do not copy it. Its horizon may be 0: none
};
// Makes the environment once, to see whether it can be. 0, or -1 with a sentence in err that
// names file, and line or field; what a process printed is in the log.
int env_own_read(struct env_own *own, const struct env_spec *spec, char *err, size_t err_len);

// The environment of a task, built in or of the user's own (task->env). Borrows task. NULL with a
// sentence in err if there is none, or it cannot be made.
struct env *env_create(const struct task *task, char *err, size_t err_len);
// The same, with a function to call while a process is waited for, now and in each step. Borrows
// wait; NULL: none.
struct env *env_create_waiting(const struct task *task, const struct env_wait *wait, char *err,
                               size_t err_len);

#endif
