// SPDX-License-Identifier: MIT
// Shows which rows are admitted: those of every unit and of columns that begin to move, and none
// that is far from all others, also when earlier ones were wild.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "modelserver/storage/row_bounds.h"

enum { O = 2 };

static struct config config;
static struct row_bounds b;
static char why[256];

static int start(void **state) {
    (void)state;
    config_defaults(&config);
    row_bounds_init(&b, &config, O);
    return 0;
}

static int end(void **state) {
    (void)state;
    row_bounds_deinit(&b);
    return 0;
}

// Rows of a column with mean and spread, and one that is 0.
static void add_rows(int n, float mean, float std) {
    struct rng rng = rng_make(1, RNG_TEST, 0);
    for (int i = 0; i < n; i++) {
        float obs[O] = {mean + std * (float)rng_range(&rng, -1, 1), 0};
        row_bounds_add(&b, obs, 0);
    }
}

static bool admits(float first, float second, float reward) {
    float obs[O] = {first, second};
    why[0] = '\0';
    return row_bounds_admit(&b, obs, reward, obs, why, sizeof(why));
}

static void rows_of_every_unit_are_admitted(void **state) {
    (void)state;
    static const float units[] = {1e-9f, 1, 1e4f, 1e8f};
    for (int i = 0; i < 4; i++) {
        float u = units[i];
        row_bounds_deinit(&b);
        row_bounds_init(&b, &config, O);
        add_rows(1000, 5 * u, u);
        assert_true(admits(5 * u, 0, 0));
        assert_true(admits(50 * u, 0, 0));        // ten times as fast as before
        assert_true(admits(-50 * u, 1000, 5000)); // a constant column moves, a first reward
        assert_true(u > 1 || !admits(1e6f, 0, 0));
        assert_true(!admits(0, 1e6f, 0));
        assert_non_null(strstr(why, "obs[1] is 1e+06"));
        assert_true(!admits(0, 0, -1e6f));
        assert_non_null(strstr(why, "the reward is -1e+06"));
        float obs[O] = {0}, next[O] = {0, 1e20f};
        assert_false(row_bounds_admit(&b, obs, 0, next, why, sizeof(why)));
        assert_non_null(strstr(why, "next_obs[1] is 1e+20, and data.largest is 1e+10"));
    }
}

static void the_first_rows_have_the_largest_number_alone(void **state) {
    (void)state;
    assert_true(admits(1e9f, 0, 0));
    assert_false(admits(1e11f, 0, 0));
    assert_false(admits(NAN, 0, 0));
    assert_false(admits(0, 0, INFINITY));
    add_rows((int)config.data.bound_rows - 1, 0, 1);
    assert_true(admits(1e9f, 0, 0));
    add_rows(1, 0, 1);
    assert_false(admits(1e9f, 0, 0));
}

static void wild_rows_do_not_widen_the_bounds(void **state) {
    (void)state;
    const float wild[O] = {1e9f, 0};
    add_rows(50, 0, 1);
    row_bounds_add(&b, wild, 0);
    add_rows(1000, 0, 1);
    assert_false(admits(1e6f, 0, 0));
    assert_true(admits(1000, 0, 0));
}

// A task whose numbers grow with what the policy can do.
static void growth_is_followed(void **state) {
    (void)state;
    add_rows(1000, 0, 0.01f);
    for (float x = 1; x < 1e8f; x *= 1.05f) {
        const float obs[O] = {x, -x};
        assert_true(admits(x, -x, x));
        for (int i = 0; i < 20; i++) {
            row_bounds_add(&b, obs, x);
        }
    }
}

static void bounds_can_be_turned_off(void **state) {
    (void)state;
    b.bound = 0;
    b.largest = 1e30;
    add_rows(2000, 0, 1);
    assert_true(admits(1e25f, 0, -1e25f));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_of_every_unit_are_admitted, start, end),
        cmocka_unit_test_setup_teardown(the_first_rows_have_the_largest_number_alone, start, end),
        cmocka_unit_test_setup_teardown(wild_rows_do_not_widen_the_bounds, start, end),
        cmocka_unit_test_setup_teardown(growth_is_followed, start, end),
        cmocka_unit_test_setup_teardown(bounds_can_be_turned_off, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
