// SPDX-License-Identifier: MIT
// What an actor has seen and the model server has not acknowledged yet.
//
// Rows are gathered into messages, messages are numbered 1, 2, ... and kept
// until they are acknowledged, so that each can be sent again. All rows live in
// one ring of columns; a message is a contiguous slice of it (one that would
// run over the ring's end is cut there), so nothing is copied to send or to
// resend. The ring never grows: when spool_full says so, the actor stands still.
//
//     acknowledged | sent, in flight | sealed, to be sent | open: still gathering
//                  ^ acked           ^ cursor             ^ seq_last
#ifndef SPUR_ACTOR_SPOOL_H
#define SPUR_ACTOR_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "actor/vec_env.h"
#include "proto/wire.h"

struct spool;

struct spool *spool_create(uint32_t rows_max, uint32_t batch_rows_max, uint32_t obs_dim,
                           uint32_t act_dim);
void spool_destroy(struct spool **s);

// No room for another row until something is acknowledged.
bool spool_full(const struct spool *s);
// Copies a row to the open message; a message holds rows of one policy version
// and at most batch_rows_max. The spool must not be full. Returns the row's number,
// 1, 2, ...
uint64_t spool_push(struct spool *s, const struct vec_env_row *row, uint64_t now_ms);
// Closes the open message, if it has rows, so that it can be sent.
void spool_seal(struct spool *s);
// That row turned out to be its episode's last. False if it is sealed already (or
// number is 0).
bool spool_truncate(struct spool *s, uint64_t number);

// The next message to send; pointers are valid until the next push. False if
// there is none.
bool spool_next(const struct spool *s, struct wire_transitions *out);
void spool_sent(struct spool *s); // that message was taken by the socket

// Everything up to seq is stored. False if seq was never sent: the peer errs.
bool spool_ack(struct spool *s, uint64_t seq);
// Sends everything that is not acknowledged again; returns how many messages.
uint64_t spool_rewind(struct spool *s);

uint64_t spool_acked(const struct spool *s);     // last acknowledged message
uint64_t spool_in_flight(const struct spool *s); // messages sent, not acknowledged
uint64_t spool_rows(const struct spool *s);      // rows not acknowledged, open ones included
// Age of the open message's first row; 0 if it has none.
uint64_t spool_open_ms(const struct spool *s, uint64_t now_ms);

#endif
