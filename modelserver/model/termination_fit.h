// SPDX-License-Identifier: MIT
// Training of the termination heads (common/nn/termination.h), if task.termination is "learned".
//
// - Split: a share model.holdout_ratio of the rows, evenly spaced (by default every fifth), is held
//   out from all heads in every training. The split is permanent because weights carry over: rows
//   that were trained on before would bias the calibration towards overconfidence.
// - Training: every head takes TERMINATION_STEPS Adam steps on its own batches. Half of a batch is
//   drawn from all training rows, half from those that ended an episode, uniformly with
//   replacement. The learning rate decays from model.learning_rate to 0 within a training.
// - Calibration: oversampling raises the log-odds by log((1 + r) / r), r being the share of
//   terminal rows. Scale and shift, starting from there, are fitted to the held-out rows.
//
// Until a training row has ended an episode, the heads stay unchanged and have probability 0.
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

#define TERMINATION_STEPS 2000
#define TERMINATION_BATCH 256

struct termination_fit;

// rows_max: largest size of D_env. threads: size of the team.
struct termination_fit *termination_fit_create(const struct termination *t,
                                               const struct config *config, uint64_t rows_max,
                                               int threads);
void termination_fit_destroy(struct termination_fit **fit);
uint64_t termination_fit_memory_bytes(const struct termination *t, uint64_t rows_max, int threads);

// Trains copies of the heads on rows [0, rows) of d. number: of the training, from 0.
enum fit_result termination_fit_train(struct termination_fit *fit, struct thread_team *team,
                                      const struct env_columns *d, uint32_t rows, uint64_t number,
                                      const atomic_bool *stop);
// After FIT_DONE: keeps the copies as the state of the next training, and copies them to out.
void termination_fit_accept(struct termination_fit *fit, struct model *out);

// Fills in the termination members of *out.
void termination_fit_state(struct fit_state *out, struct termination_fit *fit);

#endif
