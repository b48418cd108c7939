// SPDX-License-Identifier: MIT
// Thread team with adaptive spinning before sleep.
//
// A job starts by incrementing `round`. Each helper that sees a new round does its share, then
// decrements `busy`. Jobs take fractions of a millisecond and waking a sleeping thread tens of
// microseconds, so a waiting thread first spins. The limit on the time spent spinning doubles after
// a successful spin and halves after an unsuccessful one: on a contended core, spinning delays the
// very thread being waited for. A team larger than the machine never spins.
//
// Lost wake-ups: a sleeper increments `asleep`, then re-checks the counter under the lock; a waker
// changes the counter, then reads `asleep`. All four accesses are sequentially consistent, so at
// least one of them sees the other's write. Without sleepers the lock is not taken.
#include "common/base/thread_team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/host.h"

#define SPIN_NS_MAX 200000
#define SPIN_NS_MIN 1000
#define SPIN_POLLS 32 // polls of the counter between two readings of the clock

struct thread_team_member {
    struct thread_team *team;
    int worker;
    uint64_t spin_ns; // spin this long before sleeping; 0: never spin
    pthread_t thread;
};

struct thread_team {
    int size;
    struct thread_team_member members[THREAD_TEAM_SIZE_MAX]; // the first is the caller
    thread_team_fn *fn; // the job; written before `round`, read after it
    void *arg;
    int items;
    bool closing;      // helpers exit at the next round
    atomic_uint round; // number of jobs started
    atomic_uint busy;  // helpers that have not finished this round
    atomic_int asleep; // threads waiting on `changed`
    pthread_mutex_t lock;
    pthread_cond_t changed; // some counter has changed
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Spins until *counter differs from `from`: true, or until spin_ns have passed: false.
static bool changes_within(atomic_uint *counter, unsigned from, uint64_t spin_ns) {
    uint64_t begin_ns = clock_ns();
    do {
        for (int i = 0; i < SPIN_POLLS; i++) {
            if (atomic_load_explicit(counter, memory_order_acquire) != from) {
                return true;
            }
            relax();
        }
    } while (clock_ns() - begin_ns < spin_ns);
    return false;
}

// changes_within with the member's adaptive time limit.
static bool spin(struct thread_team_member *me, atomic_uint *counter, unsigned from) {
    if (me->spin_ns == 0) {
        return false;
    }
    bool changed = changes_within(counter, from, me->spin_ns);
    uint64_t next_ns = changed ? me->spin_ns * 2 : me->spin_ns / 2;
    if (next_ns >= SPIN_NS_MIN && next_ns <= SPIN_NS_MAX) {
        me->spin_ns = next_ns;
    }
    return changed;
}

// Waits until *counter differs from `from`; returns its new value.
static unsigned wait_for_change(struct thread_team_member *me, atomic_uint *counter,
                                unsigned from) {
    struct thread_team *t = me->team;
    if (!spin(me, counter, from)) {
        pthread_mutex_lock(&t->lock);
        atomic_fetch_add(&t->asleep, 1);
        while (atomic_load(counter) == from) {
            pthread_cond_wait(&t->changed, &t->lock);
        }
        atomic_fetch_sub(&t->asleep, 1);
        pthread_mutex_unlock(&t->lock);
    }
    return atomic_load(counter);
}

// To be called after every change of a counter.
static void wake_sleepers(struct thread_team *t) {
    if (atomic_load(&t->asleep) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
    }
}

static void start_round(struct thread_team *t) {
    atomic_store(&t->busy, (unsigned)t->size - 1);
    atomic_fetch_add(&t->round, 1);
    wake_sleepers(t);
}

static void do_share(struct thread_team *t, int worker) {
    for (int item = worker; item < t->items; item += t->size) {
        t->fn(t->arg, item, worker);
    }
}

static void *helper_main(void *arg) {
    struct thread_team_member *me = arg;
    struct thread_team *t = me->team;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_change(me, &t->round, seen);
        if (t->closing) {
            return NULL;
        }
        do_share(t, me->worker);
        if (atomic_fetch_sub(&t->busy, 1) == 1) {
            wake_sleepers(t);
        }
    }
}

struct thread_team *thread_team_create(int size) {
    CHECK(size >= 1);
    CHECK(size <= THREAD_TEAM_SIZE_MAX);
    struct thread_team *t = xmalloc(sizeof(*t));
    t->size = size;
    CHECK_RESOURCES(pthread_mutex_init(&t->lock, NULL) == 0);
    CHECK_RESOURCES(pthread_cond_init(&t->changed, NULL) == 0);
    uint64_t spin_ns = size <= host_cores() ? SPIN_NS_MAX : 0;
    for (int i = 0; i < size; i++) {
        t->members[i] = (struct thread_team_member){.team = t, .worker = i, .spin_ns = spin_ns};
    }
    for (int i = 1; i < size; i++) {
        if (pthread_create(&t->members[i].thread, NULL, helper_main, &t->members[i]) != 0) {
            die(EXIT_CODE_RESOURCES,
                "lower compute.modelserver_threads or compute.learner_threads, or raise the limit "
                "of threads (ulimit -u) or address space (ulimit -v)",
                "thread %d of %d could not be started", i, size);
        }
    }
    return t;
}

void thread_team_destroy(struct thread_team **team) {
    struct thread_team *t = *team;
    if (!t) {
        return;
    }
    t->closing = true;
    start_round(t);
    for (int i = 1; i < t->size; i++) {
        pthread_join(t->members[i].thread, NULL);
    }
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
    *team = NULL;
}

void thread_team_raise(struct thread_team *t, atomic_uint *counter, unsigned value) {
    atomic_store(counter, value);
    wake_sleepers(t);
}

void thread_team_wait(struct thread_team *t, int worker, atomic_uint *counter, unsigned least) {
    unsigned value = atomic_load(counter);
    while ((int)(value - least) < 0) {
        value = wait_for_change(&t->members[worker], counter, value);
    }
}

int thread_team_size(const struct thread_team *t) {
    return t->size;
}

void thread_team_run(struct thread_team *t, thread_team_fn *fn, void *arg, int items) {
    if (!t || t->size == 1) {
        for (int item = 0; item < items; item++) {
            fn(arg, item, 0);
        }
        return;
    }
    t->fn = fn;
    t->arg = arg;
    t->items = items;
    start_round(t);
    do_share(t, 0);
    unsigned left = atomic_load(&t->busy);
    while (left > 0) {
        left = wait_for_change(&t->members[0], &t->busy, left);
    }
}
