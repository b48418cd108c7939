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

struct vet {
    uint64_t whole;                  // rows before the first damaged one; 0: not known
    char text[TEXT_MAX];             // what is damaged
    uint64_t rows[STORE_ACTORS_MAX]; // by actor
};

static int damaged(struct vet *v, const char *what, uint64_t where) {
    return error_set(v->text, sizeof(v->text), -1, what, (unsigned long long)where);
}

static int vet_size(struct vet *v, MDB_env *env, const struct stat *st) {
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(env, &info);
    rc = rc ? rc : mdb_env_stat(env, &stat);
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

// Reads the whole database `name`.
static int vet_all(struct vet *v, MDB_txn *txn, const char *name, unsigned flags) {
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_dbi_open(txn, name, flags, &dbi);
    rc = rc ? rc : mdb_cursor_open(txn, dbi, &cursor);
    if (rc) {
        return rc == MDB_NOTFOUND ? 0 : rc; // a new store
    }
    bool rows = flags & MDB_INTEGERKEY;
    size_t len = 0;
    for (uint64_t place = 0; (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0; place++) {
        len = place == 0 ? value.mv_size : len;
        int found = rows ? vet_row(v, &key, &value, place, len) : vet_actor(v, &value);
        if (found) {
            return found;
        }
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int examine(struct vet *v, const char *dir, const struct stat *st) {
    MDB_env *env;
    MDB_txn *txn;
    int rc = mdb_env_create(&env);
    rc = rc ? rc : mdb_env_set_maxdbs(env, 8);
    rc = rc ? rc : mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0);
    rc = rc ? rc : vet_size(v, env, st);
    rc = rc ? rc : mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    rc = rc ? rc : vet_all(v, txn, "rows", MDB_INTEGERKEY);
    rc = rc ? rc : vet_all(v, txn, "actors", 0);
    if (rc == ENOMEM) {
        return 0; // too little address space, of which the opening speaks
    }
    if (rc && rc != -1) {
        snprintf(v->text, sizeof(v->text), "%s", mdb_strerror(rc));
    }
    return rc;
}

static _Noreturn void run_child(const char *dir, const struct stat *st, pid_t parent, int out) {
    static struct vet v;
    store_child_begin(parent);
    int rc = examine(&v, dir, st);
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
        run_child(dir, &st, parent, ends[1]);
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
