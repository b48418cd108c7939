// SPDX-License-Identifier: MIT
// What gemm.c chooses from: one table of products a variant. The members are the
// functions of gemm.h, and the transposition that the two between rows and strips are made of:
// to (columns, rows) = from (rows, columns)^T, with to_ld and from_ld numbers from one
// row of each to the next. The variants of our own are made by compiling
// gemm_kernels.c once for each.
#ifndef SPUR_COMMON_NN_GEMM_TABLE_H
#define SPUR_COMMON_NN_GEMM_TABLE_H

#include "common/nn/gemm.h"

struct gemm_table {
    enum compute_kernels kernels;
    void (*forward)(float *y, const float *W, const float *x, const float *b, bool relu,
                    struct gemm_shape);
    void (*back)(float *dx, const float *W, const float *dz, enum gemm_epilogue gate,
                 const float *g, struct gemm_shape);
    void (*weights)(float *dW, const float *dz, const float *x, struct gemm_shape);
    void (*transpose)(float *to, int to_ld, const float *from, int from_ld, int rows, int columns);
};

extern const struct gemm_table gemm_openblas;
extern const struct gemm_table gemm_avx2;
extern const struct gemm_table gemm_avx512;
extern const struct gemm_table gemm_bf16;

#endif
