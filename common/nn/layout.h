// SPDX-License-Identifier: MIT
// Memory layout of activations and their gradients: blocks of 32 batch rows.
//
// A matrix (N, B) of N features and B batch rows is stored as ceil(B / LAYOUT_ROWS) blocks.
// Within a block the features are contiguous, LAYOUT_ROWS floats each. Feature j of row i is at
//
//   x[(i / LAYOUT_ROWS * N + j) * LAYOUT_ROWS + i % LAYOUT_ROWS]
//
// Vector registers are filled along the batch, so every layer width uses full vectors. A matrix
// product reads one block over and over: it is contiguous, spans few pages and suits hardware
// prefetchers. Blocks are cache-line aligned if the matrix is. The last block is always allocated
// whole; kernels may read and write its padding (rows B and up), whose contents are undefined.
// A matrix (1, B) is a plain vector.
#ifndef SPUR_COMMON_NN_LAYOUT_H
#define SPUR_COMMON_NN_LAYOUT_H

#include <stddef.h>

#define LAYOUT_ROWS 32 // two AVX-512 vectors

// Number of blocks for B rows.
static inline int layout_blocks(int B) {
    return (B + LAYOUT_ROWS - 1) / LAYOUT_ROWS;
}
// Offset of a block in a matrix of N features, in floats.
static inline size_t layout_offset(int N, int block) {
    return (size_t)block * (size_t)N * LAYOUT_ROWS;
}
// Size of a matrix (N, B) in floats, padding included.
static inline size_t layout_floats(int N, int B) {
    return layout_offset(N, layout_blocks(B));
}
// Offset of feature j of row i.
static inline size_t layout_index(int N, int j, int i) {
    return layout_offset(N, i / LAYOUT_ROWS) + (size_t)(j * LAYOUT_ROWS + i % LAYOUT_ROWS);
}
// Number of batch rows in a block: LAYOUT_ROWS, or fewer in the last.
static inline int layout_block_rows(int B, int block) {
    return B - block * LAYOUT_ROWS < LAYOUT_ROWS ? B - block * LAYOUT_ROWS : LAYOUT_ROWS;
}

#endif
