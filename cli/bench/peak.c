// SPDX-License-Identifier: MIT
// Arithmetic peak of one core: fused multiply-adds on registers, with the widest vectors available;
// and the rate of the matrix kernels on a square product that fits in the cache.
#include "cli/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/nn/cpu.h"
#include "common/nn/gemm.h"

#define PEAK_ROUNDS 100000
#define GEMM_DIM 256

#if defined(__x86_64__)
#include <immintrin.h>

// Independent chains of multiply-adds: two units with a latency of up to five cycles, and some
// more.
#define CHAINS 12

// Unrolled by hand, so that every compiler keeps the sums in registers. The factors keep them
// finite and are unknown at compile time.
__attribute__((target("avx512f"))) static float fma_avx512(float seed) {
    __m512 a = _mm512_set1_ps(seed), b = _mm512_set1_ps(1e-6f);
    __m512 s0 = _mm512_set1_ps(0.0f), s1 = _mm512_set1_ps(1.0f), s2 = _mm512_set1_ps(2.0f);
    __m512 s3 = _mm512_set1_ps(3.0f), s4 = _mm512_set1_ps(4.0f), s5 = _mm512_set1_ps(5.0f);
    __m512 s6 = _mm512_set1_ps(6.0f), s7 = _mm512_set1_ps(7.0f), s8 = _mm512_set1_ps(8.0f);
    __m512 s9 = _mm512_set1_ps(9.0f), s10 = _mm512_set1_ps(10.0f), s11 = _mm512_set1_ps(11.0f);
    for (int i = 0; i < PEAK_ROUNDS; i++) {
        s0 = _mm512_fmadd_ps(s0, a, b);
        s1 = _mm512_fmadd_ps(s1, a, b);
        s2 = _mm512_fmadd_ps(s2, a, b);
        s3 = _mm512_fmadd_ps(s3, a, b);
        s4 = _mm512_fmadd_ps(s4, a, b);
        s5 = _mm512_fmadd_ps(s5, a, b);
        s6 = _mm512_fmadd_ps(s6, a, b);
        s7 = _mm512_fmadd_ps(s7, a, b);
        s8 = _mm512_fmadd_ps(s8, a, b);
        s9 = _mm512_fmadd_ps(s9, a, b);
        s10 = _mm512_fmadd_ps(s10, a, b);
        s11 = _mm512_fmadd_ps(s11, a, b);
    }
    s0 = _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3));
    s4 = _mm512_add_ps(_mm512_add_ps(s4, s5), _mm512_add_ps(s6, s7));
    s8 = _mm512_add_ps(_mm512_add_ps(s8, s9), _mm512_add_ps(s10, s11));
    s0 = _mm512_add_ps(s0, _mm512_add_ps(s4, s8));
    return _mm512_reduce_add_ps(s0);
}

__attribute__((target("avx2,fma"))) static float fma_avx2(float seed) {
    __m256 a = _mm256_set1_ps(seed), b = _mm256_set1_ps(1e-6f);
    __m256 s0 = _mm256_set1_ps(0.0f), s1 = _mm256_set1_ps(1.0f), s2 = _mm256_set1_ps(2.0f);
    __m256 s3 = _mm256_set1_ps(3.0f), s4 = _mm256_set1_ps(4.0f), s5 = _mm256_set1_ps(5.0f);
    __m256 s6 = _mm256_set1_ps(6.0f), s7 = _mm256_set1_ps(7.0f), s8 = _mm256_set1_ps(8.0f);
    __m256 s9 = _mm256_set1_ps(9.0f), s10 = _mm256_set1_ps(10.0f), s11 = _mm256_set1_ps(11.0f);
    for (int i = 0; i < PEAK_ROUNDS; i++) {
        s0 = _mm256_fmadd_ps(s0, a, b);
        s1 = _mm256_fmadd_ps(s1, a, b);
        s2 = _mm256_fmadd_ps(s2, a, b);
        s3 = _mm256_fmadd_ps(s3, a, b);
        s4 = _mm256_fmadd_ps(s4, a, b);
        s5 = _mm256_fmadd_ps(s5, a, b);
        s6 = _mm256_fmadd_ps(s6, a, b);
        s7 = _mm256_fmadd_ps(s7, a, b);
        s8 = _mm256_fmadd_ps(s8, a, b);
        s9 = _mm256_fmadd_ps(s9, a, b);
        s10 = _mm256_fmadd_ps(s10, a, b);
        s11 = _mm256_fmadd_ps(s11, a, b);
    }
    s0 = _mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3));
    s4 = _mm256_add_ps(_mm256_add_ps(s4, s5), _mm256_add_ps(s6, s7));
    s8 = _mm256_add_ps(_mm256_add_ps(s8, s9), _mm256_add_ps(s10, s11));
    s0 = _mm256_add_ps(s0, _mm256_add_ps(s4, s8));
    float lanes[8], total = 0;
    _mm256_storeu_ps(lanes, s0);
    for (int i = 0; i < 8; i++) {
        total += lanes[i];
    }
    return total;
}

