// SPDX-License-Identifier: MIT
// Signs that learning diverges while all numbers are still finite.
//
// Critics, gradients and model can leave every sensible range long before a number overflows. Each
// cause is a figure beyond its bound, found by one function of the figures, with what to try. The
// run goes on: some recover by themselves. docs/status.md lists the bounds.
#ifndef SPUR_MODELSERVER_CORE_DIVERGENCE_H
#define SPUR_MODELSERVER_CORE_DIVERGENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/metrics.h"

#define DIVERGENCE_EVALUATIONS 3 // remembered, of policies with updates
#define DIVERGENCE_TRAININGS 10  // remembered

enum divergence_cause {
    DIVERGENCE_NONE,
    DIVERGENCE_VALUES,   // no policy can earn what the critics predict
    DIVERGENCE_EXPLOITS, // the policy earns far less than the critics predict
    DIVERGENCE_GRADIENT,
    DIVERGENCE_MODEL,
};

// NaN: not known.
struct divergence_figures {
    bool has_model;
    double reward_low, reward_high;           // of all stored rows
    double q_mean;                            // mean value of the critics, entropy included
    double entropy_reward;                    // temperature times entropy, of one step
    double discount;                          // below 1
    double earned;                            // value by returns: the best of the last evaluations
    double gradient_norm, gradient_norm_mean; // the mean is geometric, over the last reports
    double model_error, model_error_before;   // holdout; the largest of the trainings before
};

// The first cause that holds; in out what is wrong and what to try, "" without a cause.
enum divergence_cause divergence_find(char *out, size_t out_len,
                                      const struct divergence_figures *f);

// The figures of a run, and what they are made of. Each change logs a cause that is new.
struct divergence {
    struct divergence_figures figures;
    double earned[DIVERGENCE_EVALUATIONS], errors[DIVERGENCE_TRAININGS]; // rings
    uint64_t evaluations, trainings, norms;                              // ever added
    double norm_log;                                                     // moving mean
    unsigned logged;                                                     // causes, as bits
};

void divergence_init(struct divergence *d, bool has_model);
// An evaluation of a policy with updates: episodes with return and length. At `horizon` an
// episode would have gone on.
void divergence_evaluated(struct divergence *d, const double *returns, const double *lengths,
                          uint32_t episodes, uint64_t horizon);
void divergence_trained(struct divergence *d, double holdout_error);
// Figures of further updates, and the range of all rewards.
void divergence_learnt(struct divergence *d, const struct metrics *metrics, double reward_low,
                       double reward_high);
#endif
