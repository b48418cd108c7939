// SPDX-License-Identifier: MIT
// Soft actor-critic (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and
// Applications") with twin critics and a learnt temperature: one update from one
// batch. What an update does is here and nowhere else; where its rows come from
// is the trainer's choice.
//
//   critics   y = r + discount (1 - terminated) (min Q'(s', a') - alpha log pi(a'|s'))
//             0.5 mean((Q1 - y)^2) + 0.5 mean((Q2 - y)^2)
//   policy    mean(alpha log pi(a|s) - min Q(s, a)), with the critics just updated
//   alpha     -log_alpha mean(log pi(a|s) + target_entropy), with the same log pi
//   targets   Q' = (1 - tau) Q' + tau Q, every update
//
// Only `terminated` cuts the target off: after a time limit the next state still
// has a value. Noise comes from counter-based streams numbered by the update, so
// the state after n updates is a function of seed and batches alone.
//
// Two threads take one critic each, and share the policy's work layer by layer.
// No sum is divided between them, so the bits do not depend on how many there are.
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

struct sac_config {
    int obs_dim, act_dim;
    int hidden_width, hidden_layers; // of policy and critics
    int batch_size;
    double learning_rate, tau;
    double discount; // of the next update: it may change between two
    double target_entropy, initial_temperature;
    uint64_t seed;
    int threads; // 0 or 1: this one alone; more than SAC_THREADS_MAX are of no use
};

// Of one update; means over its batch.
struct sac_metrics {
    double critic_loss, actor_loss;
    double temperature; // alpha that this update used
    double entropy;     // -mean log pi
    double q_mean;      // of both critics, on the batch's actions
};

struct sac {
    struct sac_config config;
    struct policy policy;
    struct critic critic;
    struct adam adam;
    size_t policy_n, critic_n; // floats in a block

    // The state, in one block of memory.
    float *policy_params, *policy_m, *policy_v;
    float *critic_params, *critic_target, *critic_m, *critic_v;
    float *alpha; // log alpha, then its two moments
    uint64_t updates;

    // One update's.
    float *gradient[SAC_THREADS_MAX]; // of a layer at a time, one a thread
    struct sac_actions {              // that the policy draws: in the next states, in the states
        float *policy_scratch;
        float *noise, *act; // (B, A)
        float *log_prob;    // (B)
        float *x;           // (B, O + A): states and actions
    } actions[2];
    float *critic_scratch[2];
    float *x;          // (B, O + A) of the batch
    float *next_q, *q; // (2, B): targets' values of the next actions; values of the batch
    float *target;     // (B)
    float *actor_q;    // (2, B): values of the policy's actions
    float *d_act;      // (B, A)
    float *d_log_prob; // (B)
    double critic_loss[2];

    struct thread_team *team; // NULL: this thread alone
    float *memory;            // of all the above
    size_t memory_floats;
};

// Random weights from the seed, targets equal to the critics.
void sac_init(struct sac *s, const struct sac_config *config);
void sac_deinit(struct sac *s);
uint64_t sac_bytes(const struct sac_config *config); // that an initialised one takes

// One update from a batch of config.batch_size rows.
void sac_update(struct sac_metrics *metrics, struct sac *s, const struct replay_batch *batch);

// The parts of the state, for checkpoints.
#define SAC_BLOCKS 8
struct sac_block {
    const char *name;
    float *data;
    size_t n;
};
void sac_blocks(struct sac_block blocks[SAC_BLOCKS], const struct sac *s);

#endif
