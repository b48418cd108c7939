// SPDX-License-Identifier: MIT
// Environments in shared objects that the user compiles against include/spur/env.h.
#ifndef SPUR_ACTOR_ENV_ENV_PLUGIN_H
#define SPUR_ACTOR_ENV_ENV_PLUGIN_H

#include "actor/env/env.h"

// The environment of a file, with the task that the file defines. NULL with the reason in err,
// which names the file and the field.
struct env *env_plugin_create(const char *path, char *err, size_t err_len);
// env_reset with the seed itself.
void env_plugin_reset(struct env *env, uint64_t seed);
// The bounds of an action in the units of the plug-in: (act_dim) each.
void env_plugin_bounds(const struct env *env, const float **low, const float **high);
// A step with an action in the units of the plug-in: (act_dim). The time limit is not applied.
struct env_step env_plugin_step(struct env *env, const float *action);
// The reason for the last bad step; valid until the next call.
const char *env_plugin_fault(const struct env *env);

#endif
