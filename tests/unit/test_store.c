// SPDX-License-Identifier: MIT
// Shows that the store keeps every acknowledged transition, each once, in order:
// across restarts, a SIGKILL at any instant, and a full disk.
//
// Rows are derived from (actor, index), so that each is unique. The kill is real: a
// child commits batches and reports each stored one; it is killed at a random moment,
// and the parent compares.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "modelserver/storage/store.h"
#include "modelserver/storage/store_row.h"
#include "proto/wire.h"

enum { O = 3, A = 2, ROWS_MAX = 4096, BATCH = 1024 };

static char dir[64];
static char err[512];

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/spur-store-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char path[96];
    const char *const files[] = {"data.mdb", "lock.mdb"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static struct store_meta some_meta(void) {
    return (struct store_meta){
        .run_id = 77, .seed = 5, .task = "hopper", .obs_dim = O, .act_dim = A};
}

static struct store *must_open(uint64_t rows_max) {
    struct store_meta meta = some_meta();
    struct store *s;
    if (store_open(&s, dir, &meta, rows_max, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    return s;
}

// Row number i of an actor.
static float number(uint64_t actor, uint64_t i, int j) {
    return (float)(1000 * actor + i) + (float)j / 16;
}

// A batch and its rows.
struct filled {
    struct store_batch batch;
    float obs[BATCH * O], next_obs[BATCH * O], act[BATCH * A], reward[BATCH];
    uint8_t flags[BATCH];
};

static struct store_batch *new_batch(void) {
    struct filled *f = xmalloc(sizeof(*f));
    f->batch.obs = f->obs;
    f->batch.next_obs = f->next_obs;
    f->batch.act = f->act;
    f->batch.reward = f->reward;
    f->batch.flags = f->flags;
    return &f->batch;
}

static void fill(struct store_batch *b, const char *id, uint64_t actor, uint64_t incarnation,
                 uint64_t seq, uint64_t first, uint32_t rows) {
    struct filled *f = (struct filled *)b;
    snprintf(b->id, sizeof(b->id), "%s", id);
    b->role = WIRE_ROLE_ACTOR;
    b->handed_out = false;
    b->index = STORE_NEW_ACTOR;
    b->incarnation = incarnation;
    b->seq = seq;
    b->rows = rows;
    for (uint32_t r = 0; r < rows; r++) {
        for (int j = 0; j < O; j++) {
            f->obs[r * O + (uint32_t)j] = number(actor, first + r, j);
            f->next_obs[r * O + (uint32_t)j] = number(actor, first + r, j) + 0.5f;
        }
        for (int j = 0; j < A; j++) {
            f->act[r * A + (uint32_t)j] = (float)j - 0.5f;
        }
        f->reward[r] = -number(actor, first + r, 0);
        f->flags[r] = (first + r) % 10 == 9 ? WIRE_TRUNCATED : 0;
    }
}

static int commit_one(struct store *s, struct store_batch *b) {
    return store_commit(s, &b, 1, err, sizeof(err));
}

static void check_row(const struct store *s, uint64_t place, uint64_t actor, uint64_t i) {
    const struct env_columns *c = store_columns(s);
    for (int j = 0; j < O; j++) {
        assert_true(c->obs[place * O + (uint64_t)j] == number(actor, i, j));
        assert_true(c->next_obs[place * O + (uint64_t)j] == number(actor, i, j) + 0.5f);
    }
    assert_true(c->act[place * A + 1] == 0.5f);
    assert_true(c->reward[place] == -number(actor, i, 0));
    assert_int_equal(c->flags[place], i % 10 == 9 ? WIRE_TRUNCATED : 0);
}

static void rows_and_actors_survive(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *a = new_batch(), *b = new_batch();
    fill(a, "actor-a", 1, 100, 1, 0, 12);
    fill(b, "actor-b", 2, 200, 1, 0, 7);
    struct store_batch *both[] = {a, b};
    assert_int_equal(store_commit(s, both, 2, err, sizeof(err)), 2);
    assert_int_equal(a->actor.index, 0);
    assert_int_equal(b->actor.index, 1);
    assert_int_equal(a->actor.episodes, 2); // rows 0..9 and 10..11
    assert_true(a->actor.in_episode);
    fill(a, "actor-a", 1, 100, 2, 12, 8); // ends with row 19: an episode's end
    assert_int_equal(commit_one(s, a), 1);
    assert_false(a->actor.in_episode);
    store_close(&s);

    struct store_meta meta = some_meta();
    meta.run_id = 12345;
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(meta.run_id, 77); // from the store
    assert_int_equal(store_rows(s), 27);
    for (uint64_t i = 0; i < 27; i++) {
        bool of_b = i >= 12 && i < 19;
        check_row(s, i, of_b ? 2 : 1, of_b ? i - 12 : i < 12 ? i : i - 7);
    }
    assert_int_equal(store_actor_count(s), 2);
    const struct store_actor *actor = store_actor_at(s, 0);
    assert_string_equal(actor->id, "actor-a");
    assert_int_equal(actor->incarnation, 100);
    assert_int_equal(actor->seq, 2);
    assert_int_equal(actor->steps, 20);
    assert_int_equal(actor->episodes, 2);
    store_close(&s);
    free(a);
    free(b);
}

static void order_is_kept(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 3);
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(commit_one(s, b), 0); // repeated
    assert_int_equal(b->error, -ESTALE);
    fill(b, "a", 1, 5, 3, 3, 3); // a gap
    assert_int_equal(commit_one(s, b), 0);
    assert_int_equal(b->error, -ESTALE);
    fill(b, "a", 1, 4, 2, 3, 3); // of an older start
    assert_int_equal(commit_one(s, b), 0);
    fill(b, "a", 1, 5, 2, 0, 0); // acknowledged without rows
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.seq, 2);
    fill(b, "a", 1, 4, 1, 3, 3); // an older start, which was not begun again
    assert_int_equal(commit_one(s, b), 0);
    assert_int_equal(b->error, -ESTALE);
    fill(b, "a", 1, 3, 0, 0, 0); // a new start, whose clock is behind
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.incarnation, 3);
    fill(b, "a", 1, 6, 0, 0, 0); // another
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.seq, 0);
    assert_int_equal(b->actor.steps_incarnation, 0);
    assert_int_equal(b->actor.steps, 3);
    fill(b, "a", 1, 6, 1, 3, 2);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.episodes, 2); // a new start begins a new episode
    assert_int_equal(store_rows(s), 5);
    store_close(&s);
    free(b);
}

