// SPDX-License-Identifier: MIT
// A tape for backpropagation through time: what the backward pass needs of many forward passes of
// one network, 32 rows each.
//
// A strip is a pass over 32 rows. Strips may differ in their parameters (members of an ensemble)
// and be worked on by different threads. Forward, then backward, per strip; where the gradient of
// the parameters is wanted, tape_gradient sums it up over any range of strips afterwards, in one
// matrix product a layer. Without it a strip keeps only what its gradient by the input needs.
//
// Rows are row-major at the interface. With layer norm there is no gradient of the parameters.
#ifndef SPUR_COMMON_NN_TAPE_H
#define SPUR_COMMON_NN_TAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/nn/layout.h"
#include "common/nn/mlp.h"

#define TAPE_ROWS LAYOUT_ROWS // rows of a strip

struct tape_shape {
    struct mlp net;
    int strips;
    bool weights; // the gradient of the parameters is wanted; not with layer norm
};

size_t tape_floats(const struct tape_shape *s);  // the tape
size_t tape_scratch(const struct tape_shape *s); // work space, one per thread

// y (TAPE_ROWS, out) = f(x (TAPE_ROWS, in)).
void tape_forward(float *y, float *tape, float *scratch, const struct tape_shape *s, int strip,
                  const float *params, const float *x);
// dx (TAPE_ROWS, in), or NULL, given dy (TAPE_ROWS, out). params as in the strip's forward pass.
void tape_backward(float *dx, float *tape, float *scratch, const struct tape_shape *s, int strip,
                   const float *params, const float *dy);
// dparams = the sum of the gradients of strips first, ..., first + count - 1.
void tape_gradient(float *dparams, const float *tape, const struct tape_shape *s, int first,
                   int count);

#endif
