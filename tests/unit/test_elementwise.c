// SPDX-License-Identifier: MIT
// SIMD kernels (element-wise functions, Adam, bulk random numbers) in every variant that this
// processor runs.
//
// Functions have the accuracy stated in elementwise.h over the whole range of floats, compared with
// libm in double. Sums are correct for all lengths, values do not depend on their position, Adam
// flushes denormals, and bulk random numbers are those of rng.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/nn/elementwise.h"
#include "common/nn/kernels.h"
#include "common/nn/layout.h"
#include "common/nn/rng_bulk.h"

#define COUNT 200003 // odd: the last elements take the scalar path

static const char *const isas[] = {"baseline", "avx2", "avx512"};

// Runs check once per variant.
static void for_each_isa(void (*check)(void)) {
    const char *best = kernels()->isa;
    int run = 0;
    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
        if (kernels_use(isas[i])) {
            assert_string_equal(kernels()->isa, isas[i]);
            check();
            run++;
        } else {
            print_message("          (no %s here)\n", isas[i]);
        }
    }
    assert_true(run > 0);
    assert_true(kernels_use(best));
}

// Floats of all magnitudes and both signs, many of them in (-30, 30); limits and their neighbours
// first.
static float *all_floats(void) {
    static const float special[] = {
        0.0f,     -0.0f,   1e-45f,      -1e-45f,    1e-40f,      0x1p-126f,   -0x1p-126f,
        1e-20f,   0.625f,  0.62499994f, -0.625f,    0.34657359f, 86.9f,       87.1f,
        -86.9f,   -87.1f,  88.72283f,   88.722839f, 88.73f,      89.0f,       89.1f,
        -87.336f, -87.34f, -103.9f,     -103.98f,   -104.0f,     -105.0f,     1e4f,
        -1e4f,    3e38f,   -3e38f,      INFINITY,   -INFINITY,   16777216.0f,
    };
    struct rng rng = rng_make(1, RNG_TEST, 10);
    float *x = malloc(COUNT * sizeof(float));
    memcpy(x, special, sizeof(special));
    for (size_t i = sizeof(special) / sizeof(float); i < COUNT; i++) {
        uint32_t bits = rng_u32(&rng);
        memcpy(&x[i], &bits, sizeof(bits));
        if (i % 2 == 0 || isnan(x[i])) {
            x[i] = (float)rng_range(&rng, -30, 30);
        } else if (i % 3 == 0) {
            x[i] = (float)rng_range(&rng, -110, 95);
        }
    }
    return x;
}

