// SPDX-License-Identifier: MIT
// Bounds of values, which follow the rewards of the batches at a rate of 3e-4 an update (the first
// update sets them):
//
//   upper = (max(99% quantile of r, 0) + e) / (1 - discount)
//   lower = (min( 1% quantile of r, 0) - e) / (1 - discount),  e = alpha max(0, -target_entropy)
//
// 0 belongs to them, since an episode that ends is worth 0. After DHMBPO (Kubo et al.), whose
// quantiles are of r - alpha log pi, without a bound where actions saturate.
#ifndef SPUR_LEARNER_METHODS_VALUE_BOUNDS_H
#define SPUR_LEARNER_METHODS_VALUE_BOUNDS_H

#include <stddef.h>

// Plain numbers, which a checkpoint saves. Zeros: not set yet.
enum { VALUE_LOWER, VALUE_UPPER, VALUE_BOUNDED, VALUE_BOUNDS };

// rewards (n, which is not 0) are reordered. entropy: e. discount < 1.
void value_bounds_update(float bounds[VALUE_BOUNDS], float *rewards, size_t n, double discount,
                         double entropy);
// The value within the bounds; NaN stays NaN.
float value_bounds_clip(const float bounds[VALUE_BOUNDS], float value);
// The same bounds in other units of values: value = units[0] + units[1] * number.
void value_bounds_change_units(float bounds[VALUE_BOUNDS], const double from[2],
                               const double to[2]);

#endif
