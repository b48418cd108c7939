// SPDX-License-Identifier: MIT
// The thread, its queue of commands, and the shared report.
#include "learner/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/queue.h"

struct worker {
    struct trainer *trainer; // used by the thread only
    struct queue *commands;
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
        memcpy(w->params, trainer_policy(t).params, w->params_n * sizeof(float));
        w->published = t->report.policy_version;
        w->published_updates = t->updates;
    }
    pthread_mutex_unlock(&w->lock);
    metrics_sum_clear(&t->report.sum);
}

static void *run(void *arg) {
    struct worker *w = arg;
    struct trainer *t = w->trainer;
    while (!atomic_load(&w->stop)) {
        struct trainer_command *command =
            queue_pop(w->commands, trainer_can_update(t) ? 0 : UINT32_MAX);
        bool published = false, news = true;
        if (command) {
            trainer_handle(t, command);
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

struct worker *worker_create(struct trainer *trainer, size_t commands_max, worker_wake_fn *wake,
                             void *arg, char *err, size_t err_len) {
    struct worker *w = xcalloc(1, sizeof(*w));
    w->trainer = trainer;
    w->commands = queue_create(commands_max);
    w->wake = wake;
    w->wake_arg = arg;
    pthread_mutex_init(&w->lock, NULL);
    w->params_n = policy_params(trainer_policy(trainer).shape);
    w->params = xfloats(w->params_n);
    share(w, true); // the initial policy

    // Only the loop thread receives signals.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        snprintf(err, err_len, "the training thread cannot be started: %s", strerror(rc));
        pthread_mutex_destroy(&w->lock);
        queue_destroy(&w->commands);
        free(w->params);
        free(w);
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
    struct trainer_command *command;
    while ((command = queue_pop((*w)->commands, 0))) {
        trainer_command_destroy(&command);
    }
    queue_destroy(&(*w)->commands);
    pthread_mutex_destroy(&(*w)->lock);
    free((*w)->params);
    free(*w);
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
