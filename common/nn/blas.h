// SPDX-License-Identifier: MIT
// Matrix products by OpenBLAS, single-threaded; by plain loops where it is not installed.
//
// OpenBLAS is loaded on request, so that programs also run without it. Spur parallelises over
// workers, one thread each, so a product must stay on its calling thread: OpenBLAS is limited to
// one thread when it is loaded. After that these functions may be called from any number of threads
// at once. A result depends only on the inputs and on the kernels for this processor.
//
// Matrices are row-major; lda, ldb and ldc are row strides in floats. The two letters of a name
// are the operations on A and B: n as stored, t transposed. C is overwritten unless `add` is set.
#ifndef SPUR_COMMON_NN_BLAS_H
#define SPUR_COMMON_NN_BLAS_H

#include <stdbool.h>
#include <stddef.h>

// Loads OpenBLAS on the first call; returns 0, or -1 with the reason in err. No other thread may be
// computing.
int blas_load(char *err, size_t err_len);

// C (M, N) = A (M, K) B (N, K)^T, plus C if add
void blas_gemm_nt(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K, bool add);
// C (M, N) = A (M, K) B (K, N)
void blas_gemm_nn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K);
// C (M, N) = A (K, M)^T B (K, N)
void blas_gemm_tn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K);

// OpenBLAS's name of its kernels, for the start-up log: "Zen". "" if it is not loaded.
const char *blas_core(void);
// True if OpenBLAS is not loaded, or if its kernels use an older vector extension than the
// processor has, most often because OPENBLAS_CORETYPE is set in the environment. Writes the reason
// to out, in one line.
bool blas_core_is_slow(char *out, size_t out_len);

#endif
