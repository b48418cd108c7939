// SPDX-License-Identifier: MIT
// Worker threads of the model server, so that its loop never blocks: one for the disk (store,
// learning curve), one for training and checkpoints, one for rollouts.
//
// The loop's thread submits work by workers_store, workers_fit, ... and receives results by
// workers_take; a callback, on any thread, notifies it of results. Each thread works in the order
// of submission. Batches that are pending together are stored in one transaction.
#ifndef SPUR_MODELSERVER_WORKERS_H
#define SPUR_MODELSERVER_WORKERS_H

#include "modelserver/core/modelserver.h"
#include "modelserver/model/fit.h"
#include "modelserver/model/rollout.h"
#include "modelserver/storage/checkpoint.h"
#include "modelserver/storage/store.h"

#define WORKERS_PATH_MAX 4096

enum work_kind { WORK_STORE, WORK_EVALUATION, WORK_FIT, WORK_SAVE, WORK_ROLLOUT };

// One item of work and its result.
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
    bool failed;   // EVALUATION, SAVE: message in err
    char err[512]; // also for STORE
};

// All borrowed; until workers_destroy only the worker threads may use them.
struct workers_setup {
    struct store *store;
    struct fit *fit;
    struct rollout *rollout;
    const struct task *task;
    struct policy policy;
    struct ms_checkpoint_run run;
    size_t normalizer_len;
    char progress_path[WORKERS_PATH_MAX], best_path[WORKERS_PATH_MAX],
        checkpoint_path[WORKERS_PATH_MAX];
    void (*ready)(void *arg); // a result is available
    void *arg;
};

struct workers;
struct workers *workers_create(const struct workers_setup *setup);
// Interrupts a training and waits for all other submitted work. Results remain available until
// workers_destroy, which calls this if the caller has not.
void workers_join(struct workers *w);
void workers_destroy(struct workers **workers);

void workers_store(struct workers *w, struct store_batch *batch);
void workers_evaluation(struct workers *w, const struct ms_evaluation *evaluation); // copies
void workers_fit(struct workers *w, struct ms_fit_job *job);
void workers_save(struct workers *w, struct ms_save_job *job);
void workers_rollout(struct workers *w, struct rollout_block *block);
// The current training, and all later ones, end with FIT_STOPPED.
void workers_interrupt(struct workers *w);

// The next result, or NULL. Return it by workers_give_back.
struct work *workers_take(struct workers *w);
void workers_give_back(struct workers *w, struct work *work);

#endif
