// SPDX-License-Identifier: MIT
// Shows that real ends are compared with the task's rule in both directions, that a disagreement
// is reported above 1% of the ends and not for a few rows, and that stored rows are recounted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "modelserver/core/ends.h"
#include "proto/wire.h"

enum { ROWS = 1000 };

static float next_obs[ROWS];
static uint8_t flags[ROWS];
static const struct env_columns stored = {
    .obs_dim = 1, .act_dim = 1, .next_obs = next_obs, .flags = flags};

// An environment of the user that is healthy between -1 and 1.
static struct task a_task(void) {
    return (struct task){.name = "own",
                         .env = "./own.so",
                         .obs_dim = 1,
                         .act_dim = 1,
                         .terminated = task_outside_ranges,
                         .ranges = 1,
                         .range = {{0, -1, 1}}};
}

// Rows [0, ends) end beyond the range.
static void fill(int ends) {
    for (int i = 0; i < ROWS; i++) {
        next_obs[i] = i < ends ? 2.0f : 0.0f;
        flags[i] = i < ends ? WIRE_TERMINATED : 0;
    }
}

static const char *advice_for(const struct task *task, struct ends *e) {
    static char advice[WIRE_STRING_MAX];
    ends_init(e, task, true, NULL, 0);
    ends_count(e, next_obs, flags, ROWS);
    ends_advice(e, advice, sizeof(advice));
    return advice;
}

static void a_rule_that_agrees_is_silent(void **state) {
    (void)state;
    struct task task = a_task();
    struct ends e;
    fill(300);
    assert_string_equal(advice_for(&task, &e), "");
    assert_true(e.terminated == 300 && e.unexplained == 0 && e.contradicted == 0);
    // A time limit where the rule holds contradicts it; 1% of the ends may.
    flags[0] = WIRE_TRUNCATED;
    flags[1] = 0;
    next_obs[299] = 0;
    assert_string_equal(advice_for(&task, &e), "");
    assert_true(e.terminated == 298 && e.unexplained == 1 && e.contradicted == 2);
    assert_false(e.reported);
}

static void both_directions_are_reported(void **state) {
    (void)state;
    struct task task = a_task();
    struct ends e;
    fill(100);
    next_obs[0] = next_obs[1] = next_obs[2] = 0;
    assert_string_equal(advice_for(&task, &e),
                        "the termination rule disagrees with the environment: it explains 97 of "
                        "100 ends, and holds in 0 rows that went on: correct task.healthy, or "
                        "start a run with task.termination=learned");
    assert_true(e.reported);
    fill(100);
    flags[0] = flags[1] = flags[2] = 0;
    assert_non_null(strstr(advice_for(&task, &e), "97 of 97 ends, and holds in 3 rows"));
    // Learned ends need no rule.
    task.termination = TASK_TERMINATION_LEARNED;
    assert_string_equal(advice_for(&task, &e), "");
    assert_int_equal(e.contradicted, 3);
}

static void ends_without_a_rule_are_reported(void **state) {
    (void)state;
    struct task task = a_task();
    struct ends e;
    fill(5);
    task.ranges = 0;
    assert_non_null(strstr(advice_for(&task, &e), "5 episodes were terminated, but rollouts of "
                                                  "the model go on: task.termination is rule"));
    assert_true(e.terminated == 5 && e.unexplained == 5);
    task.ranges = 1;
    task.termination = TASK_TERMINATION_NEVER;
    assert_non_null(strstr(advice_for(&task, &e), "task.termination is never"));
    fill(2); // too few to tell
    assert_string_equal(advice_for(&task, &e), "");
    // A method without model rollouts has none that could end wrongly.
    fill(5);
    char advice[WIRE_STRING_MAX];
    ends_init(&e, &task, false, NULL, 0);
    ends_count(&e, next_obs, flags, ROWS);
    ends_advice(&e, advice, sizeof(advice));
    assert_string_equal(advice, "");
    assert_int_equal(e.terminated, 5);
}

static void stored_rows_are_recounted(void **state) {
    (void)state;
    struct task task = a_task();
    struct ends e;
    fill(100);
    next_obs[0] = 0;
    ends_init(&e, &task, true, &stored, 400);
    ends_count(&e, next_obs + 400, flags + 400, ROWS - 400);
    assert_true(e.terminated == 100 && e.unexplained == 1 && e.contradicted == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_that_agrees_is_silent),
        cmocka_unit_test(both_directions_are_reported),
        cmocka_unit_test(ends_without_a_rule_are_reported),
        cmocka_unit_test(stored_rows_are_recounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
