// SPDX-License-Identifier: MIT
//
// store_row.h describes a row's value on disk. An actor's value: seven u64 in the order of struct
// store_actor. A meta value is one u64, or the task's name.
#include "modelserver/storage/store.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "modelserver/storage/store_place.h"
#include "modelserver/storage/store_room.h"
#include "modelserver/storage/store_row.h"
#include "modelserver/storage/store_size.h"
#include "modelserver/storage/store_source.h"
#include "modelserver/storage/store_vet.h"
#include "proto/wire.h"

#define FULL_BLOCKS 16 // fewer free blocks than a write of several pages takes: the disk is full

#define READERS_CHECK_COMMITS 256 // between two searches for dead readers
#define MAP_GROWTHS_MAX 3         // of one commit

#define STORE_SCHEMA 1

struct store {
    struct store_place place;
    MDB_env *env;
    MDB_dbi rows, actors, meta;
    uint64_t rows_max;
    _Atomic uint64_t row_count;
    size_t row_bytes;
    float *obs, *act, *reward, *next_obs;
    uint8_t *flags;
    struct env_columns columns;
    // State of each actor: stored, and after the current transaction (`changed`
    // lists the indices that differ).
    struct store_actor *actor, *staged;
    uint64_t actor_count, staged_count;
    uint32_t *changed;
    uint32_t changed_count;
    bool *is_changed;
    uint64_t commits;                                         // tried since the opening
    uint64_t starts[STORE_ROLES], staged_starts[STORE_ROLES]; // handed out, likewise
};

// ---- meta ----

static const char *const start_keys[STORE_ROLES] = {
    [WIRE_ROLE_ACTOR] = "starts_actor",
    [WIRE_ROLE_EVALUATOR] = "starts_evaluator",
    [WIRE_ROLE_LEARNER] = "starts_learner",
};

static int meta_put(struct store *s, MDB_txn *txn, const char *key, const void *data, size_t len) {
    MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v = {len, (void *)(uintptr_t)data};
    return mdb_put(txn, s->meta, &k, &v, 0);
}

static int meta_put_u64(struct store *s, MDB_txn *txn, const char *key, uint64_t value) {
    return meta_put(s, txn, key, &value, sizeof(value));
}

static int meta_get_u64(struct store *s, MDB_txn *txn, const char *key, uint64_t *out) {
    MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v;
    int rc = mdb_get(txn, s->meta, &k, &v);
    if (rc) {
        return rc;
    }
    if (v.mv_size != sizeof(*out)) {
        return MDB_CORRUPTED;
    }
    memcpy(out, v.mv_data, sizeof(*out));
    return 0;
}

static int write_meta(struct store *s, MDB_txn *txn, const struct store_meta *meta) {
    int rc = meta_put_u64(s, txn, "schema", STORE_SCHEMA);
    rc = rc ? rc : meta_put_u64(s, txn, "run_id", meta->run_id);
    rc = rc ? rc : meta_put_u64(s, txn, "seed", meta->seed);
    rc = rc ? rc : meta_put_u64(s, txn, "obs_dim", meta->obs_dim);
    rc = rc ? rc : meta_put_u64(s, txn, "act_dim", meta->act_dim);
    return rc ? rc : meta_put(s, txn, "task", meta->task, strlen(meta->task));
}

