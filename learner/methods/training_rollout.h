// SPDX-License-Identifier: MIT
// Training rollouts: H differentiable steps of policy and ensemble, and the backward pass through
// them (Kubo et al., "Double Horizon Model-Based Policy Optimization": the short horizon).
//
// A batch of B states is cut into tiles of 32 rows. At each step t = 0, ..., H - 1 every tile is
// predicted by one member of the ensemble, which a random permutation assigns anew (TS1 of Chua et
// al. 2018, a tile at a time):
//
//   a_t = tanh(mu + std noise), log pi_t     the policy at s_t
//   r_t = the member's mean reward, less the offset, in units of the scale
//   s_{t+1} = clip(s_t + mean + std xi)      the member's Gaussian, reparametrised
//   n_{t+1} = n_t (1 - d_t)                  d_t: the task's rule, or the member's head, says end
//
// and a_H, log pi_H at s_H. The backward pass adds up the gradient, by the policy's parameters, of
//
//   L = -mean_i [ sum_{t<H} discount^t n_t (r_t - alpha log pi_t)
//                 + discount^H n_H (Q(s_H, a_H) - alpha log pi_H) ]
//
// through rewards, states, actions and log-probabilities; ends and clips are masks. Rows whose
// episode ended are computed on with weight 0. A state that is not finite or far outside the data
// ends its row.
//
// Every noise is a function of (seed, draw, step), and sums have a fixed order: results do not
// depend on the number of threads. Matrices are row-major; nothing is allocated after init.
#ifndef SPUR_LEARNER_METHODS_TRAINING_ROLLOUT_H
#define SPUR_LEARNER_METHODS_TRAINING_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/nn/ensemble.h"
#include "common/nn/parts.h"
#include "common/nn/policy.h"
#include "common/nn/tape.h"
#include "common/nn/termination.h"
#include "common/task/task.h"
#include "learner/dynamics.h"

#define TRAINING_ROLLOUT_TILE 32 // rows: a block of layout.h
#define TRAINING_ROLLOUT_STEPS_MAX 20
#define TRAINING_ROLLOUT_TILES_MAX 64

struct training_rollout_config {
    int horizon, batch; // H; B, a multiple of TRAINING_ROLLOUT_TILE
    struct policy policy;
    struct ensemble ensemble;
    struct termination heads;
    const struct task *task; // borrowed
    uint64_t seed;
    int workers; // threads that work on tiles
};

// One step of the batch. The last one, s_H, has no prediction.
struct training_rollout_step {
    float *obs;          // (B, O) s_t in the environment's units
    float *x;            // (B, O) standardised: what policy and critics take
    float *noise;        // (B, A)
    float *act;          // (B, A)
    float *log_prob;     // (B)
    float *alive;        // (B) n_t: 1 or 0
    float *target_noise; // (B, T) xi; 0 for the reward
    float *end;          // (B) uniform in [0, 1): a head ends the row if below its probability
    float *kept;         // (B, T) of ensemble_sample_forward
    float *reward;       // (B) scaled
    float *passes;       // (B, O) 1 where s_{t+1} depends on the prediction, 0 where it was clipped
    int member[TRAINING_ROLLOUT_TILES_MAX];
};

struct training_rollout {
    struct training_rollout_config config;
    int tiles;
    struct tape_shape policy_shape, member_shape;
    float *policy_tape, *member_tape;
    float *sample; // of policy_sample_forward, one a tile and step
    size_t sample_floats;
    struct training_rollout_step step[TRAINING_ROLLOUT_STEPS_MAX + 1];
    struct training_rollout_worker {
        float *scratch; // of tapes, samples and heads
        float *out;     // (32, max(2 A, 2 T)) output of a network, or its gradient
        float *in;      // (32, O + A) input of a member, or its gradient
        float *target;  // (32, T) a sampled target, or its gradient
        float *d_obs;   // (32, O) dL/ds
        float *d_x;     // (32, O)
        float *d_act;   // (32, A)
        float *d_log_prob;
        float *end;    // (32) probability of an end
        uint8_t *done; // (32)
    } worker[THREAD_TEAM_SIZE_MAX];
};

// What a rollout computes with; borrowed.
struct training_rollout_view {
    const float *policy;       // policy_params
    const float *observations; // (2 O) normalizer of x
    const struct dynamics *dynamics;
    double reward_offset, reward_scale; // r = (reward - offset) / scale
    double discount, alpha;
};

// Sizes and pointers; parts->memory NULL: only measures.
void training_rollout_lay_out(struct training_rollout *r, struct parts *parts,
                              const struct training_rollout_config *config);

// Noise of step t, and its members. draw: below 2^34, another one for every rollout.
void training_rollout_draw(struct training_rollout *r, const struct dynamics *dynamics,
                           uint64_t draw, int t);

// Steps of one tile from step[0].obs and the noise of all steps. Different tiles may run on
// different threads, with a worker index each.
void training_rollout_forward(struct training_rollout *r, const struct training_rollout_view *view,
                              int tile, int worker);
// The backward pass of one tile: d_x (B, O) and d_act (B, A) are dL/dx_H and dL/da_H. The policy's
// gradient stays on the tape.
void training_rollout_backward(struct training_rollout *r, const struct training_rollout_view *view,
                               int tile, int worker, const float *d_x, const float *d_act);
// The policy's gradient of part p of `parts`, after all tiles' backward pass: the whole is the sum.
void training_rollout_gradient(float *dparams, const struct training_rollout *r, int p, int parts);

// discount^t / B: the weight in L of the rows that are alive at step t.
float training_rollout_weight(const struct training_rollout *r, double discount, int t);

#endif
