// SPDX-License-Identifier: MIT
// Transitions of an actor that the model server has not acknowledged yet.
//
// Rows are collected into messages. Messages are numbered 1, 2, ... and kept until they are
// acknowledged, so that each can be resent. All rows are stored in one ring of columns. A
// message is a contiguous slice of the ring and is cut at the ring's end, so sending and
// resending copy nothing. The ring has a fixed size: while spool_full is true, the actor does
// not step, or it drops the oldest message.
//
//     acknowledged | sent, in flight | sealed, to be sent | open, collecting rows
//                  ^ acked           ^ cursor             ^ last
//
// Ring, messages and counts are in one block of memory. In a mapped file (spool_file.h) they
// survive the process: each change is complete once its last word is written, and each message
// has a checksum, so that what a power cut spoilt is found.
//
// A message that is dropped leaves a gap in the numbers that only the server can judge: it was
// stored, or it never arrived. With the next Welcome (spool_welcome) the numbers close up.
#ifndef SPUR_ACTOR_SPOOL_H
#define SPUR_ACTOR_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/vec_env.h"
#include "proto/wire.h"

#define SPOOL_BYTES_MAX (1u << 30) // of its rows in memory, which a model server may ask for

struct spool;

// Whose rows they are: only the same start of an actor may send them.
struct spool_owner {
    uint64_t run_id, incarnation;
    char id[WIRE_STRING_MAX];
};

// In memory of its own, for rows_max rows.
struct spool *spool_create(uint32_t rows_max, uint32_t batch_rows_max, uint32_t obs_dim,
                           uint32_t act_dim);
// In a block of that size, borrowed, whose contents are replaced. NULL if not even one row fits.
struct spool *spool_create_in(void *block, size_t bytes, uint32_t batch_rows_max, uint32_t obs_dim,
                              uint32_t act_dim, const struct spool_owner *owner);
// The spool that a process left in the block, with rows to be sent; NULL: it left none. *spoilt
// becomes the number of rows that fail their checksum: they and all later ones are left out.
struct spool *spool_continue(void *block, size_t bytes, uint64_t *spoilt);
void spool_destroy(struct spool **s);

const struct spool_owner *spool_owner(const struct spool *s);
bool spool_fits(const struct spool *s, uint32_t obs_dim, uint32_t act_dim);

// Whether there is no space for another row until a message is acknowledged.
bool spool_full(const struct spool *s);
// Makes space by dropping the oldest message. Returns its rows.
uint32_t spool_drop_oldest(struct spool *s);
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

// The server has stored all messages below next_seq, and expects that one. False if it was
// never made, or is acknowledged already: the store is another one.
bool spool_welcome(struct spool *s, uint64_t next_seq);
// Messages up to seq are stored. False if seq was never made: an error of the peer.
bool spool_ack(struct spool *s, uint64_t seq);
// Whether the server may expect a message that was dropped: another Welcome tells.
bool spool_has_gap(const struct spool *s);
// Queues all unacknowledged messages for resending; returns their number.
uint64_t spool_rewind(struct spool *s);

uint64_t spool_acked(const struct spool *s);     // last acknowledged message
uint64_t spool_in_flight(const struct spool *s); // messages sent, not acknowledged
uint64_t spool_rows(const struct spool *s);      // rows not acknowledged, open ones included
uint64_t spool_made(const struct spool *s);      // rows pushed by this start
uint64_t spool_dropped(const struct spool *s);   // rows dropped by this start
// Episodes that end in rows not acknowledged, or dropped.
uint64_t spool_ends(const struct spool *s);
// Age of the open message's first row; 0 if it has none.
uint64_t spool_open_ms(const struct spool *s, uint64_t now_ms);

#endif
