// SPDX-License-Identifier: MIT
// Philox rounds, and distributions on top of their words.
#include "common/base/rng.h"

#include <math.h>

#include "common/base/check.h"

#define PHILOX_ROUNDS 10

struct rng rng_make(uint64_t seed, enum rng_use use, uint64_t sub) {
    CHECK(sub < (UINT64_C(1) << 40));
    return (struct rng){.seed = seed, .stream = (uint64_t)use << 40 | sub};
}

void rng_block(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t block) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t rng_u32(struct rng *r) {
    uint32_t words[4];
    rng_block(words, r->seed, r->stream, r->index / 4);
    return words[r->index++ % 4];
}

uint64_t rng_u64(struct rng *r) {
    uint64_t high = rng_u32(r);
    return high << 32 | rng_u32(r);
}

double rng_uniform(struct rng *r) {
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_range(struct rng *r, double lo, double hi) {
    return lo + (hi - lo) * rng_uniform(r);
}

uint32_t rng_below(struct rng *r, uint32_t n) {
    CHECK(n > 0);
    // Lemire's method: the high half of a product; the few values that would bias the result
    // are rejected.
    uint32_t threshold = -n % n;
    for (;;) {
        uint64_t product = (uint64_t)rng_u32(r) * n;
        if ((uint32_t)product >= threshold) {
            return (uint32_t)(product >> 32);
        }
    }
}

// Box-Muller transform of two words; the first is mapped to (0, 1] for the logarithm.
static void normal_pair(double out[2], uint32_t a, uint32_t b) {
    const double two_pi = 6.283185307179586476925286766559;
    double radius = sqrt(-2.0 * log(((double)a + 1.0) * 0x1p-32));
    double angle = two_pi * ((double)b * 0x1p-32);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

double rng_normal(struct rng *r) {
    double pair[2];
    uint32_t a = rng_u32(r);
    uint32_t b = rng_u32(r);
    normal_pair(pair, a, b);
    return pair[0];
}

void rng_fill_normal(struct rng *r, float *out, size_t n) {
    r->index += r->index % 2;
    for (size_t i = 0; i < n;) {
        uint32_t words[4];
        rng_block(words, r->seed, r->stream, r->index / 4);
        for (uint64_t w = r->index % 4; w < 4 && i < n; w += 2) {
            double pair[2];
            normal_pair(pair, words[w], words[w + 1]);
            out[i++] = (float)pair[0];
            if (i < n) {
                out[i++] = (float)pair[1];
            }
            r->index += 2;
        }
    }
}

void rng_permutation(struct rng *r, uint32_t *out, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = rng_below(r, i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}
