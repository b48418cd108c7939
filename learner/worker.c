// SPDX-License-Identifier: MIT
// The thread, its queue of commands, the shared report, and the writing of checkpoints.
#include "learner/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/queue.h"
#include "common/base/thread.h"
#include "learner/checkpoint_writer.h"

struct worker {
    struct trainer *trainer; // used by the thread only
    struct queue *commands;
    struct checkpoint_writer *writer;
    atomic_bool stop;
    worker_wake_fn *wake;
    void *wake_arg;
    pthread_t thread;

    pthread_mutex_t lock; // protects the following
    struct trainer_report report;
    float *params; // (params_n), the newest publication
    size_t params_n;
    uint64_t published, published_updates, taken; // versions; `taken`: by the loop
};

// Publishes the report and the policy. Sums accumulate until they are taken.
static void share(struct worker *w, bool published) {
    struct trainer *t = w->trainer;
    pthread_mutex_lock(&w->lock);
    struct metrics_sum sum = w->report.sum;
    metrics_sum_merge(&sum, &t->report.sum);
    w->report = t->report;
    w->report.sum = sum;
    if (published) {
        memcpy(w->params, t->published, w->params_n * sizeof(float));
        w->published = t->report.policy_version;
        w->published_updates = t->published_updates;
    }
    pthread_mutex_unlock(&w->lock);
    metrics_sum_clear(&t->report.sum);
}

// From the writer's thread. If the queue is full, the worker is not asleep.
static void on_written(void *arg) {
    struct worker *w = arg;
    struct trainer_command *command = trainer_command_create(TRAINER_WRITTEN);
    if (!queue_push(w->commands, command)) {
        trainer_command_destroy(&command);
    }
}

static void take_written(struct worker *w, bool wait) {
    char err[TRAINER_TEXT_MAX];
    int rc;
    if (checkpoint_writer_result(w->writer, wait, &rc, err, sizeof(err))) {
        trainer_written(w->trainer, rc < 0 ? err : NULL);
    }
}

static void handle(struct worker *w, struct trainer_command *command) {
    // One checkpoint is written at a time.
    bool saves = command->kind == TRAINER_CHECKPOINT || command->kind == TRAINER_FINISH;
    take_written(w, saves);
    trainer_handle(w->trainer, command);
    struct checkpoint_copy *copy = trainer_take_copy(w->trainer);
    if (copy) {
        checkpoint_writer_start(w->writer, copy);
    }
}

static void *run(void *arg) {
    struct worker *w = arg;
    struct trainer *t = w->trainer;
    while (!atomic_load(&w->stop)) {
        struct trainer_command *command =
            queue_pop(w->commands, trainer_can_update(t) ? 0 : UINT32_MAX);
        bool published = false, news = true;
        if (command) {
            handle(w, command);
        } else if (trainer_can_update(t)) {
            published = trainer_update(t);
            news = published || t->report.idle;
        }
        share(w, published);
        if (news) {
            w->wake(w->wake_arg);
        }
    }
    return NULL;
}

// Of a worker whose thread has ended, or was never started.
static void release(struct worker *w) {
    struct trainer_command *command;
    checkpoint_writer_destroy(&w->writer);
    while ((command = queue_pop(w->commands, 0))) {
        trainer_command_destroy(&command);
    }
    queue_destroy(&w->commands);
    pthread_mutex_destroy(&w->lock);
    free(w->params);
    free(w);
}

struct worker *worker_create(struct trainer *trainer, size_t commands_max, worker_wake_fn *wake,
                             void *arg, char *err, size_t err_len) {
    struct worker *w = xcalloc(1, sizeof(*w));
    w->commands = queue_create(commands_max);
    w->writer = checkpoint_writer_create(on_written, w, err, err_len);
    if (!w->writer) {
        queue_destroy(&w->commands);
        free(w);
        return NULL;
    }
    w->trainer = trainer;
    trainer->writes_later = true;
    w->wake = wake;
    w->wake_arg = arg;
    pthread_mutex_init(&w->lock, NULL);
    w->params_n = policy_params(trainer_policy(trainer).shape);
    w->params = xfloats(w->params_n);
    share(w, true); // the initial policy

    int rc = thread_start(&w->thread, run, w);
    if (rc != 0) {
        snprintf(err, err_len, "the training thread cannot be started: %s", strerror(rc));
        release(w);
        return NULL;
    }
    return w;
}

void worker_destroy(struct worker **w) {
    if (!*w) {
        return;
    }
    atomic_store(&(*w)->stop, true);
    queue_close((*w)->commands);
    pthread_join((*w)->thread, NULL);
    release(*w);
    *w = NULL;
}

bool worker_submit(struct worker *w, struct trainer_command *command) {
    return queue_push(w->commands, command);
}

bool worker_take(struct worker *w, struct trainer_report *report, float *params, uint64_t *version,
                 uint64_t *updates) {
    pthread_mutex_lock(&w->lock);
    *report = w->report;
    metrics_sum_clear(&w->report.sum);
    bool newer = w->published > w->taken;
    if (newer) {
        memcpy(params, w->params, w->params_n * sizeof(float));
        *version = w->taken = w->published;
        *updates = w->published_updates;
    }
    pthread_mutex_unlock(&w->lock);
    return newer;
}
