// SPDX-License-Identifier: MIT
// The thread, between a queue of copies and a queue of results, of one item each.
#include "learner/checkpoint_writer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/queue.h"
#include "common/base/thread.h"

struct result {
    int rc;
    char text[512];
};

struct checkpoint_writer {
    struct queue *copies, *results;
    bool writing; // a result is to come, or waits to be taken; the caller's
    checkpoint_written_fn *written;
    void *arg;
    pthread_t thread;
};

static void *run(void *arg) {
    struct checkpoint_writer *w = arg;
    struct checkpoint_copy *copy;
    while ((copy = queue_pop(w->copies, UINT32_MAX))) {
        struct result *result = xcalloc(1, sizeof(*result));
        result->rc = checkpoint_write(copy, NULL, result->text, sizeof(result->text));
        checkpoint_copy_destroy(&copy);
        CHECK(queue_push(w->results, result));
        w->written(w->arg);
    }
    return NULL;
}

static void destroy_queues(struct checkpoint_writer *w) {
    free(queue_pop(w->results, 0));
    queue_destroy(&w->copies);
    queue_destroy(&w->results);
}

struct checkpoint_writer *checkpoint_writer_create(checkpoint_written_fn *written, void *arg,
                                                   char *err, size_t err_len) {
    struct checkpoint_writer *w = xcalloc(1, sizeof(*w));
    w->copies = queue_create(1);
    w->results = queue_create(1);
    w->written = written;
    w->arg = arg;
    int rc = thread_start(&w->thread, run, w);
    if (rc != 0) {
        snprintf(err, err_len, "the thread that writes checkpoints cannot be started: %s",
                 strerror(rc));
        destroy_queues(w);
        free(w);
        return NULL;
    }
    return w;
}

void checkpoint_writer_destroy(struct checkpoint_writer **w) {
    if (!*w) {
        return;
    }
    queue_close((*w)->copies); // a copy in it is still written
    pthread_join((*w)->thread, NULL);
    destroy_queues(*w);
    free(*w);
    *w = NULL;
}

void checkpoint_writer_start(struct checkpoint_writer *w, struct checkpoint_copy *copy) {
    CHECK(!w->writing);
    w->writing = queue_push(w->copies, copy);
    CHECK(w->writing);
}

bool checkpoint_writer_result(struct checkpoint_writer *w, bool wait, int *rc, char *err,
                              size_t err_len) {
    struct result *result = w->writing ? queue_pop(w->results, wait ? UINT32_MAX : 0) : NULL;
    if (!result) {
        return false;
    }
    w->writing = false;
    *rc = result->rc;
    snprintf(err, err_len, "%s", result->text);
    free(result);
    return true;
}
