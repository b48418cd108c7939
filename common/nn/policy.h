// SPDX-License-Identifier: MIT
// The tanh-squashed Gaussian policy of SAC (Haarnoja et al. 2018, appendix C):
// a = tanh(u), u = mu(s) + exp(log_std(s)) * noise, log_std clipped to [-20, 2].
//
// log pi(a|s) = sum_j [ -noise^2/2 - log_std - log(2 pi)/2
//                       - 2 (log 2 - u - softplus(-2u)) ]
// which is exact and keeps its precision where tanh saturates.
//
// Batches are row-major: obs (B, obs_dim), act and noise (B, A) with A = act_dim. All memory is the
// caller's; scratch has policy_scratch() floats, one per thread.
#ifndef SPUR_COMMON_NN_POLICY_H
#define SPUR_COMMON_NN_POLICY_H

#include "common/nn/mlp.h"

#define POLICY_LOG_STD_MIN (-20.0f)
#define POLICY_LOG_STD_MAX 2.0f

struct policy {
    int obs_dim, act_dim;
    struct mlp net; // obs -> (mu, log_std): 2 * act_dim
};

struct policy policy_make_hidden(int obs_dim, int act_dim, const struct mlp_hidden *hidden);
// With ReLU layers of equal width.
struct policy policy_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers);
size_t policy_params(const struct policy *p);
size_t policy_scratch(const struct policy *p, int B);
void policy_init(float *params, const struct policy *p, struct rng *rng);

// Samples act (B, A) in [-1, 1] (tanh may round to either end) and its log_prob (B), or NULL, with
// noise (B, A) ~ N(0, 1). Keeps in scratch what the backward pass needs.
void policy_forward(float *act, float *log_prob, float *scratch, const struct policy *p,
                    const float *params, const float *obs, const float *noise, int B);
// Inference only: keeps nothing for a backward pass.
void policy_infer(float *act, float *log_prob, float *scratch, const struct policy *p,
                  const float *params, const float *obs, const float *noise, int B);
// act (B, A) = tanh(mu(obs)): the deterministic policy that evaluations use.
void policy_mean(float *act, float *scratch, const struct policy *p, const float *params,
                 const float *obs, int B);
// After policy_forward with the same scratch, params, noise and B: writes the gradient of a loss
// L(act, log_prob) to dparams, given d_act (B, A) = dL/dact and d_log_prob (B) = dL/dlog_prob.
void policy_backward(float *dparams, float *scratch, const struct policy *p, const float *params,
                     const float *noise, const float *d_act, const float *d_log_prob, int B);
// policy_backward fused with the Adam step (see mlp_backward_adam). team may be NULL.
void policy_backward_adam(struct thread_team *team, const struct mlp_adam *a, float *params,
                          float *scratch, const struct policy *p, const float *noise,
                          const float *d_act, const float *d_log_prob, int B);

// The sample alone, for a caller that runs the network itself: output (B, 2A) is the network's,
// d_output the gradient of L by it. scratch has policy_sample_scratch() floats, from forward to
// backward.
size_t policy_sample_scratch(const struct policy *p, int B);
void policy_sample_forward(float *act, float *log_prob, float *scratch, const struct policy *p,
                           const float *output, const float *noise, int B);
void policy_sample_backward(float *d_output, float *scratch, const struct policy *p,
                            const float *noise, const float *d_act, const float *d_log_prob, int B);

#endif
