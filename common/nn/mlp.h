// SPDX-License-Identifier: MIT
// Multi-layer perceptrons on flat blocks of floats: forward, backward and training with Adam.
//
// A struct mlp is only a shape. Parameters, gradients and Adam moments are flat blocks of
// mlp_params() floats with one layout: for each layer the weight (out, in), row-major as in
// PyTorch, then the bias (out). Copying, averaging, saving and sending a network are therefore one
// loop over one block. Scratch belongs to the caller, one per thread; it keeps the activations
// from the forward to the backward pass.
#ifndef SPUR_COMMON_NN_MLP_H
#define SPUR_COMMON_NN_MLP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/rng.h"
#include "common/base/thread_team.h"
#include "common/nn/adam.h"

#define MLP_LAYERS_MAX 12

enum activation { ACTIVATION_RELU, ACTIVATION_SILU };

// The activation follows every hidden layer; the output layer is linear.
struct mlp {
    int layers;                   // weight layers: hidden layers + 1
    int dims[MLP_LAYERS_MAX + 1]; // in, hidden ..., out
    enum activation activation;
    // Inputs of the layers after the first are normalised over their features, without an affine
    // part (elementwise_layer_norm); with SiLU only.
    bool layer_norm;
    float epsilon[MLP_LAYERS_MAX]; // of the normalised outputs of each hidden layer
};

// The hidden layers of a network.
struct mlp_hidden {
    int layers;
    int width[MLP_LAYERS_MAX - 1];
    enum activation activation;
    bool layer_norm;
    float epsilon[MLP_LAYERS_MAX - 1]; // of layer norm; 0: LAYER_NORM_EPSILON
};
struct mlp_hidden mlp_hidden_equal(int width, int layers, enum activation activation);
struct mlp mlp_make_hidden(int in, const struct mlp_hidden *hidden, int out);
// With hidden layers of equal width.
struct mlp mlp_make(int in, int hidden_width, int hidden_layers, int out,
                    enum activation activation);
size_t mlp_params(const struct mlp *m);                   // floats in a parameter block
size_t mlp_weight_offset(const struct mlp *m, int layer); // of W_l (out, in)
size_t mlp_bias_offset(const struct mlp *m, int layer);   // of b_l (out)
size_t mlp_scratch(const struct mlp *m, int B);           // floats of scratch for batches up to B
// n rounded up to whole cache lines: the size of an n-float buffer within scratch.
size_t scratch_floats(size_t n);

// Weights uniform in +-sqrt(6 / (in + out)), biases 0 (Glorot and Bengio 2010), as in MBPO's SAC.
void mlp_init_glorot(float *params, const struct mlp *m, struct rng *rng);
// Weights normal with sd 1 / (2 sqrt(in)) truncated at two sd, biases 0, as in the dynamics models
// of PETS and MBPO.
void mlp_init_truncated(float *params, const struct mlp *m, struct rng *rng);
// Weights normal with sd sqrt(2 / in) (He et al. 2015), biases with sd 1 / (2 sqrt(in)), as in the
// dynamics models of DHMBPO.
void mlp_init_kaiming(float *params, const struct mlp *m, struct rng *rng);
// The rows of each weight matrix, or its columns if they are fewer, are orthonormal (Saxe et al.
// 2014); biases 0. As in the policy of DHMBPO.
void mlp_init_orthogonal(float *params, const struct mlp *m, struct rng *rng);

// y (B, out) = f(x (B, in)), both row-major. Activations are stored in scratch (see layout.h).
void mlp_forward(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
                 int B);

// Dropout of the hidden layers' outputs while a network is trained (Srivastava et al. 2014): each
// output is 0 with probability rate, and divided by 1 - rate otherwise. With SiLU only.
struct mlp_dropout {
    const float *rate; // (layers - 1) of each hidden layer, in [0, 1)
    struct rng rng;    // which outputs are 0
};
// mlp_forward, with dropout unless it is NULL. The backward pass takes it into account.
void mlp_forward_dropout(float *y, float *scratch, const struct mlp *m, const float *params,
                         const float *x, int B, const struct mlp_dropout *dropout);

// Inference only: keeps nothing for a backward pass. B may be any number; rows are processed in
// blocks of MLP_INFER_ROWS, so that activations stay in the cache and scratch for one block is
// enough.
#define MLP_INFER_ROWS 256
void mlp_infer(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
               int B);

// Backward pass, after mlp_forward with the same scratch, params and B. Given dy = dL/dy (B, out),
// writes dL/dparams to dparams and dL/dx (B, in) to dx; either may be NULL. Afterwards scratch is
// free for the next forward pass.
void mlp_backward(float *dx, float *dparams, float *scratch, const struct mlp *m,
                  const float *params, const float *dy, int B);

// One training step with Adam.
struct mlp_adam {
    struct adam adam;
    const float *decay; // (layers) L2 coefficient of each layer's weights, or NULL; none on biases
    bool decoupled;     // instead, decay is that of AdamW, of weights and biases
    uint64_t t;         // number of this step, counted from 1
    float *m, *v;       // moments, laid out as the parameters
    float *target;      // likewise: becomes (1 - tau) target + tau params; or NULL
    float tau;
    float *gradient; // work space of mlp_adam_floats()
};
size_t mlp_adam_floats(const struct mlp *m);
// Backward pass and optimizer step, fused: weight gradients are consumed layer by layer, Adam runs
// on each while it is in the cache. The team's first two threads share each layer's two products
// and the halves of its step; NULL runs on the calling thread. The result has the same bits.
void mlp_backward_adam(struct thread_team *team, const struct mlp_adam *a, float *params,
                       float *scratch, const struct mlp *m, const float *dy, int B);

// Between forward and backward pass: drops the rows i with keep[i] == 0 from scratch, as if
// mlp_forward had been called without them. Saves the backward pass of rows whose gradient is
// known to be zero. Returns the number of rows kept, in order; call mlp_backward with that number
// and with dy of the kept rows. keep (B) must not be part of scratch.
int mlp_keep_rows(float *scratch, const struct mlp *m, const float *keep, int B);

#endif
