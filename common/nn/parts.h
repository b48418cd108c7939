// SPDX-License-Identifier: MIT
// Divides one block of memory into parts that start on cache lines.
//
// The same sequence of calls measures (memory NULL: parts are NULL, `used` counts) and, once that
// many floats are allocated, hands the parts out.
#ifndef SPUR_COMMON_NN_PARTS_H
#define SPUR_COMMON_NN_PARTS_H

#include <stddef.h>

struct parts {
    float *memory;
    size_t used; // floats
};

static inline float *parts_take(struct parts *p, size_t n) {
    float *part = p->memory ? p->memory + p->used : NULL;
    p->used += (n + 15) / 16 * 16;
    return part;
}

#endif
