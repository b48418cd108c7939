// SPDX-License-Identifier: MIT
// Each thread has its own queue; results return through one queue to the loop.
#include "modelserver/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/queue.h"
#include "common/base/thread.h"
#include "modelserver/core/ingest.h"

// More than can be pending: all batches, two blocks, a training, a save, and a few
// evaluations.
#define WORK_MAX (INGEST_BATCHES + 64)
#define GROUP_MAX 256 // batches in one transaction

struct workers {
    struct workers_setup setup;
    struct work work[WORK_MAX];
    struct work *unused[WORK_MAX];
    int unused_count;
    struct queue *disk, *training, *rollouts, *done;
    pthread_t disk_thread, training_thread, rollout_thread;
    atomic_bool stop;
};

static void finish(struct workers *w, struct work *work) {
    CHECK(queue_push(w->done, work)); // has room for all work
    w->setup.ready(w->setup.arg);
}

// ---- disk ----

static void commit(struct workers *w, struct work *const *group, int n) {
    struct store_batch *batches[GROUP_MAX];
    char err[sizeof(group[0]->err)] = "";
    for (int i = 0; i < n; i++) {
        batches[i] = group[i]->batch;
    }
    store_commit(w->setup.store, batches, n, err, sizeof(err));
    for (int i = 0; i < n; i++) {
        memcpy(group[i]->err, err, sizeof(err));
        finish(w, group[i]);
    }
}

static void record_evaluation(struct workers *w, struct work *work) {
    const struct workers_setup *s = &w->setup;
    const struct learning_curve_row *row = &work->evaluation.row;
    int rc = learning_curve_append(s->progress_path, row, work->err, sizeof(work->err));
    if (rc == 0 && work->evaluation.best) {
        rc = ms_checkpoint_policy_write(s->best_path, s->task, &s->policy, work->evaluation.best,
                                        work->evaluation.best_version, row, work->err,
                                        sizeof(work->err));
    }
    work->failed = rc != 0;
    finish(w, work);
}

static void *disk_thread(void *arg) {
    struct workers *w = arg;
    struct work *work = queue_pop(w->disk, UINT32_MAX);
    while (work) {
        struct work *group[GROUP_MAX];
        int n = 0;
        while (work && work->kind == WORK_STORE && n < GROUP_MAX) {
            group[n++] = work;
            work = queue_pop(w->disk, 0);
        }
        if (n > 0) {
            commit(w, group, n);
        }
        if (work && work->kind == WORK_EVALUATION) {
            record_evaluation(w, work);
            work = NULL;
        }
        work = work ? work : queue_pop(w->disk, UINT32_MAX);
    }
    return NULL;
}

// ---- training ----

static void *training_thread(void *arg) {
    struct workers *w = arg;
    const struct workers_setup *s = &w->setup;
    struct work *work;
    while ((work = queue_pop(w->training, UINT32_MAX))) {
        if (work->kind == WORK_FIT) {
            struct ms_fit_job *job = work->fit;
            fit_count_epochs(s->fit, job->epochs);
            job->result = fit_train(s->fit, job->out, store_columns(s->store), job->rows,
                                    job->number, &w->stop);
        } else {
            struct fit_state state = fit_state(s->fit);
            work->failed = ms_checkpoint_write(s->checkpoint_path, &s->run, &work->save->state,
                                               work->save->model, &state, work->save->keep,
                                               work->err, sizeof(work->err)) != 0;
            work->save->failed = work->failed;
        }
        finish(w, work);
    }
    return NULL;
}

// ---- rollouts ----

static void *rollout_thread(void *arg) {
    struct workers *w = arg;
    struct work *work;
    while ((work = queue_pop(w->rollouts, UINT32_MAX))) {
        rollout_run(w->setup.rollout, &work->block->out, &work->block->job,
                    store_columns(w->setup.store));
        finish(w, work);
    }
    return NULL;
}

// ---- the loop thread ----

static void start(pthread_t *thread, void *(*fn)(void *), struct workers *w) {
    if (thread_start(thread, fn, w) != 0) {
        die(EXIT_CODE_RESOURCES,
            "raise the limit of threads (ulimit -u) or of address space (ulimit -v)",
            "a thread could not be started");
    }
}

struct workers *workers_create(const struct workers_setup *setup) {
    struct workers *w = xmalloc(sizeof(*w));
    w->setup = *setup;
    for (int i = 0; i < WORK_MAX; i++) {
        w->unused[i] = &w->work[i];
    }
    w->unused_count = WORK_MAX;
    w->disk = queue_create(WORK_MAX);
    w->training = queue_create(WORK_MAX);
    w->rollouts = queue_create(WORK_MAX);
    w->done = queue_create(WORK_MAX);
    start(&w->disk_thread, disk_thread, w);
    start(&w->training_thread, training_thread, w);
    start(&w->rollout_thread, rollout_thread, w);
    return w;
}

void workers_join(struct workers *w) {
    if (queue_closed(w->disk)) {
        return;
    }
    workers_interrupt(w);
    queue_close(w->disk);
    queue_close(w->training);
    queue_close(w->rollouts);
    pthread_join(w->disk_thread, NULL);
    pthread_join(w->training_thread, NULL);
    pthread_join(w->rollout_thread, NULL);
}

void workers_destroy(struct workers **pointer) {
    struct workers *w = *pointer;
    if (!w) {
        return;
    }
    workers_join(w);
    struct work *work;
    while ((work = workers_take(w))) {
        workers_give_back(w, work);
    }
    queue_destroy(&w->disk);
    queue_destroy(&w->training);
    queue_destroy(&w->rollouts);
    queue_destroy(&w->done);
    free(w);
    *pointer = NULL;
}

static struct work *new_work(struct workers *w, enum work_kind kind) {
    CHECK(w->unused_count > 0);
    struct work *work = w->unused[--w->unused_count];
    *work = (struct work){.kind = kind};
    return work;
}

void workers_store(struct workers *w, struct store_batch *batch) {
    struct work *work = new_work(w, WORK_STORE);
    work->batch = batch;
    CHECK(queue_push(w->disk, work));
}

void workers_evaluation(struct workers *w, const struct ms_evaluation *e) {
    struct work *work = new_work(w, WORK_EVALUATION);
    work->evaluation.row = e->row;
    work->evaluation.best = NULL;
    if (e->best) {
        size_t n = policy_params(&w->setup.policy);
        work->evaluation.best = xfloats(n);
        work->evaluation.best_version = e->best_number;
        memcpy(work->evaluation.best, e->best->params, n * sizeof(float));
    }
    CHECK(queue_push(w->disk, work));
}

void workers_fit(struct workers *w, struct ms_fit_job *job) {
    struct work *work = new_work(w, WORK_FIT);
    work->fit = job;
    CHECK(queue_push(w->training, work));
}

void workers_save(struct workers *w, struct ms_save_job *job) {
    struct work *work = new_work(w, WORK_SAVE);
    work->save = job;
    CHECK(queue_push(w->training, work));
}

void workers_rollout(struct workers *w, struct rollout_block *block) {
    struct work *work = new_work(w, WORK_ROLLOUT);
    work->block = block;
    CHECK(queue_push(w->rollouts, work));
}

void workers_interrupt(struct workers *w) {
    atomic_store_explicit(&w->stop, true, memory_order_relaxed);
}

struct work *workers_take(struct workers *w) {
    return queue_pop(w->done, 0);
}

void workers_give_back(struct workers *w, struct work *work) {
    if (work->kind == WORK_EVALUATION) {
        free(work->evaluation.best);
    }
    w->unused[w->unused_count++] = work;
}
