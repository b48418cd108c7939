// SPDX-License-Identifier: MIT
// A few threads that do the items of one job side by side and meet at its end.
//
// thread_team_run(fn, arg, items) calls fn(arg, item, worker) once for every item and
// returns when all are done. Which worker does which item is fixed (item modulo
// team size), so scratch may be kept per worker, and a job whose items do not
// touch each other gives the same bits with any number of threads. The calling
// thread is worker 0; a team of one, or NULL in its place, has no other thread at all.
#ifndef SPUR_COMMON_BASE_THREAD_TEAM_H
#define SPUR_COMMON_BASE_THREAD_TEAM_H

#include <stdatomic.h>

#define THREAD_TEAM_SIZE_MAX 32

struct thread_team;

typedef void thread_team_fn(void *arg, int item, int worker);

struct thread_team *thread_team_create(int size); // 1..THREAD_TEAM_SIZE_MAX
void thread_team_destroy(struct thread_team **team);
int thread_team_size(const struct thread_team *team);
// From one thread at a time. team may be NULL.
void thread_team_run(struct thread_team *team, thread_team_fn *fn, void *arg, int items);

// Within a job, for items that build on others: a word only grows, whoever has
// brought it further says so, and others wait until it has come to `least`. (By
// less than half of its range: words may wrap.)
void thread_team_raise(struct thread_team *team, atomic_uint *word, unsigned value);
void thread_team_wait(struct thread_team *team, int worker, atomic_uint *word, unsigned least);

#endif
