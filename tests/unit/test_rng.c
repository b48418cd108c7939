// SPDX-License-Identifier: MIT
// Shows that the generator is Philox4x32-10 (published test vectors), that a stream
// has no state but its position, and that the distributions on top of it have the
// right moments.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "common/base/rng.h"

static void known_answers(void **state) {
    (void)state;
    // Random123's kat_vectors: counter 0, key 0; all ones; digits of pi.
    uint32_t out[4];
    rng_block(out, 0, 0, 0);
    const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(out, zero, sizeof(zero));
    rng_block(out, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(out, ones, sizeof(ones));
    rng_block(out, 0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88);
    const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    assert_memory_equal(out, pi, sizeof(pi));
}

static void a_stream_is_a_position(void **state) {
    (void)state;
    struct rng a = rng_make(7, RNG_TEST, 3);
    for (int i = 0; i < 1000; i++) {
        rng_u32(&a);
    }
    struct rng b = rng_make(7, RNG_TEST, 3);
    b.index = 1000;
    struct rng copy = a;
    for (int i = 0; i < 10; i++) {
        uint32_t x = rng_u32(&a);
        assert_int_equal(x, rng_u32(&b));
        assert_int_equal(x, rng_u32(&copy));
    }
    // Another seed, use or sub-number gives another stream.
    struct rng others[] = {rng_make(8, RNG_TEST, 3), rng_make(7, RNG_BENCH, 3),
                           rng_make(7, RNG_TEST, 4)};
    struct rng here = rng_make(7, RNG_TEST, 3);
    uint64_t x = rng_u64(&here);
    for (int i = 0; i < 3; i++) {
        assert_true(x != rng_u64(&others[i]));
    }
}

static void normals_in_bulk_do_not_depend_on_the_pieces(void **state) {
    (void)state;
    float whole[64], parts[64];
    struct rng r = rng_make(1, RNG_TEST, 0);
    rng_fill_normal(&r, whole, 64);
    r = rng_make(1, RNG_TEST, 0);
    rng_fill_normal(&r, parts, 2);
    rng_fill_normal(&r, parts + 2, 30);
    rng_fill_normal(&r, parts + 32, 32);
    assert_memory_equal(whole, parts, sizeof(whole));
}

static void moments(void **state) {
    (void)state;
    enum { N = 200000 };
    struct rng r = rng_make(11, RNG_TEST, 1);
    double sum = 0, square = 0, fourth = 0, pair = 0;
    float *x = malloc(N * sizeof(*x));
    assert_non_null(x);
    rng_fill_normal(&r, x, N);
    for (int i = 0; i < N; i++) {
        double v = i % 2 ? (double)x[i] : rng_normal(&r);
        sum += v;
        square += v * v;
        fourth += v * v * v * v;
    }
    for (int i = 0; i < N; i += 2) { // of one radius and angle, yet independent
        pair += (double)x[i] * (double)x[i + 1];
    }
    free(x);
    assert_true(fabs(pair / (N / 2)) < 5 / sqrt(N / 2));
    assert_true(fabs(sum / N) < 5 / sqrt(N));
    assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));

    sum = 0;
    for (int i = 0; i < N; i++) {
        double u = rng_range(&r, -2, 4);
        assert_true(u >= -2 && u < 4);
        sum += u;
    }
    assert_true(fabs(sum / N - 1) < 5 * sqrt(3.0 / N));
}

static void below_is_uniform(void **state) {
    (void)state;
    enum { N = 70000, K = 7 };
    struct rng r = rng_make(5, RNG_TEST, 2);
    int count[K] = {0};
    for (int i = 0; i < N; i++) {
        count[rng_below(&r, K)]++;
    }
    double chi2 = 0;
    for (int k = 0; k < K; k++) {
        chi2 += pow(count[k] - N / K, 2) / (N / K);
    }
    assert_true(chi2 < 22.5); // 0.999 quantile with 6 degrees of freedom
    assert_int_equal(rng_below(&r, 1), 0);
}

static void permutations_are_permutations(void **state) {
    (void)state;
    struct rng r = rng_make(5, RNG_TEST, 3);
    int first_of[5] = {0};
    for (int trial = 0; trial < 5000; trial++) {
        uint32_t p[5], seen = 0;
        rng_permutation(&r, p, 5);
        for (int i = 0; i < 5; i++) {
            assert_true(p[i] < 5);
            seen |= 1u << p[i];
        }
        assert_int_equal(seen, 31);
        first_of[p[0]]++;
    }
    for (int i = 0; i < 5; i++) {
        assert_in_range(first_of[i], 850, 1150);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(a_stream_is_a_position),
        cmocka_unit_test(normals_in_bulk_do_not_depend_on_the_pieces),
        cmocka_unit_test(moments),
        cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(permutations_are_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