// Compares the store's identity with meta. 0, an LMDB code, or -1 with a sentence
// in err.
static int compare_meta(struct store *s, MDB_txn *txn, struct store_meta *meta, const char *dir,
                        char *err, size_t err_len) {
    uint64_t schema = 0, seed = 0, obs_dim = 0, act_dim = 0;
    MDB_val key = {4, (void *)(uintptr_t) "task"}, task;
    int rc = meta_get_u64(s, txn, "schema", &schema);
    rc = rc ? rc : meta_get_u64(s, txn, "run_id", &meta->run_id);
    rc = rc ? rc : meta_get_u64(s, txn, "seed", &seed);
    rc = rc ? rc : meta_get_u64(s, txn, "obs_dim", &obs_dim);
    rc = rc ? rc : meta_get_u64(s, txn, "act_dim", &act_dim);
    rc = rc ? rc : mdb_get(txn, s->meta, &key, &task);
    if (rc) {
        return rc;
    }
    if (schema != STORE_SCHEMA) {
        snprintf(err, err_len,
                 "%s: written in format %llu, but this program reads %d; use another run directory",
                 dir, (unsigned long long)schema, STORE_SCHEMA);
        return -1;
    }
    if (task.mv_size != strlen(meta->task) || memcmp(task.mv_data, meta->task, task.mv_size) != 0 ||
        obs_dim != meta->obs_dim || act_dim != meta->act_dim) {
        snprintf(
            err, err_len,
            "%s: contains transitions of task %.*s (%llu observations, %llu actions), not of %s "
            "(%u, %u); use another run directory",
            dir, (int)task.mv_size, (const char *)task.mv_data, (unsigned long long)obs_dim,
            (unsigned long long)act_dim, meta->task, meta->obs_dim, meta->act_dim);
        return -1;
    }
    if (seed != meta->seed) {
        snprintf(err, err_len,
                 "%s: belongs to a run with seed %llu, not %llu; use another run directory or that "
                 "seed",
                 dir, (unsigned long long)seed, (unsigned long long)meta->seed);
        return -1;
    }
    return 0;
}

static int load_starts(struct store *s, MDB_txn *txn) {
    for (int role = WIRE_ROLE_ACTOR; role < STORE_ROLES; role++) {
        int rc = meta_get_u64(s, txn, start_keys[role], &s->starts[role]);
        if (rc && rc != MDB_NOTFOUND) {
            return rc;
        }
    }
    return 0;
}

static int put_starts(struct store *s, MDB_txn *txn) {
    int rc = 0;
    for (int role = WIRE_ROLE_ACTOR; role < STORE_ROLES && rc == 0; role++) {
        if (s->staged_starts[role] != s->starts[role]) {
            rc = meta_put_u64(s, txn, start_keys[role], s->staged_starts[role]);
        }
    }
    return rc;
}

// ---- opening ----

static int load_actors(struct store *s, MDB_txn *txn) {
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, s->actors, &cursor);
    if (rc) {
        return rc;
    }
    MDB_val key, value;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        uint64_t w[STORE_ACTOR_WORDS];
        if (value.mv_size != sizeof(w) || key.mv_size >= STORE_ID_MAX) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(w, value.mv_data, sizeof(w));
        if (w[0] >= STORE_ACTORS_MAX) {
            rc = MDB_CORRUPTED;
            break;
        }
        struct store_actor *a = &s->actor[w[0]];
        *a = (struct store_actor){.index = w[0],
                                  .incarnation = w[1],
                                  .seq = w[2],
                                  .steps_incarnation = w[3],
                                  .steps = w[4],
                                  .episodes = w[5],
                                  .in_episode = (w[6] & 1) != 0};
        memcpy(a->id, key.mv_data, key.mv_size);
        s->actor_count = w[0] >= s->actor_count ? w[0] + 1 : s->actor_count;
    }
    mdb_cursor_close(cursor);
    for (uint64_t i = 0; rc == MDB_NOTFOUND && i < s->actor_count; i++) {
        if (s->actor[i].id[0] == '\0') {
            return MDB_CORRUPTED; // a gap in the indices
        }
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static void unpack_row(struct store *s, uint64_t place, const unsigned char *value) {
    size_t o = s->columns.obs_dim, a = s->columns.act_dim;
    s->flags[place] = store_row_header(value).flags;
    value += STORE_ROW_HEADER_WORDS * sizeof(uint64_t);
    memcpy(s->obs + place * o, value, o * sizeof(float));
    memcpy(s->act + place * a, value + o * sizeof(float), a * sizeof(float));
    memcpy(s->reward + place, value + (o + a) * sizeof(float), sizeof(float));
    memcpy(s->next_obs + place * o, value + (o + a + 1) * sizeof(float), o * sizeof(float));
}

static int load_rows(struct store *s, MDB_txn *txn) {
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, s->rows, &cursor);
    if (rc) {
        return rc;
    }
    uint64_t place = 0;
    MDB_val key, value;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t k = 0;
        if (key.mv_size == sizeof(k)) {
            memcpy(&k, key.mv_data, sizeof(k));
        }
        if (key.mv_size != sizeof(k) || k != place || place >= s->rows_max ||
            value.mv_size != s->row_bytes) {
            rc = MDB_CORRUPTED;
            break;
        }
        unpack_row(s, place, value.mv_data);
        place++;
    }
    mdb_cursor_close(cursor);
    atomic_store_explicit(&s->row_count, place, memory_order_release);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static void allocate_mirror(struct store *s, uint32_t obs_dim, uint32_t act_dim) {
    size_t n = s->rows_max > 0 ? s->rows_max : 1;
    s->obs = xcalloc(n * obs_dim, sizeof(float));
    s->act = xcalloc(n * act_dim, sizeof(float));
    s->reward = xcalloc(n, sizeof(float));
    s->next_obs = xcalloc(n * obs_dim, sizeof(float));
    s->flags = xcalloc(n, 1);
    s->columns = (struct env_columns){.obs_dim = obs_dim,
                                      .act_dim = act_dim,
                                      .obs = s->obs,
                                      .act = s->act,
                                      .reward = s->reward,
                                      .next_obs = s->next_obs,
                                      .flags = s->flags};
}

