// SPDX-License-Identifier: MIT
// Matrix products of a layer: correct, within bounds and bitwise independent of the batch.
//
// Every variant that this processor runs is compared with sums in double, on random shapes and at
// the edges of vectors, tiles and blocks. Guard pages directly before or after each operand catch
// accesses out of bounds. In the own kernels a row has the same bits in every batch, and in every
// variant that does not round. bf16 is compared with sums over rounded operands, whose products
// are exact.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/nn/gemm.h"
#include "common/nn/layout.h"

static const enum compute_kernels all[] = {COMPUTE_OPENBLAS, COMPUTE_AVX2, COMPUTE_AVX512,
                                           COMPUTE_BF16};
enum { VARIANTS = sizeof(all) / sizeof(all[0]) };

// The variant under test rounds operands to bf16.
static bool rounds;

static bool use(enum compute_kernels kernels) {
    rounds = kernels == COMPUTE_BF16;
    return gemm_use(kernels);
}

// n floats between two inaccessible pages, adjacent to one of them.
struct guarded {
    char *pages;
    size_t bytes;
    float *at;
};

static struct guarded guarded(size_t n, bool at_end) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = n * sizeof(float);
    size_t inside = (bytes + page - 1) / page * page;
    struct guarded g = {.bytes = inside + 2 * page};
    g.pages = mmap(NULL, g.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.pages != MAP_FAILED);
    assert_int_equal(mprotect(g.pages + page, inside, PROT_READ | PROT_WRITE), 0);
    g.at = (float *)(g.pages + page + (at_end ? inside - bytes : 0));
    return g;
}

enum { X, WEIGHTS, BIAS, Y, DZ, DX, DW, OPERANDS };

// One layer's operands at one shape. x doubles as the previous layer's activations: about half of
// it is not positive. The padding of blocked operands is NaN, which must not matter.
struct layer {
    struct gemm_shape shape;
    int size[OPERANDS];
    struct guarded block[OPERANDS];
    float *at[OPERANDS];
};

static bool is_blocked(int operand) {
    return operand == X || operand == Y || operand == DZ || operand == DX;
}

static int features(const struct layer *l, int operand) {
    return operand == X || operand == DX ? l->shape.in : l->shape.out;
}

static struct layer layer(int B, int out, int in, bool at_end) {
    int over_in = (int)layout_floats(in, B), over_out = (int)layout_floats(out, B);
    struct layer l = {.shape = {.out = out, .in = in, .B = B},
                      .size = {[X] = over_in,
                               [WEIGHTS] = out * in,
                               [BIAS] = out,
                               [Y] = over_out,
                               [DZ] = over_out,
                               [DX] = over_in,
                               [DW] = out * in}};
    struct rng rng = rng_make((uint64_t)(B * 1000003 + out * 1009 + in), RNG_TEST, 30);
    for (int i = 0; i < OPERANDS; i++) {
        l.block[i] = guarded((size_t)l.size[i], at_end);
        l.at[i] = l.block[i].at;
        rng_fill_normal(&rng, l.at[i], (size_t)l.size[i]);
    }
    for (int i = 0; i < l.size[X]; i += 7) {
        l.at[X][i] = 0.0f; // the kink itself
    }
    for (int i = 0; i < OPERANDS; i++) {
        for (int j = 0; is_blocked(i) && j < features(&l, i); j++) {
            for (int row = B; row < layout_blocks(B) * LAYOUT_ROWS; row++) {
                l.at[i][layout_index(features(&l, i), j, row)] = NAN;
            }
        }
    }
    return l;
}

// Outputs are NaN before.
static void spoil(const struct layer *l, int operand) {
    for (int i = 0; i < l->size[operand]; i++) {
        l->at[operand][i] = NAN;
    }
}

// Feature j of row i.
static float value(const struct layer *l, int operand, int j, int i) {
    return l->at[operand][layout_index(features(l, operand), j, i)];
}

static void drop(struct layer *l) {
    for (int i = 0; i < OPERANDS; i++) {
        munmap(l->block[i].pages, l->block[i].bytes);
    }
}

