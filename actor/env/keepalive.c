// SPDX-License-Identifier: MIT
// The second thread: it waits for the end of the call, ENV_WAIT_MS at a time. The mutex is held
// during wait->fn, so that the call's end waits for it.
#include "actor/env/keepalive.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"

struct keepalive {
    const struct env_wait *wait;
    uint64_t since_ms;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool ended;
};

static struct timespec after_ms(long ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void *run(void *arg) {
    struct keepalive *k = arg;
    pthread_mutex_lock(&k->lock);
    while (!k->ended) {
        struct timespec until = after_ms(ENV_WAIT_MS);
        if (pthread_cond_timedwait(&k->end, &k->lock, &until) == ETIMEDOUT && !k->ended &&
            !k->wait->fn(k->wait->arg, clock_ms(), k->since_ms) && k->wait->abandon) {
            k->wait->abandon(k->wait->arg);
        }
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

bool keepalive_call(const struct env_wait *wait, void (*fn)(void *arg), void *arg) {
    struct keepalive k = {.wait = wait, .since_ms = clock_ms(), .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    if (!wait) {
        fn(arg);
        return true;
    }
    if (!wait->fn(wait->arg, k.since_ms, k.since_ms)) {
        return false;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&k.end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = pthread_create(&thread, NULL, run, &k);
    if (rc) {
        log_warn("no thread for heartbeats while the environment is created: %s", strerror(rc));
    }
    fn(arg);
    if (rc == 0) {
        pthread_mutex_lock(&k.lock);
        k.ended = true;
        pthread_cond_signal(&k.end);
        pthread_mutex_unlock(&k.lock);
        pthread_join(thread, NULL);
    }
    pthread_cond_destroy(&k.end);
    pthread_mutex_destroy(&k.lock);
    return true;
}
