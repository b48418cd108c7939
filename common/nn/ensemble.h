// SPDX-License-Identifier: MIT
// The ensemble of probabilistic dynamics models (Chua et al. 2018, MBPO
// section 5): each member maps a standardised (obs, act) to a Gaussian over
// (reward, next_obs - obs) with a diagonal covariance.
//
// Output of a member: mean (T) then raw log-variance (T), T = 1 + obs_dim, the
// reward first. The log-variance is kept within trainable bounds, shared by the
// members, by two softplus:
//   l = max - softplus(max - raw);  logvar = min + softplus(l - min)
//
// One block of parameters: member 0's network, member 1's, ..., then
// max_logvar (T), then min_logvar (T).
#ifndef SPUR_COMMON_NN_ENSEMBLE_H
#define SPUR_COMMON_NN_ENSEMBLE_H

#include "common/nn/mlp.h"

#define ENSEMBLE_MEMBERS_MAX 32

struct ensemble {
    int members;
    int obs_dim, act_dim;
    int in_dim, target_dim; // obs_dim + act_dim, 1 + obs_dim
    struct mlp net;         // SiLU, in_dim -> 2 * target_dim
};

struct ensemble ensemble_make(int members, int obs_dim, int act_dim, int hidden_width,
                              int hidden_layers);
size_t ensemble_params(const struct ensemble *e);
size_t ensemble_member_offset(const struct ensemble *e, int member); // mlp_params(&e->net) floats
size_t ensemble_max_logvar_offset(const struct ensemble *e);
size_t ensemble_min_logvar_offset(const struct ensemble *e);
size_t ensemble_scratch(const struct ensemble *e, int B);

// Truncated normal weights from a stream of its own for each member; bounds
// start at +0.5 and -10.
void ensemble_init(float *params, const struct ensemble *e, uint64_t seed);

// One member's part of the loss for a batch of its own:
//   mean over (B, T) of [(mean - y)^2 exp(-logvar) + logvar]
// x (B, in_dim) standardised, y (B, T). dparams is laid out as the whole block: the
// gradient of this member's network is written there, that of the bounds, which
// members share, is added. Returns the loss; *mse, unless NULL, is the mean over
// (B, T) of (mean - y)^2.
float ensemble_member_loss(float *mse, float *dparams, float *scratch, const struct ensemble *e,
                           const float *params, int member, const float *x, const float *y, int B);

// The same in parts, for training: only the second needs the bounds, which wait for
// all members, and the third takes this member's step (mlp.h) instead of adding
// to a gradient. They share scratch, params, x and B; params are read but for the
// member's own network in the third. d_bounds (2 T) is added to: of max_logvar, then
// of min_logvar.
void ensemble_member_forward(float *scratch, const struct ensemble *e, const float *params,
                             int member, const float *x, int B);
float ensemble_member_output(float *mse, float *d_bounds, float *scratch, const struct ensemble *e,
                             const float *params, const float *y, int B);
void ensemble_member_adam(const struct mlp_adam *a, float *params, float *scratch,
                          const struct ensemble *e, int member, int B);

// The terms without data: 0.01 sum(max_logvar) - 0.01 sum(min_logvar). Adds the
// gradient to d_bounds (2 T), returns the value. (Weight decay is the optimiser's
// part.)
float ensemble_bounds_loss(float *d_bounds, const struct ensemble *e, const float *params);

// mean (B, T) and logvar (B, T; NULL: not wanted) of one member.
void ensemble_predict(float *mean, float *logvar, float *scratch, const struct ensemble *e,
                      const float *params, int member, const float *x, int B);

#endif