// One transaction: reads the contents, or writes the meta data of a new store.
static int open_contents(struct store *s, struct store_meta *meta, const char *dir, char *err,
                         size_t err_len) {
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc) {
        return rc;
    }
    rc = mdb_dbi_open(txn, "rows", MDB_CREATE | MDB_INTEGERKEY, &s->rows);
    rc = rc ? rc : mdb_dbi_open(txn, "actors", MDB_CREATE, &s->actors);
    rc = rc ? rc : mdb_dbi_open(txn, "meta", MDB_CREATE, &s->meta);
    MDB_stat meta_stat = {0}, row_stat = {0};
    rc = rc ? rc : mdb_stat(txn, s->meta, &meta_stat);
    rc = rc ? rc : mdb_stat(txn, s->rows, &row_stat);
    if (rc == 0) {
        rc = meta_stat.ms_entries == 0 ? write_meta(s, txn, meta)
                                       : compare_meta(s, txn, meta, dir, err, err_len);
    }
    if (rc == 0) {
        s->rows_max = row_stat.ms_entries > s->rows_max ? row_stat.ms_entries : s->rows_max;
        allocate_mirror(s, meta->obs_dim, meta->act_dim);
        rc = load_starts(s, txn);
        rc = rc ? rc : load_actors(s, txn);
        rc = rc ? rc : load_rows(s, txn);
    }
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static bool is_in_place(struct store *s) {
    int fd;
    return mdb_env_get_fd(s->env, &fd) == 0 && store_place_holds(&s->place, fd);
}

int store_open(struct store **out, const char *dir, struct store_meta *meta, uint64_t rows_max,
               char *err, size_t err_len) {
    *out = NULL;
    int made = file_make_dirs(dir);
    if (made < 0) {
        snprintf(err, err_len, "%s: cannot be created: %s; choose a writable run directory", dir,
                 strerror(-made));
        return -1;
    }
    if (store_vet(dir, err, err_len) < 0) {
        return -1;
    }
    struct store *s = xcalloc(1, sizeof(*s));
    if (file_join(s->place.path, sizeof(s->place.path), dir, "data.mdb") < 0) {
        free(s);
        return error_set(err, err_len, -1, "%s: the path is too long", dir);
    }
    s->rows_max = rows_max;
    s->row_bytes = store_row_bytes(meta->obs_dim, meta->act_dim);
    s->actor = xcalloc(STORE_ACTORS_MAX, sizeof(*s->actor));
    s->staged = xcalloc(STORE_ACTORS_MAX, sizeof(*s->staged));
    s->changed = xcalloc(STORE_ACTORS_MAX, sizeof(*s->changed));
    s->is_changed = xcalloc(STORE_ACTORS_MAX, sizeof(*s->is_changed));

    uint64_t map = store_disk_bytes(rows_max, meta->obs_dim, meta->act_dim);
    int rc = mdb_env_create(&s->env);
    rc = rc ? rc : mdb_env_set_mapsize(s->env, map);
    rc = rc ? rc : mdb_env_set_maxdbs(s->env, 3);
    rc = rc ? rc : mdb_env_open(s->env, dir, 0, 0644);
    rc = rc ? rc : open_contents(s, meta, dir, err, err_len);
    if (rc) {
        if (rc == ENOMEM) {
            snprintf(err, err_len,
                     "%s: %llu MiB cannot be mapped: too little address space (ulimit -v)", dir,
                     (unsigned long long)map >> 20);
        } else if (rc != -1) {
            snprintf(err, err_len,
                     "%s: cannot be opened: %s; check its permissions and the free space", dir,
                     mdb_strerror(rc));
        }
        store_close(&s);
        return -1;
    }
    is_in_place(s); // how long the file is
    *out = s;
    return 0;
}

