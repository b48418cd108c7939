// SPDX-License-Identifier: MIT
// How numbers lie that flow through a network.
//
// A matrix (N, B) has a number for each of N features and each of B rows of a batch.
// It is cut into strips of LAYOUT_ROWS rows of the batch; in a strip the features follow
// each other, LAYOUT_ROWS numbers each:
//
//   of feature j and row i:  x[i / LAYOUT_ROWS * N * LAYOUT_ROWS + j * LAYOUT_ROWS + i %
//   LAYOUT_ROWS]
//
// So vectors are filled by the batch, whatever the width of a layer; what a product
// reads again and again, one strip of all features, is one piece of memory, a few pages
// that a cache and its prefetchers like; and a strip begins on a cache line where the
// whole does. The last strip is whole in memory: its places behind row B may be read and
// written at any time, and mean nothing. A matrix (1, B) is a plain vector.
#ifndef SPUR_COMMON_NN_LAYOUT_H
#define SPUR_COMMON_NN_LAYOUT_H

#include <stddef.h>

// Two vectors of AVX-512.
#define LAYOUT_ROWS 32

// How many strips B rows take, where strip s of a matrix (N, B) begins, and the floats
// of the whole.
static inline int layout_blocks(int B) {
    return (B + LAYOUT_ROWS - 1) / LAYOUT_ROWS;
}
static inline size_t layout_offset(int N, int s) {
    return (size_t)s * (size_t)N * LAYOUT_ROWS;
}
static inline size_t layout_floats(int N, int B) {
    return layout_offset(N, layout_blocks(B));
}
// Of feature j and row i.
static inline size_t layout_index(int N, int j, int i) {
    return layout_offset(N, i / LAYOUT_ROWS) + (size_t)(j * LAYOUT_ROWS + i % LAYOUT_ROWS);
}
// Rows of the batch in strip s.
static inline int layout_block_rows(int B, int s) {
    return B - s * LAYOUT_ROWS < LAYOUT_ROWS ? B - s * LAYOUT_ROWS : LAYOUT_ROWS;
}

#endif
