// SPDX-License-Identifier: MIT
// The implementation side of struct env: its kind, a table of functions.
//
// Only files that implement a kind include this; callers use env.h. The struct of a kind begins
// with a struct env.
#ifndef SPUR_ACTOR_ENV_ENV_KIND_H
#define SPUR_ACTOR_ENV_ENV_KIND_H

#include "actor/env/env.h"

struct env_kind {
    void (*destroy)(struct env *env); // frees everything
    void (*reset)(struct env *env, struct rng *rng);
    struct env_step (*step)(struct env *env, const float *action); // (act_dim), unchecked
    void (*observe)(const struct env *env, double *obs);           // (obs_dim)
    struct env_memory (*memory)(const struct env *env);            // NULL: unknown
    // Of kinds that draw themselves; NULL in others. See env.h.
    int (*prepare_pictures)(struct env *env, char *err, size_t err_len);
    int (*draw)(struct env_picture *picture, struct env *env, char *err, size_t err_len);
};

struct env {
    const struct env_kind *kind;
    const struct task *task; // borrowed
};

// Names of the user's environments appear in folder names and messages.
#define ENV_NAME_RULE                                                                              \
    "a name has letters, digits, '_' and '-', begins with a letter and has at most 63 characters"
bool env_name_ok(const char *name);

#endif
