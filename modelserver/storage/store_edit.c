// SPDX-License-Identifier: MIT
// The databases `rows` and `dropped` of a store, as values.
#include "modelserver/storage/store_edit.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/rng.h"
#include "modelserver/storage/store_size.h"
#include "modelserver/storage/store_vet.h"

#define ROOM_BYTES (UINT64_C(64) << 20) // of the map, besides twice the file

struct store_edit_file {
    MDB_env *env;
    MDB_dbi rows, dropped, meta;
};

static unsigned char *value_of(const struct store_edit *e, uint64_t place) {
    return e->values + place * e->row_bytes;
}

const float *store_edit_numbers(const struct store_edit *e, uint64_t place) {
    return (const float *)(const void *)(value_of(e, place) +
                                         STORE_ROW_HEADER_WORDS * sizeof(uint64_t));
}

struct store_row_header store_edit_header(const struct store_edit *e, uint64_t place) {
    return store_row_header(value_of(e, place));
}

// ---- opening ----

static int read_dim(struct store_edit *e, MDB_txn *txn, const char *name, uint32_t *out) {
    uint64_t number;
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value;
    int rc = mdb_get(txn, e->file->meta, &key, &value);
    if (rc == 0 && value.mv_size == sizeof(number)) {
        memcpy(&number, value.mv_data, sizeof(number));
        *out = (uint32_t)number;
    }
    return rc ? rc : value.mv_size == sizeof(number) ? 0 : MDB_CORRUPTED;
}

// Copies all values of a database to their places; marks them if mark.
static int read_values(struct store_edit *e, MDB_txn *txn, MDB_dbi dbi, bool mark) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc) {
        return rc;
    }
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t place = SIZE_MAX;
        memcpy(&place, key.mv_data, key.mv_size == sizeof(place) ? sizeof(place) : 0);
        if (place >= e->rows || value.mv_size != e->row_bytes ||
            !store_row_is_intact(value.mv_data, value.mv_size)) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(value_of(e, place), value.mv_data, e->row_bytes);
        e->dropped[place] = mark;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int read_all(struct store_edit *e, MDB_txn *txn) {
    struct store_edit_file *f = e->file;
    MDB_stat stat;
    int rc = mdb_dbi_open(txn, "rows", MDB_INTEGERKEY, &f->rows);
    rc = rc ? rc : mdb_dbi_open(txn, "meta", 0, &f->meta);
    rc = rc ? rc : mdb_dbi_open(txn, "dropped", MDB_CREATE | MDB_INTEGERKEY, &f->dropped);
    rc = rc ? rc : read_dim(e, txn, "obs_dim", &e->obs_dim);
    rc = rc ? rc : read_dim(e, txn, "act_dim", &e->act_dim);
    rc = rc ? rc : mdb_stat(txn, f->rows, &stat);
    if (rc) {
        return rc;
    }
    e->rows = stat.ms_entries;
    e->row_bytes = store_row_bytes(e->obs_dim, e->act_dim);
    e->values = xcalloc(e->rows, e->row_bytes);
    e->dropped = xcalloc(e->rows, sizeof(*e->dropped));
    rc = read_values(e, txn, f->rows, false);
    return rc ? rc : read_values(e, txn, f->dropped, true);
}

