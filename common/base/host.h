// SPDX-License-Identifier: MIT
// What the process knows about itself and the machine's promises to it.
#ifndef SPUR_COMMON_BASE_HOST_H
#define SPUR_COMMON_BASE_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// From now on the calling process gets SIGTERM when its parent ends, however
// that ends. parent: the pid that the parent had before the child was made, so
// that a parent already gone is noticed. 0; -ESRCH: it is gone, leave; other
// negative errno. It counts for the parent's *thread* that made the child,
// which therefore must be one that lives on. Async-signal-safe: may be called
// between fork and exec, and survives exec.
int host_die_with(pid_t parent);

// Whether a signal to stop is a second request, and not an echo of the first:
// the children of a process of several threads may get SIGTERM once a thread when
// it is killed, all within milliseconds. *first_ms: 0 before the first signal.
bool host_stop_again(uint64_t *first_ms, uint64_t now_ms);

// Cores that this process may use: its affinity mask, cut to the cgroup's CPU
// quota (rounded down: a thread too many is throttled in the midst of a
// product). At least 1.
int host_cores(void);
// The same with the cgroup's files below root, and the affinity mask alone.
int host_cores_within(const char *root);
int host_affinity(void);
// Binds all threads of a process (0: the caller's) to one core. False: not all.
bool host_bind(pid_t pid, int core);

// Bytes that this process may use: the smaller of physical memory and the
// cgroup's limit.
uint64_t host_memory_limit(void);

// Bytes resident right now; 0 when the system does not tell.
uint64_t host_rss(void);

// The cgroup's limits alone (v1 or v2; the tightest of the group and those
// above it). 0: none. root stands before /proc and /sys: "" but in tests.
double host_cgroup_cores(const char *root);
uint64_t host_cgroup_memory(const char *root);

#endif
