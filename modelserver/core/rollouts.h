// SPDX-License-Identifier: MIT
// Rollouts of the model. First the fill of D_model: as many as the learner should
// have before it learns. Then rollout.per_step for each real step, in batches for
// the steps that arrived together. A batch is made block by block.
//
// For a method that takes states: distribution rollouts, each one block, which serve
// a number of updates each (dhmbpo.states_every). Number d serves the updates after d
// times as many.
#ifndef SPUR_MODELSERVER_CORE_ROLLOUTS_H
#define SPUR_MODELSERVER_CORE_ROLLOUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/stats.h"
#include "modelserver/core/counters.h"
#include "modelserver/core/jobs.h"
#include "modelserver/core/run_context.h"

// For a method that takes states: how far the learner is.
struct rollout_progress {
    uint64_t updates; // that it has made
    uint64_t due;     // that it may make, as far as real steps go
    int ahead;        // distribution rollouts that may be made before their updates begin
};

struct rollout_batch {
    bool is_fill;
    uint64_t number, total, requested; // rollouts
    uint64_t through_steps;            // real steps whose rollouts it completes
};

struct rollouts {
    const struct run_context *run;
    const struct ms_jobs *jobs;
    struct counters *counters;
    struct rollout_block blocks[ROLLOUT_BLOCKS];
    bool block_used[ROLLOUT_BLOCKS];
    bool running;
    uint32_t block_rollouts; // in a block at most
    struct rollout_batch batch;
    uint64_t requested_steps;          // rollouts for real steps up to here are requested
    uint64_t fill_requested;           // rollouts of the fill that are requested
    uint64_t states, states_requested; // distribution rollouts: the learner has, are requested
    struct rate rows_rate;
    uint64_t last_count, last_rows; // of the last block: mean length
    // Part of the checkpoint.
    uint64_t steps; // rollouts for real steps up to here are with the learner
    // The fill of D_model that is in progress or done.
    uint64_t filled, fill_number, fill_total, fill_done;
    uint64_t count, rows; // totals
};

void rollouts_init(struct rollouts *r, const struct run_context *run, const struct ms_jobs *jobs,
                   struct counters *counters);
void rollouts_deinit(struct rollouts *r);
// k at a real step by that ensemble (NULL: none yet): rollout.schedule, and dhmbpo.error_sum.
uint32_t rollouts_length(const struct config *config, uint64_t steps, const struct model *model);
uint64_t rollouts_memory_bytes(const struct config *config, const struct task *task);
// The part of a checkpoint: to out, and from one (or zeros) at start-up.
void rollouts_state(const struct rollouts *r, struct ms_state *out);
void rollouts_restore(struct rollouts *r, const struct ms_state *from);

// The learner said Hello with an empty D_model: the fill begins again.
void rollouts_empty_fill(struct rollouts *r);
// The first learner of this process has made so many updates. Rollouts for the
// steps behind them were made before, so they are not made twice.
void rollouts_skip_learnt(struct rollouts *r, uint64_t updates, uint64_t steps);

// The learner said Hello and has so many distribution rollouts.
void rollouts_hello(struct rollouts *r, uint64_t states);
// Updates that the distribution rollouts at the learner serve; 0 without such.
uint64_t rollouts_updates_supplied(const struct rollouts *r);

// Starts the next block if rollouts for `steps` real steps, or for the learner's
// progress, are still to be made. None may be running, and a block must be free.
void rollouts_start(struct rollouts *r, uint64_t steps, const struct rollout_progress *progress,
                    struct model *model, struct policy_version *policy);
// A block was made.
void rollouts_done(struct rollouts *r, uint64_t now_ms, const struct rollout_block *b);
// All rows of a block were sent to the learner, or it is of a distribution rollout
// that the learner has already: it is free again.
void rollouts_delivered(struct rollouts *r, struct rollout_block *b);

#endif