void store_close(struct store **store) {
    struct store *s = *store;
    if (!s) {
        return;
    }
    mdb_env_close(s->env);
    free(s->obs);
    free(s->act);
    free(s->reward);
    free(s->next_obs);
    free(s->flags);
    free(s->actor);
    free(s->staged);
    free(s->changed);
    free(s->is_changed);
    free(s);
    *store = NULL;
}

// ---- rows of another run ----

// Adds a row of another run, which keeps its numbers but no actor and no policy of this run.
static int take_row(struct store *s, MDB_txn *txn, uint64_t place, unsigned char *row) {
    size_t k = place;
    MDB_val key = {sizeof(k), &k}, value = {s->row_bytes, row};
    const struct store_row_header header = {STORE_NO_ACTOR, 0, store_row_header(row).flags};
    store_row_set_header(row, &header);
    store_row_seal(row, s->row_bytes);
    unpack_row(s, place, row);
    return mdb_put(txn, s->rows, &key, &value, MDB_APPEND);
}

static int copy_rows(struct store *s, MDB_txn *txn, const char *dir, uint64_t rows, char *err,
                     size_t err_len) {
    struct store_source source;
    if (store_source_open(&source, dir, rows, s->row_bytes, err, err_len) < 0) {
        return -1;
    }
    unsigned char *row = xmalloc(s->row_bytes);
    int rc = 0;
    for (uint64_t place = 0; place < rows && rc == 0; place++) {
        rc = store_source_read(&source, row, s->row_bytes, err, err_len);
        rc = rc ? rc : take_row(s, txn, place, row);
    }
    free(row);
    store_source_close(&source);
    return rc;
}

int store_take_rows(struct store *s, const char *dir, uint64_t rows, char *err, size_t err_len) {
    CHECK(store_rows(s) == 0);
    CHECK(rows <= s->rows_max);
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = copy_rows(s, txn, dir, rows, err, err_len);
        if (rc) {
            mdb_txn_abort(txn);
        } else {
            rc = mdb_txn_commit(txn);
        }
    }
    if (rc) {
        if (rc != -1) {
            snprintf(err, err_len, "%s: its steps cannot be taken over: %s", dir, mdb_strerror(rc));
        }
        return -1;
    }
    atomic_store_explicit(&s->row_count, rows, memory_order_release);
    return 0;
}

// ---- committing ----

static struct store_actor *stage(struct store *s, uint64_t index) {
    if (!s->is_changed[index]) {
        s->is_changed[index] = true;
        s->changed[s->changed_count++] = (uint32_t)index;
        if (index < s->actor_count) {
            s->staged[index] = s->actor[index];
        }
    }
    return &s->staged[index];
}

static const struct store_actor *staged_or_stored(const struct store *s, uint64_t index) {
    return s->is_changed[index] ? &s->staged[index] : &s->actor[index];
}

// The actor of a batch, staged; added if the id is new, in the place that the batch names or in a
// free one. NULL: too many actors.
static struct store_actor *actor_of(struct store *s, const struct store_batch *b) {
    bool placed = b->index != STORE_NEW_ACTOR;
    CHECK(!placed || b->index < s->staged_count);
    if (placed && b->seq != 0) {
        return stage(s, b->index);
    }
    for (uint64_t i = 0; i < s->staged_count; i++) {
        if (strcmp(staged_or_stored(s, i)->id, b->id) == 0) {
            return stage(s, i);
        }
    }
    if (!placed && s->staged_count == STORE_ACTORS_MAX) {
        return NULL;
    }
    struct store_actor *a = stage(s, placed ? b->index : s->staged_count);
    if (!placed) {
        *a = (struct store_actor){.index = s->staged_count++};
    }
    snprintf(a->id, sizeof(a->id), "%s", b->id);
    a->incarnation = 0;
    return a;
}

