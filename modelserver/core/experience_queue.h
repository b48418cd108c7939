// SPDX-License-Identifier: MIT
// Rows for the learner: which of them are sent, and which it has confirmed.
//
// Real rows are sent in the order of D_env, from the position in the learner's
// Hello; rows of rollouts are sent once, block by block. Real rows have
// priority. A method that takes states gets the newest ensemble before all else, and
// the observations alone of a block, in one message. At most EXPERIENCE_QUEUE_WINDOW messages are
// unconfirmed; Progress confirms them. This file keeps state only; the dispatcher sends.
#ifndef SPUR_MODELSERVER_CORE_EXPERIENCE_QUEUE_H
#define SPUR_MODELSERVER_CORE_EXPERIENCE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/jobs.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"
#include "proto/wire.h"

#define EXPERIENCE_QUEUE_WINDOW 64 // messages

struct experience_queue {
    uint32_t obs_dim, act_dim, rows_max;         // rows in a message
    bool states;                                 // for a method that takes states
    uint64_t model_sent;                         // version of the ensemble; 0: none
    uint64_t states_next;                        // number of the next distribution rollout
    uint64_t sent, acked;                        // messages since the Hello
    uint64_t real_next;                          // first row of D_env not sent
    struct rollout_block *block[ROLLOUT_BLOCKS]; // waiting or being sent, oldest first
    int blocks;
    uint32_t block_sent;                          // rows of the oldest
    uint32_t model_rows[EXPERIENCE_QUEUE_WINDOW]; // rollout rows of a message, by number
    // Totals for status.
    uint64_t real_rows_sent, model_rows_sent, model_rows_unconfirmed;
};

// states: the method takes states.
void experience_queue_init(struct experience_queue *f, uint32_t obs_dim, uint32_t act_dim,
                           bool states);
// The learner said Hello and has real_rows of D_env and `states` distribution rollouts.
// Numbering starts again; rollout rows sent but not confirmed are counted as unconfirmed.
void experience_queue_hello(struct experience_queue *f, uint64_t real_rows, uint64_t states);
// Borrows b until experience_queue_take_done gives it back. There must be room.
void experience_queue_add(struct experience_queue *f, struct rollout_block *b);
bool experience_queue_has_room(const struct experience_queue *f);
// Whether the ensemble was not sent yet. model NULL: there is none.
bool experience_queue_owes_model(const struct experience_queue *f, const struct model *model);
// The next message to send, of the ensemble, of rows of D_env below real_rows or of the
// oldest block. False: no rows, or the window is full.
bool experience_queue_next(const struct experience_queue *f, struct wire_msg *out,
                           const struct env_columns *env, uint64_t real_rows,
                           const struct model *model);
// That message was sent.
void experience_queue_sent(struct experience_queue *f, const struct wire_msg *sent);
// Gives the oldest block back if all its rows are sent (it may have none), or if the
// learner has its distribution rollout already; else NULL.
struct rollout_block *experience_queue_take_done(struct experience_queue *f);
// Progress: all messages up to seq are confirmed. False: seq is impossible.
bool experience_queue_acked(struct experience_queue *f, uint64_t seq);
// Whether all rows are sent.
bool experience_queue_empty(const struct experience_queue *f, uint64_t real_rows);

#endif
