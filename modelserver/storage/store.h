// SPDX-License-Identifier: MIT
// D_env: every real transition, on disk before it is acknowledged, and in
// memory for those who learn from it.
//
// On disk: an LMDB environment (lmdb.h is included by store.c alone) with three
// databases. `rows` holds one value a transition under its place 0, 1, 2, ...;
// `actors` says for each actor id what of it is stored; `meta` says what run
// and task this is. A batch's rows and its actor's new sequence number are one
// transaction, so after any crash the two agree, and a batch that is sent
// again can be told from a new one.
//
// In memory: the same rows as columns, allocated once. Rows below store_rows()
// never change again, so any thread may read them without a lock.
//
// One thread calls store_commit; store_rows and store_columns are for all.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_H
#define SPUR_MODELSERVER_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelserver/model/env_columns.h"
#include "modelserver/storage/store_batch.h"

// What a store belongs to. run_id is kept by the store: a new store takes the
// caller's, an existing one gives its own back.
struct store_meta {
    uint64_t run_id, seed;
    char task[STORE_ID_MAX];
    uint32_t obs_dim, act_dim;
};

struct store;

// Opens or makes the store in folder dir, for at most rows_max rows (more if
// there are more already). 0, or -1 with a sentence in err: another task,
// other dimensions or another seed than meta's, a folder that cannot be
// written, a store that does not hold together.
int store_open(struct store **out, const char *dir, struct store_meta *meta, uint64_t rows_max,
               char *err, size_t err_len);
void store_close(struct store **store);

// Stores n batches in their order and in one synced transaction; says in each
// what became of it. When the transaction itself fails (disk or map full)
// nothing is stored, every batch has the error, and err says why. Returns how
// many were stored.
int store_commit(struct store *store, struct store_batch *const *batches, int n, char *err,
                 size_t err_len);

uint64_t store_rows(const struct store *store);
uint64_t store_rows_max(const struct store *store);
const struct env_columns *store_columns(const struct store *store);

// The actors known when the store was opened, by index. Not to be called once
// another thread commits.
uint64_t store_actor_count(const struct store *store);
const struct store_actor *store_actor_at(const struct store *store, uint64_t index);

// Bytes of memory and of disk for rows_max rows, for the prediction at start-up.
uint64_t store_memory_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);
uint64_t store_disk_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);

#endif
