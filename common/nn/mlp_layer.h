// SPDX-License-Identifier: MIT
// One layer of an mlp, in the layout of layout.h. Internal to common/nn.
//
// Layer l maps its input (dims[l], B) to its output (dims[l + 1], B): a hidden layer through the
// activation, the last one linearly.
#ifndef SPUR_COMMON_NN_MLP_LAYER_H
#define SPUR_COMMON_NN_MLP_LAYER_H

#include "common/nn/mlp.h"

// slopes (dims[l + 1], B), used by hidden SiLU layers only, may be NULL.
void mlp_layer_forward(float *output, float *slopes, const struct mlp *m, int layer,
                       const float *params, const float *input, int B);

// dx = the gradient of the input, given that of the output before its activation, dz. With layer >
// 0 it is taken through the activation of the layer before, whose output (ReLU) or slopes (SiLU)
// `saved` holds; with layer norm not even through that.
void mlp_layer_backward(float *dx, const struct mlp *m, int layer, const float *params,
                        const float *dz, const float *saved, int B);

// dW, db = the gradients of weights and biases.
void mlp_layer_gradient(float *dW, float *db, const struct mlp *m, int layer, const float *dz,
                        const float *input, int B);

#endif
