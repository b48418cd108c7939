// SPDX-License-Identifier: MIT
// Training of the ensemble on D_env, as in MBPO (section 5.1, appendix C, and the
// authors' code where the paper is silent).
//
// Every training draws a new permutation of the rows. The first min(rows * holdout
// ratio, holdout_rows_max) are held out from all members; the others are training
// rows. With model.holdout fixed those are held out that a draw for each row of D_env
// says, in all trainings; such rows beyond holdout_rows_max are left out.
// Normalizers of inputs and targets (reward, next_obs - obs) are fitted to the
// training rows, and the weights re-parametrised, so that each member predicts what
// it predicted before (common/nn/reparam.h); model.targets raw, as in MBPO's code,
// leaves targets as they are. Targets that are constant have no part in loss and
// error. Each member draws one bootstrap sample of the
// training rows (with replacement, of the same number) and a new order of it in
// every epoch. An epoch ends with the holdout error of each member (squared error
// of the means, in units of the standardised targets); if it fell by more than `improvement`
// relative to the member's best, the weights are saved as its best. Training stops after more than
// `patience_epochs` epochs in a row without improvement of any member (with
// model.stop budget: or when another epoch would exceed model.steps_max gradient
// steps). With model.stop paired_test the ensemble is judged as a whole: by a paired
// test of the log-likelihood of its mixture on the held-out rows (DHMBPO, erl_lib), it
// is kept if it is better with p < 0.1, and training ends after 50 ln(obs_dim + 1)
// epochs in a row without p < 0.5, or 5 times as many in all; both 5 times as many in
// the first training. With model.bootstrap exponential all members see the same batches,
// and each row of D_env has a fixed weight for each member. Then each member's best weights are
// restored, and the `elites` members with the lowest error are selected. Bounds of the log-variance
// and Adam's moments are not restored; weights, bounds and moments are the start of the next
// training. Where termination is learnt, the termination heads are trained
// afterwards on the same rows (termination_fit.h).
//
// The result depends on seed, data, row count and number of the training, not on
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

// Copies the values it needs from config. rows_max: capacity of D_env.
struct fit *fit_create(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                       int threads);
void fit_destroy(struct fit **fit);
uint64_t fit_memory_bytes(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                          int threads);

// Trains on rows [0, rows) of d. number: of this training, from 0. Fills *out
// (params, normalizer, heads, elites, errors, epochs, env_rows; version is
// number + 1) unless the result is STOPPED or BROKEN.
enum fit_result fit_train(struct fit *fit, struct model *out, const struct env_columns *d,
                          uint64_t rows, uint64_t number, const atomic_bool *stop);

// Adds one there for every epoch of the following trainings (borrowed; NULL: nowhere), so that
// another thread sees that a long training moves.
void fit_count_epochs(struct fit *fit, atomic_ulong *epochs);

// Pointers into fit, to be read or written on the training thread between trainings.
struct fit_state fit_state(struct fit *fit);

#endif