static int put_row(struct store *s, MDB_txn *txn, const struct store_batch *b, uint32_t i,
                   uint64_t actor, uint64_t place) {
    size_t o = s->columns.obs_dim, a = s->columns.act_dim;
    const struct store_row_header header = {actor, b->policy_version, b->flags[i]};
    size_t k = place;
    MDB_val key = {sizeof(k), &k}, value = {.mv_size = s->row_bytes};
    int rc = mdb_put(txn, s->rows, &key, &value, MDB_APPEND | MDB_RESERVE);
    if (rc) {
        return rc;
    }
    unsigned char *to = value.mv_data;
    store_row_set_header(to, &header);
    to += STORE_ROW_HEADER_WORDS * sizeof(uint64_t);
    memcpy(to, b->obs + i * o, o * sizeof(float));
    memcpy(to + o * sizeof(float), b->act + i * a, a * sizeof(float));
    memcpy(to + (o + a) * sizeof(float), b->reward + i, sizeof(float));
    memcpy(to + (o + a + 1) * sizeof(float), b->next_obs + i * o, o * sizeof(float));
    store_row_seal(value.mv_data, s->row_bytes);
    unpack_row(s, place, value.mv_data); // above row_count: not read yet
    return 0;
}

static void count_row(struct store_actor *a, uint8_t flags) {
    a->steps++;
    a->steps_incarnation++;
    a->episodes += !a->in_episode;
    a->in_episode = (flags & (WIRE_TERMINATED | WIRE_TRUNCATED)) == 0;
}

// Adds one batch to the transaction. Returns an LMDB code; an error of this batch
// alone is set in b->error.
static int put_batch(struct store *s, MDB_txn *txn, struct store_batch *b, uint64_t *place) {
    if (b->handed_out && b->incarnation > s->staged_starts[b->role]) {
        s->staged_starts[b->role] = b->incarnation;
    }
    if (b->role != WIRE_ROLE_ACTOR) {
        b->error = 0;
        return 0;
    }
    struct store_actor *a = actor_of(s, b);
    if (!a) {
        b->error = -ENOSPC;
        return 0;
    }
    // An id becomes another start's by a batch without number only, or by its first one.
    bool new_incarnation = b->incarnation != a->incarnation;
    bool begins = new_incarnation && (b->seq == 0 || a->incarnation == 0);
    uint64_t next = new_incarnation ? 1 : a->seq + 1;
    if ((new_incarnation && !begins) || (b->seq != 0 && b->seq != next)) {
        b->error = -ESTALE;
        return 0;
    }
    if (*place + b->rows > s->rows_max) {
        b->error = -ENOBUFS;
        return 0;
    }
    if (new_incarnation) {
        a->incarnation = b->incarnation;
        a->seq = a->steps_incarnation = 0;
        a->in_episode = false;
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        int rc = put_row(s, txn, b, i, a->index, *place);
        if (rc) {
            return rc;
        }
        count_row(a, b->flags[i]);
        (*place)++;
    }
    a->steps_incarnation += b->rows_refused;
    a->seq = b->seq != 0 ? b->seq : a->seq;
    b->error = 0;
    b->actor = *a;
    return 0;
}

// Removes the entry of the id that had a place before, if it is another one now.
static int forget_id(struct store *s, MDB_txn *txn, uint64_t index) {
    char *id = s->actor[index].id;
    if (index >= s->actor_count || strcmp(id, s->staged[index].id) == 0) {
        return 0;
    }
    MDB_val key = {strlen(id), id};
    return mdb_del(txn, s->actors, &key, NULL);
}

