// SPDX-License-Identifier: MIT
// Spools: what a process left in the file of an actor's rows. What is taken over from it can be
// sent, acknowledged, dropped and added to.
#include <stdlib.h>
#include <string.h>

#include "actor/spool.h"
#include "common/base/check.h"
#include "tests/fuzz/fuzz.h"

enum { O = 2, A = 1, BYTES = 4096, BATCH = 4 };

static void push(struct spool *s, float k) {
    float obs[O] = {k, k + 1}, next[O] = {-k, 0}, act[A] = {k / 2};
    struct vec_env_row row = {
        .obs = obs, .act = act, .next_obs = next, .reward = k, .policy_version = 3};
    spool_push(s, &row, 1000);
}

// Sends all messages. Returns their rows; *seq becomes the number of the last one.
static uint64_t send_all(struct spool *s, uint64_t *seq) {
    struct wire_transitions t;
    uint64_t rows = 0;
    while (spool_next(s, &t)) {
        CHECK(t.rows.rows > 0);
        fuzz_read(t.rows.obs, t.rows.rows * t.rows.obs_dim * sizeof(float));
        fuzz_read(t.rows.next_obs, t.rows.rows * t.rows.obs_dim * sizeof(float));
        fuzz_read(t.rows.act, t.rows.rows * t.rows.act_dim * sizeof(float));
        fuzz_read(t.rows.reward, t.rows.rows * sizeof(float));
        fuzz_read(t.rows.flags, t.rows.rows);
        rows += t.rows.rows;
        *seq = t.seq;
        spool_sent(s);
    }
    return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    uint64_t spoilt = 0, seq = 0;
    void *block = xmalloc(len > 0 ? len : 1); // of exactly that size, for the sanitizer
    memcpy(block, data, len);
    struct spool *s = spool_continue(block, len, &spoilt);
    if (s) {
        fuzz_accept();
        fuzz_read(spool_owner(s), sizeof(struct spool_owner));
        spool_rewind(s);
        CHECK(send_all(s, &seq) == spool_rows(s));
        if (spool_fits(s, O, A)) {
            for (int i = 0; i < 3 * BATCH; i++) {
                if (spool_full(s)) {
                    spool_drop_oldest(s);
                }
                if (!spool_full(s)) {
                    push(s, (float)i);
                }
            }
            spool_seal(s);
        }
        spool_rewind(s);
        CHECK(send_all(s, &seq) == spool_rows(s));
        CHECK(seq == 0 || spool_ack(s, seq));
        CHECK(spool_rows(s) == 0);
        spool_destroy(&s);
    }
    free(block);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    const struct spool_owner owner = {.run_id = 7, .incarnation = 2, .id = "arm"};
    if (index > 2) {
        return 0;
    }
    memset(out, 0, BYTES);
    uint64_t *block = xmalloc(BYTES); // aligned as a mapped file is
    memset(block, 0, BYTES);
    struct spool *s = spool_create_in(block, BYTES, BATCH, O, A, &owner);
    CHECK(s);
    for (int i = 0; i < 10 + 7 * index; i++) {
        push(s, (float)i);
    }
    spool_seal(s);
    spool_ack(s, (uint64_t)index);
    spool_destroy(&s);
    memcpy(out, block, BYTES);
    free(block);
    return BYTES;
}
