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
// The batch is worked on in SAC_SHARDS parts with gradients of their own, which
// are summed in the order of the parts. Threads do them side by side, and the
// bits do not depend on how many threads there are.
#ifndef SPUR_LEARNER_SAC_H
#define SPUR_LEARNER_SAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crew.h"
#include "common/nn/adam.h"
#include "common/nn/critic.h"
#include "common/nn/policy.h"
#include "learner/replay.h"

#define SAC_SHARDS 2

struct sac_config {
    int obs_dim, act_dim;
    int hidden_width, hidden_layers; // of policy and critics
    int batch_size;
    double learning_rate, discount, tau;
    double target_entropy, initial_temperature;
    uint64_t seed;
    int threads; // 0 or 1: this one alone; more than SAC_SHARDS are of no use
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

    struct sac_shard {
        int first, rows; // of the batch
        float *policy_grad, *critic_grad;
        float *policy_scratch, *critic_scratch;
        float *noise, *act, *d_act;   // (rows, A)
        float *log_prob, *d_log_prob; // (rows)
        float *q, *target;            // (2, rows), (rows)
        double critic_loss, q_sum, actor_loss_sum, log_prob_sum;
    } shard[SAC_SHARDS];
    struct crew *crew; // NULL: this thread alone
    float *memory;     // of all the above
    size_t memory_floats;
};

// Random weights from the seed, targets equal to the critics.
void sac_init(struct sac *s, const struct sac_config *config);
void sac_deinit(struct sac *s);
uint64_t sac_bytes(const struct sac_config *config); // that an initialised one takes

// One update from a batch of config.batch_size rows.
void sac_update(struct sac_metrics *metrics, struct sac *s, const struct replay_batch *batch);

bool sac_metrics_finite(const struct sac_metrics *metrics);
// Whether every number of the state is finite.
bool sac_finite(const struct sac *s);

// The parts of the state, for checkpoints.
#define SAC_BLOCKS 8
struct sac_block {
    const char *name;
    float *data;
    size_t n;
};
void sac_blocks(struct sac_block blocks[SAC_BLOCKS], const struct sac *s);

#endif
