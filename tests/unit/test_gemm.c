// SPDX-License-Identifier: MIT
// Shows that the products of a layer are right in every variant that this
// processor can run, on random shapes and on those where vectors, tiles and blocks
// end: against sums in double. That nothing is read or written beyond the
// operands: each ends where a page without rights begins, or starts where one
// ends. And that our own kernels give a row the same bits whatever stands beside
// it, and the same bits in all variants that do not round; bf16's products are held
// against sums of rounded operands, which are exact but for the adding up.
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

#include "common/check.h"
#include "common/nn/gemm.h"
#include "common/rng.h"

static const enum compute_kernels all[] = {COMPUTE_OPENBLAS, COMPUTE_AVX2, COMPUTE_AVX512,
                                           COMPUTE_BF16};
enum { VARIANTS = sizeof(all) / sizeof(all[0]) };

// The variant under test rounds operands to bf16.
static bool rounds;

static bool use(enum compute_kernels kernels) {
    rounds = kernels == COMPUTE_BF16;
    return gemm_use(kernels);
}

// A block of n floats with forbidden pages on both sides, against one of which it
// stands.
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

enum { X, WEIGHTS, BIAS, Y, DZ, DX, DB, DW, OPERANDS };

// One layer's operands at one shape. x is also what the layer before gave: about
// half of it is not positive.
struct layer {
    int B, out, in;
    struct guarded block[OPERANDS];
    float *at[OPERANDS];
};

static struct layer layer(int B, int out, int in, bool at_end) {
    struct layer l = {.B = B, .out = out, .in = in};
    const int sizes[OPERANDS] = {
        [X] = B * in,   [WEIGHTS] = out * in, [BIAS] = out, [Y] = B * out,
        [DZ] = B * out, [DX] = B * in,        [DB] = in,    [DW] = out * in};
    struct rng rng = rng_make((uint64_t)(B * 1000003 + out * 1009 + in), RNG_TEST, 30);
    for (int i = 0; i < OPERANDS; i++) {
        l.block[i] = guarded((size_t)sizes[i], at_end);
        l.at[i] = l.block[i].at;
        rng_fill_normal(&rng, l.at[i], (size_t)sizes[i]);
    }
    for (int i = 0; i < B * in; i += 7) {
        l.at[X][i] = 0.0f; // the kink itself
    }
    return l;
}

static void drop(struct layer *l) {
    for (int i = 0; i < OPERANDS; i++) {
        munmap(l->block[i].pages, l->block[i].bytes);
    }
}

// What the product under test takes x to be: bf16 keeps 8 bits of significand, to
// the nearest, ties to even.
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
    // A sum of n rounded products is good to about sqrt(n) units of its terms.
    if (!(fabs((double)got - sum) <= 4e-7 * scale)) {
        fail_msg("%s, %s, B %d, out %d, in %d: %.9g, expected %.12g", gemm_name(), what, l->B,
                 l->out, l->in, (double)got, sum);
    }
}

// Packed weights give the bits that Y holds, and take no more room than was said.
static void check_packed(const struct layer *l, int way) {
    float *const *a = l->at;
    size_t n = (size_t)(l->B * l->out);
    struct guarded packed = guarded(gemm_packed_floats(l->out, l->in), true);
    float *y = xfloats(n);
    gemm_pack(packed.at, a[WEIGHTS], l->out, l->in, GEMM_HIDDEN);
    gemm_forward_packed(y, a[X], a[WEIGHTS], packed.at, way > 0 ? a[BIAS] : NULL, l->B, l->out,
                        l->in, way == 2, GEMM_HIDDEN);
    assert_memory_equal(y, a[Y], n * sizeof(float));
    if (strncmp(gemm_name(), "OpenBLAS", 8) != 0) { // ours read the packed weights, not W
        memset(packed.at, 0, gemm_packed_floats(l->out, l->in) * sizeof(float));
        gemm_forward_packed(y, a[X], a[WEIGHTS], packed.at, NULL, l->B, l->out, l->in, false,
                            GEMM_HIDDEN);
        for (size_t i = 0; i < n; i++) {
            assert_true(y[i] == 0);
        }
    }
    free(y);
    munmap(packed.pages, packed.bytes);
}

