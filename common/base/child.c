// SPDX-License-Identifier: MIT
// fork and exec. posix_spawn and libuv's uv_spawn have no hook between the two, where a child must
// set its parent-death signal.
#include "common/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/host.h"

enum { FD_FREE = 16 }; // from here on no descriptor of the child is used
_Static_assert(FD_FREE > CHILD_FDS_MAX, "descriptors are moved out of the way");

// Reports errno to the parent and exits.
static _Noreturn void report_failure(int report_fd) {
    int failure = errno;
    ssize_t written = write(report_fd, &failure, sizeof(failure));
    _exit(written == (ssize_t)sizeof(failure) ? 127 : 126);
}

static void move_fds(const int *fds, int n, int report_fd) {
    int high[CHILD_FDS_MAX];
    for (int i = 0; i < n; i++) {
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, FD_FREE);
        if (fds[i] >= 0 && high[i] < 0) {
            report_failure(report_fd);
        }
    }
    for (int i = 0; i < n; i++) {
        if (high[i] >= 0 && dup2(high[i], i) < 0) {
            report_failure(report_fd);
        }
    }
}

// The child between fork and exec: async-signal-safe calls only.
static _Noreturn void exec_child(const struct child_command *command, pid_t parent, int report_fd) {
    int high = fcntl(report_fd, F_DUPFD_CLOEXEC, FD_FREE);
    if (high < 0) {
        report_failure(report_fd);
    }
    report_fd = high;
    int rc = host_die_with(parent, command->death_signal);
    if (rc != 0) {
        errno = -rc;
        report_failure(report_fd);
    }
    setsid();
    move_fds(command->fds, command->fd_count, report_fd);
    if (command->dir && command->dir[0] != '\0' && chdir(command->dir) != 0) {
        report_failure(report_fd);
    }
    host_reset_signals();
    execv(command->args[0], (char *const *)(uintptr_t)command->args);
    report_failure(report_fd);
}

// Waits for the child's exec, which closes the pipe; if it is not reached, the child writes its
// errno first. Returns 0 or that.
static int await_exec(int report_fd) {
    int failure = 0;
    ssize_t n;
    do {
        n = read(report_fd, &failure, sizeof(failure));
    } while (n < 0 && errno == EINTR);
    return n > 0 ? failure : 0;
}

// All signals are blocked across fork, so that none runs this process's handlers in the child.
pid_t child_start(const struct child_command *command) {
    CHECK(command->fd_count <= CHILD_FDS_MAX);
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        return -errno;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        exec_child(command, parent, report[1]);
    }
    int failure = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid > 0) {
        failure = await_exec(report[0]);
        while (failure != 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close(report[0]);
    return failure ? -failure : pid;
}
