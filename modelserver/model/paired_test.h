// SPDX-License-Identifier: MIT
// The rule of model.stop paired_test, as in DHMBPO's code (erl_lib): the ensemble as a whole is
// scored on each held-out row, and compared with the best one so far by a paired test.
//
// The score of a row is twice the negative log-likelihood, up to a constant, of a Gaussian with the
// mean of the members and the variance of their mixture: the mean of their variances plus the
// variance of their means.
#ifndef SPUR_MODELSERVER_MODEL_PAIRED_TEST_H
#define SPUR_MODELSERVER_MODEL_PAIRED_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Sums over members, in memory of the caller's: (rows T) each.
struct mixture {
    double *centre, *spread, *variance; // mean, squares about it, sum of the variances
    int members;                        // added so far
};
void mixture_clear(struct mixture *m, size_t n);
// Adds a member's predictions, mean and logvar (n = rows T).
void mixture_add(struct mixture *m, const float *mean, const float *logvar, size_t n);
// score (rows) of targets y (rows, T), with the weight (T) of each.
void mixture_score(float *score, const struct mixture *m, const float *y, const float *weight,
                   size_t rows, size_t T);

enum paired_verdict {
    PAIRED_IDLE,   // an epoch without improvement
    PAIRED_BETTER, // better at least by chance, p < 0.5: training goes on
    PAIRED_BEST,   // p < 0.1: it is kept
};
// Judges an ensemble by its scores (n); best (n), the scores of the best one, follows. first: there
// is none before. Scores with a NaN are never better.
enum paired_verdict paired_test_judge(float *best, const float *score, size_t n, bool first);

// Epochs without improvement after which training number `number`, from 0, ends; at most
// PAIRED_PATIENCES times as many are made.
#define PAIRED_PATIENCES 5
double paired_test_patience(int obs_dim, uint64_t number);

#endif
