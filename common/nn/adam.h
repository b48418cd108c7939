// SPDX-License-Identifier: MIT
// The Adam optimizer (Kingma and Ba 2015, algorithm 1) on flat parameter blocks.
//
// Moments are bias-corrected and epsilon is added outside the square root, as in PyTorch.
#ifndef SPUR_COMMON_NN_ADAM_H
#define SPUR_COMMON_NN_ADAM_H

#include <stddef.h>
#include <stdint.h>

// Hyperparameters. In double: computed from a float beta2, 1 - beta2 is wrong in the fifth digit.
struct adam {
    double learning_rate;
    double beta1, beta2, epsilon; // 0.9, 0.999, 1e-8
};
struct adam adam_make(double learning_rate); // the defaults above

// One step on n parameters: p -= lr * mhat / (sqrt(vhat) + epsilon). The gradient is g + decay * p:
// L2 regularisation as part of the loss, not decoupled as in AdamW. m, v (n): first and second
// moments, zero before the first step. t: number of this step, counted from 1. All arrays are
// borrowed; p, m and v are updated in place.
void adam_step(float *p, float *m, float *v, const float *g, size_t n, const struct adam *a,
               float decay, uint64_t t);

// p *= 1 - lr * decay: the decoupled decay of AdamW (Loshchilov and Hutter 2019), before an
// adam_step without decay.
void adam_shrink(float *p, size_t n, const struct adam *a, double decay);

// adam_step followed by target = (1 - tau) target + tau p (Polyak averaging), in one pass over
// memory. The parameters have the same bits as after adam_step.
void adam_polyak_step(float *p, float *m, float *v, float *target, const float *g, size_t n,
                      const struct adam *a, float decay, float tau, uint64_t t);

#endif
