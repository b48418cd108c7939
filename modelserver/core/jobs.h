// SPDX-License-Identifier: MIT
// Jobs that the core starts and others run: stores, trainings, rollouts, saves.
#ifndef SPUR_MODELSERVER_CORE_JOBS_H
#define SPUR_MODELSERVER_CORE_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/experience_queue.h"
#include "modelserver/model/fit_state.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "modelserver/storage/state.h"
#include "modelserver/storage/store_batch.h"

struct ms_fit_job {
    struct model *out;
    uint64_t rows, number;
    enum fit_result result; // the answer
};

struct ms_save_job {
    struct ms_state state;
    const struct model *model; // NULL before the first training
    bool failed;               // the answer
};

// One evaluation for the record; policy is given when it is the best so far.
struct ms_evaluation {
    struct learning_curve_row row;
    const struct policy_version *best; // valid during the call; NULL: not the best
};

// Starts work that runs elsewhere; its result returns by the ms_on_ function of the same name.
struct ms_jobs {
    void *arg;
    void (*store)(void *arg, struct store_batch *batch);
    void (*fit)(void *arg, struct ms_fit_job *job);
    void (*rollout)(void *arg, struct rollout_block *block);
    void (*save)(void *arg, struct ms_save_job *job);
    void (*evaluated)(void *arg, const struct ms_evaluation *evaluation);
};

#endif
