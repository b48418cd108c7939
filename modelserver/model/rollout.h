// SPDX-License-Identifier: MIT
// Branched rollouts: k steps of the learned model from real states (Janner et al. 2019, MBPO,
// algorithm 2).
//
// A batch is `total` rollouts. Each starts at an observation drawn uniformly, with replacement,
// from all of D_env, and takes up to k steps with the stochastic policy. At every step each rollout
// draws an elite member and samples next observation and reward from that member's Gaussian; only
// the drawn member is evaluated. A rollout ends early by the task's termination function or, if
// that is learned, with the probability computed by the drawn member's head. A prediction that is
// not finite is dropped and counted, and ends its rollout.
//
// Batches are computed in blocks, to bound memory. Every random number is a function of (seed,
// batch number, index in the batch, step): blocks may be computed in any order, and every row can
// be reproduced.
#ifndef SPUR_MODELSERVER_MODEL_ROLLOUT_H
#define SPUR_MODELSERVER_MODEL_ROLLOUT_H

#include <stdint.h>

#include "common/task/task.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"

#define ROLLOUT_BLOCK 4096 // rollouts in a block, at most

struct rollout_job {
    uint64_t number;     // of the batch; below 2^40
    uint64_t total;      // rollouts in the batch
    uint64_t first;      // index in the batch of this block's first rollout
    uint32_t count;      // rollouts in this block
    uint32_t length;     // k
    uint64_t env_rows;   // start states are drawn from rows [0, env_rows)
    struct model *model; // a reference, as is policy
    struct policy_version *policy;
};

// Transitions of a block, stored by column, in the order of steps.
struct rollout_rows {
    uint32_t rows, rows_max;
    float *obs, *act, *reward, *next_obs;
    uint8_t *flags;                  // WIRE_TERMINATED or 0
    uint64_t terminated, not_finite; // rollouts ended before k; predictions dropped
};
void rollout_rows_init(struct rollout_rows *r, uint32_t rows_max, uint32_t obs_dim,
                       uint32_t act_dim);
void rollout_rows_deinit(struct rollout_rows *r);

struct rollout; // work space of one thread
struct rollout *rollout_create(const struct ensemble *e, const struct policy *p,
                               const struct task *task, uint64_t seed);
void rollout_destroy(struct rollout **rollout);
uint64_t rollout_memory_bytes(const struct ensemble *e, const struct policy *p,
                              enum task_termination termination);

// Computes one block. out must have space for count * length rows.
void rollout_run(struct rollout *rollout, struct rollout_rows *out, const struct rollout_job *job,
                 const struct env_columns *env);

#endif
