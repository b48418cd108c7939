// SPDX-License-Identifier: MIT
// The termination heads of an ensemble, for environments whose rule nobody has
// written down: one logistic network a member, which says from the next
// observation alone how likely it is that the episode ended there.
//
//   p(ended | next_obs) = sigmoid(scale z(x) + shift),  x = next_obs standardised
//
// z is an MLP's output (SiLU, TERMINATION_WIDTH x TERMINATION_LAYERS). It is
// trained on batches in which terminated rows are far more frequent than they
// are (they are one in hundreds), and with which z is then too large; scale and
// shift (Platt, "Probabilistic outputs for support vector machines", 1999) are
// fitted to rows that it was not trained on and put the frequency right.
//
// One block of parameters: member 0's network, member 1's, ..., then scale and
// shift of each member, then the normaliser of the observations. A shape of no
// members stands for "there are no heads": its block has no floats.
#ifndef SPUR_COMMON_NN_TERMINATION_H
#define SPUR_COMMON_NN_TERMINATION_H

#include "common/nn/mlp.h"

#define TERMINATION_WIDTH 64
#define TERMINATION_LAYERS 2
#define TERMINATION_SPARSITY 1e-3f

struct termination {
    int members; // 0: no heads
    int obs_dim;
    struct mlp net; // obs_dim -> 1
};

struct termination termination_make(int members, int obs_dim);
size_t termination_params(const struct termination *t);
size_t termination_trained(const struct termination *t); // the networks: the block's front
size_t termination_member_offset(const struct termination *t, int member);
size_t termination_calibration_offset(const struct termination *t, int member); // scale, shift
size_t termination_normalizer_offset(const struct termination *t);
size_t termination_scratch(const struct termination *t, int B);

// Glorot weights from a stream of its own for each member, and heads that never
// end anything.
void termination_init(float *params, const struct termination *t, uint64_t seed);

// Binary cross-entropy of one member's z, mean over B: softplus(z) - y z. x
// (B, obs_dim) standardised, y (B) 1 where the episode ended, else 0. Adds the
// gradient to dparams, laid out as this member's network alone.
float termination_loss(float *dparams, float *scratch, const struct termination *t,
                       const float *params, int member, const float *x, const float *y, int B);

// The term without data: TERMINATION_SPARSITY times the sum of the absolute
// weights of one member's first layer. Adds the gradient, returns the value.
// Rules look at few numbers of an observation (a height, an angle), and hundreds
// of examples do not tell them from the others by themselves.
float termination_sparsity_loss(float *dparams, const struct termination *t, const float *params,
                                int member);

// z (B) of one member, before scale and shift.
void termination_logits(float *z, float *scratch, const struct termination *t, const float *params,
                        int member, const float *x, int B);

// p (B) of one member. A NaN in x gives a NaN.
void termination_probability(float *p, float *scratch, const struct termination *t,
                             const float *params, int member, const float *x, int B);

// Fits scale and shift to n outputs z and labels y: the minimum of the sum of
// cross-entropies + (scale - 1)^2 / 2 + (shift - expected_shift)^2 / 2, by
// Newton's method. The two squares decide where the rows do not: none of them
// ended, or z tells them apart without an error. With many rows the sum of the
// probabilities is the number of rows that ended (the shift's normal equation).
void termination_calibrate(float *scale, float *shift, const float *z, const float *y, size_t n,
                           double expected_shift);
// A head that never ends anything.
void termination_never(float *scale, float *shift);

// How well probabilities p fit what happened, y (n).
struct termination_score {
    float ended;    // rows that did
    float log_loss; // mean cross-entropy, nats a row
    float missed;   // share of the rows that ended which p would let go on, in the mean
    float wrong;    // share of the others which p would end
};
#define TERMINATION_SCORE_FLOATS 4
void termination_measure(struct termination_score *out, const float *p, const float *y, size_t n);

#endif
