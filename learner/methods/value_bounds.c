// SPDX-License-Identifier: MIT
// Quantiles of rewards, and their slow average.
#include "learner/methods/value_bounds.h"

#include <math.h>

#include "common/base/stats.h"

#define RATE 3e-4f
#define QUANTILE 0.01

void value_bounds_update(float bounds[VALUE_BOUNDS], float *rewards, size_t n, double discount,
                         double entropy) {
    double least = (double)stats_quantile(rewards, n, QUANTILE);
    double most = (double)stats_quantile(rewards, n, 1 - QUANTILE);
    float lower = (float)((fmin(least, 0) - entropy) / (1 - discount));
    float upper = (float)((fmax(most, 0) + entropy) / (1 - discount));
    float rate = bounds[VALUE_BOUNDED] != 0 ? RATE : 1;
    bounds[VALUE_LOWER] += rate * (lower - bounds[VALUE_LOWER]);
    bounds[VALUE_UPPER] += rate * (upper - bounds[VALUE_UPPER]);
    bounds[VALUE_BOUNDED] = 1;
}

float value_bounds_clip(const float bounds[VALUE_BOUNDS], float value) {
    // fmaxf and fminf drop a NaN, which must not be masked.
    return isnan(value) ? value : fmaxf(bounds[VALUE_LOWER], fminf(value, bounds[VALUE_UPPER]));
}

void value_bounds_change_units(float bounds[VALUE_BOUNDS], const double from[2],
                               const double to[2]) {
    for (int i = VALUE_LOWER; i <= VALUE_UPPER; i++) {
        double value = from[0] + from[1] * (double)bounds[i];
        bounds[i] = (float)((value - to[0]) / to[1]);
    }
}
