// SPDX-License-Identifier: MIT
// Figures of samples: event rates over the last seconds, mean and spread, finiteness.
#ifndef SPUR_COMMON_BASE_STATS_H
#define SPUR_COMMON_BASE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATE_SLOTS 10

// Events per second over the last RATE_SLOTS seconds. Zeroed: ready for use.
struct rate {
    uint64_t count[RATE_SLOTS];
    uint64_t second[RATE_SLOTS];
    uint64_t first_ms;
};

void rate_add(struct rate *r, uint64_t now_ms, uint64_t n);
double rate_per_s(const struct rate *r, uint64_t now_ms);

// Mean and (population) standard deviation of n values; 0 for n == 0.
double stats_mean(const double *x, int n);
double stats_std(const double *x, int n);
double stats_median(double *x, int n); // reorders x

// The paired test of n numbers against n others: the probability that a mean difference as low as
// that of x - y, or lower, comes about by chance (normal approximation). x is lower where it is
// small. NaN if a number is; without spread 0, 0.5 or 1 by the sign.
double stats_paired_p(const float *x, const float *y, size_t n);

// The q-quantile (0 to 1, nearest rank) of n > 0 numbers; reorders x.
float stats_quantile(float *x, size_t n, double q);

// Whether |x| <= limit for all numbers; false with a NaN. In blocks without an exit, which the
// compiler vectorises: large states are checked at every publication.
bool stats_all_within(const float *x, size_t n, float limit);
bool stats_all_finite(const float *x, size_t n);

#endif
