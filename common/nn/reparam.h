// SPDX-License-Identifier: MIT
// Exact re-parametrisation of networks whose inputs or outputs are standardised: when the
// statistics change, the weights change such that the network computes the same function.
//
// With z = (x - mean) / std at the input, x = mean + std z at the output, and new statistics
// marked by ':
//   first layer:  W'_j = W_j std'_j / std_j,         b' = b + W (mean' - mean) / std
//   last layer:   W'_j = W_j std_j / std'_j,         b'_j = (b_j std_j + mean_j - mean'_j) / std'_j
// A constant column (std 0, normalizer.h) has no influence before and none after: as an input its
// weights become 0 when it begins to move, as an output it starts from its old mean.
#ifndef SPUR_COMMON_NN_REPARAM_H
#define SPUR_COMMON_NN_REPARAM_H

#include "common/nn/ensemble.h"
#include "common/nn/mlp.h"
#include "common/nn/policy.h"

// The first dim inputs of the network change their normalizer (2 dim floats each). Weights grow by
// a factor of at most `limit`: where standardised inputs were bounded, the function was constant
// further out, and is not continued linearly to a multiple of that bound. INFINITY: no limit.
void reparam_inputs(float *params, const struct mlp *net, const float *from, const float *to,
                    int dim, float limit);

// Random weights of the first layer, drawn for all inputs (mlp_init_glorot), become as if drawn for
// all but the `constant` ones, which take no part: the others would start too small.
void reparam_fresh_inputs(float *params, const struct mlp *net, int constant);

// folded (policy_params) = params, of standardised observations, as a function of observations as
// they are: what is published.
void reparam_fold_policy(float *folded, const struct policy *p, const float *params,
                         const float *observations);

// Outputs first, ..., first + dim - 1 change their normalizer.
void reparam_outputs(float *params, const struct mlp *net, const float *from, const float *to,
                     int first, int dim);

// All members of an ensemble and the bounds of the log-variance. from, to: ensemble_normalizer
// blocks.
void reparam_ensemble(float *params, const struct ensemble *e, const float *from, const float *to);

// Random members start as if the ensemble had only the inputs that move.
void reparam_fresh_ensemble(float *params, const struct ensemble *e, const float *normalizer);
// The number of columns of a normalizer (2 dim) that move.
int reparam_moving(const float *normalizer, int dim);

#endif
