// SPDX-License-Identifier: MIT
// Shows that a process adapts to the limits of its shell. Each case is a forked process that sets
// the limits and calls rlimits_start and rlimits_check; the test looks at its exit code, signal and
// standard error.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/rlimits.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 // they reserve terabytes of address space
#else
#define SANITIZED 0
#endif

static char said[4096]; // standard error of the last process

// Runs fn in a process; returns its status of wait.
static int in_process(void (*fn)(void)) {
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0;) {
        len += (size_t)n;
    }
    said[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void limit(int resource, rlim_t value) {
    const struct rlimit both = {value, value};
    CHECK(setrlimit(resource, &both) == 0);
}

static void close_streams(void) {
    for (int fd = 0; fd < 64; fd++) { // those of the test too
        close(fd);
    }
    rlimits_start();
    int next = open("/dev/null", O_RDONLY);
    _exit(next == 3 && write(1, "x", 1) == 1 && write(2, "x", 1) == 1 ? 0 : 1);
}

static void closed_streams_become_dev_null(void **state) {
    (void)state;
    assert_int_equal(in_process(close_streams), 0);
}

static void check_descriptors(void) {
    char err[256];
    limit(RLIMIT_NOFILE, 16);
    rlimits_start();
    CHECK(rlimits_check(0, 8, 0, err, sizeof(err)) == 0);
    CHECK(rlimits_check(0, 8, 0, err, sizeof(err)) == 0); // the first call has released its own
    CHECK(rlimits_check(0, 20, 0, err, sizeof(err)) == -EMFILE);
    CHECK(strstr(err, "ulimit -n: 16"));
}

static void descriptors_are_counted(void **state) {
    (void)state;
    assert_int_equal(in_process(check_descriptors), 0);
}

static void check_address_space(void) {
    char err[256];
    limit(RLIMIT_AS, (rlim_t)200 << 20);
    rlimits_start();
    CHECK(rlimits_address_space() == (uint64_t)200 << 20);
    CHECK(rlimits_check(0, 0, (size_t)50 << 20, err, sizeof(err)) == 0);
    CHECK(rlimits_check(0, 0, (size_t)250 << 20, err, sizeof(err)) == -ENOMEM);
    CHECK(strstr(err, "ulimit -v: 204800 KiB"));
    // Default stacks of 8 MiB and arenas of 64 MiB would not fit.
    CHECK(rlimits_check(16, 0, (size_t)50 << 20, err, sizeof(err)) == 0);
    pthread_attr_t attributes;
    size_t stack;
    CHECK(pthread_getattr_default_np(&attributes) == 0);
    CHECK(pthread_attr_getstacksize(&attributes, &stack) == 0 && stack == 1 << 20);
}

static void address_space_is_counted_and_saved(void **state) {
    (void)state;
    if (SANITIZED) {
        skip();
    }
    assert_int_equal(in_process(check_address_space), 0);
}

static void check_without_limits(void) {
    char err[256];
    rlimits_start();
    CHECK(rlimits_address_space() == UINT64_MAX);
    CHECK(rlimits_check(4, 16, (size_t)1 << 30, err, sizeof(err)) == 0);
}

static void nothing_changes_without_limits(void **state) {
    (void)state;
    assert_int_equal(in_process(check_without_limits), 0);
}

static void run_out_of_memory(void) {
    limit(RLIMIT_AS, (rlim_t)200 << 20);
    rlimits_start();
    free(xcalloc(300 << 20, 1));
}

static void no_memory_is_an_exit_code_and_names_the_limit(void **state) {
    (void)state;
    if (SANITIZED) {
        skip();
    }
    int status = in_process(run_out_of_memory);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_CODE_RESOURCES);
    assert_non_null(strstr(said, "limited to 200 MiB of address space"));
}

static void abort_in_a_library(void) {
    rlimits_start();
    abort();
}

static void fail_a_check(void) {
    rlimits_start();
    CHECK(said[0] == 'x');
}

static void an_abort_is_explained(void **state) {
    (void)state;
    if (SANITIZED) {
        skip();
    }
    said[0] = '\0';
    int status = in_process(abort_in_a_library);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "a library has called abort"));
    // Not so a failed CHECK, which is no library's.
    said[0] = '\0';
    status = in_process(fail_a_check);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "a bug in spur"));
    assert_null(strstr(said, "a library"));
}

static void exceed_file_size(void) {
    limit(RLIMIT_FSIZE, 10);
    rlimits_start();
    FILE *file = tmpfile();
    CHECK(file);
    CHECK(write(fileno(file), "0123456789", 10) == 10);
    CHECK(write(fileno(file), "x", 1) < 0 && errno == EFBIG);
}

static void a_file_over_the_limit_is_an_error(void **state) {
    (void)state;
    assert_int_equal(in_process(exceed_file_size), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_streams_become_dev_null),
        cmocka_unit_test(descriptors_are_counted),
        cmocka_unit_test(address_space_is_counted_and_saved),
        cmocka_unit_test(nothing_changes_without_limits),
        cmocka_unit_test(no_memory_is_an_exit_code_and_names_the_limit),
        cmocka_unit_test(an_abort_is_explained),
        cmocka_unit_test(a_file_over_the_limit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
