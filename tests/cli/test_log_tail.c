// SPDX-License-Identifier: MIT
// Shows that what the log says about a process is found: why it ended, and errors as they are
// logged, also in a log that was removed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run/log_tail.h"

static void add_error(void *arg, const char *process, const char *text) {
    char *all = arg;
    size_t n = strlen(all);
    snprintf(all + n, 64 - n, "%s: %s\n", process, text);
}

static void the_reason_of_an_end_is_in_the_log(void **state) {
    (void)state;
    char path[] = "/tmp/spur-log-XXXXXX", reason[64];
    static const char log[] = "2026-01-31T12:00:00.123Z actor-0 error no memory\n"
                              "2026-01-31T12:00:00.124Z actor-0 error hint: buy some\n"
                              "2026-01-31T12:00:00.125Z learner error another\n"
                              "2026-01-31T12:00:00.126Z learner info  the error 0.1 is small\n";
    int fd = mkstemp(path);
    assert_int_equal(unlink(path), 0); // a log that was removed is read nevertheless
    assert_int_equal(write(fd, log, sizeof(log) - 1), sizeof(log) - 1);
    log_tail_reason(reason, sizeof(reason), fd, "actor-0", "spur-actor");
    assert_string_equal(reason, "no memory");
    log_tail_reason(reason, sizeof(reason), fd, "evaluator", "spur-actor");
    assert_string_equal(reason, "");
    // Errors as they are logged, whole lines only, without hints.
    off_t at = 0;
    reason[0] = '\0';
    log_tail_errors(fd, &at, add_error, reason);
    assert_string_equal(reason, "actor-0: no memory\nlearner: another\n");
    static const char more[] = "2026-01-31T12:00:01.125Z actor-1 error late\n"
                               "2026-01-31T12:00:01.125Z actor-1 error unfinish";
    assert_int_equal(write(fd, more, sizeof(more) - 1), sizeof(more) - 1);
    reason[0] = '\0';
    log_tail_errors(fd, &at, add_error, reason);
    assert_string_equal(reason, "actor-1: late\n");
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_of_an_end_is_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