// x as the product under test rounds it: bf16 keeps 8 bits of significand, to the
// nearest, ties to even.
static double operand(float x) {
    if (!rounds) {
        return (double)x;
    }
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof(bits));
    return (double)x;
}

static void expect(const struct layer *l, const char *what, float got, double sum, double scale) {
    // A sum of n rounded products is accurate to about sqrt(n) units of its terms.
    if (!(fabs((double)got - sum) <= 4e-7 * scale)) {
        fail_msg("%s, %s, out %d, in %d, B %d: %.9g, expected %.12g", gemm_name(), what,
                 l->shape.out, l->shape.in, l->shape.B, (double)got, sum);
    }
}

static void check_forward(const struct layer *l) {
    float *const *a = l->at;
    const struct gemm_shape s = l->shape;
    for (int way = 0; way < 3; way++) { // the product alone, with bias, with ReLU
        spoil(l, Y);
        gemm_forward(a[Y], a[WEIGHTS], a[X], way > 0 ? a[BIAS] : NULL, way == 2, s,
                     GEMM_BF16_ALLOWED);
        for (int j = 0; j < s.out; j++) {
            for (int i = 0; i < s.B; i++) {
                double sum = way > 0 ? (double)a[BIAS][j] : 0, scale = fabs(sum) + 1;
                for (int k = 0; k < s.in; k++) {
                    double term = operand(value(l, X, k, i)) * operand(a[WEIGHTS][j * s.in + k]);
                    sum += term;
                    scale += fabs(term);
                }
                sum = way == 2 && sum < 0 ? 0 : sum;
                expect(l, "forward", value(l, Y, j, i), sum, scale);
            }
        }
    }
}

static void check_backward_data(const struct layer *l) {
    float *const *a = l->at;
    const struct gemm_shape s = l->shape;
    for (int epilogue = GEMM_EPILOGUE_NONE; epilogue <= GEMM_EPILOGUE_SLOPE; epilogue++) {
        spoil(l, DX);
        gemm_backward_data(a[DX], a[WEIGHTS], a[DZ], (enum gemm_epilogue)epilogue,
                           epilogue == GEMM_EPILOGUE_NONE ? NULL : a[X], s, GEMM_BF16_ALLOWED);
        for (int j = 0; j < s.in; j++) {
            for (int i = 0; i < s.B; i++) {
                double sum = 0, scale = 1, g = (double)value(l, X, j, i);
                for (int k = 0; k < s.out; k++) {
                    double term = operand(value(l, DZ, k, i)) * operand(a[WEIGHTS][k * s.in + j]);
                    sum += term;
                    scale += fabs(term);
                }
                if (epilogue == GEMM_EPILOGUE_RELU && !(g > 0)) {
                    sum = 0;
                    assert_true(value(l, DX, j, i) == 0);
                }
                double factor = epilogue == GEMM_EPILOGUE_SLOPE ? g : 1;
                expect(l, "backward data", value(l, DX, j, i), factor * sum,
                       (1 + fabs(factor)) * scale);
            }
        }
    }
}

static void check_backward_weights(const struct layer *l) {
    float *const *a = l->at;
    const struct gemm_shape s = l->shape;
    spoil(l, DW);
    gemm_backward_weights(a[DW], a[DZ], a[X], s, GEMM_BF16_ALLOWED);
    for (int j = 0; j < s.out; j++) {
        for (int k = 0; k < s.in; k++) {
            double sum = 0, scale = 1;
            for (int i = 0; i < s.B; i++) {
                double term = operand(value(l, DZ, j, i)) * operand(value(l, X, k, i));
                sum += term;
                scale += fabs(term);
            }
            expect(l, "weights", a[DW][j * s.in + k], sum, scale);
        }
    }
}

// x (in, B) as rows (B, in) and back; padding after the last row becomes zero.
static void check_rows(const struct layer *l) {
    const struct gemm_shape s = l->shape;
    struct guarded rows = guarded((size_t)(s.B * s.in), true);
    gemm_to_rows(rows.at, l->at[X], s.in, s.B);
    spoil(l, DX);
    gemm_from_rows(l->at[DX], rows.at, s.in, s.B);
    for (int j = 0; j < s.in; j++) {
        for (int i = 0; i < layout_blocks(s.B) * LAYOUT_ROWS; i++) {
            assert_true(i >= s.B || rows.at[i * s.in + j] == value(l, X, j, i));
            assert_true(value(l, DX, j, i) == (i < s.B ? value(l, X, j, i) : 0));
        }
    }
    munmap(rows.pages, rows.bytes);
}

