// SPDX-License-Identifier: MIT
// Trainings of the model: one at a time, at the training points of the pacing.
#ifndef SPUR_MODELSERVER_CORE_TRAINING_H
#define SPUR_MODELSERVER_CORE_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/counters.h"
#include "modelserver/core/jobs.h"
#include "modelserver/core/run_context.h"
#include "modelserver/model/versions.h"

#define TRAINING_LAG_MAX 8

struct training {
    const struct run_context *run;
    const struct ms_jobs *jobs;
    struct counters *counters;
    struct model_slots models;
    struct model *model;                   // newest; NULL before the first training
    struct model *older[TRAINING_LAG_MAX]; // model.lag_trainings of them, from the newest
    uint64_t model_ms;                     // when it was ready
    struct ms_fit_job job;
    bool running;
    uint64_t running_for; // training point of the one that runs
    atomic_ulong epochs;  // of all trainings since the start, counted by the training's thread
    uint64_t broken;      // trainings in a row that ended with weights that are not finite
    // Part of the checkpoint.
    uint64_t trainings;   // that succeeded: the next one's number
    uint64_t trained_for; // training point of the last; 0: none
};

void training_init(struct training *t, const struct run_context *run, const struct ms_jobs *jobs,
                   struct counters *counters);
void training_deinit(struct training *t);
// The part of a checkpoint: to out, and from one (or zeros) at start-up.
void training_state(const struct training *t, struct ms_state *out);
void training_restore(struct training *t, const struct ms_state *from);
// Copies the model of a checkpoint: it is the newest.
void training_restore_model(struct training *t, uint64_t now_ms, const struct model *from);

// The training point whose training runs or is due at that many real steps; 0: none.
uint64_t training_point(const struct training *t, uint64_t steps);
// The model of rollouts and learner: the newest, or the one of model.lag_trainings before, or the
// oldest since the start if there are not so many. NULL: none yet.
struct model *training_supplied(const struct training *t);
// Starts a training if one is due and none runs.
void training_start(struct training *t, uint64_t steps);

// Whether the model is no longer trained: what is known, in out.
bool training_is_broken(const struct training *t, char *out, size_t out_len);

enum training_outcome {
    TRAINING_NEW_MODEL,
    TRAINING_KEPT_MODEL, // interrupted, or weights not finite: the model before stays
    TRAINING_NO_MODEL,   // the first one ended with weights that are not finite
};
enum training_outcome training_done(struct training *t, uint64_t now_ms, struct ms_fit_job *job);

#endif
