// SPDX-License-Identifier: MIT
#include "common/nn/adam.h"

#include <math.h>

#include "common/check.h"
#include "common/nn/vector.h"

struct adam adam_make(double learning_rate) {
    return (struct adam){
        .learning_rate = (float)learning_rate, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
}

void adam_step(float *p, float *m, float *v, const float *g, size_t n, const struct adam *a,
               float decay, uint64_t t) {
    CHECK(t >= 1);
    // In double: 1 - beta2^t has few digits left in float while t is small.
    const struct vector_adam step = {
        .beta1 = a->beta1,
        .beta2 = a->beta2,
        .step = (float)(a->learning_rate / (1.0 - pow(a->beta1, (double)t))),
        .root_scale = (float)(1.0 / sqrt(1.0 - pow(a->beta2, (double)t))),
        .epsilon = a->epsilon,
        .decay = decay,
    };
    vector_adam_step(p, m, v, g, n, &step);
}

void polyak(float *target, const float *source, size_t n, float tau) {
    vector_polyak(target, source, n, tau);
}
