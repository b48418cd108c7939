// SPDX-License-Identifier: MIT
// Real steps: the connected actors, their transitions on the way into the store,
// and their credit. Starts of all processes pass here on their way into the store.
//
// The rows of a message wait in a batch for the store; the actor is sent an Ack
// once they are on the disk. Until then the message counts as accepted
// (seq_accepted, rows_accepted), so later messages need not wait for the disk. If the
// store fails, the actor's counts return to what is stored and it sends again.
//
// Credit is the number of rows that pacing allows beyond those stored, pending,
// or promised to other actors. It is shared in small portions, so that actors
// that join later find some. What an actor leaves unused for lost_after_ms is withdrawn where
// another one has none. In pacing.mode free every actor has all credit.
#ifndef SPUR_MODELSERVER_CORE_INGEST_H
#define SPUR_MODELSERVER_CORE_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/stats.h"
#include "modelserver/core/ends.h"
#include "modelserver/core/jobs.h"
#include "modelserver/core/outbox.h"
#include "modelserver/core/peers.h"
#include "modelserver/core/run_context.h"
#include "modelserver/storage/row_bounds.h"
#include "modelserver/storage/store_batch.h"
#include "proto/wire.h"

#define INGEST_BATCHES 1024 // messages of actors on their way into the store

struct ingest {
    const struct run_context *run;
    struct outbox *outbox;
    const struct ms_jobs *jobs;
    struct counters *counters;
    uint64_t stored;                  // rows
    uint64_t steps;                   // S: rows that the run has come to; all, but in lockstep
    uint64_t rows_pending;            // accepted, not yet stored
    uint64_t steps_granted;           // the most that pacing ever allowed
    bool explores;                    // free mode: when credit was last given
    struct peer *actor_up[PEERS_MAX]; // connected actors
    int actors_up;
    uint64_t credit_turn;        // rotates the order in which actors receive credit
    struct store_batch *batches; // (INGEST_BATCHES)
    struct store_batch *free_batch[INGEST_BATCHES];
    int free_batches;
    struct rate steps_rate;
    struct ends ends;                  // of the stored rows
    float reward_low, reward_high;     // likewise
    struct row_bounds bounds;          // likewise
    uint64_t refused_in_row;           // rows beyond the bounds since the last one that was not
    uint64_t refused_logged_ms;        // when one was last logged
    char refused_why[WIRE_STRING_MAX]; // of the last
    char store_error[WIRE_STRING_MAX]; // of the last commit; empty: it succeeded
};

// env, stored: the rows that are stored already. steps: to which the run has come.
void ingest_init(struct ingest *in, const struct run_context *run, struct outbox *outbox,
                 const struct ms_jobs *jobs, struct counters *counters,
                 const struct env_columns *env, uint64_t stored, uint64_t steps);
void ingest_deinit(struct ingest *in);
uint64_t ingest_memory_bytes(const struct config *config, const struct task *task);

// Stores the start of a process; it is welcomed after that. handed_out: its incarnation is new.
void ingest_start(struct ingest *in, struct peer *p, bool handed_out);
// The actor said Hello; connected, returned after silence, or gone.
void ingest_hello(struct ingest *in, struct peer *p, bool new_incarnation);
void ingest_connected(struct ingest *in, struct peer *p);
void ingest_gone(struct ingest *in, struct peer *p);

void ingest_transitions(struct ingest *in, uint64_t now_ms, struct peer *p,
                        const struct wire_transitions *t);
// A message with rows that must not be stored: acknowledged and counted.
void ingest_refused_rows(struct ingest *in, struct peer *p, uint64_t seq, uint32_t rows);
// Whether all rows have been beyond the bounds of section data for a while: why, in out.
bool ingest_refuses_all(const struct ingest *in, char *out, size_t out_len);
// The answer of the store to one batch; err says why the commit failed.
void ingest_stored(struct ingest *in, uint64_t now_ms, struct store_batch *b, const char *err);

// The learner's address may have changed: the actors are told.
void ingest_announce(struct ingest *in);
// Lockstep: the run comes to stored rows, up to `limit` in all.
void ingest_come_to(struct ingest *in, uint64_t limit);
// Shares credit among the connected actors, for `limit` real steps in all.
void ingest_credit(struct ingest *in, uint64_t now_ms, uint64_t limit);
// The connected actor with the most unused credit, or NULL, and how much.
const struct peer *ingest_has_credit(const struct ingest *in, uint64_t *rows);
// newest: version of the newest policy; 0: none. Leaves the reason empty.
void ingest_fill_credit(const struct ingest *in, const struct peer *p, uint64_t newest,
                        struct wire_credit *out);

#endif
