// SPDX-License-Identifier: MIT
// Running figures: event rates over the last seconds, and mean and spread.
#ifndef SPUR_COMMON_BASE_STATS_H
#define SPUR_COMMON_BASE_STATS_H

#include <stdint.h>

#define RATE_SLOTS 10

// Events a second over the last RATE_SLOTS seconds. Zeroed = ready.
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

#endif
