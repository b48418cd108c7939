// SPDX-License-Identifier: MIT
// The child writes what it finds to a pipe; its own end is an answer too.
#include "modelserver/storage/store_vet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "modelserver/storage/store_batch.h"
#include "modelserver/storage/store_child.h"
#include "modelserver/storage/store_row.h"
#include "modelserver/storage/store_size.h"

#define TEXT_MAX 256
#define TRIAL_BYTES (16u << 20) // for copies of all pages of actors, the most that a trial writes
#define FIRST_PAGE 2            // after the two that describe the file

struct vet {
    uint64_t whole;                  // rows before the first damaged one; 0: not known
    char text[TEXT_MAX];             // what is damaged
    uint64_t rows[STORE_ACTORS_MAX]; // by actor
    size_t row_bytes, last_page, entries_max;
};

static int damaged(struct vet *v, const char *what, uint64_t where) {
    return error_set(v->text, sizeof(v->text), -1, what, (unsigned long long)where);
}

#define ENTRY_BYTES 8 // of an entry in a page, at least: LMDB's header of a node

static int vet_size(struct vet *v, MDB_env *env, const struct stat *st) {
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(env, &info);
    rc = rc ? rc : mdb_env_stat(env, &stat);
    v->last_page = rc ? 0 : info.me_last_pgno;
    v->entries_max = (size_t)st->st_size / ENTRY_BYTES;
    uint64_t needs = rc ? 0 : ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    if (rc == 0 && needs > (uint64_t)st->st_size) {
        return error_set(v->text, sizeof(v->text), -1, "it has %llu of %llu bytes",
                         (unsigned long long)st->st_size, (unsigned long long)needs);
    }
    return rc;
}

static int vet_row(struct vet *v, const MDB_val *key, const MDB_val *value, uint64_t place,
                   size_t len) {
    size_t k = 0;
    if (key->mv_size == sizeof(k)) {
        memcpy(&k, key->mv_data, sizeof(k));
    }
    if (key->mv_size != sizeof(k) || k != place) {
        return damaged(v, "step %llu is missing", place);
    }
    if (value->mv_size != len || len < STORE_ROW_HEADER_WORDS * sizeof(uint64_t) ||
        !store_row_is_intact(value->mv_data, len)) {
        v->whole = place;
        return damaged(v, "step %llu does not match its checksum", place);
    }
    uint64_t actor = store_row_header(value->mv_data).actor;
    if (actor != STORE_NO_ACTOR && actor >= STORE_ACTORS_MAX) {
        return damaged(v, "step %llu belongs to no actor", place);
    }
    v->rows[actor == STORE_NO_ACTOR ? 0 : actor] += actor != STORE_NO_ACTOR;
    return 0;
}

static int vet_actor(struct vet *v, const MDB_val *value) {
    enum { INDEX, STEPS = 4 };
    uint64_t words[STORE_ACTOR_WORDS];
    if (value->mv_size != sizeof(words)) {
        return damaged(v, "an actor has %llu bytes", value->mv_size);
    }
    memcpy(words, value->mv_data, sizeof(words));
    if (!store_actor_is_intact(words)) {
        return damaged(v, "actor %llu does not match its checksum", words[INDEX]);
    }
    bool counts = words[INDEX] < STORE_ACTORS_MAX && words[STEPS] == v->rows[words[INDEX]];
    return counts ? 0 : damaged(v, "actor %llu has another number of steps", words[INDEX]);
}

// The pages that LMDB will write to next: their number, and their places in the file.
static int vet_free(struct vet *v, const MDB_val *value) {
    size_t n = 0;
    if (value->mv_size >= sizeof(n)) {
        memcpy(&n, value->mv_data, sizeof(n));
    }
    if (value->mv_size < sizeof(n) || n > value->mv_size / sizeof(n) - 1) {
        return damaged(v, "a list of free pages has %llu bytes", value->mv_size);
    }
    for (size_t i = 1; i <= n; i++) {
        size_t page;
        memcpy(&page, (const char *)value->mv_data + i * sizeof(page), sizeof(page));
        if (page < FIRST_PAGE || page > v->last_page) {
            return damaged(v, "page %llu, which is free, is not in the file", page);
        }
    }
    return 0;
}

