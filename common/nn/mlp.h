// SPDX-License-Identifier: MIT
// Multi-layer perceptrons on flat blocks of floats.
//
// A struct mlp is only a shape. Parameters, gradients and Adam moments are flat
// blocks of mlp_params() floats with one layout: for each layer the weight
// (out, in), row-major as in PyTorch, then the bias (out). So copying, averaging,
// saving and sending are one loop over one block. Scratch is the caller's, one
// a thread, and holds what the backward pass needs of the forward pass.
#ifndef SPUR_COMMON_NN_MLP_H
#define SPUR_COMMON_NN_MLP_H

#include <stddef.h>

#include "common/base/rng.h"
#include "common/base/thread_team.h"
#include "common/nn/adam.h"

#define MLP_LAYERS_MAX 12

enum activation { ACTIVATION_RELU, ACTIVATION_SILU };

// Hidden layers are activated, the last one is linear.
struct mlp {
    int layers;                   // of weights: hidden layers + 1
    int dims[MLP_LAYERS_MAX + 1]; // in, hidden ..., out
    enum activation activation;
};

struct mlp mlp_make(int in, int hidden_width, int hidden_layers, int out,
                    enum activation activation);
size_t mlp_params(const struct mlp *m);                   // floats in a parameter block
size_t mlp_weight_offset(const struct mlp *m, int layer); // of W_l (out, in)
size_t mlp_bias_offset(const struct mlp *m, int layer);   // of b_l (out)
size_t mlp_scratch(const struct mlp *m, int B);           // floats of scratch for batches up to B
// n rounded up to whole cache lines: what a part of n floats takes in scratch.
size_t scratch_floats(size_t n);

// Uniform in +-sqrt(6 / (in + out)), biases 0 (Glorot and Bengio 2010): what
// MBPO's SAC uses.
void mlp_init_glorot(float *params, const struct mlp *m, struct rng *rng);
// Normal with sd 1 / (2 sqrt(in)) cut off at two sd, biases 0: what PETS and
// MBPO's dynamics models use.
void mlp_init_truncated(float *params, const struct mlp *m, struct rng *rng);

// y (B, out) = f(x (B, in)). Between the two, numbers lie in strips (strip.h).
void mlp_forward(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
                 int B);

// The same without a way back: y for any number of rows, in blocks of
// MLP_INFER_ROWS so that what lies between the layers stays in the cache; scratch
// for a block is enough.
#define MLP_INFER_ROWS 256
void mlp_infer(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
               int B);

// After mlp_forward with the same scratch, params and B: given dy = dL/dy
// (B, out), writes dL/dparams to dparams (skipped when NULL) and dL/dx
// (B, in) to dx (skipped when NULL). scratch may then be used for a new forward.
void mlp_backward(float *dx, float *dparams, float *scratch, const struct mlp *m,
                  const float *params, const float *dy, int B);
// The same for a network that is trained by Adam: each layer takes its step as soon
// as its gradient is there, while both are in the cache, and no gradient is kept.
struct mlp_adam {
    struct adam adam;
    const float *decay; // (layers) of the weights, NULL: none; biases have none
    uint64_t t;         // the number of this step, 1 at first
    float *m, *v;       // moments, laid out as the parameters
    float *target;      // so is this: becomes (1 - tau) target + tau params; or NULL
    float tau;
    float *gradient; // mlp_adam_floats() to work in
};
size_t mlp_adam_floats(const struct mlp *m);
// By two threads of the team or, where that is NULL, by this one, to the same bits: a layer's two
// products do not depend on each other, nor do the halves of its step.
void mlp_backward_adam(struct thread_team *team, const struct mlp_adam *a, float *params,
                       float *scratch, const struct mlp *m, const float *dy, int B);

// Between the two: drops the rows i with keep[i] == 0 from scratch, as if
// mlp_forward had been given the others only (in their order). Returns how many
// are left; mlp_backward is then called with that number, and with the kept rows
// of dy. For gradients that are known to vanish for many rows. keep (B) is no part of
// scratch.
int mlp_keep_rows(float *scratch, const struct mlp *m, const float *keep, int B);

#endif
