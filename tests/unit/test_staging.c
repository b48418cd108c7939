// SPDX-License-Identifier: MIT
// Shows that learners which start in the same instant take turns at making their folders, so that
// at least one folder is left, and that a start which was frozen in its turn does not stop others.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "learner/staging.h"

enum { TURN_MS = 300, STARTS = 8, ROUNDS = 40 };

static char dir[] = "/tmp/spur-staging-XXXXXX";

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[sizeof(dir) + 16];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

// A process that has the turn for so long.
static pid_t hold(int ms) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(dir, O_RDONLY | O_DIRECTORY);
        int rc = flock(fd, LOCK_EX);
        _exit(rc != 0 || write(ready[1], "x", 1) != 1 || usleep((unsigned)ms * 1000) != 0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static uint64_t create_ms(void) {
    char path[PATH_MAX], err[512];
    uint64_t before = clock_ms();
    assert_int_equal(staging_create(path, dir, "kept", err, sizeof(err)), 0);
    assert_false(staging_is_lost(path));
    return clock_ms() - before;
}

static void a_start_waits_for_its_turn(void **state) {
    (void)state;
    int status;
    pid_t pid = hold(TURN_MS);
    assert_true(create_ms() >= TURN_MS / 2);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_true(create_ms() < TURN_MS / 2);
}

static void a_frozen_start_is_not_waited_for(void **state) {
    (void)state;
    pid_t pid = hold(60000);
    uint64_t took = create_ms();
    assert_true(took >= 1000 && took < 10000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// Each child says by its exit code whether its folder was left when all had made theirs.
static void starts_of_one_instant_leave_one(void **state) {
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int go[2], left = 0, status;
        char path[PATH_MAX], err[512], byte;
        assert_int_equal(pipe(go), 0);
        for (int i = 0; i < STARTS; i++) {
            if (fork() == 0) {
                close(go[1]);
                int rc = (int)read(go[0], &byte, 1); // its end: all at once
                rc = rc ? rc : staging_create(path, dir, "kept", err, sizeof(err));
                usleep(30000);
                _exit(rc != 0 ? 2 : access(path, F_OK) == 0 ? 0 : 1);
            }
        }
        close(go[0]);
        close(go[1]);
        for (int i = 0; i < STARTS; i++) {
            wait(&status);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
            left += WEXITSTATUS(status) == 0;
        }
        assert_int_equal(left, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_waits_for_its_turn),
        cmocka_unit_test(a_frozen_start_is_not_waited_for),
        cmocka_unit_test(starts_of_one_instant_leave_one),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
