// SPDX-License-Identifier: MIT
// Shows that a line which a peer can cause is written a few times in a window, that the next window
// says how many were left out, and that kinds of lines are counted apart.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

static int fd;

static int set_up(void **state) {
    (void)state;
    char path[] = "/tmp/spur-test-log-XXXXXX";
    fd = mkstemp(path);
    unlink(path);
    log_init("test", LOG_INFO, fd);
    return fd < 0;
}

static int tear_down(void **state) {
    (void)state;
    log_init("test", LOG_INFO, -1);
    return close(fd);
}

// The number of lines of the log with these words.
static int lines_with(const char *words) {
    static char text[1 << 20];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    int n = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++) {
        n++;
    }
    return n;
}

static void lines_of_peers_are_limited(void **state) {
    (void)state;
    struct log_limit limit = {0};
    for (int i = 0; i < 1000; i++) {
        log_limited(&limit, LOG_WARN, "bad message %d", i);
        log_limited(&limit, LOG_DEBUG, "not written, not counted");
    }
    assert_int_equal(lines_with("warn  bad message"), LOG_PEER_LINES);
    assert_int_equal(lines_with("left out"), 0);

    limit.window_ms -= LOG_PEER_WINDOW_MS; // time passes
    log_limited(&limit, LOG_WARN, "bad message again");
    assert_int_equal(lines_with("990 lines like the next were left out"), 1);
    assert_int_equal(lines_with("bad message"), LOG_PEER_LINES + 1);

    for (int i = 0; i < 100; i++) {
        log_peer(LOG_INFO, "one kind");
        log_peer(LOG_INFO, "another kind");
    }
    assert_int_equal(lines_with("one kind"), LOG_PEER_LINES);
    assert_int_equal(lines_with("another kind"), LOG_PEER_LINES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_of_peers_are_limited, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
