// SPDX-License-Identifier: MIT
// Shows that the three products are correct, by plain loops before OpenBLAS is loaded
// and by OpenBLAS after; that concurrent calls from several threads give the bits of
// one thread, that OpenBLAS never starts threads, whatever the environment, and that
// slow kernels forced by the environment are detected. The last two run this program
// again in another environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/nn/blas.h"

static char *program;

enum { M = 9, N = 7, K = 33, SIDE = 256, THREADS = 4, ROUNDS = 20 };

static void products(void **state) {
    (void)state;
    float a[M * K], b[K * N], at[K * M], bt[N * K], c[3][M * N];
    struct rng rng = rng_make(1, RNG_TEST, 20);
    rng_fill_normal(&rng, a, M * K);
    rng_fill_normal(&rng, b, K * N);
    for (int k = 0; k < K; k++) {
        for (int i = 0; i < M; i++) {
            at[k * M + i] = a[i * K + k];
        }
        for (int j = 0; j < N; j++) {
            bt[j * K + k] = b[k * N + j];
        }
    }
    for (int i = 0; i < 3 * M * N; i++) {
        c[i / (M * N)][i % (M * N)] = NAN; // not read
    }
    // In two parts of K; the second is added.
    blas_gemm_nt(c[0], N, a, K, bt, K, M, N, 20, false);
    blas_gemm_nt(c[0], N, a + 20, K, bt + 20, K, M, N, K - 20, true);
    blas_gemm_nn(c[1], N, a, K, b, N, M, N, K);
    blas_gemm_tn(c[2], N, at, M, b, N, M, N, K);
    for (int i = 0; i < M * N; i++) {
        double sum = 0;
        for (int k = 0; k < K; k++) {
            sum += (double)a[i / N * K + k] * (double)b[k * N + i % N];
        }
        for (int way = 0; way < 3; way++) {
            assert_true(fabs(c[way][i] - sum) < 1e-5);
        }
    }
}

static void products_by_loops(void **state) {
    char line[512];
    if (*blas_core()) {
        skip(); // loaded already: this processor has no kernels of our own
    }
    products(state);
    assert_true(blas_core_is_slow(line, sizeof(line)));
    assert_non_null(strstr(line, "install"));
}

static void products_by_openblas(void **state) {
    char err[512];
    assert_int_equal(blas_load(err, sizeof(err)), 0);
    assert_string_not_equal(blas_core(), "");
    products(state);
}

struct job {
    const float *a, *b, *expected;
    int differences;
};

static void *multiply(void *arg) {
    struct job *job = arg;
    float *c = malloc(sizeof(float) * SIDE * SIDE);
    for (int i = 0; i < ROUNDS; i++) {
        blas_gemm_nt(c, SIDE, job->a, SIDE, job->b, SIDE, SIDE, SIDE, SIDE, false);
        job->differences += memcmp(c, job->expected, sizeof(float) * SIDE * SIDE) != 0;
    }
    free(c);
    return NULL;
}

static void several_threads_same_bits(void **state) {
    (void)state;
    float *a = malloc(sizeof(float) * SIDE * SIDE), *b = malloc(sizeof(float) * SIDE * SIDE);
    float *c = malloc(sizeof(float) * SIDE * SIDE);
    struct rng rng = rng_make(2, RNG_TEST, 21);
    rng_fill_normal(&rng, a, SIDE * SIDE);
    rng_fill_normal(&rng, b, SIDE * SIDE);
    blas_gemm_nt(c, SIDE, a, SIDE, b, SIDE, SIDE, SIDE, SIDE, false);
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){.a = a, .b = b, .expected = c};
        assert_int_equal(pthread_create(&threads[i], NULL, multiply, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].differences, 0);
    }
    free(a);
    free(b);
    free(c);
}

// Runs this program with OPENBLAS_CORETYPE set to core, and returns its report of
// kernels and threads.
static void ask(char *out, size_t out_len, const char *core) {
    char command[512];
    snprintf(command, sizeof(command), "OPENBLAS_NUM_THREADS=4 OPENBLAS_CORETYPE=%s '%s' report",
             core, program);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, out_len - 1, f);
    out[n] = '\0';
    assert_int_equal(pclose(f), 0);
}

static void the_environment_is_noticed(void **state) {
    (void)state;
#if defined(__x86_64__)
    char out[512];
    __builtin_cpu_init();
    ask(out, sizeof(out), "Nehalem");
    assert_non_null(strstr(out, "core Nehalem, threads 1:"));
#if !defined(__SANITIZE_THREAD__) // it has a thread of its own
    assert_non_null(strstr(out, "tasks 1,"));
#endif
    assert_non_null(strstr(out, "OPENBLAS_NUM_THREADS=4")); // as it was, for child processes
    if (__builtin_cpu_supports("avx2")) {
        assert_non_null(strstr(out, "OPENBLAS_CORETYPE=Nehalem"));
        assert_non_null(strstr(out, "unset it"));
    }
    ask(out, sizeof(out), "Haswell");
    if (__builtin_cpu_supports("avx2") && !__builtin_cpu_supports("avx512f")) {
        assert_null(strstr(out, "unset it")); // the best kernels of this processor
    }
#else
    skip();
#endif
}

// Threads of this process, used or not.
static int tasks(void) {
    DIR *folder = opendir("/proc/self/task");
    int n = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        n += entry->d_name[0] != '.';
    }
    if (folder) {
        closedir(folder);
    }
    return n;
}

static int report(void) {
    char line[512] = "fine";
    if (blas_load(line, sizeof(line)) < 0) {
        fprintf(stderr, "%s\n", line);
        return 1;
    }
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD);
    void *address = library ? dlsym(library, "openblas_get_num_threads") : NULL;
    int (*threads)(void) = NULL;
    memcpy(&threads, &address, sizeof(address));
    blas_core_is_slow(line, sizeof(line));
    printf("core %s, threads %d: %s\ntasks %d, OPENBLAS_NUM_THREADS=%s\n", blas_core(),
           threads ? threads() : -1, line, tasks(), getenv("OPENBLAS_NUM_THREADS"));
    return 0;
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc > 1) {
        return report();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_by_loops), // first
        cmocka_unit_test(products_by_openblas),
        cmocka_unit_test(several_threads_same_bits),
        cmocka_unit_test(the_environment_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
