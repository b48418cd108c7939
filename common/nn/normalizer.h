// SPDX-License-Identifier: MIT
// Standardisation of columns: (x - mean) / std, with statistics that neither constant columns nor
// single wild rows spoil.
//
// A normalizer is a block of 2 * dim floats: mean (dim), then std (dim). It is plain data: may be
// copied, stored and sent. A std of 0 marks a constant column, one that has not moved by more
// than the rounding of its numbers: its standardised value is 0, and 0 stands for its mean.
#ifndef SPUR_COMMON_NN_NORMALIZER_H
#define SPUR_COMMON_NN_NORMALIZER_H

#include <stdbool.h>
#include <stddef.h>

// Bound of standardised inputs: a value further out, which a network has hardly been trained on,
// counts as one at the bound.
#define NORMALIZER_INPUT_LIMIT 10.0f

// How a column is fitted.
struct normalizer_column {
    // Largest spread (maximum - minimum) of a constant column, at least that of a few roundings
    // of its largest number.
    float resolution;
    // Values further than `reach` interquantile ranges (1% to 99%) outside these quantiles
    // are moved to that distance for mean and std (winsorised, Tukey 1962).
    float reach;
};
#define NORMALIZER_REACH 10.0f

size_t normalizer_floats(int dim);
void normalizer_identity(float *block, int dim); // mean 0, std 1
// Fits mean and population std to n > 0 rows x (n, dim) of finite numbers, in double. columns
// (dim); NULL: {0, NORMALIZER_REACH} for each.
void normalizer_fit(float *block, const float *x, size_t n, int dim,
                    const struct normalizer_column *columns);
// out (n, dim) = the standardised x, within [-limit, limit]; out may be x itself.
void normalizer_apply(float *out, const float *block, const float *x, size_t n, int dim,
                      float limit);
// Whether x (n) is within NORMALIZER_OUTLIER standard deviations std (n) of mean (n), constant
// columns aside. What lies further out is a fault of a sensor or a diverged prediction.
#define NORMALIZER_OUTLIER 100.0f
bool normalizer_covers(const float *mean, const float *std, const float *x, int n);
// Whether a column is rounding noise around a number: it hardly moves, and from one observation to
// the next it changes by as much as independent numbers do, sqrt(2) std. A small signal changes by
// less. std, std_of_change: of the column, and of its changes.
bool normalizer_is_noise(float std, float std_of_change);
// The smallest change of numbers as large as `magnitude` that is not rounding alone.
float normalizer_resolution(float magnitude);

#endif
