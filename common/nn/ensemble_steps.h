// SPDX-License-Identifier: MIT
// Multi-threaded training of an ensemble: every member takes Adam steps on its own batches.
//
// Threads claim (step, member) pairs in order, without a barrier between steps: with seven members
// and two threads, each thread does three and a half members a step. A member's step starts once
// its previous step is complete, on whichever thread, and waits for the previous update of the
// shared log-variance bounds only halfway, where it reads them. The last member to contribute its
// gradient of the bounds updates them. Contributions are summed in the order of members, so the
// bits do not depend on the number of threads.
#ifndef SPUR_COMMON_NN_ENSEMBLE_STEPS_H
#define SPUR_COMMON_NN_ENSEMBLE_STEPS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/thread_team.h"
#include "common/nn/ensemble.h"

// Parameters, optimizer state and source of batches.
struct ensemble_training {
    float *params, *m, *v; // ensemble_params() each; m, v: Adam's moments
    struct adam adam;
    const float *decay;   // (layers) L2 coefficient of each layer's weights
    bool decoupled;       // decay is AdamW's
    const float *weight;  // (T) of the targets in the loss
    const float *dropout; // (layers - 1) rates of the hidden layers, or NULL
    uint64_t seed;        // of dropout
    uint64_t t;           // Adam steps so far; incremented by ensemble_steps_run
    // Fills x (B, in_dim), standardised, y (B, T) and row_weight (B) with a member's batch for step
    // 0, 1, ... of this run; returns B, at least 1 and at most batch_max. Called from any thread of
    // the team.
    int (*batch)(void *arg, float *x, float *y, float *row_weight, int member, uint32_t step);
    void *arg;
};

struct ensemble_steps; // work space and progress of a team
// Borrows the team. Reserves work space for batches of up to batch_max rows.
struct ensemble_steps *ensemble_steps_create(const struct ensemble *e, int batch_max,
                                             struct thread_team *team);
void ensemble_steps_destroy(struct ensemble_steps **steps);
uint64_t ensemble_steps_memory_bytes(const struct ensemble *e, int batch_max, int threads);

// Takes n steps. False if *stop was set before the end: some members have then taken fewer.
bool ensemble_steps_run(struct ensemble_steps *steps, struct ensemble_training *training,
                        uint32_t n, const atomic_bool *stop);

#endif
