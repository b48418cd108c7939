// SPDX-License-Identifier: MIT
// Random numbers in bulk, by the kernels selected for this processor.
#include "common/nn/rng_bulk.h"

#include <string.h>

#include "common/nn/kernels.h"

void rng_bulk_blocks(uint32_t *out, uint64_t seed, uint64_t stream, const uint64_t *block,
                     size_t n) {
    kernels()->rng_bulk->blocks(out, seed, stream, block, n);
}

void rng_bulk_normals(float *out, const uint32_t *words, size_t n) {
    kernels()->rng_bulk->normals(out, words, n);
}

void rng_bulk_stream_normals(float *out, const struct rng *stream, size_t n) {
    enum { BLOCKS = 64, WORDS = 4 };
    for (size_t done = 0; done < n; done += BLOCKS * WORDS) {
        uint64_t block[BLOCKS];
        uint32_t words[BLOCKS * WORDS];
        float numbers[BLOCKS * WORDS];
        for (size_t i = 0; i < BLOCKS; i++) {
            block[i] = done / WORDS + i;
        }
        size_t count = n - done < BLOCKS * WORDS ? n - done : BLOCKS * WORDS;
        rng_bulk_blocks(words, stream->seed, stream->stream, block, (count + WORDS - 1) / WORDS);
        rng_bulk_normals(numbers, words, (count + 1) / 2 * 2);
        memcpy(out + done, numbers, count * sizeof(float));
    }
}
