// SPDX-License-Identifier: MIT
// The newest policy: held for whoever asks, and written for other programs.
//
// Only one version is held. Whoever asks with a version as new as that is told
// so without weights; older versions are never queued.
#ifndef SPUR_LEARNER_POLICY_STORE_H
#define SPUR_LEARNER_POLICY_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "proto/wire.h"

struct policy_store {
    struct policy policy; // the shape
    uint64_t version, updates;
    float *params; // owned
    size_t params_len;
};

void policy_store_init(struct policy_store *p, const struct policy *policy);
void policy_store_deinit(struct policy_store *p);

// Copies params. version never goes back.
void policy_store_take(struct policy_store *p, uint64_t version, uint64_t updates,
                       const float *params);

// What to answer to somebody who has have_version (0: none). Borrows the weights.
struct wire_policy policy_store_answer(const struct policy_store *p, uint64_t have_version);

// Where an exported policy comes from.
struct policy_store_info {
    const char *task;
    uint64_t seed, version, updates;
};
// Writes "policy.0.weight" (out, in), "policy.0.bias" (out), ... with shapes and
// origin in the metadata. 0, or -1 with a sentence in err.
int policy_store_export(const char *path, const struct policy *policy, const float *params,
                        const struct policy_store_info *info, char *err, size_t err_len);

#endif
