// SPDX-License-Identifier: MIT
// Element-wise kernels: what stands between the matrix products.
//
// libm's scalar functions would cost as much as the products themselves, so the
// functions here are branch-free loops that the compiler turns into vector code.
// They are compiled once for each generation of vector units, and the best one
// that the processor has is chosen before main() runs.
//
// Accuracy, in all variants and for all finite and infinite inputs: exp 3e-7
// relative, tanh, sigmoid and softplus 1e-6 relative (two last places among the
// denormals), SiLU 1e-6 relative plus 2e-36, its slope 1e-6 absolute; but SiLU's
// slope at +infinity is a NaN. A NaN stays a NaN.
//
// The value of an element depends on that element alone, not on its place, and a
// sum is taken in a fixed order: same inputs, same processor, same bits. Variants
// may differ from each other in the last bits.
//
// Matrices (N, B), of N features and B rows of a batch, lie in strips (strip.h). What is
// written must not overlap anything else, unless said.
#ifndef SPUR_COMMON_NN_ELEMENTWISE_H
#define SPUR_COMMON_NN_ELEMENTWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/rng.h"

// "avx512", "avx2" or "baseline".
const char *elementwise_isa(void);
// Chooses by name, for tests: false when this processor or build has no such
// variant. Not while another thread computes.
bool elementwise_use(const char *isa);

// Functions of n numbers.
void elementwise_exp(float *y, const float *x, size_t n);
void elementwise_tanh(float *y, const float *x, size_t n);
// y = log(1 + exp(x)); slope (NULL: not wanted) receives its derivative, the
// logistic sigmoid of x.
void elementwise_softplus(float *y, float *slope, const float *x, size_t n);

// Activation of a layer, in place: h (N, B) = f(h + b (N)).
void elementwise_bias(float *h, const float *b, int N, int B);
void elementwise_bias_relu(float *h, const float *b, int N, int B);
// slope (N, B; NULL: not wanted) receives the derivative of SiLU, which is all
// that the way back needs.
void elementwise_bias_silu(float *h, float *slope, const float *b, int N, int B);

// Back through an activation, in place: dh (N, B) *= f'. For ReLU f' is read off
// the activated h, else it is the slope, kept on the way forward.
void elementwise_relu_backward(float *dh, const float *h, int N, int B);
void elementwise_slope_backward(float *dh, const float *slope, int N, int B);

// sum (N) = the sums over the batch of x (N, B); weighted by w (B) unless that is NULL
void elementwise_sums(float *sum, const float *x, const float *w, int N, int B);
// y (M) = A (M, n) x (n), A row-major
void elementwise_dots(float *y, const float *A, const float *x, int M, int n);

// to (N, kept) = those rows i of from (N, B) with keep[i] != 0, in their order. Returns
// how many. to may be from, or lie a multiple of LAYOUT_ROWS numbers before it.
int elementwise_keep(float *to, const float *from, const float *keep, int N, int B);

// One step of Adam; adam.h says which.
struct elementwise_adam {
    float beta1, beta2;
    float gain1, gain2; // 1 - beta1, 1 - beta2
    float step;         // learning rate / (1 - beta1^t)
    float root_scale;   // 1 / sqrt(1 - beta2^t)
    float epsilon, decay;
};
void elementwise_adam_step(float *p, float *m, float *v, const float *g, size_t n,
                           const struct elementwise_adam *a);
// The same, then target = (1 - tau) target + tau p, in one pass over memory.
void elementwise_adam_polyak_step(float *p, float *m, float *v, float *target, const float *g,
                                  size_t n, const struct elementwise_adam *a, float tau);

// Random numbers in bulk: out (n, 4), the words of n blocks of a stream, as
// rng_block gives them one at a time.
void elementwise_philox(uint32_t *out, uint64_t seed, uint64_t stream, const uint64_t *block,
                        size_t n);
// n numbers ~ N(0, 1) of n words, n even: what rng_fill_normal makes of them, to
// the last place of a float.
void elementwise_normals(float *out, const uint32_t *words, size_t n);
// The first n of a stream ~ N(0, 1): what rng_fill_normal gives of it, likewise.
void elementwise_stream_normals(float *out, const struct rng *stream, size_t n);

#endif
