// SPDX-License-Identifier: MIT
// Termination heads: learned probabilities that an episode ends, for environments without a
// termination function.
//
// Each member of the ensemble has one logistic network, a function of the next observation only:
//
//   p(ended | next_obs) = sigmoid(scale z(x) + shift),  x = next_obs standardised
//
// z is the output of an MLP (SiLU, TERMINATION_LAYERS layers of TERMINATION_WIDTH units). Terminal
// rows are rare, one in hundreds, and are oversampled in its batches, which biases z upwards. scale
// and shift correct this; they are fitted to held-out rows (Platt 1999, "Probabilistic outputs for
// support vector machines").
//
// One parameter block: the network of member 0, of member 1, ..., then scale and shift of each
// member, then the normalizer of the observations. Zero members means no heads and a block of zero
// floats. All memory is the caller's; scratch has termination_scratch() floats, one per thread.
#ifndef SPUR_COMMON_NN_TERMINATION_H
#define SPUR_COMMON_NN_TERMINATION_H

#include <stdbool.h>

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
size_t termination_params(const struct termination *t);  // floats in the block
size_t termination_trained(const struct termination *t); // floats of the networks, at its front
size_t termination_member_offset(const struct termination *t, int member);
size_t termination_calibration_offset(const struct termination *t, int member); // scale, shift
size_t termination_normalizer_offset(const struct termination *t);
size_t termination_scratch(const struct termination *t, int B);

// Glorot weights, one random stream per member, calibrated to probability 0 (termination_never).
void termination_init(float *params, const struct termination *t, uint64_t seed);

// One member's binary cross-entropy, mean over B of softplus(z) - y z. x (B, obs_dim) standardised,
// y (B): 1 where the episode ended, else 0. Writes the gradient to dparams, a block of one network.
float termination_loss(float *dparams, float *scratch, const struct termination *t,
                       const float *params, int member, const float *x, const float *y, int B);

// L1 penalty on one member's first layer: TERMINATION_SPARSITY times the sum of absolute weights.
// Adds the gradient to dparams, returns the value. Termination rules depend on few components of an
// observation (a height, an angle), which hundreds of examples alone do not single out.
float termination_sparsity_loss(float *dparams, const struct termination *t, const float *params,
                                int member);

// Computes z (B) of one member, before scale and shift. Inference only.
void termination_logits(float *z, float *scratch, const struct termination *t, const float *params,
                        int member, const float *x, int B);

// Computes p (B) of one member. A NaN in x propagates to p. Inference only.
void termination_probability(float *p, float *scratch, const struct termination *t,
                             const float *params, int member, const float *x, int B);

// Fits scale and shift to n outputs z and labels y by Newton's method. Minimises the sum of
// cross-entropies + (scale - 1)^2 / 2 + (shift - expected_shift)^2 / 2. The regulariser determines
// the fit where the data does not: no row ended, or z separates the classes perfectly. With many
// rows the probabilities sum to the number of rows that ended (first-order condition of shift).
void termination_calibrate(float *scale, float *shift, const float *z, const float *y, size_t n,
                           double expected_shift);
// scale 0, shift -infinity: probability 0 for every observation.
void termination_never(float *scale, float *shift);
bool termination_calibrated_never(const float calibration[2]);
// Whether a member has this calibration, so that it need not be evaluated.
bool termination_is_never(const struct termination *t, const float *params, int member);

// Quality of probabilities p (n) against labels y (n).
struct termination_score {
    float ended;    // number of rows with y = 1
    float log_loss; // mean cross-entropy, nats per row
    float missed;   // expected share of false negatives: mean of 1 - p where y = 1
    float wrong;    // expected share of false positives: mean of p where y = 0
};
#define TERMINATION_SCORE_FLOATS 4
void termination_measure(struct termination_score *out, const float *p, const float *y, size_t n);

#endif