static void check_forward(const struct layer *l) {
    float *const *a = l->at;
    for (int way = 0; way < 3; way++) { // the product alone, with bias, with ReLU
        for (int i = 0; i < l->B * l->out; i++) {
            a[Y][i] = NAN; // what was there is not read
        }
        gemm_forward(a[Y], a[X], a[WEIGHTS], way > 0 ? a[BIAS] : NULL, l->B, l->out, l->in,
                     way == 2, GEMM_HIDDEN);
        check_packed(l, way);
        for (int i = 0; i < l->B; i++) {
            for (int j = 0; j < l->out; j++) {
                double sum = way > 0 ? (double)a[BIAS][j] : 0, scale = fabs(sum) + 1;
                for (int k = 0; k < l->in; k++) {
                    double term = operand(a[X][i * l->in + k]) * operand(a[WEIGHTS][j * l->in + k]);
                    sum += term;
                    scale += fabs(term);
                }
                sum = way == 2 && sum < 0 ? 0 : sum;
                expect(l, "forward", a[Y][i * l->out + j], sum, scale);
            }
        }
    }
}

static void check_back(const struct layer *l) {
    float *const *a = l->at;
    for (int way = 0; way < 3; way++) { // the product alone, masked, with the bias's gradient
        for (int i = 0; i < l->B * l->in; i++) {
            a[DX][i] = NAN;
        }
        for (int j = 0; j < l->in; j++) {
            a[DB][j] = 3.0f; // is added to
        }
        gemm_back(a[DX], way == 2 ? a[DB] : NULL, a[DZ], a[WEIGHTS], way > 0 ? a[X] : NULL, l->B,
                  l->out, l->in, GEMM_HIDDEN);
        for (int j = 0; j < l->in; j++) {
            double column = 3, column_scale = 3;
            for (int i = 0; i < l->B; i++) {
                double sum = 0, scale = 1;
                for (int k = 0; k < l->out; k++) {
                    double term =
                        operand(a[DZ][i * l->out + k]) * operand(a[WEIGHTS][k * l->in + j]);
                    sum += term;
                    scale += fabs(term);
                }
                if (way > 0 && !(a[X][i * l->in + j] > 0)) {
                    sum = 0;
                    assert_true(a[DX][i * l->in + j] == 0);
                }
                expect(l, "back", a[DX][i * l->in + j], sum, scale);
                column += sum;
                column_scale += scale;
            }
            expect(l, "bias", a[DB][j], way == 2 ? column : 3, column_scale);
        }
    }
}

static void check_weights(const struct layer *l) {
    float *const *a = l->at;
    for (int i = 0; i < l->out * l->in; i++) {
        a[DW][i] = NAN; // is written to
    }
    gemm_weights(a[DW], a[DZ], a[X], l->B, l->out, l->in, GEMM_HIDDEN);
    for (int j = 0; j < l->out; j++) {
        for (int k = 0; k < l->in; k++) {
            double sum = 0, scale = 1;
            for (int i = 0; i < l->B; i++) {
                double term = operand(a[DZ][i * l->out + j]) * operand(a[X][i * l->in + k]);
                sum += term;
                scale += fabs(term);
            }
            expect(l, "weights", a[DW][j * l->in + k], sum, scale);
        }
    }
}

