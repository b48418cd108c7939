// SPDX-License-Identifier: MIT
// In the pipe a byte precedes each value; another one precedes a sentence, which is the last.
#include "modelserver/storage/store_source.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "modelserver/storage/store_child.h"
#include "modelserver/storage/store_row.h"
#include "modelserver/storage/store_size.h"

#define TEXT_MAX 512

enum mark { MARK_ROW = 'r', MARK_TEXT = 't' };

// ---- the child ----

static bool put(FILE *out, enum mark mark, const void *data, size_t len) {
    return fputc(mark, out) != EOF && fwrite(data, 1, len, out) == len;
}

// Passes the rows on. 0, an LMDB code, or -1 with what is wrong in text.
static int pass_rows(FILE *out, MDB_txn *txn, uint64_t rows, size_t len, char *text) {
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_stat stat = {0};
    MDB_val key, value;
    int rc = mdb_dbi_open(txn, "rows", MDB_INTEGERKEY, &dbi);
    rc = rc ? rc : mdb_stat(txn, dbi, &stat);
    if (rc == 0 && stat.ms_entries < rows) {
        return error_set(text, TEXT_MAX, -1, "contains %zu real steps, fewer than from.rows, %llu",
                         stat.ms_entries, (unsigned long long)rows);
    }
    rc = rc ? rc : mdb_cursor_open(txn, dbi, &cursor);
    for (uint64_t place = 0; place < rows && rc == 0; place++) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && value.mv_size != len) {
            return error_set(text, TEXT_MAX, -1, "its steps have other dimensions than this run's");
        }
        if (rc == 0 && (len < STORE_ROW_HEADER_WORDS * sizeof(uint64_t) ||
                        !store_row_is_intact(value.mv_data, len))) {
            return error_set(text, TEXT_MAX, -1,
                             "it is damaged: step %llu does not match its checksum",
                             (unsigned long long)place);
        }
        if (rc == 0 && !put(out, MARK_ROW, value.mv_data, len)) {
            return EPIPE;
        }
    }
    return rc;
}

static _Noreturn void run_child(const char *dir, uint64_t rows, size_t len, pid_t parent, int fd) {
    char text[TEXT_MAX] = "";
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    store_child_begin(parent);
    FILE *out = fdopen(fd, "w");
    int rc = out ? mdb_env_create(&env) : errno;
    rc = rc ? rc : mdb_env_set_maxdbs(env, 3);
    rc = rc ? rc : mdb_env_open(env, dir, MDB_RDONLY, 0);
    rc = rc ? rc : mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    rc = rc ? rc : pass_rows(out, txn, rows, len, text);
    if (rc && rc != -1) {
        snprintf(text, sizeof(text), "its steps cannot be taken over: %s", mdb_strerror(rc));
    }
    bool said = out && (rc == 0 || put(out, MARK_TEXT, text, strlen(text)));
    _exit(said && fflush(out) == 0 ? 0 : 1);
}

// ---- the parent ----

int store_source_open(struct store_source *s, const char *dir, uint64_t rows, size_t len, char *err,
                      size_t err_len) {
    int ends[2];
    snprintf(s->dir, sizeof(s->dir), "%s", dir);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set(err, err_len, -1, "%s: cannot be read: %s", dir, strerror(errno));
    }
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0) {
        close(ends[0]);
        run_child(dir, rows, len, parent, ends[1]);
    }
    close(ends[1]);
    s->fd = ends[0];
    if (s->pid < 0) {
        close(s->fd);
        return error_set(err, err_len, -1, "%s: cannot be read: %s", dir, strerror(errno));
    }
    return 0;
}

// Fewer than len only at the end of the pipe.
static size_t read_up_to(int fd, void *data, size_t len) {
    size_t n = 0;
    while (n < len) {
        ssize_t got = read(fd, (char *)data + n, len - n);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        n += got > 0 ? (size_t)got : 0;
    }
    return n;
}

int store_source_read(struct store_source *s, unsigned char *value, size_t len, char *err,
                      size_t err_len) {
    char mark = 0, text[TEXT_MAX];
    if (read_up_to(s->fd, &mark, 1) == 1 && mark == MARK_ROW &&
        read_up_to(s->fd, value, len) == len) {
        return 0;
    }
    if (mark == MARK_TEXT) {
        text[read_up_to(s->fd, text, sizeof(text) - 1)] = '\0';
        return error_set(err, err_len, -1, "%s: %s", s->dir, text);
    }
    return error_set(err, err_len, -1,
                     "%s: it is damaged, or was changed while its steps were taken over", s->dir);
}

void store_source_close(struct store_source *s) {
    close(s->fd);
    kill(s->pid, SIGKILL); // it may have more to say
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}
