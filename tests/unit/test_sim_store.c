// SPDX-License-Identifier: MIT
// Shows that the simulator's disk has the rules of the store: the same batches, good and bad ones,
// in groups, leave the same answers, actors, numbers of starts and rows in both, also after the
// store was closed and opened again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "modelserver/storage/store.h"
#include "tests/sim/sim.h"

enum { IDS = 8, PLACES = 3, GROUP = 5, ROWS = 3, GROUPS = 200, SEEDS = 4 };

struct both {
    struct store *store;
    struct sim *sim;
    char dir[64];
};

static void open_store(struct both *b, const struct task *task) {
    struct store_meta meta = {
        .run_id = 42, .obs_dim = (uint32_t)task->obs_dim, .act_dim = (uint32_t)task->act_dim};
    char err[512] = "";
    snprintf(meta.task, sizeof(meta.task), "%s", task->name);
    if (store_open(&b->store, b->dir, &meta, SIM_ROWS_MAX, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
}

static void remove_store(struct both *b) {
    const char *const files[] = {"data.mdb", "lock.mdb"};
    char path[96];
    store_close(&b->store);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", b->dir, files[i]);
        unlink(path);
    }
    rmdir(b->dir);
}

static const struct store_actor *find(const struct both *b, const char *id) {
    for (uint64_t i = 0; i < store_actor_count(b->store); i++) {
        if (strcmp(store_actor_at(b->store, i)->id, id) == 0) {
            return store_actor_at(b->store, i);
        }
    }
    return NULL;
}

// What a model server may send, with wrong numbers among it: later messages of a group follow an
// earlier one that fails, and starts overlap.
static void draw_batch(struct store_batch *batch, const struct both *b, struct rng *rng,
                       const float *numbers, const uint8_t *flags) {
    *batch = (struct store_batch){.role = WIRE_ROLE_ACTOR,
                                  .index = STORE_NEW_ACTOR,
                                  .incarnation = 1 + rng_below(rng, 3),
                                  .handed_out = rng_below(rng, 4) == 0,
                                  .rows = rng_below(rng, ROWS + 1),
                                  .rows_refused = rng_below(rng, 2),
                                  .obs = numbers,
                                  .act = numbers,
                                  .reward = numbers,
                                  .next_obs = numbers,
                                  .flags = flags};
    snprintf(batch->id, sizeof(batch->id), "actor-%u", rng_below(rng, IDS));
    if (rng_below(rng, 10) == 0) {
        batch->role = WIRE_ROLE_LEARNER;
        return;
    }
    const struct store_actor *known = find(b, batch->id);
    batch->index = known ? known->index : STORE_NEW_ACTOR;
    uint64_t count = store_actor_count(b->store);
    bool takes_over = !known && count >= PLACES; // the place of another id
    if (takes_over || rng_below(rng, 4) == 0) {  // the start of a process
        batch->index = takes_over ? rng_below(rng, (uint32_t)count) : batch->index;
        batch->rows = 0;
        return;
    }
    batch->incarnation = known && rng_below(rng, 4) > 0 ? known->incarnation : batch->incarnation;
    batch->seq = (known ? known->seq : 0) + rng_below(rng, 3);
}

static void expect_equal(const struct both *b) {
    const struct sim_disk *d = &b->sim->disk;
    const struct env_columns *c = store_columns(b->store);
    assert_int_equal(d->actors, store_actor_count(b->store));
    for (uint64_t i = 0; i < d->actors; i++) {
        const struct store_actor *fake = &d->actor[i], *real = store_actor_at(b->store, i);
        assert_string_equal(fake->id, real->id);
        assert_int_equal(fake->index, real->index);
        assert_int_equal(fake->incarnation, real->incarnation);
        assert_int_equal(fake->seq, real->seq);
        assert_int_equal(fake->steps_incarnation, real->steps_incarnation);
        assert_int_equal(fake->steps, real->steps);
        assert_int_equal(fake->episodes, real->episodes);
        assert_int_equal(fake->in_episode, real->in_episode);
    }
    for (int role = 0; role < STORE_ROLES; role++) {
        assert_int_equal(d->starts[role], store_starts(b->store, (enum wire_role)role));
    }
    uint64_t rows = store_rows(b->store);
    assert_int_equal(d->rows, rows);
    assert_memory_equal(d->obs, c->obs, rows * c->obs_dim * sizeof(float));
    assert_memory_equal(d->reward, c->reward, rows * sizeof(float));
    assert_memory_equal(d->flags, c->flags, rows);
}

static void commit_a_group(struct both *b, struct rng *rng) {
    static float numbers[GROUP][ROWS * 8];
    static uint8_t flags[GROUP][ROWS];
    struct store_batch real[GROUP], fake[GROUP], *reals[GROUP], *fakes[GROUP];
    int n = 1 + (int)rng_below(rng, GROUP);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < ROWS * 8; j++) {
            numbers[i][j] = (float)rng_uniform(rng);
            flags[i][j % ROWS] = (uint8_t)(rng_below(rng, 3) == 0 ? WIRE_TRUNCATED : 0);
        }
        draw_batch(&real[i], b, rng, numbers[i], flags[i]);
        fake[i] = real[i];
        reals[i] = &real[i];
        fakes[i] = &fake[i];
    }
    char err[256];
    store_commit(b->store, reals, n, err, sizeof(err));
    assert_int_equal(disk_commit(b->sim, fakes, n), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(fake[i].error, real[i].error);
        if (real[i].error == 0 && real[i].role == WIRE_ROLE_ACTOR) {
            assert_string_equal(fake[i].actor.id, real[i].actor.id);
            assert_int_equal(fake[i].actor.seq, real[i].actor.seq);
            assert_int_equal(fake[i].actor.steps, real[i].actor.steps);
        }
    }
}

static void the_disk_has_the_rules_of_the_store(void **state) {
    (void)state;
    const struct task *task = task_find("inverted_pendulum");
    log_init("test", LOG_ERROR, -1);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct both b = {.dir = "/tmp/spur-sim-store-XXXXXX"};
        struct rng rng = rng_make(seed, RNG_TEST, 80);
        assert_non_null(mkdtemp(b.dir));
        open_store(&b, task);
        b.sim = xcalloc(1, sizeof(*b.sim));
        disk_init(&b.sim->disk, task);
        for (int i = 1; i <= GROUPS; i++) {
            commit_a_group(&b, &rng);
            if (i % 25 == 0) {
                store_close(&b.store);
                open_store(&b, task);
            }
            expect_equal(&b);
        }
        assert_true(store_rows(b.store) > 20 && store_actor_count(b.store) >= PLACES);
        remove_store(&b);
        disk_deinit(&b.sim->disk);
        free(b.sim);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_disk_has_the_rules_of_the_store)};
    return cmocka_run_group_tests_name("sim_store", tests, NULL, NULL);
}
