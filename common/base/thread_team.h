// SPDX-License-Identifier: MIT
// A team of threads that executes the items of one job in parallel (fork-join).
//
// thread_team_run(team, fn, arg, items) calls fn(arg, item, worker) once per item and returns when
// all are done. The assignment is static, worker = item modulo team size: scratch can be per
// worker, and a job with independent items produces the same bits with any number of threads. The
// calling thread is worker 0. A team of one, or NULL, runs everything on the calling thread.
#ifndef SPUR_COMMON_BASE_THREAD_TEAM_H
#define SPUR_COMMON_BASE_THREAD_TEAM_H

#include <stdatomic.h>

#define THREAD_TEAM_SIZE_MAX 32

struct thread_team;

typedef void thread_team_fn(void *arg, int item, int worker);

struct thread_team *thread_team_create(int size); // 1..THREAD_TEAM_SIZE_MAX
void thread_team_destroy(struct thread_team **team);
int thread_team_size(const struct thread_team *team);
// To be called from one thread at a time. team may be NULL.
void thread_team_run(struct thread_team *team, thread_team_fn *fn, void *arg, int items);

// Dependencies between the items of a job, by a monotonic counter: raise publishes progress, wait
// blocks until it is at least `least`. The counter may wrap around: values are compared modulo
// 2^32, and must be less than 2^31 apart.
void thread_team_raise(struct thread_team *team, atomic_uint *counter, unsigned value);
void thread_team_wait(struct thread_team *team, int worker, atomic_uint *counter, unsigned least);

#endif
