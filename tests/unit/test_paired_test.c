// SPDX-License-Identifier: MIT
// Shows that the score of a mixture is that of its mean and its whole variance, and that the best
// ensemble changes only for one that is better by more than chance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "modelserver/model/paired_test.h"

// Two members, one row, three targets of which one has no weight.
static void a_mixture_has_both_variances(void **state) {
    (void)state;
    double centre[3], spread[3], variance[3];
    struct mixture m = {centre, spread, variance, 9};
    static const float mean[2][3] = {{1, 0, 5}, {3, 0, 7}}, y[3] = {2.5f, 1, 100};
    static const float logvar[2][3] = {{0, 1, 0}, {0.5f, -1, 0}}, weight[3] = {1.5f, 1.5f, 0};
    float score;
    mixture_clear(&m, 3);
    mixture_add(&m, mean[0], logvar[0], 3);
    mixture_add(&m, mean[1], logvar[1], 3);
    mixture_score(&score, &m, y, weight, 1, 3);
    double first = (1 + exp(0.5)) / 2 + 1, second = (exp(1) + exp(-1)) / 2; // means 1 and 3: 1
    double expected = 1.5 * (0.25 / first + log(first) + 1 / second + log(second));
    assert_true(fabs((double)score - expected) < 1e-5);
}

static void the_best_changes_for_better_ones(void **state) {
    (void)state;
    enum { N = 400 };
    float best[N], kept[N], score[N];
    struct rng rng = rng_make(1, RNG_TEST, 70);
    for (int i = 0; i < N; i++) {
        score[i] = (float)rng_normal(&rng);
    }
    assert_int_equal(paired_test_judge(best, score, N, true), PAIRED_BEST);
    assert_memory_equal(best, score, sizeof(best));
    memcpy(kept, best, sizeof(best));
    // Differences of +-1 about a mean: its standard error is 0.05.
    static const struct {
        float mean;
        enum paired_verdict verdict;
    } cases[] = {
        {0.05f, PAIRED_IDLE}, {-0.05f, PAIRED_BETTER}, {NAN, PAIRED_IDLE}, {-0.08f, PAIRED_BEST}};
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < N; i++) {
            score[i] = kept[i] + cases[k].mean + (i % 2 ? 1.0f : -1.0f);
        }
        assert_int_equal(paired_test_judge(best, score, N, false), cases[k].verdict);
        assert_memory_equal(best, cases[k].verdict == PAIRED_BEST ? score : kept, sizeof(best));
    }
}

static void patience_grows_with_the_observation(void **state) {
    (void)state;
    assert_true(fabs(paired_test_patience(11, 1) - 124.245) < 0.001);
    assert_true(fabs(paired_test_patience(11, 0) - 5 * 124.245) < 0.005);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mixture_has_both_variances),
        cmocka_unit_test(the_best_changes_for_better_ones),
        cmocka_unit_test(patience_grows_with_the_observation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
