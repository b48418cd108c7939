// SPDX-License-Identifier: MIT
// Column means and standard deviations by two passes in double.
#include "common/nn/normalizer.h"

#include <math.h>

#include "common/base/check.h"

// Columns are processed in groups, so that the sums fit on the stack.
#define GROUP 32

#define STD_MIN 1e-12

size_t normalizer_floats(int dim) {
    return 2 * (size_t)dim;
}

void normalizer_identity(float *block, int dim) {
    for (int j = 0; j < dim; j++) {
        block[j] = 0.0f;
        block[dim + j] = 1.0f;
    }
}

// Fits columns first, ..., first + count - 1 of x. Two passes: E[x^2] - E[x]^2 cancels
// catastrophically in columns whose mean is large compared to their spread.
static void fit_columns(float *block, const float *x, size_t n, int dim, int first, int count) {
    double sum[GROUP] = {0}, square[GROUP] = {0};
    for (size_t i = 0; i < n; i++) {
        const float *row = x + i * (size_t)dim + first;
        for (int j = 0; j < count; j++) {
            sum[j] += (double)row[j];
        }
    }
    for (int j = 0; j < count; j++) {
        sum[j] /= (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const float *row = x + i * (size_t)dim + first;
        for (int j = 0; j < count; j++) {
            double d = (double)row[j] - sum[j];
            square[j] += d * d;
        }
    }
    for (int j = 0; j < count; j++) {
        double std = sqrt(square[j] / (double)n);
        block[first + j] = (float)sum[j];
        block[dim + first + j] = std < STD_MIN ? 1.0f : (float)std;
    }
}

void normalizer_fit(float *block, const float *x, size_t n, int dim) {
    CHECK(n > 0);
    for (int first = 0; first < dim; first += GROUP) {
        fit_columns(block, x, n, dim, first, dim - first < GROUP ? dim - first : GROUP);
    }
}

void normalizer_apply(float *out, const float *block, const float *x, size_t n, int dim) {
    const float *mean = block, *std = block + dim;
    for (size_t i = 0; i < n; i++, out += dim, x += dim) {
        for (int j = 0; j < dim; j++) {
            out[j] = (x[j] - mean[j]) / std[j];
        }
    }
}