static void close_to(const char *what, float x, float got, double expected, double relative,
                     double absolute) {
    bool same = (double)got == expected; // infinities
    if (expected > 3.4028235677973366e38) {
        same = isinf(got) && got > 0; // larger than any float
    }
    if (!same && !(fabs(got - expected) <= relative * fabs(expected) + absolute)) {
        fail_msg("%s of %.9g (%a) with %s: %.9g, expected %.17g", what, (double)x, (double)x,
                 kernels()->isa, (double)got, expected);
    }
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

// Below the smallest normal float two units of the last place.
#define DENORMAL_UNITS 2.81e-45

static void check_functions(void) {
    float *x = all_floats(), *y = malloc(COUNT * sizeof(float)), *z = malloc(COUNT * sizeof(float));
    elementwise_exp(y, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        double expected = exp((double)x[i]);
        // Right at the border of overflow either answer is within the tolerance.
        bool border = fabs(expected - 3.4028235e38) < 1e32;
        if (!border) {
            close_to("exp", x[i], y[i], expected, 3e-7, DENORMAL_UNITS);
        }
    }
    elementwise_tanh(y, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        close_to("tanh", x[i], y[i], tanh((double)x[i]), 1e-6, DENORMAL_UNITS);
        assert_true(fabsf(y[i]) <= 1.0f && !signbit(y[i]) == !signbit(x[i]));
    }
    elementwise_softplus(y, z, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        close_to("softplus", x[i], y[i], softplus((double)x[i]), 1e-6, DENORMAL_UNITS);
        close_to("sigmoid", x[i], z[i], sigmoid((double)x[i]), 1e-6, DENORMAL_UNITS);
    }
    float *alone = malloc(COUNT * sizeof(float));
    elementwise_softplus(alone, NULL, x, COUNT);
    assert_memory_equal(alone, y, COUNT * sizeof(float));
    free(alone);
    free(x);
    free(y);
    free(z);
}

static void check_silu(void) {
    const size_t whole = layout_floats(1, COUNT); // of one feature: a vector
    float *x = all_floats(), *y = calloc(whole, sizeof(float)), *z = calloc(whole, sizeof(float));
    const float bias[1] = {0};
    memcpy(y, x, COUNT * sizeof(float));
    elementwise_bias_silu(y, z, bias, 1, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        double v = (double)x[i], s = sigmoid(v);
        double expected = v == -INFINITY ? 0 : v * s;
        double slope = isinf(v) ? (v > 0) : s * (1 + v * (1 - s));
        close_to("SiLU", x[i], y[i], expected, 1e-6, 2e-36);
        if (v != INFINITY) {
            close_to("slope of SiLU", x[i], z[i], slope, 1e-6, 1e-6);
        }
    }
    memcpy(z, x, COUNT * sizeof(float));
    elementwise_bias_silu(z, NULL, bias, 1, COUNT);
    assert_memory_equal(y, z, COUNT * sizeof(float));
    free(x);
    free(y);
    free(z);
}

static void check_nan(void) {
    for (size_t n = 1; n <= 40; n++) {
        const float zero = 0;
        float x[2 * LAYOUT_ROWS], y[2 * LAYOUT_ROWS], z[2 * LAYOUT_ROWS];
        for (size_t i = 0; i < 2 * LAYOUT_ROWS; i++) {
            x[i] = i % 2 ? -NAN : NAN;
        }
        elementwise_exp(y, x, n);
        assert_true(isnan(y[0]) && isnan(y[n - 1]));
        elementwise_tanh(y, x, n);
        assert_true(isnan(y[0]) && isnan(y[n - 1]));
        elementwise_softplus(y, z, x, n);
        assert_true(isnan(y[0]) && isnan(y[n - 1]) && isnan(z[0]) && isnan(z[n - 1]));
        memcpy(y, x, sizeof(y));
        elementwise_bias_silu(y, z, &zero, 1, (int)n);
        assert_true(isnan(y[0]) && isnan(y[n - 1]) && isnan(z[0]) && isnan(z[n - 1]));
        memcpy(y, x, sizeof(y));
        elementwise_bias_relu(y, &zero, 1, (int)n);
        assert_true(isnan(y[0]) && isnan(y[n - 1]));
    }
}

// One value at every position of vectors of all lengths, and of matrices of up to five features:
// always the same bits.
static void check_places(void) {
    enum { LENGTH = 67, FEATURES = 5 };
    const float zero[FEATURES] = {0};
    float x[LENGTH], y[FEATURES * 3 * LAYOUT_ROWS], z[FEATURES * 3 * LAYOUT_ROWS], first[4] = {0};
    for (int n = 1; n <= LENGTH; n++) {
        int N = 1 + n % FEATURES;
        for (int i = 0; i < n; i++) {
            x[i] = -0.7853982f;
        }
        for (size_t i = 0; i < layout_floats(N, n); i++) {
            y[i] = x[0];
        }
        elementwise_bias_silu(y, z, zero, N, n);
        for (int k = 0; k < N * n; k++) {
            size_t at = layout_index(N, k / n, k % n);
            first[3] = n == 1 && k == 0 ? z[at] : first[3];
            assert_memory_equal(&z[at], &first[3], sizeof(float));
        }
        for (int f = 0; f < 3; f++) {
            if (f == 2) {
                elementwise_softplus(y, NULL, x, (size_t)n);
            } else {
                (f == 0 ? elementwise_exp : elementwise_tanh)(y, x, (size_t)n);
            }
            for (int i = 0; i < n; i++) {
                first[f] = n == 1 ? y[0] : first[f];
                assert_memory_equal(&y[i], &first[f], sizeof(float));
            }
        }
    }
}

enum { FEATURES = 5, ROWS = 70 }; // of the matrices below, at most
enum { MATRIX = FEATURES * 3 * LAYOUT_ROWS };

// Kernels on matrices with all numbers of rows, against plain loops in double. Padding is NaN,
// which must not matter.
static void check_rows(void) {
    float x[MATRIX], h[MATRIX], slope[MATRIX], w[ROWS], a[FEATURES], y[FEATURES];
    struct rng rng = rng_make(2, RNG_TEST, 11);
    rng_fill_normal(&rng, w, ROWS);
    rng_fill_normal(&rng, a, FEATURES);
    for (int B = 1; B <= ROWS; B++) {
        int N = 1 + B % FEATURES;
        for (int i = 0; i < MATRIX; i++) {
            x[i] = NAN;
        }
        for (int k = 0; k < N * B; k++) {
            rng_fill_normal(&rng, &x[layout_index(N, k / B, k % B)], 1);
        }
        x[0] = -a[0]; // the kink of a ReLU
        for (int weighted = 0; weighted < 2; weighted++) {
            elementwise_sums(y, x, weighted ? w : NULL, N, B);
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int i = 0; i < B; i++) {
                    sum += (double)x[layout_index(N, j, i)] * (weighted ? (double)w[i] : 1);
                }
                close_to("sum of a feature", 0, y[j], sum, 1e-6, 1e-5);
            }
        }
        for (int f = 0; f < 3; f++) {
            memcpy(h, x, sizeof(h));
            if (f == 0) {
                elementwise_bias(h, a, N, B);
            } else if (f == 1) {
                elementwise_bias_relu(h, a, N, B);
            } else {
                elementwise_bias_silu(h, slope, a, N, B);
            }
            for (int k = 0; k < N * B; k++) {
                size_t at = layout_index(N, k / B, k % B);
                float z = x[at] + a[k / B];
                if (f == 2) {
                    double s = sigmoid((double)z);
                    close_to("SiLU", z, h[at], (double)z * s, 1e-6, 1e-30);
                    close_to("slope", z, slope[at], s * (1 + (double)z * (1 - s)), 1e-6, 1e-6);
                } else {
                    assert_true(h[at] == (f == 0 ? z : fmaxf(z, 0)));
                }
            }
        }
    }
}

