// SPDX-License-Identifier: MIT
// Shows that the edit distance counts insertions and deletions symmetrically, and that
// letters beyond the limit are ignored.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <getopt.h>
#include <string.h>

#include "common/base/spelling.h"

static void distances(void **state) {
    (void)state;
    const struct {
        const char *a, *b;
        int distance;
    } cases[] = {
        {"", "", 0},
        {"hopper", "Hopper", 0},
        {"hoper", "hopper", 1},
        {"hoppper", "hopper", 1},
        {"happer", "hopper", 2},
        {"", "abc", 3},
        {"pendulum", "invertedpendulum", 8},
        {"ab", "ba", 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(spelling_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(spelling_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

static void long_words_are_cut(void **state) {
    (void)state;
    char a[3 * SPELLING_LEN_MAX + 1], b[2 * SPELLING_LEN_MAX + 1];
    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
    assert_int_equal(spelling_distance(a, b), 0);
    memset(b, 'y', sizeof(b) - 1);
    assert_int_equal(spelling_distance(a, b), 2 * SPELLING_LEN_MAX);
}

static void near_words(void **state) {
    (void)state;
    assert_true(spelling_is_near("hoper", "hopper"));
    assert_true(spelling_is_near("steps", "stepz"));
    assert_true(spelling_is_near("modle", "model"));
    assert_false(spelling_is_near("gamma", "tau"));
    assert_false(spelling_is_near("alpha", "actors"));
    assert_false(spelling_is_near("xyz", "seed"));
    assert_false(spelling_is_near("", "seed"));
}

static void options_are_suggested(void **state) {
    (void)state;
    static const struct option options[] = {
        {"seed", required_argument, NULL, 'e'}, {"run-dir", required_argument, NULL, 'd'}, {0}};
    assert_string_equal(spelling_option("--sed=3", options), "seed");
    assert_string_equal(spelling_option("--rundir", options), "run-dir");
    assert_null(spelling_option("--gamma=1", options));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(near_words),
        cmocka_unit_test(options_are_suggested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
