// SPDX-License-Identifier: MIT
// Rates from one counter per second; means and spreads in double precision.
#include "common/base/stats.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

void rate_add(struct rate *r, uint64_t now_ms, uint64_t n) {
    uint64_t second = now_ms / 1000;
    int slot = (int)(second % RATE_SLOTS);
    if (r->first_ms == 0) {
        r->first_ms = now_ms ? now_ms : 1;
    }
    if (r->second[slot] != second) {
        r->second[slot] = second;
        r->count[slot] = 0;
    }
    r->count[slot] += n;
}

double rate_per_s(const struct rate *r, uint64_t now_ms) {
    if (r->first_ms == 0) {
        return 0;
    }
    // The window ends now, within the current second.
    uint64_t second = now_ms / 1000;
    uint64_t sum = 0;
    for (int i = 0; i < RATE_SLOTS; i++) {
        if (r->second[i] + RATE_SLOTS > second) {
            sum += r->count[i];
        }
    }
    double window_s = RATE_SLOTS - 1 + (double)(now_ms % 1000) / 1000;
    double alive_s = (double)(now_ms - r->first_ms) / 1000;
    double span_s = alive_s < window_s ? alive_s : window_s;
    return (double)sum / (span_s > 0.5 ? span_s : 0.5);
}

double stats_mean(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i];
    }
    return n > 0 ? sum / n : 0;
}

double stats_std(const double *x, int n) {
    double mean = stats_mean(x, n), sum = 0;
    for (int i = 0; i < n; i++) {
        sum += (x[i] - mean) * (x[i] - mean);
    }
    return n > 0 ? sqrt(sum / n) : 0;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stats_median(double *x, int n) {
    if (n == 0) {
        return 0;
    }
    qsort(x, (size_t)n, sizeof(*x), compare_doubles);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

double stats_paired_p(const float *x, const float *y, size_t n) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        mean += ((double)x[i] - (double)y[i]) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double off = (double)x[i] - (double)y[i] - mean;
        squares += off * off;
    }
    if (squares == 0) {
        return mean < 0 ? 0 : mean > 0 ? 1 : 0.5;
    }
    double error = sqrt(squares / ((double)n - 1) / (double)n);
    return 0.5 * erfc(-mean / error / sqrt(2));
}

float stats_quantile(float *x, size_t n, double q) {
    size_t low = 0, high = n - 1, rank = (size_t)(q * (double)(n - 1) + 0.5);
    while (low < high) { // Hoare's selection: what is left contains the rank
        float pivot = x[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (x[i] < pivot) {
                i++;
            }
            while (x[j] > pivot) {
                j--;
            }
            if (i >= j) {
                break;
            }
            float t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
        if (rank <= j) {
            high = j;
        } else {
            low = j + 1;
        }
    }
    return x[rank];
}

bool stats_all_within(const float *x, size_t n, float limit) {
    enum { PIECE = 64 };
    size_t i = 0;
    for (; i + PIECE <= n; i += PIECE) {
        int outside = 0;
        for (size_t j = 0; j < PIECE; j++) {
            outside |= !(fabsf(x[i + j]) <= limit);
        }
        if (outside) {
            return false;
        }
    }
    for (; i < n; i++) {
        if (!(fabsf(x[i]) <= limit)) {
            return false;
        }
    }
    return true;
}

bool stats_all_finite(const float *x, size_t n) {
    return stats_all_within(x, n, FLT_MAX);
}