enum part { PART_ROWS, PART_ACTORS, PART_META, PART_FREE };

static int vet_entry(struct vet *v, enum part part, const MDB_val *key, const MDB_val *value,
                     uint64_t place) {
    switch (part) {
    case PART_ROWS:
        v->row_bytes = place == 0 ? value->mv_size : v->row_bytes;
        return vet_row(v, key, value, place, v->row_bytes);
    case PART_ACTORS:
        return vet_actor(v, value);
    case PART_FREE:
        return vet_free(v, value);
    case PART_META: // compared when the store is opened
        break;
    }
    return 0;
}

static int open_part(MDB_txn *txn, enum part part, unsigned flags, MDB_dbi *dbi) {
    static const char *const names[] = {"rows", "actors", "meta"};
    *dbi = 0; // LMDB's own list of free pages
    return part == PART_FREE ? 0
                             : mdb_dbi_open(txn, names[part],
                                            flags | (part == PART_ROWS ? MDB_INTEGERKEY : 0), dbi);
}

// Reads all of it.
static int vet_part(struct vet *v, MDB_txn *txn, enum part part) {
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = open_part(txn, part, 0, &dbi);
    rc = rc ? rc : mdb_cursor_open(txn, dbi, &cursor);
    if (rc) {
        return rc == MDB_NOTFOUND ? 0 : rc; // a new store
    }
    for (uint64_t place = 0; (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0; place++) {
        // Pages that are met again and again, by many branches, would be read for hours.
        int found = place < v->entries_max
                        ? vet_entry(v, part, &key, &value, place)
                        : damaged(v, "more than %llu entries in a tree, which has no end", place);
        if (found) {
            return found;
        }
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

// What later writes do: a row after the last.
static int try_row(MDB_txn *txn, MDB_dbi dbi, MDB_cursor *cursor) {
    MDB_val key, value;
    uint64_t next;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc) {
        return rc;
    }
    memcpy(&next, key.mv_data, sizeof(next));
    next++;
    key.mv_data = &next;
    return mdb_put(txn, dbi, &key, &value, MDB_APPEND);
}

// The others have texts as keys: each entry is replaced, and some are added on both sides.
static int try_entries(MDB_txn *txn, MDB_dbi dbi, MDB_cursor *cursor) {
    char copy[STORE_ID_MAX];
    MDB_val key, value;
    int rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        value.mv_size = value.mv_size < sizeof(copy) ? value.mv_size : sizeof(copy);
        memcpy(copy, value.mv_data, value.mv_size);
        value.mv_data = copy;
        rc = mdb_cursor_put(cursor, &key, &value, MDB_CURRENT);
        if (rc) {
            return rc;
        }
    }
    memset(copy, 0, sizeof(copy));
    for (int i = 1; i < 256 && rc == MDB_NOTFOUND; i += 127) {
        unsigned char text[2] = {(unsigned char)i, '~'};
        key = (MDB_val){sizeof(text), text};
        value = (MDB_val){sizeof(copy), copy};
        int put = mdb_put(txn, dbi, &key, &value, 0);
        rc = put ? put : rc;
    }
    return rc;
}

static int try_part(MDB_txn *txn, enum part part) {
    MDB_dbi dbi;
    MDB_cursor *cursor;
    int rc = open_part(txn, part, MDB_CREATE, &dbi);
    rc = rc ? rc : mdb_cursor_open(txn, dbi, &cursor);
    rc = rc ? rc : part == PART_ROWS ? try_row(txn, dbi, cursor) : try_entries(txn, dbi, cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

// LMDB goes through the pages that later writes will change, and commits. What it writes goes to
// /dev/null, in place of its file.
static int try_writing(MDB_env *env) {
    MDB_txn *txn;
    int file, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int rc = mdb_env_get_fd(env, &file);
    if (rc || null < 0 || dup2(null, file) < 0) {
        return rc ? rc : errno;
    }
    rc = mdb_txn_begin(env, NULL, 0, &txn);
    for (int part = PART_ROWS; part < PART_FREE && rc == 0; part++) {
        rc = try_part(txn, (enum part)part);
    }
    return rc ? rc : mdb_txn_commit(txn);
}

// Whether there is address space for the file as it is.
static bool has_room(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return false;
    }
    munmap(p, bytes);
    return true;
}

// Maps as many bytes as there are, not as the file says.
static int examine(struct vet *v, const char *dir, const struct stat *st, bool writable) {
    MDB_env *env;
    MDB_txn *txn;
    int rc = mdb_env_create(&env);
    rc = rc ? rc : mdb_env_set_maxdbs(env, 8);
    rc = rc ? rc : mdb_env_set_mapsize(env, (size_t)st->st_size + TRIAL_BYTES);
    rc = rc ? rc : mdb_env_open(env, dir, (writable ? MDB_NOSYNC : MDB_RDONLY) | MDB_NOLOCK, 0);
    rc = rc ? rc : vet_size(v, env, st);
    rc = rc ? rc : mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    for (int part = PART_ROWS; part <= PART_FREE && rc == 0; part++) {
        rc = vet_part(v, txn, (enum part)part);
    }
    if (rc == 0 && writable) {
        mdb_txn_abort(txn);
        rc = try_writing(env);
    }
    if (rc == ENOMEM && !has_room((size_t)st->st_size + TRIAL_BYTES)) {
        return 0; // too little address space, of which the opening speaks
    }
    if (rc && rc != -1) {
        snprintf(v->text, sizeof(v->text), "%s", mdb_strerror(rc));
    }
    return rc;
}

static _Noreturn void run_child(const char *dir, const char *path, const struct stat *st,
                                pid_t parent, int out) {
    static struct vet v;
    store_child_begin(parent);
    int rc = examine(&v, dir, st, access(path, W_OK) == 0);
    size_t len = offsetof(struct vet, rows);
    _exit(rc == 0 || write(out, &v, len) == (ssize_t)len ? rc != 0 : 1);
}

static int conclude(const char *path, const struct vet *found, int status, char *err,
                    size_t err_len) {
    char how[64] = "it cannot be read", before[128] = "";
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    if (WIFSIGNALED(status)) {
        snprintf(how, sizeof(how), "reading it ends by signal %d", WTERMSIG(status));
    }
    if (found->whole > 0) {
        snprintf(before, sizeof(before),
                 "; with the %llu steps before the damaged one: --set from.rows=%llu in place of "
                 "--without store",
                 (unsigned long long)found->whole, (unsigned long long)found->whole);
    }
    return error_set(err, err_len, -1,
                     "%s is damaged (%s); put a copy of it back, or begin a new run with what this "
                     "one has learned: spur run --from RUN_DIR --without store --run-dir NEW_DIR%s",
                     path, found->text[0] ? found->text : how, before);
}

int store_vet(const char *dir, char *err, size_t err_len) {
    char path[PATH_MAX];
    static struct vet found; // its head
    const size_t found_len = offsetof(struct vet, rows);
    struct stat st;
    int ends[2], status = 0;
    if (file_join(path, sizeof(path), dir, "data.mdb") < 0 || stat(path, &st) != 0 ||
        st.st_size == 0) {
        return 0; // the opening says what is wrong
    }
    memset(&found, 0, found_len);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set(err, err_len, -1, "%s: cannot be examined: %s", path, strerror(errno));
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        run_child(dir, path, &st, parent, ends[1]);
    }
    close(ends[1]);
    if (pid > 0) {
        size_t n = 0;
        for (ssize_t got = 1; got > 0 && n<found_len; n += got> 0 ? (size_t)got : 0) {
            got = read(ends[0], (char *)&found + n, found_len - n);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(ends[0]);
    return pid < 0
               ? error_set(err, err_len, -1, "%s: cannot be examined: %s", path, strerror(errno))
               : conclude(path, &found, status, err, err_len);
}
