// SPDX-License-Identifier: MIT
// Which real rows are possible, judged by those before them.
//
// A single wild number, of a sensor or a diverged simulation, is enough to ruin critics and model,
// and it is stored for good. A row is admitted if each of its observations and its reward is no
// larger than data.largest and, once data.bound_rows rows are known, no further than data.bound
// times the spread from the mean of its column. The spread is the standard deviation, the magnitude
// of the mean or 1, whichever is largest: a column that has not moved yet may begin to.
#ifndef SPUR_MODELSERVER_STORAGE_ROW_BOUNDS_H
#define SPUR_MODELSERVER_STORAGE_ROW_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

struct row_bounds {
    double bound, largest; // bound 0: none
    uint64_t bound_rows, rows;
    uint32_t obs_dim;
    // (obs_dim + 1) of observations and reward: mean, squared deviations summed, and spread.
    double *mean, *squares, *spread;
};

void row_bounds_init(struct row_bounds *b, const struct config *c, uint32_t obs_dim);
void row_bounds_deinit(struct row_bounds *b);
// Counts a row: obs (obs_dim) and reward. A value far from the mean counts as one at 100 spreads,
// so that single ones do not widen the bounds.
void row_bounds_add(struct row_bounds *b, const float *obs, float reward);
// False: the row is beyond the bounds; why says which number is.
bool row_bounds_admit(const struct row_bounds *b, const float *obs, float reward,
                      const float *next_obs, char *why, size_t why_len);

#endif
