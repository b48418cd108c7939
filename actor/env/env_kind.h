// SPDX-License-Identifier: MIT
// The inside of a struct env: its kind, which is a table of functions.
//
// For the files that implement a kind; those that step environments use env.h. A
// kind's own struct begins with a struct env.
#ifndef SPUR_ACTOR_ENV_ENV_KIND_H
#define SPUR_ACTOR_ENV_ENV_KIND_H

#include "actor/env/env.h"

struct env_kind {
    void (*destroy)(struct env *env); // frees all of it
    void (*reset)(struct env *env, struct rng *rng);
    struct env_step (*step)(struct env *env, const float *action); // (act_dim), unchecked
    void (*observe)(const struct env *env, double *obs);           // (obs_dim)
};

struct env {
    const struct env_kind *kind;
    const struct task *task; // borrowed
};

// Of the user's own environments: it is a folder's name, and a word in messages.
#define ENV_NAME_RULE                                                                              \
    "a name has letters, digits, '_' and '-', a letter first, and at most 63 of them"
bool env_name_ok(const char *name);

#endif
