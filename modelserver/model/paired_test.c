// SPDX-License-Identifier: MIT
// Scores of the mixture of all members, and their comparison.
#include "modelserver/model/paired_test.h"

#include <math.h>
#include <string.h>

#include "common/base/stats.h"

#define P_BETTER 0.5
#define P_BEST 0.1
#define PATIENCE 50.0  // epochs for each ln(obs_dim + 1)
#define FIRST_FACTOR 5 // the first training takes longer

void mixture_clear(struct mixture *m, size_t n) {
    memset(m->centre, 0, n * sizeof(double));
    memset(m->spread, 0, n * sizeof(double));
    memset(m->variance, 0, n * sizeof(double));
    m->members = 0;
}

void mixture_add(struct mixture *m, const float *mean, const float *logvar, size_t n) {
    m->members++;
    for (size_t j = 0; j < n; j++) {
        double off = (double)mean[j] - m->centre[j];
        m->centre[j] += off / m->members;
        m->spread[j] += off * ((double)mean[j] - m->centre[j]);
        m->variance[j] += exp((double)logvar[j]);
    }
}

void mixture_score(float *score, const struct mixture *m, const float *y, const float *weight,
                   size_t rows, size_t T) {
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = i * T; j < (i + 1) * T; j++) {
            double variance = (m->variance[j] + m->spread[j]) / m->members;
            double error = (double)y[j] - m->centre[j];
            sum += (double)weight[j % T] * (error * error / variance + log(variance));
        }
        score[i] = (float)sum;
    }
}

enum paired_verdict paired_test_judge(float *best, const float *score, size_t n, bool first) {
    double p = first ? 0 : stats_paired_p(score, best, n);
    if (p < P_BEST) {
        memcpy(best, score, n * sizeof(float));
        return PAIRED_BEST;
    }
    return p < P_BETTER ? PAIRED_BETTER : PAIRED_IDLE;
}

double paired_test_patience(int obs_dim, uint64_t number) {
    return PATIENCE * log(obs_dim + 1) * (number == 0 ? FIRST_FACTOR : 1);
}
