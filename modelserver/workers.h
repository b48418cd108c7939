// SPDX-License-Identifier: MIT
// Worker threads of the model server, so that its loop never blocks: one for the
// disk (store, learning curve), one for training and checkpoints, one for rollouts.
//
// The loop thread submits work by workers_ functions and collects results by
// workers_take; a callback, on any thread, signals that a result is ready. Each
// thread works in order of submission. Stores waiting together are committed in
// one transaction.
#ifndef SPUR_MODELSERVER_WORKERS_H
#define SPUR_MODELSERVER_WORKERS_H

#include "modelserver/core/modelserver.h"
#include "modelserver/model/fit.h"
#include "modelserver/model/rollout.h"
#include "modelserver/storage/checkpoint.h"
#include "modelserver/storage/store.h"

#define WORKERS_PATH_MAX 4096

enum work_kind { WORK_STORE, WORK_EVALUATION, WORK_FIT, WORK_SAVE, WORK_ROLLOUT };

// One piece of work and its result.
struct work {
    enum work_kind kind;
    union {
        struct store_batch *batch;
        struct ms_fit_job *fit;
        struct ms_save_job *save;
        struct rollout_block *block;
        struct {
            struct learning_curve_row row;
            float *best; // copy of the policy's parameters, or NULL
            uint64_t best_version;
        } evaluation;
    };
    bool failed;   // EVALUATION, SAVE: err says why
    char err[512]; // also of STORE
};

// All borrowed; only the threads use them until workers_destroy.
struct workers_setup {
    struct store *store;
    struct fit *fit;
    struct rollout *rollout;
    const struct task *task;
    struct policy policy;
    struct ms_checkpoint_run run;
    char progress_path[WORKERS_PATH_MAX], best_path[WORKERS_PATH_MAX],
        checkpoint_path[WORKERS_PATH_MAX];
    void (*ready)(void *arg); // a result is ready
    void *arg;
};

struct workers;
struct workers *workers_create(const struct workers_setup *setup);
// Interrupts a training and waits for all other submitted work. Results can be
// taken until workers_destroy, which calls this first if necessary.
void workers_join(struct workers *w);
void workers_destroy(struct workers **workers);

void workers_store(struct workers *w, struct store_batch *batch);
void workers_evaluation(struct workers *w, const struct ms_evaluation *evaluation); // copies
void workers_fit(struct workers *w, struct ms_fit_job *job);
void workers_save(struct workers *w, struct ms_save_job *job);
void workers_rollout(struct workers *w, struct rollout_block *block);
// The current and all later trainings end with FIT_STOPPED.
void workers_interrupt(struct workers *w);

// The next result, or NULL. Must be given back.
struct work *workers_take(struct workers *w);
void workers_give_back(struct workers *w, struct work *work);

#endif
