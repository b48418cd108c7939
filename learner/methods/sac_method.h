// SPDX-License-Identifier: MIT
// The state of methods based on soft actor-critic: networks and a batch.
//
// `sac` samples whole batches of real transitions. Other methods based on SAC, such as MBPO,
// fill the batch from their own sources and share all else.
#ifndef SPUR_LEARNER_METHODS_SAC_METHOD_H
#define SPUR_LEARNER_METHODS_SAC_METHOD_H

#include "learner/methods/method.h"
#include "learner/methods/sac.h"
#include "learner/methods/scaling.h"

#define SAC_METHOD_SHAPE_KEYS                                                                      \
    "sac.hidden_width sac.hidden_layers sac.hidden sac.activation sac.critics sac.layer_norm"

struct sac_method {
    struct config config; // a copy
    struct sac sac;
    struct replay_batch batch;
    struct scaling scaling, next; // units of sac; scratch of a new fit
    float *memory;                // of both and of the following
    float *identity;              // (scaling_floats) of checkpoints of earlier builds
    float *policy;                // (policy_params) in the units of the environment
    float *bounds;                // (VALUE_BOUNDS) of the values, with sac.bound_values
    float *rewards;               // (rows of the batch) scratch
};

struct sac_config sac_method_config(const struct config *config, const struct task *task);

// critic_loss, actor_loss, temperature, entropy, q_mean: of struct sac_metrics; discount.
extern const char *const sac_method_metrics[];

// The functions of struct method, except update.
uint64_t sac_method_memory(const struct config *config, const struct task *task);
void *sac_method_create(const struct config *config, const struct task *task);
void sac_method_destroy(void *self);
struct method_policy sac_method_policy(const void *self);
int sac_method_blocks(const void *self, struct method_block blocks[METHOD_BLOCKS_MAX]);

// Update t from the batch, at the discount of that update and in units of D_env.
void sac_method_update_from_batch(struct sac_method *m, uint64_t t, const struct replay *d_env,
                                  struct metrics *metrics);

#endif