static void check_shape(int B, int out, int in) {
    for (int at_end = 0; at_end < 2; at_end++) {
        struct layer l = layer(B, out, in, at_end);
        check_forward(&l);
        check_back(&l);
        check_weights(&l);
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
            if (i % 3 == v % 3 || i < EDGES * EDGES) { // a third of them, others each time
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

// Rows 10 to 19 of 50, as part of the whole and alone, in both variants of ours.
static void a_row_has_its_own_bits(void **state) {
    (void)state;
    enum { B = 50, OUT = 37, IN = 300, FIRST = 10, ROWS = 10 };
    struct layer l = layer(B, OUT, IN, true);
    static float y[VARIANTS][ROWS * OUT], dx[VARIANTS][ROWS * IN], dw[VARIANTS][OUT * IN];
    int variants = 0, exact = 0; // the exact ones come first
    for (int v = 0; v < VARIANTS; v++) {
        if (all[v] == COMPUTE_OPENBLAS || !use(all[v])) {
            continue;
        }
        float *const *a = l.at;
        gemm_forward(a[Y], a[X], a[WEIGHTS], a[BIAS], B, OUT, IN, true, GEMM_HIDDEN);
        gemm_back(a[DX], NULL, a[DZ], a[WEIGHTS], a[X], B, OUT, IN, GEMM_HIDDEN);
        gemm_forward(y[variants], a[X] + FIRST * IN, a[WEIGHTS], a[BIAS], ROWS, OUT, IN, true,
                     GEMM_HIDDEN);
        gemm_back(dx[variants], NULL, a[DZ] + FIRST * OUT, a[WEIGHTS], a[X] + FIRST * IN, ROWS, OUT,
                  IN, GEMM_HIDDEN);
        gemm_weights(dw[variants], a[DZ], a[X], B, OUT, IN, GEMM_HIDDEN);
        assert_memory_equal(y[variants], a[Y] + FIRST * OUT, sizeof(y[0]));
        assert_memory_equal(dx[variants], a[DX] + FIRST * IN, sizeof(dx[0]));
        variants++;
        exact += !rounds;
    }
    for (int v = 1; v < exact; v++) {
        assert_memory_equal(y[0], y[v], sizeof(y[0]));
        assert_memory_equal(dx[0], dx[v], sizeof(dx[0]));
        assert_memory_equal(dw[0], dw[v], sizeof(dw[0]));
    }
    assert_true(use(COMPUTE_AUTO));
    drop(&l);
}

// Operands are rounded only where that is allowed, and only when it was asked for.
static void rounds_hidden_operands_alone(void **state) {
    (void)state;
    enum { B = 20, OUT = 33, IN = 40 };
    struct layer l = layer(B, OUT, IN, true);
    float *const *a = l.at;
    static float full[B * OUT];
    assert_true(use(COMPUTE_AUTO));
    gemm_forward(full, a[X], a[WEIGHTS], NULL, B, OUT, IN, false, GEMM_HIDDEN);
    gemm_forward(a[Y], a[X], a[WEIGHTS], NULL, B, OUT, IN, false, GEMM_EXACT);
    assert_memory_equal(a[Y], full, sizeof(full));
    if (use(COMPUTE_BF16)) {
        gemm_forward(a[Y], a[X], a[WEIGHTS], NULL, B, OUT, IN, false, GEMM_EXACT);
        assert_memory_equal(a[Y], full, sizeof(full));
        gemm_forward(a[Y], a[X], a[WEIGHTS], NULL, B, OUT, IN, false, GEMM_HIDDEN);
        assert_memory_not_equal(a[Y], full, sizeof(full));
    }
    assert_true(use(COMPUTE_AUTO));
    drop(&l);
}

static void not_a_number_passes(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        if (use(all[v])) {
            float x[2] = {NAN, 1.0f}, W[4] = {1.0f, 1.0f, 0.0f, 1.0f}, b[2] = {0}, y[2];
            gemm_forward(y, x, W, b, 1, 2, 2, true, GEMM_HIDDEN);
            assert_true(isnan(y[0]) && isnan(y[1])); // a broken network must not look well
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
        assert_false(gemm_is_slow(line, sizeof(line))); // whatever OpenBLAS was told
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
