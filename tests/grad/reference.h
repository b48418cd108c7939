// SPDX-License-Identifier: MIT
// Reference implementation of the networks in double, written as simply as
// possible, and a check of gradients against central differences of it.
//
// Differences of the float code itself would be dominated by rounding: with step h
// the error is about 1e-7 / h. In double, differences are accurate to nine digits,
// so a comparison measures the error of the float code.
#ifndef SPUR_TESTS_GRAD_REFERENCE_H
#define SPUR_TESTS_GRAD_REFERENCE_H

#include <stddef.h>

#include "common/nn/critic.h"
#include "common/nn/ensemble.h"
#include "common/nn/policy.h"

// y (B, out); params and x have the layout of mlp.h.
void reference_mlp(double *y, const struct mlp *m, const double *params, const double *x, int B);
// One row: act (A), returns log_prob.
double reference_policy(double *act, const struct policy *p, const double *params,
                        const double *obs, const double *noise);
// One row: Q of critic k, 0 or 1.
double reference_critic(const struct critic *c, const double *params, int k, const double *obs,
                        const double *act);
double reference_critic_loss(const struct critic *c, const double *params, const double *obs,
                             const double *act, const double *y, int B);
double reference_member_loss(const struct ensemble *e, const double *params, int member,
                             const double *x, const double *y, int B);

// A function of n numbers at `point`.
typedef double (*reference_function)(const double *point, const void *context);

// Fails the test unless gradient (n) is the gradient of f at point (n), each
// entry within `tolerance` of the largest entry. point is modified and restored.
// Entries at a kink, where left and right slopes differ, are skipped; only few
// are allowed.
void check_gradient(const char *what, const float *gradient, double *point, size_t n,
                    reference_function f, const void *context, double tolerance);
// Fails the test unless |a - b| <= tolerance * max(1, |b|) for all n.
void check_close(const char *what, const float *a, const double *b, size_t n, double tolerance);

// Memory for tests: exactly n numbers, so that AddressSanitizer detects overruns;
// filled with N(0, 1) * scale, or converted. Freed with free().
float *normal_floats(struct rng *rng, size_t n, double scale);
float *garbage_floats(size_t n); // NaN, for memory that must not be read before it is written
float *zero_floats(size_t n);
double *to_doubles(const float *x, size_t n);

#endif
