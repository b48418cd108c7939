// SPDX-License-Identifier: MIT
// Branched rollouts: k steps of the learnt model from real states.
//
// A batch is `total` rollouts. Each starts at the observation of a row sampled
// uniformly, with replacement, from D_env, and takes up to k steps with the
// stochastic policy. At every step each rollout samples one elite member; rows
// are grouped by member, and only that member is evaluated for them. Next
// observation and reward are sampled from its Gaussian. A rollout ends by the
// task's termination rule, or, where termination is learnt, with the probability
// that the member's head predicts. A prediction that is not finite is dropped,
// counted, and ends its rollout.
//
// A batch is made in blocks, which bounds memory. Every random number is a
// function of (seed, batch number, position in the batch, step), so blocks may be
// made in any order, and any row can be recomputed.
#ifndef SPUR_MODELSERVER_MODEL_ROLLOUT_H
#define SPUR_MODELSERVER_MODEL_ROLLOUT_H

#include <stdint.h>

#include "common/task/task.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"

#define ROLLOUT_BLOCK 4096 // rollouts in a block at most
#define ROLLOUT_REPEATS 20

struct rollout_job {
    uint64_t number;   // of the batch; below 2^40
    uint64_t total;    // rollouts in the batch
    uint64_t first;    // of this block, in the batch
    uint32_t count;    // in this block, at most ROLLOUT_BLOCK
    uint32_t length;   // k
    uint64_t env_rows; // start states are sampled from rows below this
    // Rollouts are repeated until there are so many rows, at most ROLLOUT_REPEATS times; 0: once.
    // Then there is at least one row: without a usable prediction obs has the start states, and the
    // other columns are not defined.
    uint64_t rows_min;
    struct model *model; // the job holds references
    struct policy_version *policy;
};

// The rows of a block in columns, step by step.
struct rollout_rows {
    uint32_t rows, rows_max;
    float *obs, *act, *reward, *next_obs;
    uint8_t *flags;                  // WIRE_TERMINATED or 0
    uint64_t terminated, not_finite; // rollouts ended before k; predictions dropped
};
void rollout_rows_init(struct rollout_rows *r, uint32_t rows_max, uint32_t obs_dim,
                       uint32_t act_dim);
void rollout_rows_deinit(struct rollout_rows *r);

struct rollout; // scratch of one thread
struct rollout *rollout_create(const struct ensemble *e, const struct policy *p,
                               const struct task *task, uint64_t seed);
void rollout_destroy(struct rollout **rollout);
uint64_t rollout_memory_bytes(const struct ensemble *e, const struct policy *p,
                              enum task_termination termination);

// out: at least max(rows_min - 1, 0) + count * length rows. Repetition i has the rollouts from
// first + i * count in the batch.
void rollout_run(struct rollout *rollout, struct rollout_rows *out, const struct rollout_job *job,
                 const struct env_columns *env);

#endif
