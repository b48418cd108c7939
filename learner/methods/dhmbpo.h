// SPDX-License-Identifier: MIT
// Double-horizon model-based policy optimization (Kubo et al., DHMBPO): one update of policy,
// critics and temperature from states of distribution rollouts, by the gradient of an H-step
// training rollout through the ensemble (training_rollout.h).
//
//   critics   y = r_0 + sum_{0<t<H} discount^t n_t (r_t - alpha log pi_t)
//                 + discount^H n_H (min Q'(s_H, a_H) - alpha log pi_H)
//             0.5 mean(((Q_k(s_0, a_0) - y) / w)^2) for each critic; min: of two target critics,
//             drawn anew for each update and clipped to [lower, upper]
//   policy    L of training_rollout.h, with Q the mean of the critics just updated
//   alpha     -log_alpha mean(log pi_0 + target_entropy)
//   targets   Q' = (1 - tau) Q' + tau Q, every update
//   average   of the policy's parameters, at a rate of policy_tau an update: what is published
//
// A critic's network f gives Q = c + w f, with c and w the centre and half the width of the bounds
// of values (value_bounds.h), which follow the rewards of the training rollouts. All values are in
// units of the scaled rewards (scaling.h).
//
// Items of an update are tiles of 32 rows and critics, which any number of threads share; sums are
// in a fixed order, so that the bits do not depend on it.
#ifndef SPUR_LEARNER_METHODS_DHMBPO_H
#define SPUR_LEARNER_METHODS_DHMBPO_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/thread_team.h"
#include "common/nn/adam.h"
#include "common/nn/critic.h"
#include "learner/methods/training_rollout.h"
#include "learner/methods/value_bounds.h"
#include "learner/states.h"

#define DHMBPO_THREADS_MAX 8
#define DHMBPO_CRITICS_MAX 10

struct dhmbpo_config {
    struct training_rollout_config rollout; // workers: the threads of an update
    struct mlp_hidden critic_hidden;
    int critics;
    double learning_rate, critic_learning_rate, temperature_learning_rate;
    double gradient_norm_max; // of the policy's gradient; 0: no limit
    double critic_dropout;    // rate of dropout where critics are updated
    bool orthogonal;          // first weights of the policy
    double tau, policy_tau, target_entropy, initial_temperature;
};

// What an update is made from; borrowed.
struct dhmbpo_source {
    const struct states *states;
    const struct dynamics *dynamics;
    const float *observations;          // (2 O) normalizer of the networks' inputs
    double reward_offset, reward_scale; // of scaled rewards
    double end_value;                   // of an ended episode, scaled; 0 without an offset
    double discount;
};

// Means over the batch, in units of the scaled rewards.
struct dhmbpo_metrics {
    double critic_loss; // sum over the critics of 0.5 (Q - y)^2
    double actor_loss;  // L
    double temperature, entropy, q_mean;
    double gradient_norm; // of the policy, before the limit
    double alive;         // share of rows that reach s_H
};

struct dhmbpo {
    struct dhmbpo_config config;
    struct training_rollout rollout;
    struct critic critic;
    struct adam policy_adam, critic_adam, temperature_adam;
    size_t policy_n, critic_n;

    // The state, in one block of memory.
    float *policy_params, *policy_average, *policy_m, *policy_v;
    float *critic_params, *critic_target, *critic_m, *critic_v;
    float *alpha;   // log alpha, then its two moments
    float *numbers; // (DHMBPO_NUMBERS), the bounds of values first

    // Scratch of one update.
    float *critic_gradient[DHMBPO_THREADS_MAX]; // of one layer at a time
    float *critic_scratch[DHMBPO_CRITICS_MAX];
    float *policy_gradient;  // (DHMBPO_PARTS, policy_n); the sum is in the first
    float *first_x, *last_x; // (B, O + A) of (s_0, a_0) and (s_H, a_H)
    float *q, *last_q;       // (critics, B) f there
    float *d_q;              // (B)
    float *d_last;           // (critics, B, O + A)
    float *d_x, *d_act;      // (B, O), (B, A): sums of d_last
    float *target;           // (B) of f
    float *rewards;          // (H B) for the quantiles
    double critic_loss[DHMBPO_CRITICS_MAX];

    struct thread_team *team; // NULL: the calling thread only
    float *memory;
    size_t memory_floats;
};

#define DHMBPO_PARTS 4 // of the policy's gradient, summed in order
// Of struct dhmbpo's numbers, after the bounds: how many updates of the critics alone there were,
// and the ensemble whose data the units were fitted to: its version and rows. A version may be
// trained again, with other rows, after the model server was killed. Last, the updates of policy
// and critics before Adam started anew.
enum {
    DHMBPO_CRITIC_UPDATES = VALUE_BOUNDS,
    DHMBPO_MODEL_VERSION,
    DHMBPO_MODEL_ROWS,
    DHMBPO_POLICY_START,
    DHMBPO_CRITIC_START,
    DHMBPO_NUMBERS
};

void dhmbpo_init(struct dhmbpo *d, const struct dhmbpo_config *config);
void dhmbpo_deinit(struct dhmbpo *d);
uint64_t dhmbpo_bytes(const struct dhmbpo_config *config); // of memory after dhmbpo_init

// Update number t, from 1.
void dhmbpo_update(struct dhmbpo_metrics *metrics, struct dhmbpo *d,
                   const struct dhmbpo_source *source, uint64_t t);
// An update of the critics alone, before update t.
void dhmbpo_update_critics(struct dhmbpo *d, const struct dhmbpo_source *source, uint64_t t);
// The update from step[0].obs and noise that d->rollout already holds: dhmbpo_update draws them.
// pair: the two target critics.
void dhmbpo_update_drawn(struct dhmbpo_metrics *metrics, struct dhmbpo *d,
                         const struct dhmbpo_source *source, uint64_t t, const int pair[2]);

// Adam of policy, critics and temperature starts anew, before update t and critics' updates of it.
void dhmbpo_reset_optimizers(struct dhmbpo *d, uint64_t t);

// Changes of units: observations from one normalizer to another, and values Q = mean + std q.
// Networks and temperature keep their meaning.
void dhmbpo_change_units(struct dhmbpo *d, const float *from, const float *to,
                         const double from_values[2], const double to_values[2]);
// Random networks start as if they had only the observations that move.
void dhmbpo_start_units(struct dhmbpo *d, const float *observations);

#endif
