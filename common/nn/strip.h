// SPDX-License-Identifier: MIT
// How numbers lie that flow through a network.
//
// A matrix (N, B) has a number for each of N features and each of B rows of a batch.
// It is cut into strips of STRIP rows of the batch; in a strip the features follow
// each other, STRIP numbers each:
//
//   of feature j and row i:  x[i / STRIP * N * STRIP + j * STRIP + i % STRIP]
//
// So vectors are filled by the batch, whatever the width of a layer; what a product
// reads again and again, one strip of all features, is one piece of memory, a few pages
// that a cache and its prefetchers like; and a strip begins on a cache line where the
// whole does. The last strip is whole in memory: its places behind row B may be read and
// written at any time, and mean nothing. A matrix (1, B) is a plain vector.
#ifndef SPUR_COMMON_NN_STRIP_H
#define SPUR_COMMON_NN_STRIP_H

#include <stddef.h>

// Two vectors of AVX-512.
#define STRIP 32

// How many strips B rows take, where strip s of a matrix (N, B) begins, and the floats
// of the whole.
static inline int strip_count(int B) {
    return (B + STRIP - 1) / STRIP;
}
static inline size_t strip_offset(int N, int s) {
    return (size_t)s * (size_t)N * STRIP;
}
static inline size_t strip_floats(int N, int B) {
    return strip_offset(N, strip_count(B));
}
// Of feature j and row i.
static inline size_t strip_index(int N, int j, int i) {
    return strip_offset(N, i / STRIP) + (size_t)(j * STRIP + i % STRIP);
}
// Rows of the batch in strip s.
static inline int strip_rows(int B, int s) {
    return B - s * STRIP < STRIP ? B - s * STRIP : STRIP;
}

#endif
