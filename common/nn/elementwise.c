// SPDX-License-Identifier: MIT
// Element-wise functions, by the kernels selected for this processor.
#include "common/nn/elementwise.h"

#include "common/nn/kernels.h"

void elementwise_exp(float *y, const float *x, size_t n) {
    kernels()->elementwise->exp(y, x, n);
}

void elementwise_tanh(float *y, const float *x, size_t n) {
    kernels()->elementwise->tanh(y, x, n);
}

void elementwise_softplus(float *y, float *slope, const float *x, size_t n) {
    kernels()->elementwise->softplus(y, slope, x, n);
}

void elementwise_bias(float *h, const float *b, int N, int B) {
    kernels()->elementwise->bias(h, b, N, B);
}

void elementwise_bias_relu(float *h, const float *b, int N, int B) {
    kernels()->elementwise->bias_relu(h, b, N, B);
}

void elementwise_bias_silu(float *h, float *slope, const float *b, int N, int B) {
    kernels()->elementwise->bias_silu(h, slope, b, N, B);
}

void elementwise_relu_backward(float *dh, const float *h, int N, int B) {
    kernels()->elementwise->relu_backward(dh, h, N, B);
}

void elementwise_slope_backward(float *dh, const float *slope, int N, int B) {
    kernels()->elementwise->slope_backward(dh, slope, N, B);
}

void elementwise_layer_norm(float *x, float *inverse, int N, int B, float epsilon) {
    kernels()->elementwise->layer_norm(x, inverse, N, B, epsilon);
}

void elementwise_layer_norm_backward(float *dx, const float *y, const float *inverse,
                                     const float *slope, int N, int B) {
    kernels()->elementwise->layer_norm_backward(dx, y, inverse, slope, N, B);
}

void elementwise_sums(float *sum, const float *x, const float *w, int N, int B) {
    kernels()->elementwise->sums(sum, x, w, N, B);
}

void elementwise_dots(float *y, const float *A, const float *x, int M, int n) {
    kernels()->elementwise->dots(y, A, x, M, n);
}

int elementwise_keep(float *to, const float *from, const float *keep, int N, int B) {
    return kernels()->elementwise->keep(to, from, keep, N, B);
}
