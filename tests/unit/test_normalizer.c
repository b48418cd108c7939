// SPDX-License-Identifier: MIT
// Shows that normalised columns have mean 0 and standard deviation 1, also far from
// zero and for more columns than one pass sums, that constant columns are unchanged,
// and that it works in place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/nn/normalizer.h"

enum { ROWS = 1000, DIM = 45 };

static float x[ROWS * DIM], y[ROWS * DIM], block[2 * DIM];

static void columns_are_standardised(void **state) {
    (void)state;
    struct rng rng = rng_make(1, RNG_TEST, 40);
    for (int i = 0; i < ROWS * DIM; i++) {
        int j = i % DIM;
        x[i] = (float)((j + 1) * rng_normal(&rng) + 1000.0 * j);
    }
    assert_int_equal(normalizer_floats(DIM), 2 * DIM);
    normalizer_fit(block, x, ROWS, DIM);
    normalizer_apply(y, block, x, ROWS, DIM);
    for (int j = 0; j < DIM; j++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < ROWS; i++) {
            sum += (double)y[i * DIM + j];
            squares += (double)y[i * DIM + j] * (double)y[i * DIM + j];
        }
        // The mean is rounded to a float: 1000 j 2^-24 for a standard deviation of j.
        assert_true(fabs(sum / ROWS) < 1e-3);
        assert_true(fabs(squares / ROWS - 1) < 1e-3);
        assert_true(fabs((double)block[DIM + j] / (j + 1) - 1) < 0.1);
    }
    normalizer_apply(x, block, x, ROWS, DIM);
    assert_memory_equal(x, y, sizeof(x));
}

static void constant_columns_stay(void **state) {
    (void)state;
    float rows[] = {3, 1, 3, 2, 3, 3}, out[6], small[4];
    normalizer_fit(small, rows, 3, 2);
    normalizer_apply(out, small, rows, 3, 2);
    assert_true(small[0] == 3 && small[2] == 1 && small[1] == 2);
    assert_true(fabs((double)small[3] - sqrt(2.0 / 3)) < 1e-6);
    assert_true(out[0] == 0 && out[2] == 0 && out[3] == 0);
    normalizer_fit(small, rows, 1, 2); // one row: no variance
    assert_true(small[2] == 1 && small[3] == 1);
}

static void identity_changes_nothing(void **state) {
    (void)state;
    float rows[] = {3, -1e30f, 1e-40f, 2}, out[4], small[4];
    normalizer_identity(small, 2);
    normalizer_apply(out, small, rows, 2, 2);
    assert_memory_equal(out, rows, sizeof(rows));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_standardised),
        cmocka_unit_test(constant_columns_stay),
        cmocka_unit_test(identity_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