static void check_dots(void) {
    enum { M = 3, LENGTH = 70 };
    float A[M * LENGTH], x[LENGTH], y[M];
    struct rng rng = rng_make(5, RNG_TEST, 14);
    rng_fill_normal(&rng, A, M * LENGTH);
    rng_fill_normal(&rng, x, LENGTH);
    for (int n = 1; n <= LENGTH; n++) {
        elementwise_dots(y, A, x, M, n);
        for (int j = 0; j < M; j++) {
            double sum = 0;
            for (int i = 0; i < n; i++) {
                sum += (double)A[j * n + i] * (double)x[i];
            }
            close_to("dot product", 0, y[j], sum, 1e-6, 1e-5);
        }
    }
}

static void check_backward(void) {
    enum { N = 4, B = 37 };
    float h[MATRIX], dh[MATRIX], start[MATRIX];
    struct rng rng = rng_make(3, RNG_TEST, 12);
    rng_fill_normal(&rng, h, MATRIX);
    rng_fill_normal(&rng, start, MATRIX);
    h[3] = 0.0f; // a unit at zero is off
    for (int relu = 0; relu < 2; relu++) {
        memcpy(dh, start, sizeof(dh));
        (relu ? elementwise_relu_backward : elementwise_slope_backward)(dh, h, N, B);
        for (int k = 0; k < N * B; k++) {
            size_t at = layout_index(N, k / B, k % B);
            float expected = relu ? (h[at] > 0 ? start[at] : 0.0f) : start[at] * h[at];
            assert_true(dh[at] == expected);
        }
    }
}

