// SPDX-License-Identifier: MIT
// Twin Q-functions Q1, Q2: (obs, act) -> value, ReLU networks. One parameter
// block holds both, Q1's first.
#ifndef SPUR_COMMON_NN_CRITIC_H
#define SPUR_COMMON_NN_CRITIC_H

#include "common/nn/mlp.h"

struct critic {
    int obs_dim, act_dim;
    struct mlp net; // of one of the two
};

struct critic critic_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers);
size_t critic_params(const struct critic *c); // of both
size_t critic_scratch(const struct critic *c, int B);
// Each critic starts from its own random weights.
void critic_init(float *params, const struct critic *c, struct rng *rng);

// q (2, B): Q1 of all rows, then Q2.
void critic_forward(float *q, float *scratch, const struct critic *c, const float *params,
                    const float *obs, const float *act, int B);

// loss = 0.5 mean((Q1 - y)^2) + 0.5 mean((Q2 - y)^2) with targets y (B); adds
// its gradient to dparams. q (2, B) receives the values. Returns the loss.
float critic_loss(float *q, float *dparams, float *scratch, const struct critic *c,
                  const float *params, const float *obs, const float *act, const float *y, int B);

// q_min (B) = min(Q1, Q2) and d_act (B, A) = d q_min / d act. Only the rows of
// the critic that is the minimum are taken back through it, which is exact.
void critic_min_gradient(float *q_min, float *d_act, float *scratch, const struct critic *c,
                         const float *params, const float *obs, const float *act, int B);

#endif
