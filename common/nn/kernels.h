// SPDX-License-Identifier: MIT
// Tables of SIMD kernels, one per instruction set, and the selection among them at start-up.
//
// elementwise_kernels.c, adam_kernels.c and rng_bulk_kernels.c are compiled once per instruction
// set. The functions of elementwise.h, adam.h and rng_bulk.h call through the selected tables;
// their comments specify the members. (Matrix products select separately, see gemm.h.)
#ifndef SPUR_COMMON_NN_KERNELS_H
#define SPUR_COMMON_NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elementwise_kernels {
    void (*exp)(float *, const float *, size_t);
    void (*tanh)(float *, const float *, size_t);
    void (*softplus)(float *, float *, const float *, size_t);
    void (*bias)(float *, const float *, int, int);
    void (*bias_relu)(float *, const float *, int, int);
    void (*bias_silu)(float *, float *, const float *, int, int);
    void (*relu_backward)(float *, const float *, int, int);
    void (*slope_backward)(float *, const float *, int, int);
    void (*layer_norm)(float *, float *, int, int, float);
    void (*layer_norm_backward)(float *, const float *, const float *, const float *, int, int);
    void (*sums)(float *, const float *, const float *, int, int);
    void (*dots)(float *, const float *, const float *, int, int);
    int (*keep)(float *, const float *, const float *, int, int);
};

// Coefficients of one Adam step, in float.
struct adam_coefficients {
    float beta1, beta2;
    float one_minus_beta1, one_minus_beta2;
    float step_size;         // learning rate / (1 - beta1^t)
    float rsqrt_correction2; // 1 / sqrt(1 - beta2^t)
    float epsilon, decay;
};

struct adam_kernels {
    void (*step)(float *p, float *m, float *v, const float *g, size_t n,
                 const struct adam_coefficients *);
    void (*polyak_step)(float *p, float *m, float *v, float *target, const float *g, size_t n,
                        const struct adam_coefficients *, float tau);
};

struct rng_bulk_kernels {
    void (*blocks)(uint32_t *, uint64_t, uint64_t, const uint64_t *, size_t);
    void (*normals)(float *, const uint32_t *, size_t);
};

struct kernels {
    const char *isa; // "avx512", "avx2" or "baseline"
    const struct elementwise_kernels *elementwise;
    const struct adam_kernels *adam;
    const struct rng_bulk_kernels *rng_bulk;
};

// The selected tables: before main(), the best that the processor supports.
const struct kernels *kernels(void);

// Selects by name, for tests. Returns false, and changes nothing, if this processor or build lacks
// the instruction set. No other thread may be computing.
bool kernels_use(const char *isa);

extern const struct elementwise_kernels elementwise_kernels_baseline, elementwise_kernels_avx2,
    elementwise_kernels_avx512;
extern const struct adam_kernels adam_kernels_baseline, adam_kernels_avx2, adam_kernels_avx512;
extern const struct rng_bulk_kernels rng_bulk_kernels_baseline, rng_bulk_kernels_avx2,
    rng_bulk_kernels_avx512;

#endif