static void a_failed_batch_takes_its_followers_along(void **state) {
    (void)state;
    struct store *s = must_open(8);
    struct store_batch *b[3];
    for (uint64_t i = 0; i < 3; i++) {
        b[i] = new_batch();
        fill(b[i], "a", 1, 5, i + 1, i * 3, i == 1 ? 6 : 3);
    }
    assert_int_equal(store_commit(s, b, 3, err, sizeof(err)), 1);
    assert_int_equal(b[0]->error, 0);
    assert_int_equal(b[1]->error, -ENOBUFS); // 3 + 6 rows, room for 8
    assert_int_equal(b[2]->error, -ESTALE);
    assert_int_equal(store_rows(s), 3);
    store_close(&s);
    s = must_open(8);
    assert_int_equal(store_actor_at(s, 0)->seq, 1);
    store_close(&s);
    for (int i = 0; i < 3; i++) {
        free(b[i]);
    }
}

// A new id takes over the place of one that is forgotten: its counts go on, its name is gone.
static void places_are_taken_over(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "old", 1, 5, 1, 0, 7);
    assert_int_equal(commit_one(s, b), 1);
    fill(b, "other", 2, 6, 1, 0, 3);
    assert_int_equal(commit_one(s, b), 1);
    fill(b, "new", 1, 9, 0, 0, 0);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.index, 0);
    assert_int_equal(b->actor.seq, 0);
    assert_int_equal(b->actor.steps_incarnation, 0);
    assert_int_equal(b->actor.steps, 7);
    fill(b, "new", 1, 9, 1, 7, 2);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    // A place is never another's who has one already.
    fill(b, "other", 2, 7, 0, 0, 0);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.index, 1);
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_actor_count(s), 2);
    assert_string_equal(store_actor_at(s, 0)->id, "new");
    assert_int_equal(store_actor_at(s, 0)->incarnation, 9);
    assert_int_equal(store_actor_at(s, 0)->steps, 9);
    assert_string_equal(store_actor_at(s, 1)->id, "other");
    fill(b, "old", 3, 5, 1, 0, 1); // it is new again
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.index, 2);
    assert_int_equal(b->actor.steps, 1);
    store_close(&s);
    free(b);
}

