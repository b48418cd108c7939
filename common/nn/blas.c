// SPDX-License-Identifier: MIT
// The only file that includes cblas.h.
#include "common/nn/blas.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/cpu.h"

// Products of these sizes take tens of microseconds: dispatching them to OpenBLAS's own threads
// costs more than it saves and takes cores away from other workers.
__attribute__((constructor)) static void use_one_thread(void) {
    openblas_set_num_threads(1);
}

void blas_gemm_nt(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K, bool add) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1.0f, A, lda, B, ldb,
                add ? 1.0f : 0.0f, C, ldc);
}

void blas_gemm_nn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1.0f, A, lda, B, ldb, 0.0f, C,
                ldc);
}

void blas_gemm_tn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K) {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, M, N, K, 1.0f, A, lda, B, ldb, 0.0f, C,
                ldc);
}

const char *blas_core(void) {
    return openblas_get_corename();
}

#if defined(__x86_64__)

// The vector units that a core of OpenBLAS uses.
static enum cpu_vectors vectors_of_core(const char *core) {
    static const struct {
        const char *core;
        enum cpu_vectors vectors;
    } known[] = {
        {"Sandybridge", CPU_VECTORS_AVX},   {"Bulldozer", CPU_VECTORS_AVX},
        {"Piledriver", CPU_VECTORS_AVX},    {"Steamroller", CPU_VECTORS_AVX},
        {"Excavator", CPU_VECTORS_AVX2},    {"Haswell", CPU_VECTORS_AVX2},
        {"Zen", CPU_VECTORS_AVX2},          {"SkylakeX", CPU_VECTORS_AVX512},
        {"Cooperlake", CPU_VECTORS_AVX512}, {"SapphireRapids", CPU_VECTORS_AVX512},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcasecmp(known[i].core, core) == 0) {
            return known[i].vectors;
        }
    }
    return CPU_VECTORS_BASELINE;
}

bool blas_core_is_slow(char *out, size_t out_len) {
    static const char *const names[] = {"SSE", "AVX", "AVX2", "AVX-512"};
    enum cpu_vectors used = vectors_of_core(blas_core());
    enum cpu_vectors possible = cpu_vectors();
    if (used >= possible) {
        return false;
    }
    const char *forced = getenv("OPENBLAS_CORETYPE");
    if (forced) {
        snprintf(out, out_len,
                 "OPENBLAS_CORETYPE=%s makes matrix products use %s kernels (%s) although this "
                 "processor has %s: slower, up to twice; unset it",
                 forced, blas_core(), names[used], names[possible]);
    } else {
        snprintf(out, out_len,
                 "this OpenBLAS uses its %s kernels (%s) although this processor has %s: matrix "
                 "products are slower than they could be; a newer OpenBLAS may know the processor",
                 blas_core(), names[used], names[possible]);
    }
    return true;
}

#else

bool blas_core_is_slow(char *out, size_t out_len) {
    (void)out;
    (void)out_len;
    return false; // the ranking above is for x86
}

#endif
