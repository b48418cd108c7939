// SPDX-License-Identifier: MIT
// D_states: the observations of the last distribution rollouts, from which training rollouts start.
//
// A ring of batches, one for each distribution rollout; they may differ in their number of rows.
// Rows are sampled uniformly over all batches.
#ifndef SPUR_LEARNER_STATES_H
#define SPUR_LEARNER_STATES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/rng.h"

#define STATES_BATCHES_MAX 1000

struct states {
    int obs_dim;
    int batches;       // of the ring
    uint32_t rows_max; // of a batch
    uint64_t number;   // batches ever added
    uint64_t rows;     // in all batches of the ring
    uint64_t *len;     // (batches) rows of batch number % batches
    uint64_t *updates; // (batches) updates in the policy that made it
    float *data;       // (batches, rows_max, obs_dim)
};

void states_init(struct states *s, int obs_dim, int batches, uint32_t rows_max);
void states_deinit(struct states *s);
uint64_t states_bytes(int obs_dim, int batches, uint32_t rows_max);

// Adds batch number s->number, of at most rows_max rows (rows, obs_dim), made by the policy after
// so many updates; the oldest is dropped.
void states_add(struct states *s, const float *obs, uint32_t rows, uint64_t updates);
// After data was set, from a checkpoint: its batches, their rows and their policies (batches).
void states_restore(struct states *s, uint64_t number, const uint64_t *len,
                    const uint64_t *updates);
// How many updates before update t the policies behind the rows are, on average. s->rows > 0.
double states_age(const struct states *s, uint64_t t);
size_t states_floats(const struct states *s); // of data
// obs (n, obs_dim): n rows sampled uniformly, with replacement. s->rows > 0.
void states_sample(float *obs, int n, const struct states *s, struct rng *rng);

#endif
