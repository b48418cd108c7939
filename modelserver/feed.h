// SPDX-License-Identifier: MIT
// What the learner is sent, and what it has taken in.
//
// Real rows go out in the order of D_env, from the place that the learner's
// Hello names; rows of rollouts go out once, block by block. Real rows come
// first whenever there are any. At most FEED_WINDOW messages are on their way;
// Progress brings the window forward. State only: the owner packs and sends.
#ifndef SPUR_MODELSERVER_FEED_H
#define SPUR_MODELSERVER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/rollout.h"
#include "modelserver/store.h"
#include "proto/wire.h"

#define FEED_WINDOW 64
#define FEED_BLOCKS 2 // of rollouts: one being sent, one being made or waiting

// A block of rollouts on its way from the rollout thread to the learner.
struct feed_block {
    struct rollout_job job;
    struct rollout_rows out;
    bool is_fill; // part of D_model's first fill, else of real steps' rollouts
    // Those up to this real step are complete with this block; 0: not yet.
    uint64_t through_steps;
};

struct feed {
    uint32_t obs_dim, act_dim, rows_max;   // rows in a message
    uint64_t sent, acked;                  // messages since the Hello
    uint64_t real_next;                    // first row of D_env not sent
    struct feed_block *block[FEED_BLOCKS]; // waiting or being sent, oldest first
    int blocks;
    uint32_t block_sent;              // rows of the oldest
    uint32_t model_rows[FEED_WINDOW]; // rollout rows of a message, by number
    // Totals for status.
    uint64_t real_rows_sent, model_rows_sent, model_rows_unconfirmed;
};

void feed_init(struct feed *f, uint32_t obs_dim, uint32_t act_dim);
// The learner said Hello and has real_rows of D_env. Numbering starts again;
// rollout rows that were on their way are counted as unconfirmed.
void feed_hello(struct feed *f, uint64_t real_rows);
// Borrows b until feed_take_done gives it back. There must be room.
void feed_add(struct feed *f, struct feed_block *b);
bool feed_has_room(const struct feed *f);
// The next message to send, of rows of D_env below real_rows or of the oldest
// block. False: nothing there, or the window is full.
bool feed_next(const struct feed *f, struct wire_experience *out, const struct store_columns *env,
               uint64_t real_rows);
// That message was sent.
void feed_sent(struct feed *f, const struct wire_experience *sent);
// Gives the oldest block back if all its rows are sent (it may have none at
// all), else NULL.
struct feed_block *feed_take_done(struct feed *f);
// Progress: everything up to seq was taken in. False when seq cannot be.
bool feed_acked(struct feed *f, uint64_t seq);
// Whether nothing at all waits to be sent.
bool feed_empty(const struct feed *f, uint64_t real_rows);

#endif