static int open_file(struct store_edit *e, const char *dir) {
    MDB_envinfo info;
    MDB_stat stat;
    MDB_txn *txn = NULL;
    struct store_edit_file *f = e->file;
    int rc = mdb_env_create(&f->env);
    rc = rc ? rc : mdb_env_set_maxdbs(f->env, 4);
    rc = rc ? rc : mdb_env_open(f->env, dir, 0, 0644);
    rc = rc ? rc : mdb_env_info(f->env, &info);
    rc = rc ? rc : mdb_env_stat(f->env, &stat);
    if (rc == 0) {
        uint64_t room = 2 * (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize + ROOM_BYTES;
        rc = room > info.me_mapsize ? mdb_env_set_mapsize(f->env, room) : 0;
    }
    rc = rc ? rc : mdb_txn_begin(f->env, NULL, 0, &txn);
    rc = rc ? rc : read_all(e, txn);
    if (rc == 0) {
        return mdb_txn_commit(txn);
    }
    if (txn) {
        mdb_txn_abort(txn);
    }
    return rc;
}

int store_edit_open(struct store_edit *e, const char *dir, char *err, size_t err_len) {
    *e = (struct store_edit){0};
    if (store_vet(dir, err, err_len) != 0) {
        return -1;
    }
    e->file = xcalloc(1, sizeof(*e->file));
    int rc = open_file(e, dir);
    if (rc) {
        store_edit_close(e);
        return error_set(err, err_len, -1, "%s: cannot be read: %s", dir, mdb_strerror(rc));
    }
    return 0;
}

void store_edit_close(struct store_edit *e) {
    if (e->file) {
        mdb_env_close(e->file->env);
    }
    free(e->file);
    free(e->values);
    free(e->dropped);
    *e = (struct store_edit){0};
}

// ---- changes ----

static int put(MDB_txn *txn, MDB_dbi dbi, size_t place, unsigned char *value, size_t len) {
    MDB_val key = {sizeof(place), &place}, v = {len, value};
    return mdb_put(txn, dbi, &key, &v, 0);
}

// Fills a place with a row that stays, which keeps the actor of the place. scratch: a value.
static int fill(const struct store_edit *e, MDB_txn *txn, uint64_t place, const uint64_t *staying,
                uint64_t count, unsigned char *scratch) {
    struct rng draw = rng_make(0, RNG_DATA_FILL, place);
    uint64_t from = staying[rng_below(&draw, (uint32_t)count)];
    struct store_row_header header = store_edit_header(e, from);
    header.actor = store_edit_header(e, place).actor;
    memcpy(scratch, value_of(e, from), e->row_bytes);
    store_row_set_header(scratch, &header);
    store_row_seal(scratch, e->row_bytes);
    return put(txn, e->file->rows, place, scratch, e->row_bytes);
}

// Every dropped row's place is filled anew: what it had may be dropped now.
static int drop_all(const struct store_edit *e, MDB_txn *txn, const bool *gone) {
    uint64_t *staying = xcalloc(e->rows, sizeof(*staying)), count = 0;
    unsigned char *scratch = xmalloc(e->row_bytes);
    int rc = 0;
    for (uint64_t i = 0; i < e->rows; i++) {
        if (!gone[i]) {
            staying[count++] = i;
        }
    }
    for (uint64_t i = 0; i < e->rows && rc == 0; i++) {
        if (gone[i]) {
            rc = put(txn, e->file->dropped, i, value_of(e, i), e->row_bytes);
            rc = rc ? rc : fill(e, txn, i, staying, count, scratch);
        }
    }
    free(staying);
    free(scratch);
    return rc;
}

static int restore_all(const struct store_edit *e, MDB_txn *txn, const bool *chosen) {
    int rc = 0;
    for (size_t i = 0; i < e->rows && rc == 0; i++) {
        MDB_val key = {sizeof(i), &i};
        if (e->dropped[i] && chosen[i]) {
            rc = put(txn, e->file->rows, i, value_of(e, i), e->row_bytes);
            rc = rc ? rc : mdb_del(txn, e->file->dropped, &key, NULL);
        }
    }
    return rc;
}

static int finish(MDB_txn *txn, int rc, char *err, size_t err_len) {
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    return rc == 0
               ? 0
               : error_set(err, err_len, -1, "the store cannot be changed: %s", mdb_strerror(rc));
}

int store_edit_drop(struct store_edit *e, const bool *chosen, uint64_t *count, char *err,
                    size_t err_len) {
    bool *gone = xcalloc(e->rows, sizeof(*gone));
    uint64_t all = 0;
    MDB_txn *txn = NULL;
    *count = 0;
    for (uint64_t i = 0; i < e->rows; i++) {
        gone[i] = e->dropped[i] || chosen[i];
        *count += chosen[i] && !e->dropped[i];
        all += gone[i];
    }
    int rc = -1;
    if (*count > 0 && all == e->rows) {
        snprintf(err, err_len, "no step would be left");
    } else {
        rc = mdb_txn_begin(e->file->env, NULL, 0, &txn);
        rc = rc ? rc : drop_all(e, txn, gone);
        rc = finish(txn, rc, err, err_len);
    }
    if (rc == 0) {
        memcpy(e->dropped, gone, e->rows * sizeof(*gone));
    }
    free(gone);
    return rc;
}

int store_edit_restore(struct store_edit *e, const bool *chosen, uint64_t *count, char *err,
                       size_t err_len) {
    MDB_txn *txn = NULL;
    *count = 0;
    int rc = mdb_txn_begin(e->file->env, NULL, 0, &txn);
    rc = rc ? rc : restore_all(e, txn, chosen);
    rc = finish(txn, rc, err, err_len);
    for (uint64_t i = 0; i < e->rows && rc == 0; i++) {
        *count += e->dropped[i] && chosen[i];
        e->dropped[i] = e->dropped[i] && !chosen[i];
    }
    return rc;
}