static void check_shape(int B, int out, int in) {
    for (int at_end = 0; at_end < 2; at_end++) {
        struct layer l = layer(B, out, in, at_end);
        check_forward(&l);
        check_backward_data(&l);
        check_backward_weights(&l);
        check_rows(&l);
        drop(&l);
    }
}

static void right_within_bounds(void **state) {
    (void)state;
    static const int edges[] = {1, 2, 3, 7, 14, 15, 16, 17, 31, 33};
    enum { EDGES = sizeof(edges) / sizeof(edges[0]) };
    static const int wide[][3] = {{255, 17, 3},  {3, 255, 17},  {17, 3, 255},  {128, 6, 256},
                                  {257, 24, 20}, {20, 24, 513}, {40, 300, 257}};
    for (int v = 0; v < VARIANTS; v++) {
        if (!use(all[v])) {
            print_message("          (variant %d: not on this processor)\n", v);
            continue;
        }
        for (int i = 0; i < EDGES * EDGES * EDGES; i++) {
            if (i % 3 == v % 3 || i < EDGES * EDGES) { // a different third for each variant
                check_shape(edges[i % EDGES], edges[i / EDGES % EDGES], edges[i / EDGES / EDGES]);
            }
        }
        for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
            check_shape(wide[i][0], wide[i][1], wide[i][2]);
        }
        struct rng rng = rng_make(31, RNG_TEST, 31);
        for (int i = 0; i < 30; i++) {
            check_shape(1 + (int)rng_below(&rng, 70), 1 + (int)rng_below(&rng, 70),
                        1 + (int)rng_below(&rng, 70));
        }
    }
    assert_true(use(COMPUTE_AUTO));
}

// The layer's rows from `first` on only.
static struct layer rows_of(const struct layer *l, int first, int B) {
    struct layer some = layer(B, l->shape.out, l->shape.in, true);
    for (int operand = 0; operand < OPERANDS; operand++) {
        for (int j = 0; is_blocked(operand) && j < features(l, operand); j++) {
            for (int i = 0; i < B; i++) {
                size_t at = layout_index(features(l, operand), j, i);
                some.at[operand][at] = value(l, operand, j, first + i);
            }
        }
    }
    memcpy(some.at[WEIGHTS], l->at[WEIGHTS], (size_t)l->size[WEIGHTS] * sizeof(float));
    memcpy(some.at[BIAS], l->at[BIAS], (size_t)l->size[BIAS] * sizeof(float));
    return some;
}

