// SPDX-License-Identifier: MIT
// Table of functions of one gemm implementation, from which gemm.c selects.
//
// The members implement the functions of gemm.h. transpose computes to (columns, rows) =
// from (rows, columns)^T with row strides to_ld and from_ld; gemm_from_rows and gemm_to_rows are
// built on it. The SIMD tables come from gemm_kernels.c, compiled once per instruction set.
#ifndef SPUR_COMMON_NN_GEMM_TABLE_H
#define SPUR_COMMON_NN_GEMM_TABLE_H

#include "common/nn/gemm.h"

struct gemm_table {
    enum compute_kernels kernels;
    void (*forward)(float *y, const float *W, const float *x, const float *b, bool relu,
                    struct gemm_shape);
    void (*backward_data)(float *dx, const float *W, const float *dz, enum gemm_epilogue epilogue,
                          const float *saved, struct gemm_shape);
    void (*backward_weights)(float *dW, const float *dz, const float *x, struct gemm_shape);
    void (*transpose)(float *to, int to_ld, const float *from, int from_ld, int rows, int columns);
};

extern const struct gemm_table gemm_openblas;
extern const struct gemm_table gemm_avx2;
extern const struct gemm_table gemm_avx512;
extern const struct gemm_table gemm_bf16;

#endif
