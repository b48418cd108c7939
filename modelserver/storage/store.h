// SPDX-License-Identifier: MIT
// D_env, the durable store of real transitions: on disk before they are acknowledged, and in memory
// for training.
//
// On disk it is an LMDB environment with three databases: `rows` has one value per transition, with
// its index 0, 1, 2, ... as key; `actors` has the progress of each actor id; `meta` identifies run
// and task. A batch's rows and its actor's new sequence number are one transaction: they are
// consistent after any crash, and a resent batch is recognised. Only store.c includes lmdb.h.
//
// In memory the same rows are stored by column, allocated once. Rows below store_rows() never
// change, so any thread may read them without a lock.
//
// One thread calls store_commit; any thread may call store_rows and store_columns.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_H
#define SPUR_MODELSERVER_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelserver/model/env_columns.h"
#include "modelserver/storage/store_batch.h"

// Identity of a store. run_id is in and out: a new store saves the caller's, an existing store
// returns its own.
struct store_meta {
    uint64_t run_id, seed;
    char task[STORE_ID_MAX];
    uint32_t obs_dim, act_dim;
};

struct store;

// Opens or creates the store in directory dir, for at most rows_max rows, or as many as it has if
// that is more. Returns 0, or -1 with a message in err: task, dimensions or seed differ from
// meta's, dir is not writable, or the store is inconsistent.
int store_open(struct store **out, const char *dir, struct store_meta *meta, uint64_t rows_max,
               char *err, size_t err_len);
void store_close(struct store **store);

// Stores n batches, in order, in one synced transaction, and sets the result of each. If the
// transaction fails (disk or map full), nothing is stored, every batch has the error, and err has a
// message. Returns the number of batches stored.
int store_commit(struct store *store, struct store_batch *const *batches, int n, char *err,
                 size_t err_len);

uint64_t store_rows(const struct store *store);
uint64_t store_rows_max(const struct store *store);
const struct env_columns *store_columns(const struct store *store);

// Actors known when the store was opened, by index. Not thread-safe against store_commit.
uint64_t store_actor_count(const struct store *store);
const struct store_actor *store_actor_at(const struct store *store, uint64_t index);

// Memory and disk space for rows_max rows, in bytes, for the prediction at start-up.
uint64_t store_memory_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);
uint64_t store_disk_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);

#endif
