// SPDX-License-Identifier: MIT
// Environments in shared objects that the user compiles against include/spur/env.h.
#ifndef SPUR_ACTOR_ENV_ENV_PLUGIN_H
#define SPUR_ACTOR_ENV_ENV_PLUGIN_H

#include "actor/env/env.h"

// The environment in a file; its task says what the file says of itself. NULL with a sentence
// in err that names the file and what is wrong with it.
struct env *env_plugin_create(const char *path, char *err, size_t err_len);

#endif
