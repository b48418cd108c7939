// SPDX-License-Identifier: MIT
// Environments in shared objects that the user compiles against include/spur/env.h.
#ifndef SPUR_ACTOR_ENV_ENV_PLUGIN_H
#define SPUR_ACTOR_ENV_ENV_PLUGIN_H

#include "actor/env/env.h"

// The environment of a file, with the task that the file defines. NULL with the reason in err,
// which names the file and the field.
struct env *env_plugin_create(const char *path, char *err, size_t err_len);

#endif
