// SPDX-License-Identifier: MIT
// Rows for the learner: which of them are sent, and which it has confirmed.
//
// Real rows are sent in the order of D_env, from the position in the learner's
// Hello; rows of rollouts are sent once, block by block. Real rows have
// priority. At most EXPERIENCE_QUEUE_WINDOW messages are unconfirmed; Progress
// confirms them. This file keeps state only; the dispatcher sends.
#ifndef SPUR_MODELSERVER_CORE_EXPERIENCE_QUEUE_H
#define SPUR_MODELSERVER_CORE_EXPERIENCE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/jobs.h"
#include "modelserver/model/env_columns.h"
#include "proto/wire.h"

#define EXPERIENCE_QUEUE_WINDOW 64 // messages

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
// rollout rows sent but not confirmed are counted as unconfirmed.
void experience_queue_hello(struct experience_queue *f, uint64_t real_rows);
// Borrows b until experience_queue_take_done gives it back. There must be room.
void experience_queue_add(struct experience_queue *f, struct rollout_block *b);
bool experience_queue_has_room(const struct experience_queue *f);
// The next message to send, of rows of D_env below real_rows or of the oldest
// block. False: no rows, or the window is full.
bool experience_queue_next(const struct experience_queue *f, struct wire_experience *out,
                           const struct env_columns *env, uint64_t real_rows);
// That message was sent.
void experience_queue_sent(struct experience_queue *f, const struct wire_experience *sent);
// Gives the oldest block back if all its rows are sent (it may have none),
// else NULL.
struct rollout_block *experience_queue_take_done(struct experience_queue *f);
// Progress: all messages up to seq are confirmed. False: seq is impossible.
bool experience_queue_acked(struct experience_queue *f, uint64_t seq);
// Whether all rows are sent.
bool experience_queue_empty(const struct experience_queue *f, uint64_t real_rows);

#endif