// A number that was handed out is on disk with the batch that begins the start.
static void numbers_of_starts_survive(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 4, 0, 0, 0);
    b->handed_out = true;
    assert_int_equal(commit_one(s, b), 1);
    fill(b, "learner", 1, 11, 0, 0, 0);
    b->role = WIRE_ROLE_LEARNER;
    b->handed_out = true;
    assert_int_equal(commit_one(s, b), 1);
    b->incarnation = 3; // chosen by a client of before, or stored late
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_starts(s, WIRE_ROLE_ACTOR), 4);
    assert_int_equal(store_starts(s, WIRE_ROLE_LEARNER), 11);
    assert_int_equal(store_starts(s, WIRE_ROLE_EVALUATOR), 0);
    assert_int_equal(store_actor_count(s), 1); // the learner has no entry
    store_close(&s);
    free(b);
}

static void another_run_is_refused(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    store_close(&s);
    struct store_meta meta = some_meta();
    snprintf(meta.task, sizeof(meta.task), "inverted_pendulum");
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "hopper"));
    assert_non_null(strstr(err, "inverted_pendulum"));
    meta = some_meta();
    meta.obs_dim = 4;
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    meta = some_meta();
    meta.seed = 6;
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "seed"));
    assert_null(s);
    meta = some_meta();
    char inside_a_file[96];
    snprintf(inside_a_file, sizeof(inside_a_file), "%s/data.mdb/store", dir);
    assert_int_equal(store_open(&s, inside_a_file, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, inside_a_file));
}

