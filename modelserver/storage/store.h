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

#define STORE_ID_MAX 256
#define STORE_ACTORS_MAX 4096
#define STORE_NEW_ACTOR UINT64_MAX

// What a store belongs to. run_id is kept by the store: a new store takes the
// caller's, an existing one gives its own back.
struct store_meta {
    uint64_t run_id, seed;
    char task[STORE_ID_MAX];
    uint32_t obs_dim, act_dim;
};

// What is stored of one actor id. index is its place in the order of first
// appearance, and for good.
struct store_actor {
    char id[STORE_ID_MAX];
    uint64_t index;
    uint64_t incarnation;
    uint64_t seq;               // last message of this incarnation that is stored
    uint64_t steps_incarnation; // rows of this incarnation
    uint64_t steps, episodes;   // rows, and episodes begun, of all incarnations
    bool in_episode;            // the last row did not end its episode
};

struct store_columns {
    uint32_t obs_dim, act_dim;
    const float *obs;      // (rows, obs_dim)
    const float *act;      // (rows, act_dim)
    const float *reward;   // (rows)
    const float *next_obs; // (rows, obs_dim)
    const uint8_t *flags;  // (rows), enum wire_flag bits
};

// One message's worth on its way into the store.
struct store_batch {
    char id[STORE_ID_MAX];
    uint64_t index;       // the actor's, or STORE_NEW_ACTOR
    uint64_t incarnation; // larger than the stored one: begins a new incarnation
    uint64_t seq;         // the stored one + 1; 0: only makes the incarnation known
    uint64_t policy_version;
    uint32_t rows; // may be 0: a message that was handled but brought nothing
    const float *obs, *act, *reward, *next_obs; // borrowed, until the answer
    const uint8_t *flags;
    void *owner, *memory; // the caller's: whose batch it is, and what the rows lie in
    // The answer: 0 and the actor as it is stored now, or a negative errno.
    // -ESTALE: out of order, because a batch before it failed.
    int error;
    struct store_actor actor;
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
const struct store_columns *store_columns(const struct store *store);

// The actors known when the store was opened, by index. Not to be called once
// another thread commits.
uint64_t store_actor_count(const struct store *store);
const struct store_actor *store_actor_at(const struct store *store, uint64_t index);

// Bytes of memory and of disk for rows_max rows, for the prediction at start-up.
uint64_t store_memory_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);
uint64_t store_disk_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);

#endif
