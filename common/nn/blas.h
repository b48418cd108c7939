// SPDX-License-Identifier: MIT
// Matrix products: the doorway to OpenBLAS, always on one thread.
//
// Spur runs one thread a worker and several workers a machine, so a product must
// stay on the thread that asks for it. OpenBLAS is told so before main() runs;
// after that these functions may be called from any number of threads at once.
// The result depends on the inputs and on the kernels chosen for this processor,
// on nothing else.
//
// All matrices are row-major; lda, ldb and ldc are the numbers from one row to the
// next. The two letters say how A and B are read: n as they stand, t transposed. C
// is overwritten, whatever it held, unless it is to be added to.
#ifndef SPUR_COMMON_NN_BLAS_H
#define SPUR_COMMON_NN_BLAS_H

#include <stdbool.h>
#include <stddef.h>

// C (M, N) = A (M, K) B (N, K)^T, or C + that
void blas_gemm_nt(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K, bool add);
// C (M, N) = A (M, K) B (K, N)
void blas_gemm_nn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K);
// C (M, N) = A (K, M)^T B (K, N)
void blas_gemm_tn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K);

// The kernels in use, for the line that a program prints at its start: "Zen".
const char *blas_core(void);
// True when those kernels are slower than this processor allows, which is nearly
// always OPENBLAS_CORETYPE set in the environment: out then says so in one line.
bool blas_core_is_slow(char *out, size_t out_len);

#endif
