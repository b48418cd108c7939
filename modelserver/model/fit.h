// SPDX-License-Identifier: MIT
// Training the ensemble on D_env, as MBPO does it (its section 5.1, appendix C,
// and the authors' code where the paper is silent).
//
// Every training draws a new permutation of the rows: the first min(holdout
// ratio, holdout_rows_max) are held out from all members, the rest train. The
// input normaliser is fitted to the rest; targets (reward, next_obs - obs) stay
// as they are. Each member draws as many rows as there are, with replacement,
// once, and sees them in a new order every epoch. An epoch ends with the
// holdout error (squared error of the means) of each member; a member whose
// error fell by more than `improvement` relative to its best keeps these
// weights as its best. After more than `patience_epochs` epochs in a row
// without any such member (with model.stop budget: or when another epoch would
// exceed model.steps_max gradient steps), training stops, every member gets its best weights
// back, and the `elites` members with the lowest error are chosen. The bounds
// of the log-variance and Adam's moments are not set back, and weights, bounds
// and moments go on from training to training. Where termination is learnt, the
// ensemble's heads are trained afterwards, on the same rows (termination_fit.h).
//
// The result depends on seed, data, row count and the training's number; not on
// the number of threads. Nothing is allocated after fit_create.
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

// Copies what it needs of config. rows_max: of D_env, ever.
struct fit *fit_create(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                       int threads);
void fit_destroy(struct fit **fit);
uint64_t fit_memory_bytes(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                          int threads);

// Trains on rows [0, rows) of d. number: 0, 1, ..., of this training. Fills
// *out (params, normalizer, heads, elites, errors, epochs, env_rows; version is
// number + 1) unless the result says that nothing changed.
enum fit_result fit_train(struct fit *fit, struct model *out, const struct env_columns *d,
                          uint64_t rows, uint64_t number, const atomic_bool *stop);

// Pointers into fit: to be read or filled on the thread that trains, between trainings.
struct fit_state fit_state(struct fit *fit);

#endif
