// SPDX-License-Identifier: MIT
// Q-functions (obs, act) -> value: twins (Fujimoto et al. 2018), or more of them.
//
// One parameter block holds all, Q_0 first. They share only their input, so threads may work on one
// each: functions with an argument k act on Q_k, 0 <= k < count, and need one scratch per k. params
// and dparams are always blocks of all critics. Batches are row-major; all memory is the caller's.
#ifndef SPUR_COMMON_NN_CRITIC_H
#define SPUR_COMMON_NN_CRITIC_H

#include "common/nn/mlp.h"

struct critic {
    int obs_dim, act_dim;
    struct mlp net; // shape of each critic
    int count;
};

struct critic critic_make_hidden(int obs_dim, int act_dim, const struct mlp_hidden *hidden,
                                 int count);
// Two, with ReLU layers of equal width.
struct critic critic_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers);
size_t critic_params(const struct critic *c);         // floats, all critics
size_t critic_offset(const struct critic *c, int k);  // of Q_k's parameters in the block
size_t critic_scratch(const struct critic *c, int B); // floats, one critic
// Draws independent Glorot weights for each critic.
void critic_init(float *params, const struct critic *c, struct rng *rng);

// x (B, obs_dim + act_dim) = (obs, act), the input of all critics.
void critic_concat(float *x, const struct critic *c, const float *obs, const float *act, int B);

// q (B) = Q_k(x).
void critic_forward(float *q, float *scratch, const struct critic *c, const float *params, int k,
                    const float *x, int B);
// With dropout unless it is NULL.
void critic_forward_dropout(float *q, float *scratch, const struct critic *c, const float *params,
                            int k, const float *x, int B, const struct mlp_dropout *dropout);
// Inference only: keeps nothing for a backward pass.
void critic_infer(float *q, float *scratch, const struct critic *c, const float *params, int k,
                  const float *x, int B);

// After critic_forward with the same scratch, params, x and B, which returned q: the loss
// 0.5 mean((Q_k - y)^2) with targets y (B). Writes Q_k's part of the gradient to dparams.
float critic_loss(float *dparams, float *scratch, const struct critic *c, const float *params,
                  int k, const float *q, const float *y, int B);
// critic_loss fused with the Adam step on Q_k (see mlp_backward_adam). a->m, a->v and a->target
// (required) are blocks of all critics.
float critic_backward_adam(const struct mlp_adam *a, float *params, float *scratch,
                           const struct critic *c, int k, const float *q, const float *y, int B);

// After critic_forward with the same scratch, params and B: writes dL/dx (B, obs_dim + act_dim),
// given dq (B) = dL/dQ_k.
void critic_input_gradient(float *dx, float *scratch, const struct critic *c, const float *params,
                           int k, const float *dq, int B);

// q_min (B) = the smallest of q (count, B): Q_0 of all rows, then Q_1, ... NaN if one is NaN.
void critic_min(float *q_min, const float *q, int count, int B);
// After critic_forward of all critics, which returned q (count, B): writes d_act (B, A) =
// d q_min / d act in the rows where Q_k is the minimum; the calls for all k together write every
// row. The backward pass runs on those rows only, which is exact.
void critic_min_gradient(float *d_act, float *scratch, const struct critic *c, const float *params,
                         int k, const float *q, int B);

#endif
