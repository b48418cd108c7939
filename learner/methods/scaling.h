// SPDX-License-Identifier: MIT
// Units in which a policy and its critics learn, so that observations and rewards of any scale
// and offset train alike.
//
//   observations  (s - mean) / std of each column (common/nn/normalizer.h)
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
// Networks keep computing the same function when units change (common/nn/reparam.h).
#ifndef SPUR_LEARNER_METHODS_SCALING_H
#define SPUR_LEARNER_METHODS_SCALING_H

#include <stdbool.h>
#include <stddef.h>

#include "learner/replay.h"

struct scaling_config {
    int obs_dim;
    bool observations, rewards; // false: left as they are
};

struct scaling {
    struct scaling_config config;
    // Plain numbers, which a checkpoint saves: the normalizer of the observations (2 O), then
    // reward offset, reward scale, whether networks learn in these units, and the rows of D_env
    // that were fitted (0: none).
    float *state; // (scaling_floats)
};

size_t scaling_floats(const struct scaling_config *config);
// state (scaling_floats) is borrowed. Before the first fit no column is known to move: a policy
// ignores its observations.
void scaling_init(struct scaling *s, const struct scaling_config *config, float *state);
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

const float *scaling_observations(const struct scaling *s); // a normalizer (O)
double scaling_reward_scale(const struct scaling *s);
double scaling_value_offset(const struct scaling *s, double discount);
// Scales observations, next observations and rewards of the batch in place.
void scaling_apply(struct replay_batch *batch, const struct scaling *s, double discount);

#endif
