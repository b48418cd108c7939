// SPDX-License-Identifier: MIT
// Training of the ensemble's termination heads (common/nn/termination.h), if
// task.termination is "learned".
//
// A fraction model.holdout_ratio of the rows, evenly spread, is held out from all
// heads permanently. Weights persist between trainings, so a row that was trained
// on in an earlier training would make the heads look overconfident when held out
// later, and the calibration on held-out rows would be wrong.
//
// Each head takes steps of Adam on batches of its own: one half sampled from all
// training rows, the other from those that ended an episode, uniformly with
// replacement. The learning rate decays linearly from model.learning_rate to 0 in
// each training. Such batches make the log-odds too high by log((1 + r) / r), r
// being the fraction of terminal rows; scale and shift are fitted to the held-out
// rows, starting from this correction.
//
// Weights start where the last training left them, so few steps are enough: a share
// TERMINATION_SHARE of the ensemble's arithmetic, or as many as make
// TERMINATION_STEPS_PER_END steps in total for each terminal row, at most
// TERMINATION_STEPS_MAX. While no training row ended an episode, heads are not
// trained and predict no termination.
//
// The result does not depend on the number of threads. Nothing is allocated after
// termination_fit_create.
#ifndef SPUR_MODELSERVER_MODEL_TERMINATION_FIT_H
#define SPUR_MODELSERVER_MODEL_TERMINATION_FIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/thread_team.h"
#include "common/config/config.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/fit_state.h"
#include "modelserver/model/versions.h"

#define TERMINATION_SHARE 0.1
#define TERMINATION_STEPS_PER_END 20
#define TERMINATION_STEPS_MAX 2000 // of one training
#define TERMINATION_BATCH 64

struct termination_fit;

// rows_max: capacity of D_env. threads: of the training team.
struct termination_fit *termination_fit_create(const struct termination *t,
                                               const struct config *config, uint64_t rows_max,
                                               int threads);
void termination_fit_destroy(struct termination_fit **fit);
uint64_t termination_fit_memory_bytes(const struct termination *t, uint64_t rows_max, int threads);

// Trains copies on rows [0, rows) of d. number: of the training. work: weights of a member times
// the rows that it was trained on this time.
enum fit_result termination_fit_train(struct termination_fit *fit, struct thread_team *team,
                                      const struct env_columns *d, uint32_t rows, uint64_t number,
                                      double work, const atomic_bool *stop);
// After FIT_DONE: accepts the result for the next training and copies it to out.
void termination_fit_accept(struct termination_fit *fit, struct model *out);

// Sets the heads' part of a fit's state.
void termination_fit_state(struct fit_state *out, struct termination_fit *fit);

#endif