static void rows_of_another_run_are_taken_over(void **state) {
    (void)state;
    struct store *from = must_open(ROWS_MAX), *s;
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 100);
    assert_int_equal(commit_one(from, b), 1);
    // The other store stays open: its run may go on.
    char other[80];
    snprintf(other, sizeof(other), "%s-other", dir);
    struct store_meta meta = {.run_id = 9, .seed = 8, .task = "new", .obs_dim = O, .act_dim = A};
    assert_int_equal(store_open(&s, other, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(store_take_rows(s, dir, 101, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "contains 100 real steps, fewer than from.rows, 101"));
    assert_int_equal(store_rows(s), 0);
    assert_int_equal(store_take_rows(s, "/nowhere", 1, err, sizeof(err)), -1);
    assert_int_equal(store_take_rows(s, dir, 60, err, sizeof(err)), 0);
    assert_int_equal(store_rows(s), 60);
    // Own rows follow, with own actors; all of it survives.
    fill(b, "a", 2, 1, 1, 0, 5);
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.steps, 5);
    store_close(&s);
    assert_int_equal(store_open(&s, other, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(store_rows(s), 65);
    assert_int_equal(store_actor_count(s), 1);
    for (uint64_t i = 0; i < 65; i++) {
        check_row(s, i, i < 60 ? 1 : 2, i < 60 ? i : i - 60);
    }
    store_close(&s);
    // Other dimensions.
    char command[200];
    snprintf(command, sizeof(command), "rm -r %s", other);
    assert_int_equal(system(command), 0);
    meta.obs_dim = O + 1;
    assert_int_equal(store_open(&s, other, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(store_take_rows(s, dir, 60, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "other dimensions"));
    assert_int_equal(store_rows(s), 0);
    store_close(&s);
    assert_int_equal(system(command), 0);
    store_close(&from);
    free(b);
}

static void a_full_disk_stores_nothing_and_heals(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 100);
    assert_int_equal(commit_one(s, b), 1);

    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 16 << 10;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    fill(b, "a", 1, 5, 2, 100, 1024);
    assert_int_equal(commit_one(s, b), 0);
    assert_true(b->error < 0 && b->error != -ESTALE);
    assert_non_null(strstr(err, "nothing could be stored"));
    assert_int_equal(store_rows(s), 100);
    setrlimit(RLIMIT_FSIZE, &before);

    assert_int_equal(commit_one(s, b), 1); // the same batch, resent
    assert_int_equal(store_rows(s), 1124);
    for (uint64_t i = 0; i < 1124; i++) {
        check_row(s, i, 1, i);
    }
    store_close(&s);
    free(b);
}

static void every_flipped_bit_of_a_value_is_found(void **state) {
    (void)state;
    uint64_t actor[STORE_ACTOR_WORDS] = {1, 2, 3, 4, 5, 6, 1};
    unsigned char row[64] = {0};
    const struct store_row_header header = {1, 2, WIRE_TRUNCATED};
    assert_true(store_actor_is_intact(actor)); // of an earlier build
    store_row_set_header(row, &header);
    assert_true(store_row_is_intact(row, sizeof(row)));
    store_actor_seal(actor);
    store_row_seal(row, sizeof(row));
    assert_true(store_actor_is_intact(actor) && store_row_is_intact(row, sizeof(row)));
    assert_int_equal(store_row_header(row).flags, WIRE_TRUNCATED);
    for (int bit = 0; bit < 64 * STORE_ACTOR_WORDS; bit++) {
        actor[bit / 64] ^= UINT64_C(1) << (bit % 64);
        assert_false(store_actor_is_intact(actor));
        actor[bit / 64] ^= UINT64_C(1) << (bit % 64);
    }
    for (int bit = 0; bit < 8 * 64; bit++) {
        row[bit / 8] ^= (unsigned char)(1 << (bit % 8));
        assert_false(store_row_is_intact(row, sizeof(row)));
        row[bit / 8] ^= (unsigned char)(1 << (bit % 8));
    }
}

static void data_path(char path[96]) {
    snprintf(path, 96, "%s/data.mdb", dir);
}

static void must_refuse(void) {
    struct store_meta meta = some_meta();
    struct store *s;
    char path[96];
    data_path(path);
    err[0] = '\0';
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    if (!strstr(err, path) || !strstr(err, "is damaged (")) {
        fail_msg("%s", err);
    }
}

static void a_shortened_store_is_refused(void **state) {
    (void)state;
    char path[96], *bytes;
    size_t len;
    data_path(path);
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 1024);
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 24), 0);
    for (size_t keep = len - 1; keep > len / 8; keep -= len / 16) {
        assert_int_equal(file_write_atomic(path, bytes, keep), 0);
        must_refuse();
    }
    assert_int_equal(file_write_atomic(path, "no store at all", 15), 0);
    must_refuse();
    free(bytes);
    free(b);
}

// Whether the store opens with all its rows.
static bool is_whole(void) {
    struct store_meta meta = some_meta();
    struct store *s;
    if (store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)) != 0) {
        return false;
    }
    for (uint64_t i = 0; i < store_rows(s); i++) {
        check_row(s, i, 1, i);
    }
    bool whole = store_rows(s) == 1024;
    store_close(&s);
    return whole;
}

// Damage anywhere is found or does no harm: it does not end the process, and no row changes.
static void flipped_bits_change_no_row(void **state) {
    (void)state;
    enum { ROUNDS = 300 };
    char path[96], *bytes;
    size_t len;
    data_path(path);
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 1024);
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 24), 0);
    struct rng rng = rng_make(1, RNG_TEST, 0);
    char *hurt = xmalloc(len);
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = rng_below(&rng, (uint32_t)len), run = round % 3 == 0 ? 64 : 1;
        memcpy(hurt, bytes, len);
        for (size_t i = at; i < at + run && i < len; i++) {
            hurt[i] ^= (char)(1 << rng_below(&rng, 8));
        }
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, hurt, len, 0), len);
        assert_int_equal(ftruncate(fd, (off_t)len), 0);
        close(fd);
        refused += !is_whole();
    }
    free(hurt);
    print_message("          %d of %d damaged stores are refused\n", refused, ROUNDS);
    assert_true(refused > ROUNDS / 2);
    free(bytes);
    free(b);
}

