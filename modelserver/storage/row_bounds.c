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
                             .squares = xcalloc(obs_dim + 1, sizeof(*b->squares))};
}

void row_bounds_deinit(struct row_bounds *b) {
    free(b->mean);
    free(b->squares);
    *b = (struct row_bounds){0};
}

static double spread(const struct row_bounds *b, uint32_t column) {
    double std = b->rows > 0 ? sqrt(b->squares[column] / (double)b->rows) : 0;
    return fmax(fmax(std, fabs(b->mean[column])), 1);
}

static void add(struct row_bounds *b, uint32_t column, double x) {
    if (b->rows > 0) {
        double reach = NEAR * spread(b, column);
        x = fmin(fmax(x, b->mean[column] - reach), b->mean[column] + reach);
    }
    double from_old = x - b->mean[column];
    b->mean[column] += from_old / (double)(b->rows + 1);
    b->squares[column] += from_old * (x - b->mean[column]);
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
    double reach = known ? b->bound * spread(b, column) : INFINITY;
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
                 which, x, b->bound, spread(b, column), b->mean[column]);
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
