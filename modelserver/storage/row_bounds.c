// SPDX-License-Identifier: MIT
// Running mean and variance of each column (Welford's), with far values moved nearer.
#include "modelserver/storage/row_bounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"

#define NEAR 100.0 // spreads; values beyond are moved there for the statistics

void row_bounds_init(struct row_bounds *b, const struct config *c, uint32_t obs_dim) {
    *b = (struct row_bounds){.bound = c->data.bound,
                             .largest = c->data.largest,
                             .bound_rows = c->data.bound_rows,
                             .obs_dim = obs_dim,
                             .mean = xcalloc(obs_dim + 1, sizeof(*b->mean)),
                             .squares = xcalloc(obs_dim + 1, sizeof(*b->squares)),
                             .spread = xcalloc(obs_dim + 1, sizeof(*b->spread))};
    for (uint32_t j = 0; j <= obs_dim; j++) {
        b->spread[j] = 1;
    }
}

void row_bounds_deinit(struct row_bounds *b) {
    free(b->mean);
    free(b->squares);
    free(b->spread);
    *b = (struct row_bounds){0};
}

// Comparisons in place of fmax and fmin, which are calls: stored numbers are finite.
static double larger(double a, double b) {
    return a > b ? a : b;
}

static void add(struct row_bounds *b, uint32_t column, double x) {
    double mean = b->mean[column], reach = NEAR * b->spread[column];
    if (b->rows > 0) {
        x = x < mean - reach ? mean - reach : x > mean + reach ? mean + reach : x;
    }
    b->mean[column] += (x - mean) / (double)(b->rows + 1);
    b->squares[column] += (x - mean) * (x - b->mean[column]);
    double std = sqrt(b->squares[column] / (double)(b->rows + 1));
    b->spread[column] = larger(larger(std, fabs(b->mean[column])), 1);
}

void row_bounds_add(struct row_bounds *b, const float *obs, float reward) {
    for (uint32_t j = 0; j < b->obs_dim; j++) {
        add(b, j, (double)obs[j]);
    }
    add(b, b->obs_dim, (double)reward);
    b->rows++;
}

// name: of the number, with its index unless that is negative.
static bool admit(const struct row_bounds *b, uint32_t column, double x, const char *name, int j,
                  char *why, size_t why_len) {
    char which[48];
    bool known = b->bound > 0 && b->rows >= b->bound_rows;
    double reach = known ? b->bound * b->spread[column] : INFINITY;
    bool too_large = !(fabs(x) <= b->largest); // also NaN
    if (!too_large && fabs(x - b->mean[column]) <= reach) {
        return true;
    }
    snprintf(which, sizeof(which), j < 0 ? "%s" : "%s[%d]", name, j);
    if (too_large) {
        snprintf(why, why_len, "%s is %.4g, and data.largest is %.4g", which, x, b->largest);
    } else {
        snprintf(why, why_len,
                 "%s is %.4g, more than data.bound (%.4g) spreads of %.4g from the mean %.4g",
                 which, x, b->bound, b->spread[column], b->mean[column]);
    }
    return false;
}

bool row_bounds_admit(const struct row_bounds *b, const float *obs, float reward,
                      const float *next_obs, char *why, size_t why_len) {
    for (uint32_t j = 0; j < b->obs_dim; j++) {
        if (!admit(b, j, (double)obs[j], "obs", (int)j, why, why_len) ||
            !admit(b, j, (double)next_obs[j], "next_obs", (int)j, why, why_len)) {
            return false;
        }
    }
    return admit(b, b->obs_dim, (double)reward, "the reward", -1, why, why_len);
}
