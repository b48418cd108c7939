// SPDX-License-Identifier: MIT
// Adam (Kingma and Ba 2015) on flat blocks, as PyTorch and TensorFlow do it:
// bias-corrected moments, epsilon outside the root.
#ifndef SPUR_COMMON_NN_ADAM_H
#define SPUR_COMMON_NN_ADAM_H

#include <stddef.h>
#include <stdint.h>

struct adam {
    // In double, because 1 - beta2 of a float is wrong in the fifth digit.
    double learning_rate;
    double beta1, beta2, epsilon; // 0.9, 0.999, 1e-8
};
struct adam adam_make(double learning_rate);

// One step on n parameters: p -= lr * mhat / (sqrt(vhat) + epsilon), with the
// gradient g + decay * p (L2 as part of the loss, not decoupled). m, v: the
// moments, zero at first. t: the number of this step, 1 at first. g is left as
// it is.
void adam_step(float *p, float *m, float *v, const float *g, size_t n, const struct adam *a,
               float decay, uint64_t t);

// The same, and then target = (1 - tau) target + tau p (Polyak averaging), in one pass
// over memory.
void adam_polyak_step(float *p, float *m, float *v, float *target, const float *g, size_t n,
                      const struct adam *a, float decay, float tau, uint64_t t);

#endif
