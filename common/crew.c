// SPDX-License-Identifier: MIT
//
// A job is announced by raising `round`; whoever sees a new round does its
// share and counts itself off. The jobs are milliseconds long, so a mutex and
// two conditions cost nothing that could be measured.
#include "common/crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/check.h"

struct crew_member {
    struct crew *crew;
    int worker;
    pthread_t thread;
};

struct crew {
    int size;
    struct crew_member members[CREW_SIZE_MAX];
    pthread_mutex_t lock;
    pthread_cond_t begins, ends;
    unsigned long round;
    int busy; // helpers that have not finished this round
    bool closing;
    crew_fn *fn;
    void *arg;
    int items;
};

static void do_share(struct crew *c, int worker) {
    for (int item = worker; item < c->items; item += c->size) {
        c->fn(c->arg, item, worker);
    }
}

static void *help(void *arg) {
    struct crew_member *me = arg;
    struct crew *c = me->crew;
    unsigned long seen = 0;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->round == seen && !c->closing) {
            pthread_cond_wait(&c->begins, &c->lock);
        }
        if (c->closing) {
            break;
        }
        seen = c->round;
        pthread_mutex_unlock(&c->lock);
        do_share(c, me->worker);
        pthread_mutex_lock(&c->lock);
        c->busy--;
        if (c->busy == 0) {
            pthread_cond_signal(&c->ends);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct crew *crew_create(int size) {
    CHECK(size >= 1);
    CHECK(size <= CREW_SIZE_MAX);
    struct crew *c = xmalloc(sizeof(*c));
    c->size = size;
    CHECK(pthread_mutex_init(&c->lock, NULL) == 0);
    CHECK(pthread_cond_init(&c->begins, NULL) == 0);
    CHECK(pthread_cond_init(&c->ends, NULL) == 0);
    for (int i = 1; i < size; i++) {
        c->members[i] = (struct crew_member){.crew = c, .worker = i};
        if (pthread_create(&c->members[i].thread, NULL, help, &c->members[i]) != 0) {
            die(EXIT_CODE_FAILURE, "lower compute.modelserver_threads or compute.learner_threads",
                "thread %d of %d could not be started", i, size);
        }
    }
    return c;
}

void crew_destroy(struct crew **crew) {
    struct crew *c = *crew;
    if (!c) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_cond_broadcast(&c->begins);
    pthread_mutex_unlock(&c->lock);
    for (int i = 1; i < c->size; i++) {
        pthread_join(c->members[i].thread, NULL);
    }
    pthread_cond_destroy(&c->begins);
    pthread_cond_destroy(&c->ends);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *crew = NULL;
}

int crew_size(const struct crew *c) {
    return c->size;
}

void crew_run(struct crew *c, crew_fn *fn, void *arg, int items) {
    if (c->size == 1) {
        for (int item = 0; item < items; item++) {
            fn(arg, item, 0);
        }
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->fn = fn;
    c->arg = arg;
    c->items = items;
    c->busy = c->size - 1;
    c->round++;
    pthread_cond_broadcast(&c->begins);
    pthread_mutex_unlock(&c->lock);
    do_share(c, 0);
    pthread_mutex_lock(&c->lock);
    while (c->busy > 0) {
        pthread_cond_wait(&c->ends, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}
