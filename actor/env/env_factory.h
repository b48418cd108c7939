// SPDX-License-Identifier: MIT
// Makes environments: of a built-in task, of a description (FILE.yaml), or of a
// plug-in (FILE.so). The only file that knows all kinds.
#ifndef SPUR_ACTOR_ENV_ENV_FACTORY_H
#define SPUR_ACTOR_ENV_ENV_FACTORY_H

#include "actor/env/env.h"

// An environment of the user's own, as its file describes it.
struct env_file {
    char path[CONFIG_STRING_MAX]; // absolute
    char name[ENV_NAME_MAX];
    struct task task; // points into this struct: do not copy it
};
// Whether a name is that of such a file, by its end: .yaml or .so.
bool env_is_file(const char *name);
// Makes the environment once, to see whether it can be. 0, or -1 with a sentence in err that
// names file, and line or field.
int env_file_read(struct env_file *file, const char *path, char *err, size_t err_len);

// The environment of a task, built in or in the file task->env. Borrows task. NULL with a
// sentence in err if there is none, or it cannot be made.
struct env *env_create(const struct task *task, char *err, size_t err_len);

#endif
