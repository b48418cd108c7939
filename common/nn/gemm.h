// SPDX-License-Identifier: MIT
// The three matrix products of a fully connected layer, with fused epilogues: bias, activation and
// activation gradient are applied while the result is in registers.
//
// The implementation is chosen before main() runs, by processor: own kernels for AVX-512 and AVX2,
// OpenBLAS elsewhere, or plain loops if it is not installed. All functions run on the calling
// thread and may be called from any number of threads at once.
//
// Activations and their gradients have the blocked layout of layout.h, weights W (out, in) are
// row-major. No operand is rearranged between forward and backward pass.
//
// In the own kernels every entry of a product is one chain of fused multiply-adds over
// k = 0, 1, ...: its bits depend only on its row of A and its column of B, not on the batch size or
// the vector width.
//
// On processors with avx512_bf16, bf16 can be selected (it is never automatic): products between
// hidden layers round their operands to bf16 (8 significant bits), which doubles throughput. Sums
// and results stay float; one chain as above, two products per link.
//
// Outputs must not overlap inputs. Padding of the last block may be read and written, as layout.h
// allows; nothing else beyond the operands is accessed.
#ifndef SPUR_COMMON_NN_GEMM_H
#define SPUR_COMMON_NN_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"

// Whether bf16 kernels may round the operands. Not in the first and last layer: inputs and outputs
// of a network keep float precision.
enum gemm_operands { GEMM_F32, GEMM_BF16_ALLOWED };

// Shape of a layer, with B batch rows.
struct gemm_shape {
    int out, in;
    int B;
};

// Forward: y (out, B) = W x (in, B) + b (out), then max(y, 0) if relu. b may be NULL: then
// y = W x, and relu is ignored.
void gemm_forward(float *y, const float *W, const float *x, const float *b, bool relu,
                  struct gemm_shape shape, enum gemm_operands operands);

// Gradient of the activation that produced a layer's input, applied to dx. `saved` (in, B) comes
// from the forward pass:
//   GEMM_EPILOGUE_NONE   dx as is; saved is NULL
//   GEMM_EPILOGUE_RELU   dx = 0 where saved, the ReLU's output, is not positive
//   GEMM_EPILOGUE_SLOPE  dx *= saved, the activation's derivative
enum gemm_epilogue { GEMM_EPILOGUE_NONE, GEMM_EPILOGUE_RELU, GEMM_EPILOGUE_SLOPE };

// Gradient of the input: dx (in, B) = W^T dz (out, B), then the epilogue.
void gemm_backward_data(float *dx, const float *W, const float *dz, enum gemm_epilogue epilogue,
                        const float *saved, struct gemm_shape shape, enum gemm_operands operands);
// Gradient of the weights: dW (out, in) = dz (out, B) x (in, B)^T.
void gemm_backward_weights(float *dW, const float *dz, const float *x, struct gemm_shape shape,
                           enum gemm_operands operands);

// Convert between row-major (B, n) and the blocked layout x (n, B). gemm_from_rows zeroes the
// padding of the last block.
void gemm_from_rows(float *x, const float *rows, int n, int B);
void gemm_to_rows(float *rows, const float *x, int n, int B);

// Selects an implementation; COMPUTE_AUTO picks the fastest except bf16. Returns false, and changes
// nothing, if this processor or build lacks it. No other thread may be computing.
bool gemm_use(enum compute_kernels kernels);
// The reason of a false gemm_use, for error messages.
void gemm_missing(char *out, size_t out_len, enum compute_kernels kernels);
// gemm_use at the start of a program; dies if the kernels are missing.
void gemm_start(enum compute_kernels kernels);
// Name of the implementation in use, for the start-up log: "AVX-512 kernels", "OpenBLAS Zen",
// "plain loops".
const char *gemm_name(void);
// True if products are slower than this processor allows; writes the reason to out, in one line.
bool gemm_is_slow(char *out, size_t out_len);

#endif
