// SPDX-License-Identifier: MIT
// Twin Q-functions Q1, Q2: (obs, act) -> value, ReLU networks. One parameter
// block holds both, Q1's first.
//
// The two share their input and nothing else, so that two threads may work on
// one each: functions are about one of them, k = 0 or 1, with scratch of its own,
// and params and dparams are always the blocks of both.
#ifndef SPUR_COMMON_NN_CRITIC_H
#define SPUR_COMMON_NN_CRITIC_H

#include "common/nn/mlp.h"

struct critic {
    int obs_dim, act_dim;
    struct mlp net; // of one of the two
};

struct critic critic_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers);
size_t critic_params(const struct critic *c);         // of both
size_t critic_offset(const struct critic *c, int k);  // of Q_k's in the block
size_t critic_scratch(const struct critic *c, int B); // of one
// Each critic starts from its own random weights.
void critic_init(float *params, const struct critic *c, struct rng *rng);

// x (B, obs_dim + act_dim): what both take in.
void critic_concat(float *x, const struct critic *c, const float *obs, const float *act, int B);

// q (B) = Q_k(x).
void critic_forward(float *q, float *scratch, const struct critic *c, const float *params, int k,
                    const float *x, int B);
// The same without a way back.
void critic_infer(float *q, float *scratch, const struct critic *c, const float *params, int k,
                  const float *x, int B);

// After critic_forward with the same scratch, params, x and B, which gave q: the
// loss 0.5 mean((Q_k - y)^2) with targets y (B). Writes its gradient to dparams.
float critic_loss(float *dparams, float *scratch, const struct critic *c, const float *params,
                  int k, const float *q, const float *y, int B);
// The same, with a step of Adam along that gradient (mlp_backward_adam) in its place. The
// moments and the target are blocks of both critics as well.
float critic_backward_adam(const struct mlp_adam *a, float *params, float *scratch,
                           const struct critic *c, int k, const float *q, const float *y, int B);

// q_min (B) = min(Q1, Q2), given q (2, B) = Q1 of all rows, then Q2.
void critic_min(float *q_min, const float *q, int B);
// After critic_forward of both, which gave q (2, B): d_act (B, A) = d q_min / d act
// in those rows where Q_k is the minimum; k = 0 and k = 1 together write all.
// Only these rows are taken back through it, which is exact.
void critic_min_gradient(float *d_act, float *scratch, const struct critic *c, const float *params,
                         int k, const float *q, int B);

#endif
