// SPDX-License-Identifier: MIT
// A few threads that do the items of one job side by side and meet at its end.
//
// crew_run(fn, arg, items) calls fn(arg, item, worker) once for every item and
// returns when all are done. Which worker does which item is fixed (item modulo
// crew size), so scratch may be kept per worker, and a job whose items do not
// touch each other gives the same bits with any number of threads. The calling
// thread is worker 0; a crew of one, or NULL in its place, has no other thread at all.
#ifndef SPUR_COMMON_CREW_H
#define SPUR_COMMON_CREW_H

#include <stdatomic.h>

#define CREW_SIZE_MAX 32

struct crew;

typedef void crew_fn(void *arg, int item, int worker);

struct crew *crew_create(int size); // 1..CREW_SIZE_MAX
void crew_destroy(struct crew **crew);
int crew_size(const struct crew *crew);
// From one thread at a time. crew may be NULL.
void crew_run(struct crew *crew, crew_fn *fn, void *arg, int items);

// Within a job, for items that build on others: a word only grows, whoever has
// brought it further says so, and others wait until it has come to `least`. (By
// less than half of its range: words may wrap.)
void crew_raise(struct crew *crew, atomic_uint *word, unsigned value);
void crew_wait(struct crew *crew, int worker, atomic_uint *word, unsigned least);

#endif
