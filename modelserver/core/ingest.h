// SPDX-License-Identifier: MIT
// Real steps: the actors that are connected, transitions on their way into the
// store, and the actors' credit.
#ifndef SPUR_MODELSERVER_CORE_INGEST_H
#define SPUR_MODELSERVER_CORE_INGEST_H

#include <stdint.h>

#include "common/base/stats.h"
#include "modelserver/core/peers.h"
#include "modelserver/storage/store_batch.h"

#define INGEST_BATCHES 1024 // messages of actors on their way into the store

struct ingest {
    uint64_t steps;                   // S: rows stored
    uint64_t rows_pending;            // accepted, not yet stored
    uint64_t steps_granted;           // the most that pacing ever allowed
    struct peer *actor_up[PEERS_MAX]; // connected actors
    int actors_up;
    uint64_t credit_turn;        // rotates the order in which actors receive credit
    struct store_batch *batches; // (INGEST_BATCHES)
    struct store_batch *free_batch[INGEST_BATCHES];
    int free_batches;
    struct rate steps_rate;
    char store_error[WIRE_STRING_MAX]; // of the last commit; empty: it succeeded
};

#endif
