// SPDX-License-Identifier: MIT
// Environments that a YAML file describes on top of the user's MuJoCo model: observations, reward,
// termination, start states. The format: docs/environments/description.md.
#ifndef SPUR_ACTOR_ENV_DESCRIPTION_ENV_DESCRIPTION_H
#define SPUR_ACTOR_ENV_DESCRIPTION_ENV_DESCRIPTION_H

#include "actor/env/env.h"

// The environment in a file; its task says what the file says. NULL with a sentence in err that
// names file, line, field and the choices there are.
struct env *env_description_create(const char *path, char *err, size_t err_len);

#endif
