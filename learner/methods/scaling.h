// SPDX-License-Identifier: MIT
// Units in which a policy and its critics learn, so that observations and rewards of any scale
// and offset train alike.
//
//   observations  c (s - mean) / std of each column, c = std within [0.03, 1]
//   rewards       (r - offset) / scale
//   values        Q = value_offset + scale q,  value_offset = offset / (1 - discount)
//
// where q is the value of scaled rewards. The statistics are those of D_env, fitted again whenever
// it has grown by 5%. offset is the mean reward where that is more than three standard deviations
// from 0 and no episode has terminated, else 0: only where episodes never end does a constant
// reward change no decision. scale is the root mean square of r - offset. A model rollout that
// ends nevertheless is worth 0 from there on: its last scaled reward contains the value
// q = -value_offset / scale of its end.
//
// Observations of a usual spread keep it: c is std then, and only the mean is subtracted. Divided
// by the narrow spread of exploration, InvertedPendulum was learned later (2,500 and 2,750 steps
// instead of 2,250 and 2,000), since a function that is steep there stays so when states spread
// further. Mean and std are those of common/nn/normalizer.h: constant columns have no influence.
//
// A method that needs unit spread (standardise) has c = 1.
//
// Networks keep computing the same function when units change (common/nn/reparam.h).
#ifndef SPUR_LEARNER_METHODS_SCALING_H
#define SPUR_LEARNER_METHODS_SCALING_H

#include <stdbool.h>
#include <stddef.h>

#include "learner/replay.h"

struct scaling_config {
    int obs_dim;
    bool observations, rewards; // false: left as they are
    bool standardise;           // c = 1: observations of any spread are divided by it
};

struct scaling {
    struct scaling_config config;
    // Plain numbers, which a checkpoint saves: the normalizer of the observations (2 O), then
    // reward offset, reward scale, whether networks learn in these units, and the rows of D_env
    // that were fitted (0: none).
    float *state;        // (scaling_floats)
    float *observations; // (2 O) the normalizer of the networks' inputs: mean, std / c
};

size_t scaling_floats(const struct scaling_config *config); // of the state
size_t scaling_memory(const struct scaling_config *config); // floats of both arrays
// memory (scaling_memory) is borrowed. Before the first fit no column is known to move: a policy
// ignores its observations.
void scaling_init(struct scaling *s, const struct scaling_config *config, float *memory);
// state (scaling_floats) = that of networks in the environment's own units.
void scaling_identity(float *state, const struct scaling_config *config);

// The leading numbers of the state that networks need which a new run takes over: all but the rows.
size_t scaling_kept(const struct scaling_config *config);
// Whether networks learn in these units, and have to be re-parametrised when they change.
bool scaling_in_use(const struct scaling *s);
// Whether D_env has grown enough for a new fit.
bool scaling_due(const struct scaling *s, const struct replay *d_env);
// Fits to D_env, which has a row.
void scaling_fit(struct scaling *s, const struct replay *d_env);

// The normalizer (O) of the networks' inputs, without their bounds; borrowed.
const float *scaling_observations(const struct scaling *s);
double scaling_reward_scale(const struct scaling *s);
double scaling_value_offset(const struct scaling *s, double discount);
// Scales observations, next observations and rewards of the batch in place.
void scaling_apply(struct replay_batch *batch, const struct scaling *s, double discount);

#endif