// Rows 10 to 19 of a batch of 50, within the batch and alone, in all own variants.
static void a_row_has_its_own_bits(void **state) {
    (void)state;
    enum { B = 50, OUT = 37, IN = 300, FIRST = 10, ROWS = 10 };
    struct layer l = layer(B, OUT, IN, true), some = rows_of(&l, FIRST, ROWS);
    float *const *a = l.at, *const *b = some.at;
    static float y[VARIANTS][OUT][B], dx[VARIANTS][IN][B], dw[VARIANTS][OUT * IN];
    int variants = 0, exact = 0; // exact variants come first
    for (int v = 0; v < VARIANTS; v++) {
        if (all[v] == COMPUTE_OPENBLAS || !use(all[v])) {
            continue;
        }
        gemm_forward(a[Y], a[WEIGHTS], a[X], a[BIAS], true, l.shape, GEMM_BF16_ALLOWED);
        gemm_forward(b[Y], b[WEIGHTS], b[X], b[BIAS], true, some.shape, GEMM_BF16_ALLOWED);
        gemm_backward_data(a[DX], a[WEIGHTS], a[DZ], GEMM_EPILOGUE_RELU, a[X], l.shape,
                           GEMM_BF16_ALLOWED);
        gemm_backward_data(b[DX], b[WEIGHTS], b[DZ], GEMM_EPILOGUE_RELU, b[X], some.shape,
                           GEMM_BF16_ALLOWED);
        gemm_backward_weights(dw[variants], a[DZ], a[X], l.shape, GEMM_BF16_ALLOWED);
        for (int j = 0; j < IN; j++) {
            for (int i = 0; i < B; i++) {
                dx[variants][j][i] = value(&l, DX, j, i);
                float own = i >= FIRST && i < FIRST + ROWS ? value(&some, DX, j, i - FIRST)
                                                           : dx[variants][j][i];
                assert_memory_equal(&own, &dx[variants][j][i], sizeof(own));
            }
        }
        for (int j = 0; j < OUT; j++) {
            for (int i = 0; i < B; i++) {
                y[variants][j][i] = value(&l, Y, j, i);
                float own = i >= FIRST && i < FIRST + ROWS ? value(&some, Y, j, i - FIRST)
                                                           : y[variants][j][i];
                assert_memory_equal(&own, &y[variants][j][i], sizeof(own));
            }
        }
        variants++;
        exact += !rounds;
    }
    for (int v = 1; v < exact; v++) {
        assert_memory_equal(y[0], y[v], sizeof(y[0]));
        assert_memory_equal(dx[0], dx[v], sizeof(dx[0]));
        assert_memory_equal(dw[0], dw[v], sizeof(dw[0]));
    }
    assert_true(use(COMPUTE_AUTO));
    drop(&some);
    drop(&l);
}

// Operands are rounded only where allowed and requested.
static void rounds_hidden_operands_alone(void **state) {
    (void)state;
    enum { B = LAYOUT_ROWS, OUT = 33, IN = 40 };
    struct layer l = layer(B, OUT, IN, true);
    float *const *a = l.at;
    static float full[B * OUT];
    assert_true(use(COMPUTE_AUTO));
    gemm_forward(full, a[WEIGHTS], a[X], NULL, false, l.shape, GEMM_BF16_ALLOWED);
    gemm_forward(a[Y], a[WEIGHTS], a[X], NULL, false, l.shape, GEMM_F32);
    assert_memory_equal(a[Y], full, sizeof(full));
    if (use(COMPUTE_BF16)) {
        gemm_forward(a[Y], a[WEIGHTS], a[X], NULL, false, l.shape, GEMM_F32);
        assert_memory_equal(a[Y], full, sizeof(full));
        gemm_forward(a[Y], a[WEIGHTS], a[X], NULL, false, l.shape, GEMM_BF16_ALLOWED);
        assert_memory_not_equal(a[Y], full, sizeof(full));
    }
    assert_true(use(COMPUTE_AUTO));
    drop(&l);
}

static void not_a_number_passes(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        if (use(all[v])) {
            float x[2 * LAYOUT_ROWS] = {0}, W[4] = {1.0f, 1.0f, 0.0f, 1.0f}, b[2] = {0},
                        y[2 * LAYOUT_ROWS];
            const struct gemm_shape shape = {.out = 2, .in = 2, .B = 1};
            x[0] = NAN;
            gemm_forward(y, W, x, b, true, shape, GEMM_BF16_ALLOWED);
            assert_true(isnan(y[0]) && isnan(y[LAYOUT_ROWS])); // NaN must not be hidden
        }
    }
    assert_true(use(COMPUTE_AUTO));
}

static void says_what_it_uses(void **state) {
    (void)state;
    assert_true(gemm_use(COMPUTE_OPENBLAS)); // everywhere
    assert_non_null(strstr(gemm_name(), "OpenBLAS "));
    assert_true(use(COMPUTE_AUTO));
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        assert_string_equal(gemm_name(), "AVX-512 kernels");
        char line[256];
        assert_false(gemm_is_slow(line, sizeof(line))); // whatever OpenBLAS is set to
    }
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_within_bounds),
        cmocka_unit_test(a_row_has_its_own_bits),
        cmocka_unit_test(rounds_hidden_operands_alone),
        cmocka_unit_test(not_a_number_passes),
        cmocka_unit_test(says_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
