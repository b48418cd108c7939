// SPDX-License-Identifier: MIT
// D_env, the store of real transitions: on disk before they are acknowledged, and
// in memory for training, rollouts and the learner.
//
// On disk: an LMDB environment (only store*.c include lmdb.h) with three databases.
// `rows` has one value per transition under its index 0, 1, 2, ...; `actors` has
// the state of each actor id; `meta` identifies run and task, and has the last number that
// was handed out to a start of each role. The rows of a batch and the actor's new sequence
// number are one transaction, so the two agree after any crash, and a repeated batch is
// recognised.
//
// In memory: the same rows as columns, allocated once. Rows below store_rows()
// never change again, so any thread may read them without a lock.
//
// One thread calls store_commit; any thread may call store_rows and store_columns.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_H
#define SPUR_MODELSERVER_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelserver/model/env_columns.h"
#include "modelserver/storage/store_batch.h"

// Identity of a store. A new store records the caller's run_id; an existing one
// returns its own in it.
struct store_meta {
    uint64_t run_id, seed;
    char task[STORE_ID_MAX];
    uint32_t obs_dim, act_dim;
};

struct store;

// Opens or creates the store in folder dir, for at most rows_max rows (more if
// more are stored already). 0, or -1 with a sentence in err: task, dimensions or
// seed differ from meta, the folder is not writable, the store is damaged (store_vet.h).
int store_open(struct store **out, const char *dir, struct store_meta *meta, uint64_t rows_max,
               char *err, size_t err_len);
void store_close(struct store **store);

// Copies the first `rows` rows of the store in folder from, of the same dimensions, into an empty
// store, in one synced transaction. Its actors are not copied: these rows belong to none. 0, or -1
// with a sentence in err: there is no such store, it has other dimensions or fewer rows.
int store_take_rows(struct store *store, const char *from, uint64_t rows, char *err,
                    size_t err_len);

// Stores n batches in order, in one synced transaction, and sets the answer in
// each. If the transaction itself fails (disk or map full), nothing is stored,
// every batch has the error, and err says why. Returns how many were stored.
//
// Before and after each transaction the file is compared with the one at its path (two
// system calls, some microseconds). Once it was found removed or replaced, every batch fails
// with -ENOENT; once LMDB can write no more, with -ENOTRECOVERABLE.
int store_commit(struct store *store, struct store_batch *const *batches, int n, char *err,
                 size_t err_len);

uint64_t store_rows(const struct store *store);
uint64_t store_rows_max(const struct store *store);
const struct env_columns *store_columns(const struct store *store);

// The last number handed out to a start of that role; 0: none. As of the opening.
uint64_t store_starts(const struct store *store, enum wire_role role);

// The actors stored when the store was opened, by index. Must not be called after
// another thread has begun to commit.
uint64_t store_actor_count(const struct store *store);
const struct store_actor *store_actor_at(const struct store *store, uint64_t index);

#endif
