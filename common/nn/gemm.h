// SPDX-License-Identifier: MIT
// The three matrix products of a layer, with what stands next to them done while
// the numbers are still in registers.
//
// Which code does them is chosen before main() runs, by the processor: kernels of
// our own for AVX-512 and AVX2, and OpenBLAS everywhere else. All of them may be
// called from any number of threads at once and stay on the caller's.
//
// In our own kernels an entry of a product is one chain of fused multiply-adds
// over k = 0, 1, ...: its bits depend on its row and its column and on nothing
// else, neither on how many rows there are nor on the width of the vectors.
//
// Where the processor has avx512_bf16 it may be chosen, but is not by itself, that
// products between hidden layers round their operands to bf16 (8 bits of
// significand): twice as many a second. Sums stay in float, one chain as above of
// two products a link, and what comes out is a float.
//
// Matrices are row-major and dense; what is written overlaps nothing else.
#ifndef SPUR_COMMON_NN_GEMM_H
#define SPUR_COMMON_NN_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"

// May a product's operands be rounded to bf16? Those of the first layer and of the
// last may not: what comes from outside and what leaves keeps its digits.
enum gemm_operands { GEMM_EXACT, GEMM_HIDDEN };

// Forward: y (B, out) = x (B, in) W (out, in)^T + b (out), then max(., 0) if relu.
// With b NULL the product alone, whatever relu says.
void gemm_forward(float *y, const float *x, const float *W, const float *b, int B, int out, int in,
                  bool relu, enum gemm_operands operands);
// For weights that stay the same over many products: our own kernels rearrange W
// each time, unless that has been done once. packed: gemm_packed_floats(out, in) that
// gemm_pack has filled from the same W for the same operands, under the kernels in
// use; or NULL. The same bits either way.
size_t gemm_packed_floats(int out, int in);
void gemm_pack(float *packed, const float *W, int out, int in, enum gemm_operands operands);
void gemm_forward_packed(float *y, const float *x, const float *W, const float *packed,
                         const float *b, int B, int out, int in, bool relu,
                         enum gemm_operands operands);
// Back to the input: dx (B, in) = dz (B, out) W (out, in). Where the input was a
// layer activated by ReLU, h (B, in) is what that layer gave, and dx becomes zero
// where h is not positive; the sum of dx's rows is then added to db (in), the
// gradient of that layer's bias. Either may be NULL; db only counts with h.
void gemm_back(float *dx, float *db, const float *dz, const float *W, const float *h, int B,
               int out, int in, enum gemm_operands operands);
// Back to the weights: dW (out, in) = dz (B, out)^T x (B, in).
void gemm_weights(float *dW, const float *dz, const float *x, int B, int out, int in,
                  enum gemm_operands operands);

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
