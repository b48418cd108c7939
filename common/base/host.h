// SPDX-License-Identifier: MIT
// Resource limits of this process (cores, memory, cgroup), and signals from its parent.
#ifndef SPUR_COMMON_BASE_HOST_H
#define SPUR_COMMON_BASE_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Makes the kernel send a signal to this process when its parent ends, for whatever reason.
// parent: the pid of the parent before the fork, to detect that it has already ended. 0;
// -ESRCH if it has ended (the process should exit); another negative errno. The kernel
// watches the parent's *thread* that forked, which must therefore exist until the end.
// Async-signal-safe: may be called between fork and exec, and stays in effect after exec.
int host_die_with(pid_t parent, int signal_number);
// Default handlers for all signals, and none blocked: exec resets handlers, but keeps ignored
// signals and the signal mask. Async-signal-safe.
void host_reset_signals(void);

// Whether a signal to stop is a second request, not a repetition of the first: when a
// parent with several threads is killed, a child may get one SIGTERM per thread within
// milliseconds. *first_ms: 0 before the first signal.
bool host_stop_again(uint64_t *first_ms, uint64_t now_ms);

// Number of cores that this process may use: those of its affinity mask, limited by the
// cgroup's CPU quota. At least 1. The quota is rounded down, since with one thread too
// many the kernel throttles threads in the middle of a matrix product.
int host_cores(void);
// host_cores with the files of /proc and /sys below root (tests), and the cores of the
// affinity mask alone.
int host_cores_within(const char *root);
int host_affinity(void);
// Binds all threads of a process (0: this one) to one core. False if some could not be.
bool host_bind(pid_t pid, int core);

// Bytes that this process may use: physical memory or the cgroup's limit, whichever is
// smaller.
uint64_t host_memory_limit(void);

// Resident set size in bytes; 0 if unknown.
uint64_t host_rss(void);

// Limits of the cgroup (version 1 or 2): the smallest of the group and its ancestors. 0: no
// limit. root: prefix of /proc and /sys, "" except in tests.
double host_cgroup_cores(const char *root);
uint64_t host_cgroup_memory(const char *root);

// Whether a process is stopped, by SIGSTOP, a terminal or a debugger: it does nothing until
// SIGCONT.
bool host_is_stopped(int pid);

#endif
