// SPDX-License-Identifier: MIT
// Shows which processes `spur run` starts again, and when: pauses after crashes, limits, places
// that others have taken. A learner that has left in order is started again after the time in which
// the run should have ended, but soon if its model server is not running either.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>

#include "cli/run/spawn.h"
#include "common/base/check.h"

enum { NOW = 100000 };

static struct child child_of(enum child_role role) {
    return (struct child){.role = role, .started_ms = 1000};
}

static void restart_policy(void **state) {
    (void)state;
    struct child c = child_of(CHILD_MODELSERVER);
    assert_int_equal(child_judge(&c, 2000, 0, 0), CHILD_RUN_OVER);
    assert_int_equal(child_judge(&c, 2000, EXIT_CODE_IO, 0), CHILD_FATAL);

    c = child_of(CHILD_LEARNER);
    for (int i = 0; i < CHILD_CRASHES_MAX; i++) {
        assert_int_equal(child_judge(&c, 2000, 0, SIGKILL), CHILD_AGAIN);
        assert_true(c.again_ms > 2000);
    }
    assert_int_equal(child_judge(&c, 2000, 0, SIGKILL), CHILD_FATAL);
    // After a long life it is restarted.
    assert_int_equal(child_judge(&c, 1000 + CHILD_STEADY_MS, 0, SIGKILL), CHILD_AGAIN);

    // Replaced by a standby, or kept out by one: it becomes the next standby.
    c = child_of(CHILD_LEARNER);
    c.args[0] = "spur-learner";
    for (int i = 0; i < CHILD_CRASHES_MAX; i++) {
        assert_int_equal(child_judge(&c, 2000, EXIT_CODE_PROTOCOL, 0), CHILD_AGAIN);
        assert_string_equal(c.args[1], "--standby");
        assert_null(c.args[2]);
    }
    assert_int_equal(child_judge(&c, 2000, EXIT_CODE_PROTOCOL, 0), CHILD_FATAL);
    c = child_of(CHILD_LEARNER);
    for (int i = 0; i < CHILD_BUSY_MAX; i++) {
        assert_int_equal(child_judge(&c, 2000, EXIT_CODE_TEMPFAIL, 0), CHILD_AGAIN);
        assert_null(c.args[0]);
    }
    assert_int_equal(child_judge(&c, 2000, EXIT_CODE_TEMPFAIL, 0), CHILD_AGAIN);
    assert_string_equal(c.args[0], "--standby");

    c = child_of(CHILD_MODELSERVER);
    for (int i = 0; i < CHILD_BUSY_MAX; i++) {
        assert_int_equal(child_judge(&c, 2000, EXIT_CODE_TEMPFAIL, 0), CHILD_AGAIN);
    }
    assert_int_equal(child_judge(&c, 2000, EXIT_CODE_TEMPFAIL, 0), CHILD_FATAL);

    c = child_of(CHILD_ACTOR);
    snprintf(c.endpoint, sizeof(c.endpoint), "ipc:///run/actor-0");
    uint64_t pause = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(child_judge(&c, 2000, 0, SIGKILL), CHILD_AGAIN);
        assert_true(c.again_ms - 2000 >= pause && c.again_ms - 2000 <= CHILD_PAUSE_MS_MAX);
        pause = c.again_ms - 2000;
    }
    assert_int_equal(pause, CHILD_PAUSE_MS_MAX);
    assert_int_equal(child_judge(&c, 2000, 0, 0), CHILD_AWAY);
    assert_int_equal(c.again_ms, 0);
    // An actor that fails by itself every time is given up, unless others can join.
    for (int others = 0; others < 2; others++) {
        c = child_of(CHILD_ACTOR);
        snprintf(c.endpoint, sizeof(c.endpoint), "%s", others ? "" : "ipc:///run/actor-0");
        for (int i = 0; i < CHILD_FAILURES_MAX; i++) {
            assert_int_equal(child_judge(&c, 2000, EXIT_CODE_RESOURCES, 0), CHILD_AGAIN);
        }
        assert_int_equal(child_judge(&c, 2000, EXIT_CODE_RESOURCES, 0),
                         others ? CHILD_AGAIN : CHILD_FATAL);
    }
    // Replaced by an actor of the same id: the run continues.
    assert_int_equal(child_judge(&c, 2000, EXIT_CODE_PROTOCOL, 0), CHILD_AWAY);
    assert_int_equal(child_judge(&c, 2000, EXIT_CODE_CONFIG, 0), CHILD_FATAL);
}

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
        cmocka_unit_test(restart_policy),
        cmocka_unit_test(a_learner_that_was_sent_away_is_hurried),
        cmocka_unit_test(a_learner_that_crashes_keeps_its_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
