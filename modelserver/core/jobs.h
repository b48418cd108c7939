// SPDX-License-Identifier: MIT
// Jobs that the core starts and threads run: stores, trainings, rollouts, saves,
// and the record of evaluations.
#ifndef SPUR_MODELSERVER_CORE_JOBS_H
#define SPUR_MODELSERVER_CORE_JOBS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "modelserver/model/fit_state.h"
#include "modelserver/model/rollout.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "modelserver/storage/state.h"
#include "modelserver/storage/store_batch.h"

struct ms_fit_job {
    struct model *out;
    uint64_t rows, number;
    atomic_ulong *epochs;   // counted up meanwhile; NULL: not
    enum fit_result result; // the answer
};

#define ROLLOUT_BLOCKS 2 // one being sent, one being made or waiting

// One block of a batch of rollouts.
struct rollout_block {
    struct rollout_job job;
    struct rollout_rows out; // the answer
    bool is_fill;            // of D_model's first fill, else rollouts for real steps
    bool sent;               // its states were sent to the learner
    // With this block the rollouts for real steps up to here are complete; 0: not yet.
    uint64_t through_steps;
};

struct ms_save_job {
    struct ms_state state;
    const struct model *model; // NULL before the first training
    bool keep;                 // the file at hand, as the one before
    bool failed;               // the answer
};

// One evaluation for the learning curve.
struct ms_evaluation {
    struct learning_curve_row row;
    const struct policy_version *best; // valid during the call; NULL: not the best so far
    uint64_t best_number;              // of its version, without the epoch
};

// Starts a job; its result returns by the ms_on_ function of the same name. One
// job of a kind runs at a time, except stores: any number, finished in order.
struct ms_jobs {
    void *arg;
    void (*store)(void *arg, struct store_batch *batch);
    void (*fit)(void *arg, struct ms_fit_job *job);
    void (*rollout)(void *arg, struct rollout_block *block);
    void (*save)(void *arg, struct ms_save_job *job);
    void (*evaluated)(void *arg, const struct ms_evaluation *evaluation);
};

#endif
