// SPDX-License-Identifier: MIT
// Gradient steps of a whole ensemble, shared out to a team: every member on a
// batch of its own, Adam on each network, and on the bounds that all share.
//
// Members are handed out in their order, step after step, to whoever is free: with
// seven members and two threads each thread does three and a half a step. A
// member's step begins when its last one is done, on any thread, and it waits for
// the bounds of the last step only where it needs them, half way. Bounds get their
// step when the last member has handed in its part of the gradient. Parts are
// summed in the members' order, so the bits do not depend on the threads.
#ifndef SPUR_COMMON_NN_ENSEMBLE_STEPS_H
#define SPUR_COMMON_NN_ENSEMBLE_STEPS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/thread_team.h"
#include "common/nn/ensemble.h"

// What is trained, and on what.
struct ensemble_training {
    float *params, *m, *v; // ensemble_params() each; m, v: Adam's moments
    struct adam adam;
    const float *decay; // (layers) L2 coefficient of each layer's weights
    uint64_t t;         // steps made before; counted on
    // Fills x (B, in_dim), standardised, and y (B, T) with a member's batch for a
    // step of this run, 0, 1, ...; returns B, at least 1 and at most batch_max.
    // Called from any thread of the team.
    int (*batch)(void *arg, float *x, float *y, int member, uint32_t step);
    void *arg;
};

struct ensemble_steps; // scratch of a team
// Borrows the team.
struct ensemble_steps *ensemble_steps_create(const struct ensemble *e, int batch_max,
                                             struct thread_team *team);
void ensemble_steps_destroy(struct ensemble_steps **steps);
uint64_t ensemble_steps_memory_bytes(const struct ensemble *e, int batch_max, int threads);

// Makes n steps. False: *stop was set, and some members have made fewer.
bool ensemble_steps_run(struct ensemble_steps *steps, struct ensemble_training *training,
                        uint32_t n, const atomic_bool *stop);

#endif
