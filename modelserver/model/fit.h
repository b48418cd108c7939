// SPDX-License-Identifier: MIT
// Training of the ensemble on D_env with early stopping (Janner et al. 2019, MBPO, section 5.1 and
// appendix C; the authors' code where the paper does not say).
//
// - Split: each training permutes the rows anew and holds out the first holdout_ratio of them, at
//   most holdout_rows_max, from all members. The input normalizer is fitted to the training rows;
//   targets (reward, next_obs - obs) are not normalized.
// - Bootstrap: each member draws a sample with replacement, as large as the training set, and
//   visits it in a new order every epoch.
// - Early stopping: after each epoch the holdout error (squared error of the mean) of every member
//   is computed. A member whose error improved on its best by more than `improvement`, relative,
//   saves its weights. Training stops after more than `patience_epochs` consecutive epochs in which
//   no member improved or, with model.stop budget, when another epoch would exceed model.steps_max
//   gradient steps. Then every member's best weights are restored and the `elites` members with the
//   lowest error are chosen. Log-variance bounds and Adam moments are not restored.
// - Warm start: weights, bounds and moments are those of the previous training.
//
// Learned termination heads are trained afterwards, on the same rows (termination_fit.h).
//
// The result depends on the seed, the data, the number of rows and the number of the training, not
// on the number of threads. Nothing is allocated after fit_create.
#ifndef SPUR_MODELSERVER_MODEL_FIT_H
#define SPUR_MODELSERVER_MODEL_FIT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/fit_state.h"
#include "modelserver/model/versions.h"

struct fit;

// config is not kept. rows_max: largest size of D_env.
struct fit *fit_create(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                       int threads);
void fit_destroy(struct fit **fit);
uint64_t fit_memory_bytes(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                          int threads);

// Trains on rows [0, rows) of d. number: of this training, from 0. With FIT_DONE, fills *out
// (params, normalizer, heads, elites, errors, epochs, env_rows; version = number + 1).
enum fit_result fit_train(struct fit *fit, struct model *out, const struct env_columns *d,
                          uint64_t rows, uint64_t number, const atomic_bool *stop);

// Pointers into fit, to be read or filled between trainings, on the training thread.
struct fit_state fit_state(struct fit *fit);

#endif