static int put_actors(struct store *s, MDB_txn *txn) {
    for (uint32_t i = 0; i < s->changed_count; i++) {
        struct store_actor *a = &s->staged[s->changed[i]];
        uint64_t w[STORE_ACTOR_WORDS] = {
            a->index, a->incarnation, a->seq,       a->steps_incarnation,
            a->steps, a->episodes,    a->in_episode};
        store_actor_seal(w);
        MDB_val key = {strlen(a->id), a->id}, value = {sizeof(w), w};
        int rc = forget_id(s, txn, s->changed[i]);
        rc = rc ? rc : mdb_put(txn, s->actors, &key, &value, 0);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

// Takes over the state after the transaction, or drops it.
static void settle(struct store *s, bool committed) {
    for (uint32_t i = 0; i < s->changed_count; i++) {
        uint32_t index = s->changed[i];
        s->is_changed[index] = false;
        if (committed) {
            s->actor[index] = s->staged[index];
        }
    }
    s->actor_count = committed ? s->staged_count : s->actor_count;
    s->changed_count = 0;
    if (committed) {
        memcpy(s->starts, s->staged_starts, sizeof(s->starts));
    }
}

// LMDB reports a write that a full disk cut short as EIO.
static int reason(const struct store *s, int rc) {
    int fd;
    struct statvfs disk;
    bool full = rc == EIO && mdb_env_get_fd(s->env, &fd) == 0 && fstatvfs(fd, &disk) == 0 &&
                disk.f_bavail < FULL_BLOCKS;
    return full ? ENOSPC : rc;
}

static void describe_failure(const struct store *s, int rc, char *err, size_t err_len) {
    if (s->place.gone) {
        store_place_describe(&s->place, err, err_len);
    } else if (rc == MDB_PANIC) {
        snprintf(err, err_len,
                 "%s: nothing more can be stored, because an earlier write failed; check the disk, "
                 "then resume the run",
                 s->place.path);
    } else {
        snprintf(err, err_len,
                 "nothing could be stored: %s; free space on the disk of the run directory",
                 mdb_strerror(rc));
    }
}

// One transaction. An LMDB code; *place: rows after it.
static int commit_once(struct store *s, struct store_batch *const *batches, int n,
                       uint64_t *place) {
    *place = store_rows(s);
    s->staged_count = s->actor_count;
    memcpy(s->staged_starts, s->starts, sizeof(s->starts));
    MDB_txn *txn = NULL;
    int rc = is_in_place(s) ? mdb_txn_begin(s->env, NULL, 0, &txn) : ENOENT;
    for (int i = 0; i < n && rc == 0; i++) {
        rc = put_batch(s, txn, batches[i], place);
    }
    rc = rc ? rc : put_actors(s, txn);
    rc = rc ? rc : put_starts(s, txn);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    rc = rc ? reason(s, rc) : is_in_place(s) ? 0 : ENOENT;
    settle(s, rc == 0);
    return rc;
}

int store_commit(struct store *s, struct store_batch *const *batches, int n, char *err,
                 size_t err_len) {
    uint64_t place;
    if (++s->commits % READERS_CHECK_COMMITS == 0) {
        store_room_clear_readers(s->env);
    }
    int rc = commit_once(s, batches, n, &place);
    for (int i = 0; i < MAP_GROWTHS_MAX && rc == MDB_MAP_FULL; i++) {
        rc = store_room_make(s->env);
        rc = rc ? rc : commit_once(s, batches, n, &place);
    }
    if (rc) {
        // LMDB's own codes are negative.
        int error = rc == MDB_PANIC ? -ENOTRECOVERABLE : rc > 0 ? -rc : -EIO;
        describe_failure(s, rc, err, err_len);
        for (int i = 0; i < n; i++) {
            batches[i]->error = error;
        }
        return 0;
    }
    atomic_store_explicit(&s->row_count, place, memory_order_release);
    int stored = 0;
    for (int i = 0; i < n; i++) {
        stored += batches[i]->error == 0;
    }
    return stored;
}

uint64_t store_rows(const struct store *s) {
    return atomic_load_explicit(&s->row_count, memory_order_acquire);
}

uint64_t store_rows_max(const struct store *s) {
    return s->rows_max;
}

const struct env_columns *store_columns(const struct store *s) {
    return &s->columns;
}

uint64_t store_starts(const struct store *s, enum wire_role role) {
    return s->starts[role];
}

uint64_t store_actor_count(const struct store *s) {
    return s->actor_count;
}

const struct store_actor *store_actor_at(const struct store *s, uint64_t index) {
    CHECK(index < s->actor_count);
    return &s->actor[index];
}
