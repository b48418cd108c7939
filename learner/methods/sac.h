// SPDX-License-Identifier: MIT
// Soft actor-critic (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and
// Applications") with twin critics and a learnt temperature: one update from one
// batch. The caller chooses the rows of the batch.
//
//   critics   y = r + discount (1 - terminated) (min Q'(s', a') - alpha log pi(a'|s'))
//             0.5 mean((Q1 - y)^2) + 0.5 mean((Q2 - y)^2)
//   policy    mean(alpha log pi(a|s) - min Q(s, a)), with the critics just updated
//   alpha     -log_alpha mean(log pi(a|s) + target_entropy), with the same log pi
//   targets   Q' = (1 - tau) Q' + tau Q, every update
//
// min Q' is within bounds of values where the configuration has them (value_bounds.h).
//
// Only `terminated` removes the next state's value from the target; after a time
// limit the value remains. Noise is drawn from counter-based streams keyed by the
// update number, so the state after n updates is a function of seed and batches.
//
// Two threads update one critic each and share the policy's backward pass layer by
// layer. No sum is split between threads, so results are bit-identical with one
// thread or two.
#ifndef SPUR_LEARNER_METHODS_SAC_H
#define SPUR_LEARNER_METHODS_SAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/thread_team.h"
#include "common/nn/adam.h"
#include "common/nn/critic.h"
#include "common/nn/policy.h"
#include "learner/replay.h"

#define SAC_THREADS_MAX 2
#define SAC_CRITICS_MAX 10

struct sac_config {
    int obs_dim, act_dim;
    struct mlp_hidden hidden; // of policy and critics
    bool layer_norm;          // of the critics
    int critics;              // 0: 2; at most SAC_CRITICS_MAX
    int batch_size;
    double learning_rate;                                   // of the policy
    double critic_learning_rate, temperature_learning_rate; // 0: learning_rate
    double gradient_norm_max; // of the policy's gradient, and of all critics'; 0: no limit
    double tau;
    double discount; // of the next update
    double target_entropy, initial_temperature;
    uint64_t seed;
    int threads; // 0 or 1: the calling thread only; at most SAC_THREADS_MAX are used
};

// Figures of one update, means over its batch.
struct sac_metrics {
    double critic_loss, actor_loss;
    double temperature; // alpha in this update
    double entropy;     // -mean log pi
    double q_mean;      // of all critics, on the batch's actions
};

struct sac {
    struct sac_config config;
    struct policy policy;
    struct critic critic;
    struct adam policy_adam, critic_adam, temperature_adam;
    size_t policy_n, critic_n; // floats in a block

    // The state, in one block of memory.
    float *policy_params, *policy_m, *policy_v;
    float *critic_params, *critic_target, *critic_m, *critic_v;
    float *alpha; // log alpha, then its two moments
    uint64_t updates;
    const float *bounds; // (VALUE_BOUNDS) of values in targets; borrowed; NULL: none

    // Scratch of one update.
    float *gradient[SAC_THREADS_MAX];         // of one layer at a time, one per thread
    float *policy_gradient, *critic_gradient; // whole blocks, with gradient_norm_max; else NULL
    double critic_squares[SAC_CRITICS_MAX];   // of critic_gradient
    struct sac_actions {                      // the policy's, in the next states and in the states
        float *policy_scratch;
        float *noise, *act; // (B, A)
        float *log_prob;    // (B)
        float *x;           // (B, O + A): states and actions
    } actions[2];
    float *critic_scratch[SAC_CRITICS_MAX];
    float *x;          // (B, O + A) of the batch
    float *next_q, *q; // (critics, B): target critics at the next actions; critics at the batch
    float *target;     // (B)
    float *actor_q;    // (critics, B): critics at the policy's actions
    float *d_act;      // (B, A)
    float *d_log_prob; // (B)
    double critic_loss[SAC_CRITICS_MAX];

    struct thread_team *team; // NULL: the calling thread only
    float *memory;            // of all pointers above
    size_t memory_floats;
};

// Random weights from the seed; target critics equal the critics.
void sac_init(struct sac *s, const struct sac_config *config);
void sac_deinit(struct sac *s);
uint64_t sac_bytes(const struct sac_config *config); // of memory after sac_init

// One update from a batch of config.batch_size rows.
void sac_update(struct sac_metrics *metrics, struct sac *s, const struct replay_batch *batch);

// A change of the units that observations and values are in (learner/methods/scaling.h): the
// observations' normalizer, and mean and std of the values.
struct sac_units {
    const float *observations; // (2 obs_dim)
    float values[2];
};
// Random networks start as if they had only the observations that move.
void sac_start_units(struct sac *s, const struct sac_units *units);
// Re-parametrises all networks and the temperature, which keep their meaning.
void sac_change_units(struct sac *s, const struct sac_units *from, const struct sac_units *to);
// params (policy_params) = the policy as a function of observations that are not standardised.
void sac_fold_policy(float *params, const struct sac *s, const float *observations);

// The parts of the state, for checkpoints.
#define SAC_BLOCKS 8
struct sac_block {
    const char *name;
    float *data;
    size_t n;
    size_t weights; // leading floats that are no state of the optimizer
};
void sac_blocks(struct sac_block blocks[SAC_BLOCKS], const struct sac *s);

#endif
