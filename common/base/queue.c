// SPDX-License-Identifier: MIT
// A ring buffer under a mutex, with one condition variable for waiting consumers.
#include "common/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/check.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    size_t head, len, len_max;
    bool closed;
    void **items;
};

struct queue *queue_create(size_t len_max) {
    CHECK(len_max > 0);
    struct queue *q = xcalloc(1, sizeof(*q));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->not_empty, &attr);
    pthread_condattr_destroy(&attr);
    q->len_max = len_max;
    q->items = xcalloc(len_max, sizeof(*q->items));
    return q;
}

void queue_destroy(struct queue **q) {
    if (!*q) {
        return;
    }
    pthread_mutex_destroy(&(*q)->lock);
    pthread_cond_destroy(&(*q)->not_empty);
    free((*q)->items);
    free(*q);
    *q = NULL;
}

bool queue_push(struct queue *q, void *item) {
    CHECK(item);
    pthread_mutex_lock(&q->lock);
    bool room = !q->closed && q->len < q->len_max;
    if (room) {
        q->items[(q->head + q->len++) % q->len_max] = item;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->lock);
    return room;
}

void *queue_pop(struct queue *q, uint32_t timeout_ms) {
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }

    void *item = NULL;
    int rc = 0;
    pthread_mutex_lock(&q->lock);
    while (q->len == 0 && !q->closed && timeout_ms > 0 && rc != ETIMEDOUT) {
        rc = timeout_ms == UINT32_MAX ? pthread_cond_wait(&q->not_empty, &q->lock)
                                      : pthread_cond_timedwait(&q->not_empty, &q->lock, &deadline);
    }
    if (q->len > 0) {
        item = q->items[q->head];
        q->head = (q->head + 1) % q->len_max;
        q->len--;
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->lock);
}

bool queue_closed(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}

size_t queue_len(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    size_t len = q->len;
    pthread_mutex_unlock(&q->lock);
    return len;
}
