// SPDX-License-Identifier: MIT
// Transitions of an actor that the model server has not acknowledged yet.
//
// Rows are collected into messages. Messages are numbered 1, 2, ... and kept until they are
// acknowledged, so that each can be resent. All rows are stored in one ring of columns. A
// message is a contiguous slice of the ring and is cut at the ring's end, so sending and
// resending copy nothing. The ring has a fixed size: while spool_full is true, the actor does
// not step.
//
//     acknowledged | sent, in flight | sealed, to be sent | open, collecting rows
//                  ^ acked           ^ cursor             ^ seq_last
#ifndef SPUR_ACTOR_SPOOL_H
#define SPUR_ACTOR_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "actor/vec_env.h"
#include "proto/wire.h"

#define SPOOL_BYTES_MAX (1u << 30) // of its rows, which a model server may ask for

struct spool;

struct spool *spool_create(uint32_t rows_max, uint32_t batch_rows_max, uint32_t obs_dim,
                           uint32_t act_dim);
void spool_destroy(struct spool **s);

// Whether there is no space for another row until a message is acknowledged.
bool spool_full(const struct spool *s);
// Copies a row to the open message, which contains at most batch_rows_max rows of one policy
// version. The spool must not be full. Returns the row's number: 1, 2, ...
uint64_t spool_push(struct spool *s, const struct vec_env_row *row, uint64_t now_ms);
// Closes the open message, if it has rows, for sending.
void spool_seal(struct spool *s);
// Marks a row as the last of its episode (truncated). False if its message is already sealed
// or number is 0.
bool spool_truncate(struct spool *s, uint64_t number);

// The next message to send. Its pointers are valid until the next push. False if there is
// none.
bool spool_next(const struct spool *s, struct wire_transitions *out);
void spool_sent(struct spool *s); // that message was sent

// Messages up to seq are stored. False if seq was never made: an error of the peer.
bool spool_ack(struct spool *s, uint64_t seq);
// Queues all unacknowledged messages for resending; returns their number.
uint64_t spool_rewind(struct spool *s);

uint64_t spool_acked(const struct spool *s);     // last acknowledged message
uint64_t spool_in_flight(const struct spool *s); // messages sent, not acknowledged
uint64_t spool_rows(const struct spool *s);      // rows not acknowledged, open ones included
// Age of the open message's first row; 0 if it has none.
uint64_t spool_open_ms(const struct spool *s, uint64_t now_ms);

#endif
