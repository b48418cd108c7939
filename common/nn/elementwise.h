// SPDX-License-Identifier: MIT
// Vectorised element-wise functions: activations, their gradients, sums over the batch.
//
// libm's scalar functions would take as long as the matrix products. These are branch-free loops,
// compiled once per instruction set; the best for the processor is selected before main() runs
// (kernels.h).
//
// Accuracy, in all variants and for all finite and infinite inputs: exp 3e-7 relative; tanh,
// sigmoid and softplus 1e-6 relative (two units in the last place for denormals); SiLU 1e-6
// relative plus 2e-36, its slope 1e-6 absolute, except that the slope at +infinity is a NaN. A NaN
// stays a NaN.
//
// The value of an element depends only on that element, not on its position, and sums have a fixed
// order: same inputs and processor, same bits. Variants may differ in the last bits.
//
// Matrices (N, B) of N features and B batch rows have the layout of layout.h. Outputs must not
// overlap inputs unless stated.
#ifndef SPUR_COMMON_NN_ELEMENTWISE_H
#define SPUR_COMMON_NN_ELEMENTWISE_H

#include <stddef.h>

// y (n) = f(x (n))
void elementwise_exp(float *y, const float *x, size_t n);
void elementwise_tanh(float *y, const float *x, size_t n);
// y = log(1 + exp(x)); slope, unless NULL, becomes its derivative, the logistic sigmoid of x.
void elementwise_softplus(float *y, float *slope, const float *x, size_t n);

// Bias and activation of a layer, in place: h (N, B) = f(h + b (N)).
void elementwise_bias(float *h, const float *b, int N, int B);
void elementwise_bias_relu(float *h, const float *b, int N, int B);
// slope (N, B), unless NULL, becomes the derivative, which the backward pass needs.
void elementwise_bias_silu(float *h, float *slope, const float *b, int N, int B);

// Backward pass of an activation, in place: dh (N, B) *= f'. For ReLU f' is derived from the output
// h, otherwise it is the slope saved by the forward pass.
void elementwise_relu_backward(float *dh, const float *h, int N, int B);
void elementwise_slope_backward(float *dh, const float *slope, int N, int B);

// Layer normalisation (Ba, Kiros and Hinton 2016) without affine part, in place: each row of x (N,
// B) becomes y = (x - mean) inverse, inverse = 1 / sqrt(var + epsilon), with mean and var over its
// N features. inverse (B, padded as a matrix (1, B)), or NULL, is kept for the backward pass.
#define LAYER_NORM_EPSILON 1e-5f // the usual one
void elementwise_layer_norm(float *x, float *inverse, int N, int B, float epsilon);
// dx (N, B) = dL/dy becomes slope dL/dx, the gradient before the activation whose output was x:
// dL/dx = (dy - mean(dy) - y mean(dy y)) inverse.
void elementwise_layer_norm_backward(float *dx, const float *y, const float *inverse,
                                     const float *slope, int N, int B);

// sum (N) = sums over the batch of x (N, B), weighted by w (B) unless NULL
void elementwise_sums(float *sum, const float *x, const float *w, int N, int B);
// y (M) = A (M, n) x (n), A row-major
void elementwise_dots(float *y, const float *A, const float *x, int M, int n);

// to (N, kept) = the rows i of from (N, B) with keep[i] != 0, in order. Returns their number. `to`
// may be `from`, or precede it by a multiple of LAYOUT_ROWS floats.
int elementwise_keep(float *to, const float *from, const float *keep, int N, int B);

#endif
