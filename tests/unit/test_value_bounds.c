// SPDX-License-Identifier: MIT
// Tests the bounds of values: their formula, how slowly they follow, what is clipped, and that
// they mean the same in other units.
#include "learner/methods/value_bounds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define N 1000

// low, low + 1, ..., in an order that is not sorted.
static void fill(float *rewards, int low) {
    for (int i = 0; i < N; i++) {
        rewards[i] = (float)(low + i * 7 % N);
    }
}

static void expect(const float *bounds, double lower, double upper) {
    assert_true(fabs((double)bounds[VALUE_LOWER] - lower) < 1e-5 * fabs(lower) + 1e-5);
    assert_true(fabs((double)bounds[VALUE_UPPER] - upper) < 1e-5 * fabs(upper) + 1e-5);
}

static void quantiles_zero_and_entropy(void **state) {
    (void)state;
    float rewards[N], bounds[VALUE_BOUNDS] = {0};
    fill(rewards, -500); // 1%: -490, 99%: 489
    value_bounds_update(bounds, rewards, N, 0.9, 3);
    expect(bounds, 10 * (-490 - 3), 10 * (489 + 3));
    float above[VALUE_BOUNDS] = {0}, below[VALUE_BOUNDS] = {0};
    fill(rewards, 100);
    value_bounds_update(above, rewards, N, 0.5, 0);
    expect(above, 0, 2 * 1089);
    fill(rewards, -2000);
    value_bounds_update(below, rewards, N, 0.5, 0);
    expect(below, 2 * -1990, 0);
}

static void they_follow_slowly(void **state) {
    (void)state;
    float rewards[N], bounds[VALUE_BOUNDS] = {-100, 100, 1};
    fill(rewards, -500);
    value_bounds_update(bounds, rewards, N, 0.9, 0);
    expect(bounds, -100 - 3e-4 * 4800, 100 + 3e-4 * 4790);
}

static void what_is_beyond_is_clipped(void **state) {
    (void)state;
    const float bounds[VALUE_BOUNDS] = {-2, 5, 1};
    assert_true(value_bounds_clip(bounds, -3) == -2 && value_bounds_clip(bounds, 6) == 5);
    assert_true(value_bounds_clip(bounds, 4.5f) == 4.5f);
    assert_true(value_bounds_clip(bounds, INFINITY) == 5);
    assert_true(isnan(value_bounds_clip(bounds, NAN)));
}

static void units_change_and_values_do_not(void **state) {
    (void)state;
    float bounds[VALUE_BOUNDS] = {-2, 5, 1};
    const double from[2] = {10, 3}, to[2] = {-4, 0.5};
    value_bounds_change_units(bounds, from, to);
    expect(bounds, (10 - 2 * 3 + 4) / 0.5, (10 + 5 * 3 + 4) / 0.5);
    assert_true(bounds[VALUE_BOUNDED] == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_zero_and_entropy),
        cmocka_unit_test(they_follow_slowly),
        cmocka_unit_test(what_is_beyond_is_clipped),
        cmocka_unit_test(units_change_and_values_do_not),
    };
    return cmocka_run_group_tests_name("value_bounds", tests, NULL, NULL);
}
