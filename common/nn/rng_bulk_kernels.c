// SPDX-License-Identifier: MIT
// Philox blocks and normals in bulk, as loops that the compiler vectorises. Compiled once per
// instruction set.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/nn/kernel_math.h"
#include "common/nn/kernels.h"

// One round of Philox4x32; rng.c has the scalar generator.
static inline void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t high0 = (uint32_t)(p0 >> 32), high1 = (uint32_t)(p1 >> 32);
    c[0] = high1 ^ c[1] ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = high0 ^ c[3] ^ k1;
    c[3] = (uint32_t)p0;
}

static void kernel_blocks(uint32_t *restrict out, uint64_t seed, uint64_t stream,
                          const uint64_t *restrict block, size_t n) {
    const uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    const uint32_t s0 = (uint32_t)stream, s1 = (uint32_t)(stream >> 32);
    for (size_t i = 0; i < n; i++) {
        uint32_t c[4] = {(uint32_t)block[i], (uint32_t)(block[i] >> 32), s0, s1};
#pragma GCC unroll 10
        for (uint32_t round = 0; round < 10; round++) {
            philox_round(c, k0 + round * 0x9E3779B9u, k1 + round * 0xBB67AE85u);
        }
        out[4 * i] = c[0];
        out[4 * i + 1] = c[1];
        out[4 * i + 2] = c[2];
        out[4 * i + 3] = c[3];
    }
}

static inline double double_of(uint64_t i) {
    double x;
    memcpy(&x, &i, sizeof(x));
    return x;
}

static inline uint64_t bits_of_double(double x) {
    uint64_t i;
    memcpy(&i, &x, sizeof(i));
    return i;
}

// log(x) for normal x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), and log m = 2 atanh(t) with
// t = (m - 1) / (m + 1), as a series in t^2 <= 0.0295. The first omitted term is below 2e-12,
// relative.
static inline double log_double(double x) {
    const uint64_t sqrt_half = UINT64_C(0x3fe6a09e667f3bcd);
    // The exponent relative to sqrt(1/2). Adding its bits to those of 1.5 * 2^52 converts the
    // integer to double, for which there is no AVX2 instruction.
    uint64_t above = bits_of_double(x) - sqrt_half + (UINT64_C(1024) << 52);
    uint64_t e = above >> 52;
    double n = double_of(e + UINT64_C(0x4338000000000000)) - (0x1.8p52 + 1024);
    double m = double_of(bits_of_double(x) - ((e - 1024) << 52));
    double t = (m - 1.0) / (m + 1.0);
    double z = t * t;
    double p = 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    return n * 0x1.62e42fefa39efp-1 + 2.0 * (t + t * z * p);
}

// Box-Muller transform as in rng.c. The angle is a 32-bit fraction of a turn, so reducing it to
// [-pi/4, pi/4] is exact; there the Taylor series are accurate to 1e-13.
static void kernel_normals(float *restrict out, const uint32_t *restrict words, size_t n) {
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t a = words[2 * i], b = words[2 * i + 1];
        // (a + 1) / 2^32, by a signed conversion, which all instruction sets have.
        double u = ((double)(int32_t)(a ^ 0x80000000u) + 0x1.00000002p31) * 0x1p-32;
        double radius = __builtin_sqrt(-2.0 * log_double(u));
        uint32_t quarter = (b + 0x20000000u) >> 30;
        double x = (double)(int32_t)(b - (quarter << 30)) * 0x1.921fb54442d18p-30;
        double z = x * x;
        double s = 1.0 / 6227020800;
        s = s * z - 1.0 / 39916800;
        s = s * z + 1.0 / 362880;
        s = s * z - 1.0 / 5040;
        s = s * z + 1.0 / 120;
        s = s * z - 1.0 / 6;
        s = x + x * z * s;
        double c = -1.0 / 87178291200;
        c = c * z + 1.0 / 479001600;
        c = c * z - 1.0 / 3628800;
        c = c * z + 1.0 / 40320;
        c = c * z - 1.0 / 720;
        c = c * z + 1.0 / 24;
        c = c * z - 0.5;
        c = 1.0 + z * c;
        double cosine = quarter & 1 ? s : c, sine = quarter & 1 ? c : s;
        out[2 * i] = (float)(radius * ((quarter + 1) & 2 ? -cosine : cosine));
        out[2 * i + 1] = (float)(radius * (quarter & 2 ? -sine : sine));
    }
}

const struct rng_bulk_kernels KERNEL_NAME(rng_bulk_kernels) = {
    .blocks = kernel_blocks,
    .normals = kernel_normals,
};