// All numbers of rows, in place and to a lower address; rows kept at random, all or none.
static void check_keep(void) {
    enum { BEFORE = 3 * LAYOUT_ROWS };
    float from[MATRIX], keep[ROWS], room[BEFORE + MATRIX];
    struct rng rng = rng_make(4, RNG_TEST, 13);
    for (int B = 0; B <= ROWS; B++) {
        for (int way = 0; way < 4; way++) {
            int N = 1 + B % FEATURES, count = 0, kept[ROWS], before = way % 2 * BEFORE;
            rng_fill_normal(&rng, from, MATRIX);
            for (int i = 0; i < B; i++) {
                bool keeps = way == 2 || (way < 2 && rng_below(&rng, 3) > 0);
                keep[i] = keeps ? (i % 2 ? NAN : -1.0f) : 0.0f;
                if (keeps) {
                    kept[count++] = i;
                }
            }
            memcpy(room + before, from, sizeof(from));
            assert_int_equal(elementwise_keep(room, room + before, keep, N, B), count);
            for (int k = 0; k < N * count; k++) {
                float want = from[layout_index(N, k / count, kept[k % count])];
                assert_true(room[layout_index(N, k / count, k % count)] == want);
            }
            for (size_t i = layout_floats(N, B); i < MATRIX; i++) {
                assert_true(room[before + i] == from[i]);
            }
        }
    }
}

// Moments with zero gradient decay to zero and are never denormal.
static void check_adam_flushes(void) {
    float p[9], m[9], v[9], g[9] = {0};
    const struct adam_coefficients a = {.beta1 = 0.9f,
                                        .beta2 = 0.9f,
                                        .one_minus_beta1 = 0.1f,
                                        .one_minus_beta2 = 0.1f,
                                        .step_size = 1e-3f,
                                        .rsqrt_correction2 = 1.0f,
                                        .epsilon = 1e-8f};
    for (int i = 0; i < 9; i++) {
        p[i] = 1.0f;
        m[i] = i % 2 ? 1e-30f : -1e-30f;
        v[i] = 1e-30f;
    }
    for (int t = 0; t < 400; t++) {
        kernels()->adam->step(p, m, v, g, 9, &a);
        for (int i = 0; i < 9; i++) {
            assert_true(m[i] == 0 || fabsf(m[i]) >= 0x1p-126f);
            assert_true(v[i] == 0 || v[i] >= 0x1p-126f);
        }
    }
    assert_true(m[0] == 0 && m[8] == 0 && v[0] == 0 && v[8] == 0);
    g[8] = NAN;
    kernels()->adam->step(p, m, v, g, 9, &a);
    assert_true(isnan(p[8]) && isnan(m[8]) && isfinite(p[7]));
}

// The same words and, to the last place of a float, the same normals as from rng.h, also for the
// extreme words and at the boundaries of quadrants.
static void check_random(void) {
    enum { BLOCKS = 1003 };
    static const uint32_t special[] = {0,          1,          0x1fffffff, 0x20000000, 0x3fffffff,
                                       0x40000000, 0x5fffffff, 0x60000000, 0x7fffffff, 0x80000000,
                                       0x9fffffff, 0xa0000000, 0xc0000000, 0xdfffffff, 0xe0000000,
                                       0xfffffffe, 0xffffffff, 0xb504f332, 0xb504f333, 0xb504f334};
    enum { SPECIAL = sizeof(special) / sizeof(special[0]) };
    static uint64_t block[BLOCKS];
    static uint32_t words[4 * BLOCKS];
    static float got[4 * BLOCKS];
    struct rng rng = rng_make(UINT64_C(0x123456789abcdef), RNG_TEST, 77);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        block[i] = i * i + (i % 3 << 32);
    }
    rng_bulk_blocks(words, rng.seed, rng.stream, block, BLOCKS);
    rng_bulk_normals(got, words, 4 * BLOCKS);
    for (size_t i = 0; i < BLOCKS; i++) {
        uint32_t one[4];
        float normal[4];
        rng_block(one, rng.seed, rng.stream, block[i]);
        assert_memory_equal(words + 4 * i, one, sizeof(one));
        rng.index = 4 * block[i];
        rng_fill_normal(&rng, normal, 4);
        for (size_t j = 0; j < 4; j++) {
            close_to("normal", 0, got[4 * i + j], (double)normal[j], 1.2e-7, 0);
        }
    }
    for (size_t i = 0; i < SPECIAL * SPECIAL; i++) {
        words[2 * i] = special[i / SPECIAL];
        words[2 * i + 1] = special[i % SPECIAL];
    }
    rng_bulk_normals(got, words, 2 * SPECIAL * SPECIAL);
    for (size_t i = 0; i < SPECIAL * SPECIAL; i++) {
        double radius = sqrt(-2 * log((words[2 * i] + 1.0) * 0x1p-32));
        double angle = words[2 * i + 1] * (0x1p-31 * 3.14159265358979323846);
        // libm's angle is rounded, which matters near zeros of the cosine and the sine.
        close_to("normal", 0, got[2 * i], radius * cos(angle), 1e-7, 1e-14);
        close_to("normal", 0, got[2 * i + 1], radius * sin(angle), 1e-7, 1e-14);
    }
    rng_bulk_normals(got, words, 0);
    rng_bulk_blocks(words, 0, 0, block, 0);
}