// The file is removed, replaced, or moved away for a while: rows may have been committed to it that
// were not acknowledged, so only a new opening knows what is stored.
static void a_file_that_is_no_longer_in_place_takes_nothing(void **state) {
    (void)state;
    char path[96], other[96];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    snprintf(other, sizeof(other), "%s/lock.mdb", dir);
    enum { REMOVED, REPLACED, CUT_OFF, MOVED, FAULTS };
    for (int fault = REMOVED; fault < FAULTS; fault++) {
        struct store *s = must_open(ROWS_MAX);
        struct store_batch *b = new_batch();
        fill(b, "a", 1, 5, 1, 0, 100);
        assert_int_equal(commit_one(s, b), 1);
        assert_int_equal(fault == REMOVED    ? unlink(path)
                         : fault == REPLACED ? rename(other, path)
                         : fault == CUT_OFF  ? truncate(path, 8192)
                                             : rename(path, other),
                         0);
        fill(b, "a", 1, 5, 2, 100, 10);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(commit_one(s, b), 0);
            assert_int_equal(b->error, -ENOENT);
            assert_non_null(strstr(err, path));
            assert_non_null(strstr(err, "was removed, moved or replaced"));
            assert_true(fault != MOVED || again || rename(other, path) == 0);
        }
        assert_int_equal(store_rows(s), 100);
        store_close(&s);
        unlink(path);
        free(b);
    }
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0); // for remove_dir
}

// Makes writes by LMDB's descriptor for its last page of a transaction (O_DSYNC) fail.
static void break_the_last_write(void) {
    char path[96], link[64], target[128];
    data_path(path);
    for (int fd = 3; fd < 64; fd++) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, path) == 0 && (fcntl(fd, F_GETFL) & O_DSYNC)) {
            int broken = open(path, O_RDONLY);
            assert_int_equal(dup2(broken, fd), fd);
            close(broken);
        }
    }
}

static void a_disk_that_failed_is_said_and_final(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 100);
    assert_int_equal(commit_one(s, b), 1);
    break_the_last_write();
    fill(b, "a", 1, 5, 2, 100, 10);
    assert_int_equal(commit_one(s, b), 0);
    assert_true(b->error != 0 && b->error != -ESTALE);
    assert_int_equal(commit_one(s, b), 0);
    assert_int_equal(b->error, -ENOTRECOVERABLE);
    assert_non_null(strstr(err, "an earlier write failed"));
    assert_int_equal(store_rows(s), 100);
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_rows(s), 100);
    assert_int_equal(commit_one(s, b), 1); // sent again
    store_close(&s);
    free(b);
}

_Noreturn static void commit_until_killed(int told) {
    struct store_meta meta = some_meta();
    struct store *s;
    CHECK(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)) == 0);
    struct store_batch *b = new_batch();
    for (uint64_t seq = 1; seq <= ROWS_MAX / 4; seq++) {
        fill(b, "a", 1, 5, seq, (seq - 1) * 4, 4);
        CHECK(commit_one(s, b) == 1);
        CHECK(write(told, &seq, sizeof(seq)) == sizeof(seq));
    }
    _exit(0);
}

static void a_kill_loses_nothing_that_was_acknowledged(void **state) {
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        commit_until_killed(pipes[1]);
    }
    uint64_t seq = 0;
    while (seq < 20) { // let it start, then kill it at any point
        assert_int_equal(read(pipes[0], &seq, sizeof(seq)), sizeof(seq));
    }
    kill(child, SIGKILL);
    close(pipes[1]);
    waitpid(child, NULL, 0);
    while (read(pipes[0], &seq, sizeof(seq)) == sizeof(seq)) {
    }
    close(pipes[0]);

    struct store *s = must_open(ROWS_MAX);
    const struct store_actor *a = store_actor_at(s, 0);
    assert_true(a->seq >= seq);
    assert_int_equal(store_rows(s), a->seq * 4); // whole batches, each once
    assert_int_equal(a->steps, a->seq * 4);
    for (uint64_t i = 0; i < store_rows(s); i++) {
        check_row(s, i, 1, i);
    }
    store_close(&s);
}

