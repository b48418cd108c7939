// SPDX-License-Identifier: MIT
// Stores: LMDB's file with rows, actors and identity. It is examined (store_vet.h) and opened; of
// an accepted one every row and actor is read. A damaged one must not end this process.
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "modelserver/storage/store.h"
#include "tests/fuzz/fuzz.h"

enum { O = 3, A = 2, ROWS = 40, ROWS_MAX = 64 };

static struct store *open_store(char *err, size_t err_len) {
    struct store_meta meta = {
        .run_id = 77, .seed = 5, .task = "hopper", .obs_dim = O, .act_dim = A};
    struct store *s = NULL;
    return store_open(&s, fuzz_folder(), &meta, ROWS_MAX, err, err_len) == 0 ? s : NULL;
}

static void read_rows(const struct store *s) {
    const struct env_columns *d = store_columns(s);
    size_t n = (size_t)store_rows(s);
    CHECK(n <= store_rows_max(s));
    fuzz_read(d->obs, n * O * sizeof(float));
    fuzz_read(d->act, n * A * sizeof(float));
    fuzz_read(d->reward, n * sizeof(float));
    fuzz_read(d->next_obs, n * O * sizeof(float));
    for (uint64_t i = 0; i < store_actor_count(s); i++) {
        const struct store_actor *a = store_actor_at(s, i);
        CHECK(a->index == i && memchr(a->id, '\0', sizeof(a->id)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char err[1024] = "";
    remove(fuzz_path("lock.mdb"));
    fuzz_write("data.mdb", data, len);
    struct store *s = open_store(err, sizeof(err));
    if (!s) {
        CHECK(err[0] != '\0');
        return 0;
    }
    fuzz_accept();
    read_rows(s);
    store_close(&s);
    return 0;
}

static void commit(struct store *s, const char *id, uint64_t index, uint64_t seq, uint32_t rows) {
    static float obs[ROWS * O], act[ROWS * A], reward[ROWS];
    static uint8_t flags[ROWS];
    char err[512] = "";
    for (int i = 0; i < ROWS * O; i++) {
        obs[i] = (float)i;
    }
    struct store_batch b = {.role = WIRE_ROLE_ACTOR,
                            .index = index,
                            .incarnation = 1,
                            .seq = seq,
                            .rows = rows,
                            .obs = obs,
                            .act = act,
                            .reward = reward,
                            .next_obs = obs,
                            .flags = flags};
    snprintf(b.id, sizeof(b.id), "%s", id);
    struct store_batch *one = &b;
    CHECK(store_commit(s, &one, 1, err, sizeof(err)) == 1);
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    char err[512] = "";
    if (index > 1) {
        return 0;
    }
    remove(fuzz_path("lock.mdb"));
    remove(fuzz_path("data.mdb"));
    struct store *s = open_store(err, sizeof(err));
    CHECK(s);
    if (index == 1) {
        commit(s, "arm", STORE_NEW_ACTOR, 0, 0);
        commit(s, "arm", 0, 1, ROWS / 2);
        commit(s, "leg", STORE_NEW_ACTOR, 0, 0);
        commit(s, "leg", 1, 1, ROWS / 2);
    }
    store_close(&s);
    return fuzz_take(out, "data.mdb");
}
