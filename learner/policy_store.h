// SPDX-License-Identifier: MIT
// The newest policy, from which requests of actors are answered.
//
// One version is held. A peer that has that version already gets an answer without
// weights; older versions are never queued.
#ifndef SPUR_LEARNER_POLICY_STORE_H
#define SPUR_LEARNER_POLICY_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "proto/wire.h"

struct policy_store {
    struct policy policy;      // the shape
    uint64_t epoch;            // of this learner: set with each Welcome
    uint64_t version, updates; // version: its number in that epoch
    float *params;             // owned
    size_t params_len;
};

void policy_store_init(struct policy_store *p, const struct policy *policy);
void policy_store_deinit(struct policy_store *p);

// Copies params. version never decreases.
void policy_store_take(struct policy_store *p, uint64_t version, uint64_t updates,
                       const float *params);

// The version as others see it (proto/epoch.h); 0: no policy yet.
uint64_t policy_store_version(const struct policy_store *p);

// The answer to a peer that has have_version (0: none). Borrows the weights.
struct wire_policy policy_store_answer(const struct policy_store *p, uint64_t have_version);

#endif
