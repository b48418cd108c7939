// SPDX-License-Identifier: MIT
// What vector.c chooses from: one table of kernels a variant, made by compiling
// vector_kernels.c again. The members are the functions of vector.h.
#ifndef SPUR_COMMON_NN_ELEMENTWISE_TABLE_H
#define SPUR_COMMON_NN_ELEMENTWISE_TABLE_H

#include "common/nn/elementwise.h"

struct elementwise_table {
    const char *isa;
    void (*exp)(float *, const float *, size_t);
    void (*tanh)(float *, const float *, size_t);
    void (*softplus)(float *, float *, const float *, size_t);
    void (*bias)(float *, const float *, int, int);
    void (*bias_relu)(float *, const float *, int, int);
    void (*bias_silu)(float *, float *, const float *, int, int);
    void (*relu_backward)(float *, const float *, int, int);
    void (*slope_backward)(float *, const float *, int, int);
    void (*sums)(float *, const float *, const float *, int, int);
    void (*dots)(float *, const float *, const float *, int, int);
    int (*keep)(float *, const float *, const float *, int, int);
    void (*adam_step)(float *, float *, float *, const float *, size_t,
                      const struct elementwise_adam *);
    void (*adam_polyak_step)(float *, float *, float *, float *, const float *, size_t,
                             const struct elementwise_adam *, float);
    void (*philox)(uint32_t *, uint64_t, uint64_t, const uint64_t *, size_t);
    void (*normals)(float *, const uint32_t *, size_t);
};

extern const struct elementwise_table elementwise_baseline;
extern const struct elementwise_table elementwise_avx2;
extern const struct elementwise_table elementwise_avx512;

#endif
