// SPDX-License-Identifier: MIT
// Shows that a rate covers the last seconds only, and that mean, standard deviation
// and median are right.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "common/base/rng.h"
#include "common/base/stats.h"

static void a_rate_follows_and_forgets(void **state) {
    (void)state;
    struct rate r = {0};
    assert_true(rate_per_s(&r, 5000) == 0);
    uint64_t now = 1000000;
    for (int i = 0; i < 300; i++, now += 100) { // 5 events every 100 ms for 30 s
        rate_add(&r, now, 5);
    }
    assert_true(fabs(rate_per_s(&r, now) - 50) < 3);
    assert_true(rate_per_s(&r, now + 5000) < 30);
    assert_true(rate_per_s(&r, now + 20000) == 0);
    // It is right from the start, before a full window.
    struct rate young = {0};
    for (uint64_t t = 0; t <= 2000; t += 100) {
        rate_add(&young, now + t, 5);
    }
    assert_true(fabs(rate_per_s(&young, now + 2000) - 52.5) < 3);
}

static void moments(void **state) {
    (void)state;
    double x[] = {4, 1, 3, 2};
    assert_true(stats_mean(x, 4) == 2.5);
    assert_true(fabs(stats_std(x, 4) - sqrt(1.25)) < 1e-15);
    assert_true(stats_median(x, 4) == 2.5);
    assert_true(stats_median(x, 3) == 2);
    assert_true(stats_mean(x, 0) == 0 && stats_std(x, 0) == 0 && stats_median(x, 0) == 0);
}

// Against the table of the normal distribution; where they differ alike, and by chance.
static void paired_tests(void **state) {
    (void)state;
    enum { N = 400 };
    struct rng rng = rng_make(1, RNG_TEST, 1);
    float x[N], y[N];
    int below = 0;
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < N; i++) {
            y[i] = 10 * (float)rng_normal(&rng);
            x[i] = y[i] + (float)rng_normal(&rng);
        }
        below += stats_paired_p(x, y, N) < 0.1;
    }
    assert_in_range(below, 150, 250); // 200: sd 13
    for (int i = 0; i < N; i++) {     // mean 0.1, sd 1 by the formula of n - 1
        x[i] = y[i] + (float)((i % 2 ? 1 : -1) * sqrt((N - 1.0) / N)) - 0.1f;
    }
    assert_true(fabs(stats_paired_p(x, y, N) - 0.02275) < 1e-4); // -2 standard errors
    assert_true(fabs(stats_paired_p(y, x, N) - 0.97725) < 1e-4);
    assert_true(stats_paired_p(x, x, N) == 0.5);
    x[0] = NAN;
    assert_true(isnan(stats_paired_p(x, y, N)));
}

// Nearest rank, against sorting, with many equal numbers.
static void quantiles(void **state) {
    (void)state;
    struct rng rng = rng_make(1, RNG_TEST, 0);
    for (int round = 0; round < 2000; round++) {
        float x[40];
        double sorted[40];
        uint32_t n = 1 + rng_below(&rng, 40), values = 1 + rng_below(&rng, 20);
        for (uint32_t i = 0; i < n; i++) {
            sorted[i] = x[i] = (float)rng_below(&rng, values);
        }
        double q = rng_below(&rng, 101) / 100.0;
        uint32_t rank = (uint32_t)(q * (n - 1) + 0.5);
        stats_median(sorted, (int)n); // sorts
        assert_true((double)stats_quantile(x, n, q) == sorted[rank]);
    }
}

static void finiteness(void **state) {
    (void)state;
    float x[5] = {0, -1, 3e38f, 1e-45f, NAN};
    assert_true(stats_all_finite(x, 0));
    assert_true(stats_all_finite(x, 4));
    assert_false(stats_all_finite(x, 5));
    x[0] = -INFINITY;
    assert_false(stats_all_finite(x, 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_follows_and_forgets),
        cmocka_unit_test(moments),
        cmocka_unit_test(paired_tests),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(finiteness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
