// SPDX-License-Identifier: MIT
// Fixture of the store's tests: a folder, an opened store, and batches of numbered rows.
#ifndef SPUR_TESTS_UNIT_STORE_FIXTURE_H
#define SPUR_TESTS_UNIT_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "modelserver/storage/store.h"
#include "proto/wire.h"

enum { O = 3, A = 2, ROWS_MAX = 4096, BATCH = 1024 };

static char dir[64];
static char err[512];

static inline int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/spur-store-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_dir(void **state) {
    (void)state;
    char path[96];
    const char *const files[] = {"data.mdb", "lock.mdb"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static inline void data_path(char path[96]) {
    snprintf(path, 96, "%s/data.mdb", dir);
}

static inline struct store_meta some_meta(void) {
    return (struct store_meta){
        .run_id = 77, .seed = 5, .task = "hopper", .obs_dim = O, .act_dim = A};
}

static inline struct store *must_open(uint64_t rows_max) {
    struct store_meta meta = some_meta();
    struct store *s;
    if (store_open(&s, dir, &meta, rows_max, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    return s;
}

// Row number i of an actor.
static inline float number(uint64_t actor, uint64_t i, int j) {
    return (float)(1000 * actor + i) + (float)j / 16;
}

// A batch and its rows.
struct filled {
    struct store_batch batch;
    float obs[BATCH * O], next_obs[BATCH * O], act[BATCH * A], reward[BATCH];
    uint8_t flags[BATCH];
};

static inline struct store_batch *new_batch(void) {
    struct filled *f = xmalloc(sizeof(*f));
    f->batch.obs = f->obs;
    f->batch.next_obs = f->next_obs;
    f->batch.act = f->act;
    f->batch.reward = f->reward;
    f->batch.flags = f->flags;
    return &f->batch;
}

static inline void fill(struct store_batch *b, const char *id, uint64_t actor, uint64_t incarnation,
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

static inline int commit_one(struct store *s, struct store_batch *b) {
    return store_commit(s, &b, 1, err, sizeof(err));
}

static inline void check_row(const struct store *s, uint64_t place, uint64_t actor, uint64_t i) {
    const struct env_columns *c = store_columns(s);
    for (int j = 0; j < O; j++) {
        assert_true(c->obs[place * O + (uint64_t)j] == number(actor, i, j));
        assert_true(c->next_obs[place * O + (uint64_t)j] == number(actor, i, j) + 0.5f);
    }
    assert_true(c->act[place * A + 1] == 0.5f);
    assert_true(c->reward[place] == -number(actor, i, 0));
    assert_int_equal(c->flags[place], i % 10 == 9 ? WIRE_TRUNCATED : 0);
}

#endif
