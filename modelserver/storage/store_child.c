// SPDX-License-Identifier: MIT
// Limits and signals of the child, set after fork and before it opens the store.
#include "modelserver/storage/store_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/host.h"

#define SECONDS_MAX 600

void store_child_begin(pid_t parent) {
    const struct rlimit no_core = {0, 0};
    host_die_with(parent, SIGKILL);
    host_reset_signals();
    setrlimit(RLIMIT_CORE, &no_core);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO); // LMDB's assertions
    alarm(SECONDS_MAX);
}
