// SPDX-License-Identifier: MIT
// Versions of policies: (epoch, number), as one 64-bit number that orders them.
//
// The epoch is the number of the learner's start, which the model server hands out in its Welcome.
// The number counts publications: 1, 2, ... A learner that resumes from an older checkpoint
// publishes numbers again, in a new epoch, so versions never decrease. 0: no policy.
#ifndef SPUR_PROTO_EPOCH_H
#define SPUR_PROTO_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#define EPOCH_TEXT_MAX 48

#define EPOCH_SHIFT 32

static inline uint64_t epoch_version(uint64_t epoch, uint64_t number) {
    return epoch << EPOCH_SHIFT | number;
}

static inline uint64_t epoch_of(uint64_t version) {
    return version >> EPOCH_SHIFT;
}

// Whether a version is of no newer learner than `newest`, of the last Credit; 0: any is. In
// lockstep a newer one has gone back, and credit of before is not for its policies.
static inline bool epoch_is_announced(uint64_t version, uint64_t newest) {
    return newest == 0 || epoch_of(version) <= epoch_of(newest);
}

static inline uint64_t epoch_number(uint64_t version) {
    return version & UINT32_MAX;
}

// For people: "1371", or from the second epoch on "1371 of epoch 2". Returns out.
const char *epoch_text(char out[EPOCH_TEXT_MAX], uint64_t version);

#endif
