// SPDX-License-Identifier: MIT
// Standardisation of inputs, column by column: (x - mean) / std.
#ifndef SPUR_COMMON_NN_NORMALIZER_H
#define SPUR_COMMON_NN_NORMALIZER_H

#include <stddef.h>

// A normalizer is a block of 2 * dim floats: mean (dim), then std (dim). It is plain data: may be
// copied, stored and sent.
size_t normalizer_floats(int dim);
void normalizer_identity(float *block, int dim); // mean 0, std 1
// Fits mean and population std to n > 0 rows x (n, dim), in double. A std below 1e-12 (a constant
// column) becomes 1.
void normalizer_fit(float *block, const float *x, size_t n, int dim);
// out (n, dim) may be x itself.
void normalizer_apply(float *out, const float *block, const float *x, size_t n, int dim);

#endif
