// SPDX-License-Identifier: MIT
//
// A job is announced by raising `round`; whoever sees a new round does its share
// and counts itself off `busy`. Jobs are fractions of a millisecond, and waking a
// sleeping thread takes tens of microseconds, so whoever waits first watches the
// word that it waits for. It does so for a bounded time, which halves whenever it
// was in vain and doubles whenever it was not: on a core that others want,
// spinning only delays what is waited for. A team larger than the machine does
// not spin at all. Then it sleeps.
//
// Sleepers count themselves in `asleep`, then look again under the lock; wakers
// change the word, then look at `asleep`. Both are sequentially consistent, so
// one of the two sees the other, and the lock is taken only to wake somebody.
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
#define SPIN_LOOKS 32 // between two looks at the clock

struct thread_team_member {
    struct thread_team *team;
    int worker;
    uint64_t spin_ns; // before it sleeps; 0: at once
    pthread_t thread;
};

struct thread_team {
    int size;
    struct thread_team_member members[THREAD_TEAM_SIZE_MAX]; // the first is the caller
    thread_team_fn *fn; // the job; written before `round`, read after it
    void *arg;
    int items;
    bool closing; // there is no job any more
    atomic_uint round;
    atomic_uint busy; // helpers that have not finished this round
    atomic_int asleep;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// True as soon as *word is not `from` any more, false when the time is over.
static bool changes_soon(atomic_uint *word, unsigned from, uint64_t spin_ns) {
    uint64_t begin_ns = clock_ns();
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != from) {
                return true;
            }
            relax();
        }
    } while (clock_ns() - begin_ns < spin_ns);
    return false;
}

static bool spin(struct thread_team_member *me, atomic_uint *word, unsigned from) {
    if (me->spin_ns == 0) {
        return false;
    }
    bool changed = changes_soon(word, from, me->spin_ns);
    uint64_t next_ns = changed ? me->spin_ns * 2 : me->spin_ns / 2;
    if (next_ns >= SPIN_NS_MIN && next_ns <= SPIN_NS_MAX) {
        me->spin_ns = next_ns;
    }
    return changed;
}

// Returns when *word is not `from` any more, with its new value.
static unsigned wait_for_change(struct thread_team_member *me, atomic_uint *word, unsigned from) {
    struct thread_team *c = me->team;
    if (!spin(me, word, from)) {
        pthread_mutex_lock(&c->lock);
        atomic_fetch_add(&c->asleep, 1);
        while (atomic_load(word) == from) {
            pthread_cond_wait(&c->changed, &c->lock);
        }
        atomic_fetch_sub(&c->asleep, 1);
        pthread_mutex_unlock(&c->lock);
    }
    return atomic_load(word);
}

// After a word was changed.
static void wake_sleepers(struct thread_team *c) {
    if (atomic_load(&c->asleep) > 0) {
        pthread_mutex_lock(&c->lock);
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
    }
}

static void announce(struct thread_team *c) {
    atomic_store(&c->busy, (unsigned)c->size - 1);
    atomic_fetch_add(&c->round, 1);
    wake_sleepers(c);
}

static void do_share(struct thread_team *c, int worker) {
    for (int item = worker; item < c->items; item += c->size) {
        c->fn(c->arg, item, worker);
    }
}

static void *help(void *arg) {
    struct thread_team_member *me = arg;
    struct thread_team *c = me->team;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_change(me, &c->round, seen);
        if (c->closing) {
            return NULL;
        }
        do_share(c, me->worker);
        if (atomic_fetch_sub(&c->busy, 1) == 1) {
            wake_sleepers(c);
        }
    }
}

struct thread_team *thread_team_create(int size) {
    CHECK(size >= 1);
    CHECK(size <= THREAD_TEAM_SIZE_MAX);
    struct thread_team *c = xmalloc(sizeof(*c));
    c->size = size;
    CHECK(pthread_mutex_init(&c->lock, NULL) == 0);
    CHECK(pthread_cond_init(&c->changed, NULL) == 0);
    uint64_t spin_ns = size <= host_cores() ? SPIN_NS_MAX : 0;
    for (int i = 0; i < size; i++) {
        c->members[i] = (struct thread_team_member){.team = c, .worker = i, .spin_ns = spin_ns};
    }
    for (int i = 1; i < size; i++) {
        if (pthread_create(&c->members[i].thread, NULL, help, &c->members[i]) != 0) {
            die(EXIT_CODE_FAILURE, "lower compute.modelserver_threads or compute.learner_threads",
                "thread %d of %d could not be started", i, size);
        }
    }
    return c;
}

void thread_team_destroy(struct thread_team **team) {
    struct thread_team *c = *team;
    if (!c) {
        return;
    }
    c->closing = true;
    announce(c);
    for (int i = 1; i < c->size; i++) {
        pthread_join(c->members[i].thread, NULL);
    }
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *team = NULL;
}

void thread_team_raise(struct thread_team *c, atomic_uint *word, unsigned value) {
    atomic_store(word, value);
    wake_sleepers(c);
}

void thread_team_wait(struct thread_team *c, int worker, atomic_uint *word, unsigned least) {
    unsigned value = atomic_load(word);
    while ((int)(value - least) < 0) {
        value = wait_for_change(&c->members[worker], word, value);
    }
}

int thread_team_size(const struct thread_team *c) {
    return c->size;
}

void thread_team_run(struct thread_team *c, thread_team_fn *fn, void *arg, int items) {
    if (!c || c->size == 1) {
        for (int item = 0; item < items; item++) {
            fn(arg, item, 0);
        }
        return;
    }
    c->fn = fn;
    c->arg = arg;
    c->items = items;
    announce(c);
    do_share(c, 0);
    unsigned left = atomic_load(&c->busy);
    while (left > 0) {
        left = wait_for_change(&c->members[0], &c->busy, left);
    }
}