// Dot products of bf16 pairs, accumulated in fp32: four operations per lane.
__attribute__((target("avx512f,avx512bf16"))) static float dot_bf16(float seed) {
    __m512 factor = _mm512_set1_ps(seed);
    __m512bh a = _mm512_cvtne2ps_pbh(factor, factor);
    __m512 s[CHAINS];
    for (int c = 0; c < CHAINS; c++) {
        s[c] = _mm512_set1_ps((float)c);
    }
    for (int i = 0; i < PEAK_ROUNDS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) {
            s[c] = _mm512_dpbf16_ps(s[c], a, a);
        }
    }
    float sum = 0;
    for (int c = 0; c < CHAINS; c++) {
        sum += _mm512_reduce_add_ps(s[c]);
    }
    return sum;
}

struct peak {
    float (*kernel)(float);
    int operations;              // per instruction
    volatile float seed, result; // prevent constant folding and dead-code elimination
};

static void peak_step(void *state) {
    struct peak *p = state;
    p->result = p->kernel(p->seed);
}

static double peak_run(struct bench_case *c, double seconds) {
    struct peak *p = c->state;
    return bench_repeat_cpu(peak_step, p, (double)PEAK_ROUNDS * CHAINS * p->operations / 1e9,
                            seconds);
}

static struct bench_case *add_peak(struct bench *b, const char *name, const char *what,
                                   float (*kernel)(float), int operations) {
    struct bench_case *c = bench_add(b, name, "GFLOP/s");
    struct peak *p = xcalloc(1, sizeof(*p));
    *p = (struct peak){kernel, operations, .seed = 0.999999f};
    c->run = peak_run;
    c->state = p;
    c->close = free;
    snprintf(c->what, sizeof(c->what), "multiply-adds from registers, one core (%s)", what);
    snprintf(c->note, sizeof(c->note), "limit of the arithmetic below");
    return c;
}

static int add_fma(struct bench *b) {
    if (cpu_vectors() >= CPU_VECTORS_AVX512) {
        return bench_index(b, add_peak(b, "fma_peak", "AVX-512", fma_avx512, 2 * 16));
    }
    if (cpu_vectors() >= CPU_VECTORS_AVX2) {
        return bench_index(b, add_peak(b, "fma_peak", "AVX2", fma_avx2, 2 * 8));
    }
    return BENCH_NO_LIMIT;
}

int bench_add_peak_bf16(struct bench *b) {
    if (!cpu_has_bf16()) {
        return BENCH_NO_LIMIT;
    }
    return bench_index(b, add_peak(b, "bf16_peak", "bf16, sums in fp32", dot_bf16, 4 * 16));
}
#else
static int add_fma(struct bench *b) {
    (void)b;
    return BENCH_NO_LIMIT;
}

int bench_add_peak_bf16(struct bench *b) {
    return add_fma(b);
}
#endif

// The product of a hidden layer.
struct gemm {
    float W[GEMM_DIM * GEMM_DIM], x[GEMM_DIM * GEMM_DIM], y[GEMM_DIM * GEMM_DIM];
};

static void gemm_step(void *state) {
    struct gemm *g = state;
    const struct gemm_shape shape = {GEMM_DIM, GEMM_DIM, GEMM_DIM};
    gemm_forward(g->y, g->W, g->x, NULL, false, shape, GEMM_F32);
}

static double gemm_run(struct bench_case *c, double seconds) {
    double gflop = 2.0 * GEMM_DIM * GEMM_DIM * GEMM_DIM / 1e9;
    return bench_repeat_cpu(gemm_step, c->state, gflop, seconds);
}

int bench_add_peak(struct bench *b) {
    int peak = add_fma(b);
    struct bench_case *c = bench_add(b, "sgemm_256", "GFLOP/s");
    struct gemm *g = (struct gemm *)xfloats(sizeof(*g) / sizeof(float));
    struct rng rng = rng_make(1, RNG_BENCH, 0);
    rng_fill_normal(&rng, g->W, GEMM_DIM * GEMM_DIM);
    rng_fill_normal(&rng, g->x, GEMM_DIM * GEMM_DIM);
    c->run = gemm_run;
    c->state = g;
    c->close = free;
    c->limit = peak;
    c->cost = 1;
    snprintf(c->what, sizeof(c->what), "matrix products 256 x 256 x 256, one core (%s)",
             gemm_name());
    snprintf(c->note, sizeof(c->note), "%s",
             peak == BENCH_NO_LIMIT ? "no limit: this processor's peak is not measured"
                                    : "limit: multiply-adds from registers");
    return peak;
}
