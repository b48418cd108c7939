// SPDX-License-Identifier: MIT
// Reads golden.safetensors and compares results with it.
#include "tests/golden/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/nn/safetensors.h"

static struct safetensors *golden;

int golden_open(void **state) {
    (void)state;
    char path[4096], err[512];
    const char *root = getenv("SPUR_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/tests/golden/golden.safetensors", root ? root : ".");
    golden = safetensors_open(path, err, sizeof(err));
    if (!golden) {
        print_error("%s\n", err);
    }
    return golden ? 0 : -1;
}

int golden_close(void **state) {
    (void)state;
    safetensors_close(&golden);
    return 0;
}

void golden_copy(float *x, const char *name, size_t n) {
    char err[256];
    if (safetensors_copy_f32(golden, name, x, n, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
}

float *golden_input(const char *name, size_t n) {
    float *x = malloc(n * sizeof(float));
    golden_copy(x, name, n);
    return x;
}

static uint64_t count(const struct tensor *t) {
    uint64_t n = 1;
    for (int i = 0; i < t->dims; i++) {
        n *= t->shape[i];
    }
    return n;
}

const double *golden_answer(const char *name, size_t n) {
    const struct tensor *t = safetensors_find(golden, name);
    if (!t || t->type != TENSOR_F64 || count(t) != n) {
        fail_msg("golden.safetensors has no %s of %zu numbers", name, n);
        return NULL;
    }
    return t->data;
}

void golden_expect(const char *name, const float *got, size_t n, double tolerance) {
    const double *expected = golden_answer(name, n);
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - expected[i]);
        largest = fmax(largest, fabs(expected[i]));
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst <= tolerance * largest)) {
        fail_msg("%s[%zu] is %.9g, PyTorch says %.9g (largest %.3g)", name, at, (double)got[at],
                 expected[at], largest);
    }
    print_message("          %-24s error %.1e of the largest (allowed %.0e)\n", name,
                  worst / largest, tolerance);
}
