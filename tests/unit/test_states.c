// SPDX-License-Identifier: MIT
// Shows that D_states keeps the last batches only, whatever their sizes, samples all their rows
// equally often and no others, and comes back from its numbers.
#include "learner/states.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/check.h"

enum { O = 2, BATCHES = 3, ROWS = 10, DRAWS = 20000 };

// A batch whose rows are (value, -value), value = first, first + 1, ...
static void add(struct states *s, float first, uint32_t rows) {
    float obs[ROWS * O];
    for (uint32_t i = 0; i < rows; i++) {
        obs[i * O] = first + (float)i;
        obs[i * O + 1] = -obs[i * O];
    }
    states_add(s, obs, rows, 20 * s->number);
}

// count[v] = how often the row of value v is drawn.
static void count_draws(int *count, int n, const struct states *s) {
    struct rng rng = rng_make(1, RNG_TEST, 0);
    float *obs = xfloats(DRAWS * O);
    states_sample(obs, DRAWS, s, &rng);
    memset(count, 0, (size_t)n * sizeof(*count));
    for (int i = 0; i < DRAWS; i++) {
        int value = (int)obs[i * O];
        assert_true(value >= 0 && value < n);
        assert_true(obs[i * O + 1] == -obs[i * O]);
        count[value]++;
    }
    free(obs);
}

static void the_last_batches_are_sampled_evenly(void **state) {
    (void)state;
    struct states s;
    int count[100];
    states_init(&s, O, BATCHES, ROWS);
    add(&s, 0, 4);
    assert_int_equal(s.rows, 4);
    add(&s, 10, 10);
    add(&s, 30, 1);
    add(&s, 50, 5); // replaces the first
    assert_int_equal(s.rows, 16);
    assert_int_equal(s.number, 4);
    // Policies after 20, 40 and 60 updates; before update 71 they are 50, 30 and 10 old.
    assert_true(fabs(states_age(&s, 71) - (10 * 50 + 1 * 30 + 5 * 10) / 16.0) < 1e-9);
    count_draws(count, 100, &s);
    for (int v = 0; v < 100; v++) {
        bool kept = (v >= 10 && v < 20) || v == 30 || (v >= 50 && v < 55);
        // Expected 1,250, with a standard deviation of 34.
        assert_true(kept ? count[v] > 1100 && count[v] < 1400 : count[v] == 0);
    }
    states_deinit(&s);
}

static void a_copy_continues_the_ring(void **state) {
    (void)state;
    struct states s, copy;
    states_init(&s, O, BATCHES, ROWS);
    states_init(&copy, O, BATCHES, ROWS);
    for (int i = 0; i < 5; i++) {
        add(&s, (float)(10 * i), (uint32_t)i + 1);
    }
    memcpy(copy.data, s.data, states_floats(&s) * sizeof(float));
    states_restore(&copy, s.number, s.len, s.updates);
    add(&s, 60, 2);
    add(&copy, 60, 2);
    assert_int_equal(s.rows, copy.rows);
    int count[100], of_copy[100];
    count_draws(count, 100, &s);
    count_draws(of_copy, 100, &copy);
    assert_memory_equal(count, of_copy, sizeof(count));
    assert_true(count[60] > 0 && count[20] == 0);
    states_deinit(&s);
    states_deinit(&copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_batches_are_sampled_evenly),
        cmocka_unit_test(a_copy_continues_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
