// SPDX-License-Identifier: MIT
// Starts a program as a child process that does not outlive this one.
#ifndef SPUR_COMMON_BASE_CHILD_H
#define SPUR_COMMON_BASE_CHILD_H

#include <sys/types.h>

#define CHILD_FDS_MAX 8

struct child_command {
    const char *const *args; // NULL-terminated; args[0] is a path
    const char *dir;         // to start in; NULL or "": the caller's
    const int *fds;          // become descriptors 0, 1, ... of the child; negative: closed
    int fd_count;            // at most CHILD_FDS_MAX
    int death_signal;        // for the child, when the thread that started it ends
};

// The child leads a session of its own, so that Ctrl-C in a terminal does not reach it, and has
// default signal handlers and no blocked signals. Returns its pid once exec has succeeded, or a
// negative errno if any step failed, exec included; no child is then left.
pid_t child_start(const struct child_command *command);

#endif