// Changes a word of the file. Returns what it was.
static uint64_t poke(size_t at, uint64_t word) {
    char path[96];
    uint64_t before;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &before, sizeof(before), (off_t)at), sizeof(before));
    assert_int_equal(pwrite(fd, &word, sizeof(word), (off_t)at), sizeof(word));
    close(fd);
    return before;
}

// A list of free pages: their number, then the pages. LMDB has it in the database 0.
static void damage_free_list(void) {
    unsigned char list[256];
    char path[96], *data;
    size_t len;
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_cursor_open(txn, 0, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    assert_true(value.mv_size >= 16 && value.mv_size <= sizeof(list));
    size_t list_len = value.mv_size;
    memcpy(list, value.mv_data, list_len);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(file_read_all(&data, &len, path, 1 << 24), 0);
    const char *at = data; // older copies of its page are there too
    while ((at = memmem(at, len - (size_t)(at - data), list, list_len))) {
        poke((size_t)(at - data), UINT64_C(1) << 40);
        at++;
    }
    free(data);
}

// Damage of what LMDB itself needs: the number of the last page, and the pages that are free.
static void damage_of_the_tree_is_named(void **state) {
    (void)state;
    enum { META_LAST_PAGE = 136, PAGE = 4096 };
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    for (uint64_t i = 0; i < 3; i++) {
        fill(b, "actor", 0, 1, i + 1, i * 8, 8);
        assert_int_equal(commit_one(s, b), 1);
    }
    store_close(&s);
    free(b);
    struct store_meta meta = some_meta();
    const uint64_t last = poke(META_LAST_PAGE, UINT64_C(1) << 40);
    const uint64_t other = poke(PAGE + META_LAST_PAGE, UINT64_C(1) << 40);
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "is damaged"));
    poke(META_LAST_PAGE, last);
    poke(PAGE + META_LAST_PAGE, other);
    s = must_open(ROWS_MAX);
    store_close(&s);
    damage_free_list();
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "a list of free pages"));
}

// As many actors as a store can have, with the longest ids: the examination before each use has
// room for copies of all their pages.
static void a_store_full_of_actors_is_opened(void **state) {
    (void)state;
    enum { GROUP = 256 };
    static struct store_batch *group[GROUP];
    struct store *s = must_open(ROWS_MAX);
    for (int i = 0; i < GROUP; i++) {
        group[i] = new_batch();
    }
    for (uint64_t first = 0; first < STORE_ACTORS_MAX; first += GROUP) {
        for (uint64_t i = 0; i < GROUP; i++) {
            char id[STORE_ID_MAX];
            snprintf(id, sizeof(id), "%0*d", STORE_ID_MAX - 1,
                     (int)((first + i) * 2654435761u >> 1));
            fill(group[i], id, first + i, 1, 1, 0, 1);
        }
        assert_int_equal(store_commit(s, group, GROUP, err, sizeof(err)), GROUP);
    }
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_actor_count(s), STORE_ACTORS_MAX);
    assert_int_equal(store_rows(s), STORE_ACTORS_MAX);
    store_close(&s);
    for (int i = 0; i < GROUP; i++) {
        free(group[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_and_actors_survive, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(order_is_kept, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_failed_batch_takes_its_followers_along, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(damage_of_the_tree_is_named, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_store_full_of_actors_is_opened, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(places_are_taken_over, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(numbers_of_starts_survive, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(another_run_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(rows_of_another_run_are_taken_over, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_full_disk_stores_nothing_and_heals, make_dir, remove_dir),
        cmocka_unit_test(every_flipped_bit_of_a_value_is_found),
        cmocka_unit_test_setup_teardown(a_shortened_store_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(flipped_bits_change_no_row, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_disk_that_failed_is_said_and_final, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_longer_in_place_takes_nothing, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_kill_loses_nothing_that_was_acknowledged, make_dir,
                                        remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
