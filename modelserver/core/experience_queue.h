// SPDX-License-Identifier: MIT
// What the learner is sent, and what it has taken in.
//
// Real rows go out in the order of D_env, from the place that the learner's
// Hello names; rows of rollouts go out once, block by block. Real rows come
// first whenever there are any. At most EXPERIENCE_QUEUE_WINDOW messages are on their way;
// Progress brings the window forward. State only: the owner packs and sends.
#ifndef SPUR_MODELSERVER_CORE_EXPERIENCE_QUEUE_H
#define SPUR_MODELSERVER_CORE_EXPERIENCE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/model/env_columns.h"
#include "modelserver/model/rollout.h"
#include "proto/wire.h"

#define EXPERIENCE_QUEUE_WINDOW 64
#define ROLLOUT_BLOCKS 2 // of rollouts: one being sent, one being made or waiting

// A block of rollouts on its way from the rollout thread to the learner.
struct rollout_block {
    struct rollout_job job;
    struct rollout_rows out;
    bool is_fill; // part of D_model's first fill, else of real steps' rollouts
    // Those up to this real step are complete with this block; 0: not yet.
    uint64_t through_steps;
};

struct experience_queue {
    uint32_t obs_dim, act_dim, rows_max;         // rows in a message
    uint64_t sent, acked;                        // messages since the Hello
    uint64_t real_next;                          // first row of D_env not sent
    struct rollout_block *block[ROLLOUT_BLOCKS]; // waiting or being sent, oldest first
    int blocks;
    uint32_t block_sent;                          // rows of the oldest
    uint32_t model_rows[EXPERIENCE_QUEUE_WINDOW]; // rollout rows of a message, by number
    // Totals for status.
    uint64_t real_rows_sent, model_rows_sent, model_rows_unconfirmed;
};

void experience_queue_init(struct experience_queue *f, uint32_t obs_dim, uint32_t act_dim);
// The learner said Hello and has real_rows of D_env. Numbering starts again;
// rollout rows that were on their way are counted as unconfirmed.
void experience_queue_hello(struct experience_queue *f, uint64_t real_rows);
// Borrows b until experience_queue_take_done gives it back. There must be room.
void experience_queue_add(struct experience_queue *f, struct rollout_block *b);
bool experience_queue_has_room(const struct experience_queue *f);
// The next message to send, of rows of D_env below real_rows or of the oldest
// block. False: nothing there, or the window is full.
bool experience_queue_next(const struct experience_queue *f, struct wire_experience *out,
                           const struct env_columns *env, uint64_t real_rows);
// That message was sent.
void experience_queue_sent(struct experience_queue *f, const struct wire_experience *sent);
// Gives the oldest block back if all its rows are sent (it may have none at
// all), else NULL.
struct rollout_block *experience_queue_take_done(struct experience_queue *f);
// Progress: everything up to seq was taken in. False when seq cannot be.
bool experience_queue_acked(struct experience_queue *f, uint64_t seq);
// Whether nothing at all waits to be sent.
bool experience_queue_empty(const struct experience_queue *f, uint64_t real_rows);

#endif
