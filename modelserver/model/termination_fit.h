// SPDX-License-Identifier: MIT
// Training the ensemble's termination heads (common/nn/termination.h): the part
// of a training of the model that there is where task.termination is "learned".
//
// A share model.holdout_ratio of the rows, evenly spread (every fifth), is held
// out from all heads for good: weights go on from training to training, so rows
// that are held out in one and trained on in another would make heads look surer
// than they are, and calibration is all that keeps them honest.
//
// Every head takes TERMINATION_STEPS steps of Adam, on batches of its own: one
// half drawn from all other rows, one from those of them that ended an episode,
// uniformly with replacement. The learning rate falls from model.learning_rate
// to nothing in the course of a training, so that the boundary comes to rest.
// Such batches ask for log-odds that are too high by log((1 + r) / r), r the
// share of rows that ended; from there scale and shift are fitted to the held
// out rows. While no row to train on ended an episode, heads are left as they
// are and never end anything.
//
// The result does not depend on the number of threads; nothing is allocated after
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

// rows_max: of D_env, ever. threads: of the team that trains.
struct termination_fit *termination_fit_create(const struct termination *t,
                                               const struct config *config, uint64_t rows_max,
                                               int threads);
void termination_fit_destroy(struct termination_fit **fit);
uint64_t termination_fit_memory_bytes(const struct termination *t, uint64_t rows_max, int threads);

// Trains copies on rows [0, rows) of d. number: of the training.
enum fit_result termination_fit_train(struct termination_fit *fit, struct thread_team *team,
                                      const struct env_columns *d, uint32_t rows, uint64_t number,
                                      const atomic_bool *stop);
// After FIT_DONE: makes them what the next training goes on from, and out's.
void termination_fit_accept(struct termination_fit *fit, struct model *out);

// Fills in the heads' part of a fit's state.
void termination_fit_state(struct fit_state *out, struct termination_fit *fit);

#endif
