// SPDX-License-Identifier: MIT
// Column means and standard deviations: quantiles of a sample bound the values, then two passes
// in double.
#include "common/nn/normalizer.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/check.h"

#define GROUP 32
#define SAMPLE_MAX 2048      // rows for the quantiles
#define TRIM 100             // one row in so many is beyond each quantile, at least one
#define ROUNDINGS 8          // in a column that counts as constant
#define NOISE_MAX 1e-6f      // std; sums of numbers near 1 that cancel, in float
#define NOISE_CHANGE 1.2f    // in std
#define RESOLUTION_MIN 1e-12 // sums of numbers near 1 that cancel, in double

size_t normalizer_floats(int dim) {
    return 2 * (size_t)dim;
}

void normalizer_identity(float *block, int dim) {
    for (int j = 0; j < dim; j++) {
        block[j] = 0.0f;
        block[dim + j] = 1.0f;
    }
}

float normalizer_resolution(float magnitude) {
    float roundings = ROUNDINGS * FLT_EPSILON * magnitude;
    return roundings > (float)RESOLUTION_MIN ? roundings : (float)RESOLUTION_MIN;
}

// Up to GROUP neighbouring columns are fitted at once, so that a pass reads each row once.
struct group {
    const float *x; // of the first column in the first row
    size_t n, dim;  // rows, floats from row to row
    int count;
    float min[GROUP], max[GROUP];
    double low[GROUP], high[GROUP]; // bounds of the values
    double resolution[GROUP];
    double centre[GROUP];
};

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// The bounds and the resolution of column j, which single wild values do not move.
static void find_bounds(struct group *g, int j, const struct normalizer_column *rule) {
    float sample[SAMPLE_MAX];
    size_t count = g->n < SAMPLE_MAX ? g->n : SAMPLE_MAX;
    for (size_t i = 0; i < count; i++) {
        sample[i] = g->x[i * g->n / count * g->dim + (size_t)j];
    }
    qsort(sample, count, sizeof(sample[0]), compare);
    size_t trim = count / TRIM > 1 ? count / TRIM : 1;
    trim = count > 2 * trim ? trim : 0;
    float first = sample[trim], last = sample[count - 1 - trim];
    float resolution = normalizer_resolution(fmaxf(fabsf(first), fabsf(last)));
    g->resolution[j] = (double)fmaxf(resolution, rule->resolution);
    double range = (double)last - (double)first, reach = (double)rule->reach * range;
    // A column that moves in few rows only has no typical range.
    bool bounded = trim > 0 && range > g->resolution[j];
    g->low[j] = bounded ? (double)first - reach : -HUGE_VAL;
    g->high[j] = bounded ? (double)last + reach : HUGE_VAL;
}

static void find_extremes(struct group *g) {
    for (int j = 0; j < g->count; j++) {
        g->min[j] = g->max[j] = g->x[j];
    }
    for (size_t i = 1; i < g->n; i++) {
        const float *row = g->x + i * g->dim;
        for (int j = 0; j < g->count; j++) {
            g->min[j] = row[j] < g->min[j] ? row[j] : g->min[j];
            g->max[j] = row[j] > g->max[j] ? row[j] : g->max[j];
        }
    }
}

// sum (GROUP) of (x - centre)^power over the bounded values; power 1 or 2.
static void sum_powers(double *sum, const struct group *g, int power) {
    for (size_t i = 0; i < g->n; i++) {
        const float *row = g->x + i * g->dim;
        for (int j = 0; j < g->count; j++) {
            double x = (double)row[j];
            x = x < g->low[j] ? g->low[j] : x > g->high[j] ? g->high[j] : x;
            double d = x - g->centre[j];
            sum[j] += power == 1 ? d : d * d;
        }
    }
}

// Two passes for the moments: E[x^2] - E[x]^2 cancels catastrophically where the mean is large
// compared to the spread.
static void fit_group(float *mean, float *std, struct group *g,
                      const struct normalizer_column *columns) {
    const struct normalizer_column usual = {0, NORMALIZER_REACH};
    double sum[GROUP] = {0}, squares[GROUP] = {0};
    find_extremes(g);
    for (int j = 0; j < g->count; j++) {
        find_bounds(g, j, columns ? &columns[j] : &usual);
        g->centre[j] = (double)g->min[j];
    }
    sum_powers(sum, g, 1);
    for (int j = 0; j < g->count; j++) {
        g->centre[j] += sum[j] / (double)g->n;
    }
    sum_powers(squares, g, 2);
    for (int j = 0; j < g->count; j++) {
        bool constant = (double)g->max[j] - (double)g->min[j] <= g->resolution[j];
        mean[j] = (float)g->centre[j];
        std[j] = constant ? 0.0f : (float)sqrt(squares[j] / (double)g->n);
    }
}

void normalizer_fit(float *block, const float *x, size_t n, int dim,
                    const struct normalizer_column *columns) {
    CHECK(n > 0);
    for (int first = 0; first < dim; first += GROUP) {
        struct group g = {.x = x + first,
                          .n = n,
                          .dim = (size_t)dim,
                          .count = dim - first < GROUP ? dim - first : GROUP};
        fit_group(block + first, block + dim + first, &g, columns ? columns + first : NULL);
    }
}

void normalizer_apply(float *out, const float *block, const float *x, size_t n, int dim,
                      float limit) {
    const float *mean = block, *std = block + dim;
    for (size_t i = 0; i < n; i++, out += dim, x += dim) {
        for (int j = 0; j < dim; j++) {
            float z = std[j] == 0.0f ? 0.0f : (x[j] - mean[j]) / std[j];
            z = z > limit ? limit : z; // NaN stays NaN
            out[j] = z < -limit ? -limit : z;
        }
    }
}

bool normalizer_covers(const float *mean, const float *std, const float *x, int n) {
    bool covered = true;
    for (int j = 0; j < n; j++) {
        covered &= std[j] == 0.0f || fabsf(x[j] - mean[j]) <= NORMALIZER_OUTLIER * std[j];
    }
    return covered;
}

bool normalizer_is_noise(float std, float std_of_change) {
    return std < NOISE_MAX && std_of_change > NOISE_CHANGE * std;
}
