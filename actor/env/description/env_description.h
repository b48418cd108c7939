// SPDX-License-Identifier: MIT
// Environments that a YAML file describes on top of the user's MuJoCo model: observations, reward,
// termination, start states. The format: docs/environments/description.md.
#ifndef SPUR_ACTOR_ENV_DESCRIPTION_ENV_DESCRIPTION_H
#define SPUR_ACTOR_ENV_DESCRIPTION_ENV_DESCRIPTION_H

#include "actor/env/env.h"

// The environment of a file, with its task. NULL with the reason in err: file, line, field and
// the valid choices.
struct env *env_description_create(const char *path, char *err, size_t err_len);

#endif
