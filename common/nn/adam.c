// SPDX-License-Identifier: MIT
// Adam: the coefficients of a step, in double, for the kernels in float.
#include "common/nn/adam.h"

#include <math.h>

#include "common/base/check.h"
#include "common/nn/kernels.h"

struct adam adam_make(double learning_rate) {
    return (struct adam){
        .learning_rate = learning_rate, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

static struct adam_coefficients coefficients(const struct adam *a, float decay, uint64_t t) {
    CHECK(t >= 1);
    return (struct adam_coefficients){
        .beta1 = (float)a->beta1,
        .beta2 = (float)a->beta2,
        .one_minus_beta1 = (float)(1.0 - a->beta1),
        .one_minus_beta2 = (float)(1.0 - a->beta2),
        .step_size = (float)(a->learning_rate / (1.0 - pow(a->beta1, (double)t))),
        .rsqrt_correction2 = (float)(1.0 / sqrt(1.0 - pow(a->beta2, (double)t))),
        .epsilon = (float)a->epsilon,
        .decay = decay,
    };
}

void adam_step(float *p, float *m, float *v, const float *g, size_t n, const struct adam *a,
               float decay, uint64_t t) {
    const struct adam_coefficients c = coefficients(a, decay, t);
    kernels()->adam->step(p, m, v, g, n, &c);
}

void adam_shrink(float *p, size_t n, const struct adam *a, double decay) {
    float factor = (float)(1 - a->learning_rate * decay);
    for (size_t i = 0; i < n; i++) {
        p[i] *= factor;
    }
}

void adam_polyak_step(float *p, float *m, float *v, float *target, const float *g, size_t n,
                      const struct adam *a, float decay, float tau, uint64_t t) {
    const struct adam_coefficients c = coefficients(a, decay, t);
    kernels()->adam->polyak_step(p, m, v, target, g, n, &c, tau);
}
