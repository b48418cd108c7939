// SPDX-License-Identifier: MIT
// Versions of policies: (epoch, number), as one 64-bit number that orders them.
//
// The epoch is the number of the learner's start, which the model server hands out in its Welcome.
// The number counts publications: 1, 2, ... A learner that resumes from an older checkpoint
// publishes numbers again, in a new epoch, so versions never decrease. 0: no policy.
#ifndef SPUR_PROTO_EPOCH_H
#define SPUR_PROTO_EPOCH_H

#include <stdint.h>

#define EPOCH_TEXT_MAX 48

#define EPOCH_SHIFT 32

static inline uint64_t epoch_version(uint64_t epoch, uint64_t number) {
    return epoch << EPOCH_SHIFT | number;
}

static inline uint64_t epoch_of(uint64_t version) {
    return version >> EPOCH_SHIFT;
}

static inline uint64_t epoch_number(uint64_t version) {
    return version & UINT32_MAX;
}

// For people: "1371", or from the second epoch on "1371 of epoch 2". Returns out.
const char *epoch_text(char out[EPOCH_TEXT_MAX], uint64_t version);

#endif
