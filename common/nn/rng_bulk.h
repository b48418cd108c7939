// SPDX-License-Identifier: MIT
// Vectorised bulk versions of rng.h: Philox blocks and normals.
//
// Words are the same as one at a time; normals agree to the last place of a float. Selected for the
// processor before main() runs (kernels.h).
#ifndef SPUR_COMMON_NN_RNG_BULK_H
#define SPUR_COMMON_NN_RNG_BULK_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/rng.h"

// out (n, 4) = the words of blocks block[0..n) of a stream, as rng_block computes them.
void rng_bulk_blocks(uint32_t *out, uint64_t seed, uint64_t stream, const uint64_t *block,
                     size_t n);
// out (n) ~ N(0, 1) from words (n), n even, as rng_fill_normal computes them.
void rng_bulk_normals(float *out, const uint32_t *words, size_t n);
// out (n) ~ N(0, 1), the first n normals of a stream, as rng_fill_normal computes them. The
// stream's index is ignored.
void rng_bulk_stream_normals(float *out, const struct rng *stream, size_t n);

#endif
