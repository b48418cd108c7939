// SPDX-License-Identifier: MIT
// The ensemble of probabilistic dynamics models (Chua et al. 2018, MBPO
// section 5): each member maps a standardised (obs, act) to a Gaussian over
// the standardised (reward, next_obs - obs) with a diagonal covariance.
//
// A member outputs mean (T), then raw log-variance (T), with T = 1 + obs_dim and the reward first.
// Two softplus keep the log-variance within trainable bounds that all members share:
//   l = max - softplus(max - raw);  logvar = min + softplus(l - min)
//
// With free noise (DHMBPO) a member outputs its mean alone, and has one trained log_sigma for each
// target: logvar = 2 log_sigma.
//
// One parameter block: the network of member 0, of member 1, ..., then the parameters of the noise:
// max_logvar (T), min_logvar (T), or log_sigma (members, T). All memory is the caller's; scratch
// has ensemble_scratch() floats, one per thread.
#ifndef SPUR_COMMON_NN_ENSEMBLE_H
#define SPUR_COMMON_NN_ENSEMBLE_H

#include "common/nn/mlp.h"

#define ENSEMBLE_MEMBERS_MAX 32

struct ensemble {
    int members;
    int obs_dim, act_dim;
    int in_dim, target_dim; // obs_dim + act_dim, 1 + obs_dim
    struct mlp net;         // SiLU, in_dim -> 2 * target_dim, or target_dim with free noise
    bool free_noise;
};

// Free noise: log_sigma decays at this rate (adam_shrink), and nothing is gained below the floor.
#define ENSEMBLE_NOISE_DECAY 1e-2
#define ENSEMBLE_NOISE_FLOOR (-6.9077553f) // log 1e-3

struct ensemble ensemble_make_hidden(int members, int obs_dim, int act_dim,
                                     const struct mlp_hidden *hidden);
// With SiLU layers of equal width.
struct ensemble ensemble_make(int members, int obs_dim, int act_dim, int hidden_width,
                              int hidden_layers);
// e with free noise.
struct ensemble ensemble_with_free_noise(struct ensemble e);
size_t ensemble_params(const struct ensemble *e);                    // floats in the block
size_t ensemble_member_offset(const struct ensemble *e, int member); // mlp_params(&e->net) floats
size_t ensemble_max_logvar_offset(const struct ensemble *e);
size_t ensemble_min_logvar_offset(const struct ensemble *e);
size_t ensemble_log_sigma_offset(const struct ensemble *e, int member);
// Parameters of the noise that a member's loss depends on: 2 T that all share, or its own T.
size_t ensemble_noise_floats(const struct ensemble *e);
size_t ensemble_scratch(const struct ensemble *e, int B);

// The statistics that go with the parameters: a normalizer (normalizer.h) of the inputs, then one
// of the targets.
size_t ensemble_normalizer_floats(const struct ensemble *e);
size_t ensemble_target_normalizer(const struct ensemble *e); // offset of the second
void ensemble_normalizer_identity(float *block, const struct ensemble *e);
// weight (T) of each target in the loss: 0 where it is constant, and equal for all others, with
// a mean over all of 1.
void ensemble_target_weights(float *weight, const struct ensemble *e, const float *normalizer);

// Truncated normal weights, one random stream per member; bounds max_logvar = 0.5, min_logvar =
// -10; log_sigma = 0.
void ensemble_init(float *params, const struct ensemble *e, uint64_t seed);
// The same with mlp_init_kaiming.
void ensemble_init_kaiming(float *params, const struct ensemble *e, uint64_t seed);

// One member's Gaussian negative log-likelihood, up to a constant and a factor of 2:
//   mean over (B, T) of row_weight_i weight_j [(mean - y)^2 exp(-logvar) + logvar]
// x (B, in_dim) and y (B, T) standardised, weight (T) of the targets, row_weight (B), or NULL for
// 1. With free noise the last term is at least 2 ENSEMBLE_NOISE_FLOOR. dparams is laid out as the
// parameter block: the gradient of the member's network is written, the gradient of the noise's
// parameters is added. Returns the loss; *mse, unless NULL, becomes the mean over (B, T) of
// weight_j (mean - y)^2.
float ensemble_member_loss(float *mse, float *dparams, float *scratch, const struct ensemble *e,
                           const float *params, int member, const float *x, const float *y,
                           const float *weight, const float *row_weight, int B);

// ensemble_member_loss in three stages, for concurrent training of members. Only `output` reads the
// bounds, which change when all members are done with a step; only `adam` writes params, and there
// only the member's network (see mlp_backward_adam). Call them in this order with the same scratch,
// params and B. d_noise (ensemble_noise_floats), the gradient of max_logvar then min_logvar, or of
// the member's log_sigma, is added to. dropout: NULL without.
void ensemble_member_forward(float *scratch, const struct ensemble *e, const float *params,
                             int member, const float *x, int B, const struct mlp_dropout *dropout);
float ensemble_member_output(float *mse, float *d_noise, float *scratch, const struct ensemble *e,
                             const float *params, int member, const float *y, const float *weight,
                             const float *row_weight, int B);
void ensemble_member_adam(const struct mlp_adam *a, float *params, float *scratch,
                          const struct ensemble *e, int member, int B);

// Without free noise: the loss on the bounds: 0.01 sum(max_logvar) - 0.01 sum(min_logvar) over
// targets of weight > 0. Adds the gradient to d_bounds (2 T), returns the value. (Weight decay is
// left to the optimizer.)
float ensemble_bounds_loss(float *d_bounds, const struct ensemble *e, const float *params,
                           const float *weight);

// Predicts mean (B, T) and logvar (B, T; may be NULL) of one member. Inference only.
void ensemble_predict(float *mean, float *logvar, float *scratch, const struct ensemble *e,
                      const float *params, int member, const float *x, int B);

// A reparametrised sample from the output (B, 2T; T with free noise) of a member's network, for a
// caller that runs the network itself: y (B, T) = mean + exp(logvar / 2) noise, in standardised
// targets. noise (B, T); 0 gives the mean. kept (B, T) = dy / draw, for the backward pass.
size_t ensemble_sample_scratch(const struct ensemble *e, int B);
void ensemble_sample_forward(float *y, float *kept, float *scratch, const struct ensemble *e,
                             const float *params, int member, const float *output,
                             const float *noise, int B);
// d_output, as output, = the gradient by the output, given dy (B, T).
void ensemble_sample_backward(float *d_output, const float *kept, const struct ensemble *e,
                              const float *dy, int B);

#endif
