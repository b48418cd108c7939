// SPDX-License-Identifier: MIT
// Adam steps in float, as loops that the compiler vectorises. Compiled once per instruction set.
#include <stddef.h>
#include <stdint.h>

#include "common/nn/kernel_math.h"
#include "common/nn/kernels.h"

// Moments of a weight with zero gradient decay towards zero. Denormals, which many processors
// handle slowly, are flushed to zero.
static inline float flush(float x) {
    return magnitude(x) < 0x1p-126f ? 0.0f : x;
}

// Steps one parameter: returns its new value, updates its moments.
static inline float step_one(float p, float *m, float *v, float g,
                             const struct adam_coefficients *a) {
    float grad = FMA(a->decay, p, g);
    float mean = flush(FMA(a->beta1, *m, a->one_minus_beta1 * grad));
    float square = flush(FMA(a->beta2, *v, a->one_minus_beta2 * grad * grad));
    *m = mean;
    *v = square;
    return p - a->step_size * mean / FMA(__builtin_sqrtf(square), a->rsqrt_correction2, a->epsilon);
}

// Number of elements, at most n, before the first cache-line boundary. From there on vectors do not
// straddle lines: parameters, moments and targets have the same alignment.
static inline size_t before_line(const float *p, size_t n) {
    size_t head = (64 - (uintptr_t)p % 64) % 64 / sizeof(float);
    return head < n ? head : n;
}

static inline void step_range(float *restrict p, float *restrict m, float *restrict v,
                              const float *restrict g, size_t n,
                              const struct adam_coefficients *a) {
    const struct adam_coefficients local = *a; // a copy: the stores below may not alias it
    for (size_t i = 0; i < n; i++) {
        p[i] = step_one(p[i], &m[i], &v[i], g[i], &local);
    }
}

static void kernel_step(float *p, float *m, float *v, const float *g, size_t n,
                        const struct adam_coefficients *a) {
    size_t head = before_line(p, n);
    step_range(p, m, v, g, head, a);
    step_range(p + head, m + head, v + head, g + head, n - head, a);
}

static inline void polyak_step_range(float *restrict p, float *restrict m, float *restrict v,
                                     float *restrict target, const float *restrict g, size_t n,
                                     const struct adam_coefficients *a, float tau) {
    const struct adam_coefficients local = *a;
    for (size_t i = 0; i < n; i++) {
        float stepped = step_one(p[i], &m[i], &v[i], g[i], &local);
        p[i] = stepped;
        target[i] = FMA(tau, stepped, (1.0f - tau) * target[i]);
    }
}

static void kernel_polyak_step(float *p, float *m, float *v, float *target, const float *g,
                               size_t n, const struct adam_coefficients *a, float tau) {
    size_t head = before_line(p, n);
    polyak_step_range(p, m, v, target, g, head, a, tau);
    polyak_step_range(p + head, m + head, v + head, target + head, g + head, n - head, a, tau);
}

const struct adam_kernels KERNEL_NAME(adam_kernels) = {
    .step = kernel_step,
    .polyak_step = kernel_polyak_step,
};
