// SPDX-License-Identifier: MIT
// What chooses the actions of an evaluation: a policy, its mean or samples of it, or none.
#ifndef SPUR_ACTOR_ACTIONS_H
#define SPUR_ACTOR_ACTIONS_H

#include "actor/policy_controller.h"
#include "common/base/rng.h"

enum actions {
    ACTIONS_MEAN,    // tanh of the policy's mean
    ACTIONS_SAMPLED, // of the policy's distribution
    ACTIONS_RANDOM,  // uniform in [-1, 1]
    ACTIONS_ZERO,    // 0, the middle of the bounds
};

bool actions_need_policy(enum actions actions);
// The stream of an evaluation's episode.
struct rng actions_rng(uint64_t seed, uint64_t episode);
// Draws the random numbers of one action: noise (act_dim). Advances rng.
void actions_draw(float *noise, enum actions actions, struct rng *rng, int act_dim);
// act, noise (B, act_dim), obs (B, obs_dim). controller: for a policy; may be NULL otherwise.
void actions_compute(float *act, enum actions actions, struct policy_controller *controller,
                     const float *obs, const float *noise, int B, int act_dim);

#endif
