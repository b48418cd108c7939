// SPDX-License-Identifier: MIT
// Tests named metrics: their order, their means, and the rejection of names that do not fit a CSV
// header or a JSON key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "proto/metrics.h"

static void figures_keep_their_order(void **state) {
    (void)state;
    struct metrics m = {0};
    metrics_set(&m, "critic_loss", 1);
    metrics_set(&m, "entropy", 2);
    metrics_set(&m, "critic_loss", 3);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.list[0].name, "critic_loss");
    assert_true(*metrics_find(&m, "critic_loss") == 3 && *metrics_find(&m, "entropy") == 2);
    assert_null(metrics_find(&m, "critic"));
}

static void one_bad_figure_is_noticed(void **state) {
    (void)state;
    struct metrics m = {0};
    assert_true(metrics_finite(&m));
    metrics_set(&m, "a", 1);
    metrics_set(&m, "b", (double)NAN);
    assert_false(metrics_finite(&m));
    metrics_set(&m, "b", (double)-INFINITY);
    assert_false(metrics_finite(&m));
    metrics_set(&m, "b", 0);
    assert_true(metrics_finite(&m));
}

static void sums_become_means(void **state) {
    (void)state;
    struct metrics_sum sum = {0}, more = {0};
    metrics_set(&sum.total, "a", 0); // declared before the first update
    struct metrics mean = metrics_mean(&sum);
    assert_int_equal(mean.count, 1);
    assert_true(isnan(mean.list[0].value));

    struct metrics m = {0};
    metrics_set(&m, "a", 1);
    metrics_sum_add(&sum, &m);
    metrics_set(&m, "a", 2);
    metrics_set(&m, "b", 9);
    metrics_sum_add(&more, &m);
    metrics_sum_add(&more, &m);
    metrics_sum_merge(&sum, &more);
    mean = metrics_mean(&sum);
    assert_int_equal(sum.n, 3);
    assert_true(*metrics_find(&mean, "a") == 5.0 / 3 && *metrics_find(&mean, "b") == 6);

    metrics_sum_clear(&sum);
    assert_int_equal(sum.n, 0);
    assert_int_equal(sum.total.count, 2);
    metrics_sum_add(&sum, &m);
    mean = metrics_mean(&sum);
    assert_true(*metrics_find(&mean, "a") == 2);
}

static void names_fit_csv_and_json(void **state) {
    (void)state;
    const char *const good[] = {"a", "critic_loss", "q2", "a234567890123456789012345678901"};
    const char *const bad[] = {
        "",    "Loss", "2q",       "_a",  "a b",
        "a,b", "a\nb", "\xc3\xa9", "a-b", "a23456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(metrics_name_ok(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(metrics_name_ok(bad[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_keep_their_order),
        cmocka_unit_test(one_bad_figure_is_noticed),
        cmocka_unit_test(sums_become_means),
        cmocka_unit_test(names_fit_csv_and_json),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