static void random_numbers_are_the_streams(void **state) {
    (void)state;
    for_each_isa(check_random);
}

static void functions_are_accurate(void **state) {
    (void)state;
    for_each_isa(check_functions);
    for_each_isa(check_silu);
}

static void a_nan_stays_a_nan(void **state) {
    (void)state;
    for_each_isa(check_nan);
}

static void values_do_not_depend_on_their_place(void **state) {
    (void)state;
    for_each_isa(check_places);
}

static void rows_and_sums(void **state) {
    (void)state;
    for_each_isa(check_rows);
    for_each_isa(check_dots);
    for_each_isa(check_backward);
    for_each_isa(check_keep);
}

// Adam and Polyak averaging in one pass: parameters and moments have the bits of a plain step, and
// targets are the average.
static void check_adam_and_targets(void) {
    enum { N = 37 };
    const struct adam_coefficients a = {0.9f, 0.999f, 0.1f, 0.001f, 3e-4f, 1.5f, 1e-8f, 0};
    float p[2][N], m[2][N], v[2][N], g[N], target[N], before[N];
    struct rng rng = rng_make(3, RNG_TEST, 11);
    rng_fill_normal(&rng, g, N);
    rng_fill_normal(&rng, target, N);
    memcpy(before, target, sizeof(before));
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < N; i++) {
            p[k][i] = 0.1f * (float)i;
            m[k][i] = 0.01f * (float)(i - 20);
            v[k][i] = 0.02f * (float)i;
        }
    }
    kernels()->adam->step(p[0], m[0], v[0], g, N, &a);
    kernels()->adam->polyak_step(p[1], m[1], v[1], target, g, N, &a, 0.05f);
    assert_memory_equal(p[0], p[1], sizeof(p[0]));
    assert_memory_equal(m[0], m[1], sizeof(m[0]));
    assert_memory_equal(v[0], v[1], sizeof(v[0]));
    for (int i = 0; i < N; i++) {
        double want = 0.95 * (double)before[i] + 0.05 * (double)p[0][i];
        close_to("target", (double)i, target[i], want, 1e-6, 1e-6);
    }
}

static void adam_and_targets(void **state) {
    (void)state;
    for_each_isa(check_adam_and_targets);
}

static void adam_flushes_denormals(void **state) {
    (void)state;
    for_each_isa(check_adam_flushes);
}

static void unknown_variants_are_refused(void **state) {
    (void)state;
    const char *before = kernels()->isa;
    assert_false(kernels_use("mmx"));
    assert_string_equal(kernels()->isa, before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_accurate),
        cmocka_unit_test(a_nan_stays_a_nan),
        cmocka_unit_test(values_do_not_depend_on_their_place),
        cmocka_unit_test(rows_and_sums),
        cmocka_unit_test(adam_flushes_denormals),
        cmocka_unit_test(adam_and_targets),
        cmocka_unit_test(random_numbers_are_the_streams),
        cmocka_unit_test(unknown_variants_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
