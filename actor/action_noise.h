// SPDX-License-Identifier: MIT
// The noise of actions over an episode: white, pink, or Ornstein-Uhlenbeck.
//
// Each number is a standard normal at any one time; the kinds differ in correlation over time:
//
// - white: independent steps, the noise of SAC.
// - pink: power spectrum 1/f between 1/N and 1/2 of a step, N = the horizon (Eberhard, Hollenstein,
//   Pinneri, Martius, "Pink Noise Is All You Need", ICLR 2023).
// - ou: a discretised Ornstein-Uhlenbeck process, x' = (1 - theta) x + ..., as Lillicrap et al.,
//   "Continuous control with deep reinforcement learning", ICLR 2016 (theta = 0.15).
//
// One mechanism: a sum of `count` independent AR(1) processes with equal variance. Pink noise has
// one process per octave of time constants from 0.55 steps to N/2, whose sum is within 20% of 1/f.
// A sequence has no period and no length: nothing is stored but the state of the processes. White
// noise and ou are the case of one process.
#ifndef SPUR_ACTOR_ACTION_NOISE_H
#define SPUR_ACTOR_ACTION_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/rng.h"
#include "proto/wire.h"

#define ACTION_NOISE_PROCESSES_MAX 24

struct action_noise {
    enum wire_noise kind;
    int count;
    // Of process k: x' = keep x + fresh z, z ~ N(0, 1); keep^2 + fresh^2 = 1.
    float keep[ACTION_NOISE_PROCESSES_MAX], fresh[ACTION_NOISE_PROCESSES_MAX];
    float weight; // of each process in the sum, 1/sqrt(count)
};

// horizon: of pink noise, any; ou_theta: of ou, in (0, 1].
struct action_noise action_noise_make(enum wire_noise kind, uint64_t horizon, double ou_theta);

// Advances state (count, act_dim) by one step and writes the noise, out (act_dim). begin: a new
// episode, whose state is drawn from the stationary distribution, whatever it was. Uses at most
// count (act_dim + 1) words of rng.
void action_noise_step(float *out, float *state, const struct action_noise *n, struct rng *rng,
                       int act_dim, bool begin);

// Uniform in [-1, 1] with the rank of x ~ N(0, 1): random actions with the noise's correlation.
float action_noise_uniform(float x);

#endif
