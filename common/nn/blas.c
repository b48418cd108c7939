// SPDX-License-Identifier: MIT
// The only file that includes cblas.h.
#include "common/nn/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/host.h"
#include "common/base/library.h"
#include "common/base/rlimits.h"
#include "common/nn/cpu.h"

// clang-format off
#define BLAS_SYMBOLS(X)                                                                            \
    X(cblas_sgemm)                                                                                 \
    X(openblas_get_corename)                                                                       \
    X(openblas_set_num_threads)
// clang-format on

static struct blas_library {
    BLAS_SYMBOLS(LIBRARY_POINTER)
} blas; // all NULL: not loaded, plain loops compute the products

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char load_error[512];
static const char threads_variable[] = "OPENBLAS_NUM_THREADS";

// OpenBLAS allocates a buffer for each product that runs at the same time, keeps it, and loops for
// ever where that fails. Under a limit of address space, buffers are allocated when it is loaded,
// and no more products run at a time.
enum { LOAD_BYTES = 64 << 20, BUFFER_BYTES = 128 << 20, BUFFERS_MAX = 64 };
void *blas_memory_alloc(int position); // declared by no header of OpenBLAS
void blas_memory_free(void *buffer);
static struct pool_library {
    LIBRARY_POINTER(blas_memory_alloc)
    LIBRARY_POINTER(blas_memory_free)
} pool;
static bool buffers_limited;
static sem_t buffers; // free ones, if limited

// Allocates buffers from at most a quarter of the address space, but one. Returns their number.
static int allocate_buffers(uint64_t address_space) {
    void *buffer[BUFFERS_MAX];
    int n = 0, cores = host_cores();
    uint64_t affordable = address_space / 4 / BUFFER_BYTES;
    int wanted = affordable < 1 ? 1 : affordable > BUFFERS_MAX ? BUFFERS_MAX : (int)affordable;
    wanted = wanted < cores + 1 ? wanted : cores + 1;
    while (n < wanted && rlimits_check(0, 0, BUFFER_BYTES, load_error, sizeof(load_error)) == 0) {
        buffer[n++] = pool.blas_memory_alloc(0);
    }
    for (int i = 0; i < n; i++) {
        pool.blas_memory_free(buffer[i]);
    }
    return n;
}

// False: the library cannot be used under this limit.
static bool limit_buffers(const char *const files[]) {
    static const struct library_symbol symbols[] = {
        LIBRARY_ROW(pool_library, blas_memory_alloc) LIBRARY_ROW(pool_library, blas_memory_free)};
    uint64_t limit = rlimits_address_space();
    if (limit == UINT64_MAX) {
        return true;
    }
    if (library_load(&pool, symbols, 2, files, load_error, sizeof(load_error)) != 0) {
        return false;
    }
    int n = allocate_buffers(limit);
    buffers_limited = n > 0 && sem_init(&buffers, 0, (unsigned)n) == 0;
    return buffers_limited;
}

static void begin_product(void) {
    while (buffers_limited && sem_wait(&buffers) != 0) {
    } // interrupted by a signal
}

static void end_product(void) {
    if (buffers_limited) {
        sem_post(&buffers);
    }
}

static void load(void) {
    static const struct library_symbol symbols[] = {
#define ROW(symbol) LIBRARY_ROW(blas_library, symbol)
        BLAS_SYMBOLS(ROW)
#undef ROW
    };
    static const char *const files[] = {"libopenblas.so.0", "libopenblas.so", NULL};
    if (rlimits_check(0, 0, LOAD_BYTES, load_error, sizeof(load_error)) != 0) {
        return;
    }
    // Products of these sizes take tens of microseconds: dispatching them to OpenBLAS's own
    // threads costs more than it saves and takes cores away from other workers. OpenBLAS starts
    // its threads when it is loaded, and reads the variable then.
    char *before = getenv(threads_variable);
    before = before ? xstrdup(before) : NULL;
    setenv(threads_variable, "1", 1);
    if (library_load(&blas, symbols, sizeof(symbols) / sizeof(symbols[0]), files, load_error,
                     sizeof(load_error)) == 0) {
        blas.openblas_set_num_threads(1);
        if (!limit_buffers(files)) {
            blas = (struct blas_library){0};
        }
    }
    if (before) {
        setenv(threads_variable, before, 1);
        free(before);
    } else {
        unsetenv(threads_variable);
    }
}

int blas_load(char *err, size_t err_len) {
    pthread_once(&once, load);
    if (blas.cblas_sgemm) {
        return 0;
    }
    snprintf(err, err_len, "%s", load_error);
    return -1;
}

// C (M, N) = A (M, K) B (K, N); row and col are A's strides in floats.
static void loop_columns(float *C, int ldc, const float *A, int row, int col, const float *B,
                         int ldb, int M, int N, int K) {
    for (int m = 0; m < M; m++) {
        float *c = C + (size_t)m * (size_t)ldc;
        memset(c, 0, (size_t)N * sizeof(float));
        for (int k = 0; k < K; k++) {
            const float a = A[(size_t)m * (size_t)row + (size_t)k * (size_t)col];
            const float *b = B + (size_t)k * (size_t)ldb;
            for (int n = 0; n < N; n++) {
                c[n] += a * b[n];
            }
        }
    }
}

void blas_gemm_nt(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K, bool add) {
    if (blas.cblas_sgemm) {
        begin_product();
        blas.cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1.0f, A, lda, B, ldb,
                         add ? 1.0f : 0.0f, C, ldc);
        end_product();
        return;
    }
    for (int m = 0; m < M; m++) {
        const float *a = A + (size_t)m * (size_t)lda;
        for (int n = 0; n < N; n++) {
            const float *b = B + (size_t)n * (size_t)ldb;
            float *c = C + (size_t)m * (size_t)ldc + n;
            float sum = add ? *c : 0.0f;
            for (int k = 0; k < K; k++) {
                sum += a[k] * b[k];
            }
            *c = sum;
        }
    }
}

void blas_gemm_nn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K) {
    if (blas.cblas_sgemm) {
        begin_product();
        blas.cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, N, K, 1.0f, A, lda, B, ldb,
                         0.0f, C, ldc);
        end_product();
        return;
    }
    loop_columns(C, ldc, A, lda, 1, B, ldb, M, N, K);
}

void blas_gemm_tn(float *C, int ldc, const float *A, int lda, const float *B, int ldb, int M, int N,
                  int K) {
    if (blas.cblas_sgemm) {
        begin_product();
        blas.cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, M, N, K, 1.0f, A, lda, B, ldb,
                         0.0f, C, ldc);
        end_product();
        return;
    }
    loop_columns(C, ldc, A, 1, lda, B, ldb, M, N, K);
}

const char *blas_core(void) {
    return blas.cblas_sgemm ? blas.openblas_get_corename() : "";
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

static bool core_is_slow(char *out, size_t out_len) {
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

static bool core_is_slow(char *out, size_t out_len) {
    (void)out;
    (void)out_len;
    return false; // the ranking above is for x86
}

#endif

bool blas_core_is_slow(char *out, size_t out_len) {
    if (blas.cblas_sgemm) {
        return core_is_slow(out, out_len);
    }
    snprintf(out, out_len,
             "matrix products are done by plain loops, several times slower than OpenBLAS: install "
             "it (Debian: libopenblas0)");
    return true;
}
