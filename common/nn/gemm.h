// SPDX-License-Identifier: MIT
// The three matrix products of a layer, with what stands next to them done while
// the numbers are still in registers.
//
// Which code does them is chosen before main() runs, by the processor: kernels of
// our own for AVX-512 and AVX2, and OpenBLAS everywhere else. All of them may be
// called from any number of threads at once and stay on the caller's.
//
// What flows through a network lies in strips (strip.h). Weights W (out, in) are row-major,
// as everywhere else, and neither they nor activations have to be rearranged on the way
// forward and back.
//
// In our own kernels an entry of a product is one chain of fused multiply-adds
// over k = 0, 1, ...: its bits depend on its row and its column and on nothing
// else, neither on how large the batch is nor on the width of the vectors.
//
// Where the processor has avx512_bf16 it may be chosen, but is not by itself, that
// products between hidden layers round their operands to bf16 (8 bits of
// significand): twice as many a second. Sums stay in float, one chain as above of
// two products a link, and what comes out is a float.
//
// What is written overlaps nothing else. Of the last strip whole vectors are read and
// written; beyond that nothing is.
#ifndef SPUR_COMMON_NN_GEMM_H
#define SPUR_COMMON_NN_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"

// May a product's operands be rounded to bf16? Those of the first layer and of the
// last may not: what comes from outside and what leaves keeps its digits.
enum gemm_operands { GEMM_F32, GEMM_BF16_ALLOWED };

// A layer's shape, with B rows of the batch.
struct gemm_shape {
    int out, in;
    int B;
};

// Forward: y (out, B) = W x (in, B) + b (out), then max(., 0) if relu. With b NULL the
// product alone, whatever relu says.
void gemm_forward(float *y, const float *W, const float *x, const float *b, bool relu,
                  struct gemm_shape shape, enum gemm_operands operands);

// What the input's activation does to its gradient. GEMM_EPILOGUE_NONE: nothing.
// GEMM_EPILOGUE_RELU, for ReLU: zero where g is not positive, g (in, B) being what the activation
// gave. GEMM_EPILOGUE_SLOPE, for all others: times g (in, B), its slope.
enum gemm_epilogue { GEMM_EPILOGUE_NONE, GEMM_EPILOGUE_RELU, GEMM_EPILOGUE_SLOPE };

// Back to the input: dx (in, B) = W^T dz (out, B), and then through the gate; g is NULL
// where that is open.
void gemm_backward_data(float *dx, const float *W, const float *dz, enum gemm_epilogue gate,
                        const float *g, struct gemm_shape shape, enum gemm_operands operands);
// Back to the weights: dW (out, in) = dz (out, B) x (in, B)^T.
void gemm_backward_weights(float *dW, const float *dz, const float *x, struct gemm_shape shape,
                           enum gemm_operands operands);

// Between rows (B, n), one after the other, and strips x (n, B). What follows the last
// row in its strip becomes zero.
void gemm_from_rows(float *x, const float *rows, int n, int B);
void gemm_to_rows(float *rows, const float *x, int n, int B);

// Chooses; auto never means bf16. False when this processor or build has no such kernels, and
// nothing changes. Not while another thread computes.
bool gemm_use(enum compute_kernels kernels);
// What the processor must have for them, for the message that it has not.
const char *gemm_needs(enum compute_kernels kernels);
// For the start of a program: chooses or dies.
void gemm_start(enum compute_kernels kernels);
// What does the products, for the line that a program prints at its start:
// "AVX-512 kernels", "OpenBLAS Zen".
const char *gemm_name(void);
// True when products are slower than this processor allows: out then says why in
// one line.
bool gemm_is_slow(char *out, size_t out_len);

#endif
