// SPDX-License-Identifier: MIT
// Shows when `spur run` starts a learner again that has left in order: after the time in which the
// run should have ended, but soon if its model server is not running either.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>

#include "cli/run/spawn.h"
#include "common/base/check.h"

enum { NOW = 100000 };

static void a_learner_that_was_sent_away_is_hurried(void **state) {
    (void)state;
    struct child c = {.role = CHILD_LEARNER, .started_ms = NOW - 500};
    assert_int_equal(child_judge(&c, NOW, EXIT_CODE_OK, 0), CHILD_AGAIN);
    assert_int_equal(c.again_ms, NOW + CHILD_LEARNER_AWAY_MS);
    child_hurry(&c, NOW + 200);
    assert_int_equal(c.again_ms, NOW + 200 + CHILD_PAUSE_MS);
    child_hurry(&c, NOW + 400); // no later than that
    assert_int_equal(c.again_ms, NOW + 200 + CHILD_PAUSE_MS);
}

static void a_learner_that_crashes_keeps_its_pauses(void **state) {
    (void)state;
    struct child c = {.role = CHILD_LEARNER, .started_ms = NOW - 500};
    for (int i = 0; i < CHILD_CRASHES_MAX; i++) {
        assert_int_equal(child_judge(&c, NOW, 0, SIGKILL), CHILD_AGAIN);
    }
    uint64_t again_ms = c.again_ms;
    assert_true(again_ms > NOW + CHILD_PAUSE_MS);
    child_hurry(&c, NOW);
    assert_int_equal(c.again_ms, again_ms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learner_that_was_sent_away_is_hurried),
        cmocka_unit_test(a_learner_that_crashes_keeps_its_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
