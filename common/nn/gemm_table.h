// SPDX-License-Identifier: MIT
// What gemm.c chooses from: one table of products a variant. The members are the
// functions of gemm.h. The variants of our own are made by compiling
// gemm_kernels.c once for each.
#ifndef SPUR_COMMON_NN_GEMM_TABLE_H
#define SPUR_COMMON_NN_GEMM_TABLE_H

#include "common/nn/gemm.h"

struct gemm_table {
    enum compute_kernels kernels;
    void (*pack)(float *, const float *, int, int); // NULL: nothing to be gained
    // y, x, W, packed, b, B, out, in, relu
    void (*forward)(float *, const float *, const float *, const float *, const float *, int, int,
                    int, bool);
    void (*back)(float *, float *, const float *, const float *, const float *, int, int, int);
    void (*weights)(float *, const float *, const float *, int, int, int);
};

extern const struct gemm_table gemm_openblas;
extern const struct gemm_table gemm_avx2;
extern const struct gemm_table gemm_avx512;
extern const struct gemm_table gemm_bf16;

#endif
