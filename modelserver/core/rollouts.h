// SPDX-License-Identifier: MIT
// Rollouts of the model: the batch that is being made, block by block, and how
// far D_model is filled.
#ifndef SPUR_MODELSERVER_CORE_ROLLOUTS_H
#define SPUR_MODELSERVER_CORE_ROLLOUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/stats.h"
#include "modelserver/core/experience_queue.h"

// A batch of rollouts is requested block by block.
struct rollout_batch {
    bool is_fill;
    uint64_t number, total, requested;
    uint64_t through_steps; // real steps whose rollouts it completes
};

struct rollouts {
    struct rollout_block blocks[ROLLOUT_BLOCKS];
    bool block_used[ROLLOUT_BLOCKS];
    bool running;
    uint32_t block_rollouts; // in a block at most
    struct rollout_batch batch;
    uint64_t requested_steps; // rollouts for real steps up to here are requested
    uint64_t fill_requested;  // rollouts of the fill that are requested
    struct rate rows_rate;
    uint64_t last_count, last_rows; // of the last block: mean length
    // Part of the checkpoint.
    uint64_t steps; // rollouts for real steps up to here are with the learner
    // The fill of D_model that is in progress or done.
    uint64_t filled, fill_number, fill_total, fill_done;
    uint64_t count, rows; // totals
};

#endif
