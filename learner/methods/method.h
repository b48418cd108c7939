// SPDX-License-Identifier: MIT
// A learning method: what one update does, behind one table of functions.
//
// The trainer keeps the replay buffers, the order of commands, the counters and the checkpoint;
// a method keeps its networks and has no access to messages, files or the trainer's thread.
// Its row in common/config/methods.h names what it consumes and its configuration sections;
// here is its code. docs/methods.md lists the files that a new method touches.
#ifndef SPUR_LEARNER_METHODS_METHOD_H
#define SPUR_LEARNER_METHODS_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/nn/policy.h"
#include "common/task/task.h"
#include "learner/dynamics.h"
#include "learner/replay.h"
#include "learner/states.h"
#include "proto/metrics.h"

#define METHOD_BLOCKS_MAX 24

// The buffers that a method samples its batches from. d_env is never empty at an update; d_model is
// empty before the first rollouts, and for methods without METHOD_MODEL_ROWS.
struct method_source {
    const struct replay *d_env, *d_model;
    // For methods with METHOD_STATES, else NULL: never empty, and of version 1 or more, at an
    // update.
    const struct states *states;
    const struct dynamics *dynamics;
};

// What a new run can take over from another one (`spur run --from`).
enum method_part { METHOD_PART_POLICY = 1, METHOD_PART_CRITICS = 2 };

// A part of the state that a checkpoint holds.
struct method_block {
    const char *name; // of the tensor, "critic.target"
    float *data;      // borrowed
    size_t n;
    unsigned parts; // enum method_part bits; taken over with either
    size_t weights; // leading floats that a new run takes over; the others are the optimizer's
    // (n) the value where a file of an earlier build lacks the block; NULL: it must be there.
    const float *absent;
};

// The policy for the actors; borrowed until the next update.
struct method_policy {
    const struct policy *shape;
    const float *params; // (policy_params(shape))
};

// self: the state that create returned.
struct method {
    const char *name;
    // Configuration keys that determine the sizes of the blocks: "section.key", separated by
    // blanks.
    const char *shape_keys;
    // The names of the figures of an update; NULL at the end.
    const char *const *metrics;
    // Bytes of the state.
    uint64_t (*memory)(const struct config *config, const struct task *task);
    void *(*create)(const struct config *config, const struct task *task); // copies config
    void (*destroy)(void *self);
    // Update number t, from 1. Randomness is a function of the seed and t. Adds the figures of
    // the update to the empty metrics.
    void (*update)(void *self, uint64_t t, const struct method_source *source,
                   struct metrics *metrics);
    struct method_policy (*policy)(const void *self);
    // The whole state, for checkpoints; returns how many blocks. Loading writes to their data.
    int (*blocks)(const void *self, struct method_block blocks[METHOD_BLOCKS_MAX]);
};

// Each row of METHODS has its table in a file of its own.
#define X(name, needs, sections, defaults) extern const struct method method_##name;
METHODS(X)
#undef X

const struct method *method_find(enum method_id id);
// Whether every number of the state is finite.
bool method_finite(const struct method *method, const void *self);

#endif
