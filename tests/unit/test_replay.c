// SPDX-License-Identifier: MIT
// Shows that a replay buffer keeps exactly the newest rows in order while its ring
// wraps, grows, shrinks and returns memory, and that sampling is uniform. A simple
// list of row numbers is the reference.
#include "learner/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/check.h"

#define O 3
#define A 2
#define ADD_MAX 4096

// Row k has numbers derived from k, different in each column.
static void make_rows(struct replay_rows *rows, uint64_t first, uint64_t n) {
    static float obs[ADD_MAX * O], act[ADD_MAX * A], reward[ADD_MAX], next_obs[ADD_MAX * O];
    static uint8_t terminated[ADD_MAX];
    assert_true(n <= ADD_MAX);
    for (uint64_t i = 0; i < n; i++) {
        float k = (float)(first + i);
        for (int j = 0; j < O; j++) {
            obs[i * O + (uint64_t)j] = k + 0.25f * (float)j;
            next_obs[i * O + (uint64_t)j] = -k - 0.25f * (float)j;
        }
        for (int j = 0; j < A; j++) {
            act[i * A + (uint64_t)j] = k * 0.5f + (float)j;
        }
        reward[i] = k * 2;
        terminated[i] = (first + i) % 7 == 0;
    }
    *rows = (struct replay_rows){n, obs, act, reward, next_obs, terminated};
}

static void add(struct replay *r, uint64_t first, uint64_t n) {
    struct replay_rows rows;
    make_rows(&rows, first, n);
    replay_add(r, &rows);
}

static void check_row(uint64_t k, const float *obs, const float *act, float reward,
                      const float *next_obs, bool terminated) {
    struct replay_rows want;
    make_rows(&want, k, 1);
    assert_memory_equal(obs, want.obs, O * sizeof(float));
    assert_memory_equal(act, want.act, A * sizeof(float));
    assert_memory_equal(next_obs, want.next_obs, O * sizeof(float));
    assert_true(reward == want.reward[0]);
    assert_int_equal(terminated, want.terminated[0]);
}

// The buffer holds rows first, first + 1, ... and nothing else.
static void check_holds(const struct replay *r, uint64_t first, uint64_t n) {
    assert_int_equal(r->len, n);
    uint64_t k = first;
    for (int part = 0; part < 2; part++) {
        struct replay_rows rows = replay_part(r, part);
        for (uint64_t i = 0; i < rows.n; i++, k++) {
            check_row(k, rows.obs + i * O, rows.act + i * A, rows.reward[i], rows.next_obs + i * O,
                      rows.terminated[i]);
        }
    }
    assert_int_equal(k, first + n);
}

static void init(struct replay *r, uint64_t reserved, uint64_t capacity) {
    char err[256];
    assert_int_equal(replay_init(r, O, A, reserved, capacity, err, sizeof(err)), 0);
}

static void test_first_in_first_out(void **state) {
    (void)state;
    struct replay r;
    init(&r, 10, 10);
    check_holds(&r, 0, 0);
    add(&r, 0, 7);
    check_holds(&r, 0, 7);
    add(&r, 7, 3);
    check_holds(&r, 0, 10);
    add(&r, 10, 1);
    check_holds(&r, 1, 10);
    add(&r, 11, 0);
    check_holds(&r, 1, 10);
    add(&r, 11, 25); // more than its capacity at once
    check_holds(&r, 26, 10);
    assert_int_equal(r.added, 36);
    replay_deinit(&r);
}

static void test_resize_keeps_the_newest(void **state) {
    (void)state;
    struct replay r;
    init(&r, 12, 5);
    add(&r, 0, 9);
    check_holds(&r, 4, 5);
    replay_resize(&r, 8); // growing keeps all rows, with room at once
    check_holds(&r, 4, 5);
    add(&r, 9, 3);
    check_holds(&r, 4, 8);
    add(&r, 12, 2);
    check_holds(&r, 6, 8);
    replay_resize(&r, 3);
    check_holds(&r, 11, 3);
    add(&r, 14, 1);
    check_holds(&r, 12, 3);
    replay_resize(&r, 12);
    add(&r, 15, 20);
    check_holds(&r, 23, 12);
    replay_resize(&r, 1);
    check_holds(&r, 34, 1);
    replay_deinit(&r);
}

// Random additions and resizes against a list of row numbers; with sizes that return
// memory many times.
static void test_against_a_list(void **state) {
    (void)state;
    enum { RESERVED = 100000 };
    struct replay r;
    init(&r, RESERVED, 1000);
    struct rng rng = rng_make(1, RNG_TEST, 7);
    uint64_t next = 0, held = 0, capacity = 1000;
    for (int round = 0; round < 600; round++) {
        if (rng_below(&rng, 8) == 0) {
            capacity = 1 + rng_below(&rng, rng_below(&rng, 4) == 0 ? RESERVED : 5000);
            replay_resize(&r, capacity);
            held = held < capacity ? held : capacity;
        }
        uint64_t n = rng_below(&rng, ADD_MAX + 1);
        add(&r, next, n);
        next += n;
        held = held + n < capacity ? held + n : capacity;
        assert_int_equal(r.len, held);
        if (round % 20 == 0) {
            check_holds(&r, next - held, held);
        }
    }
    check_holds(&r, next - held, held);
    assert_true(next > 5 * RESERVED); // the ring has wrapped
    replay_deinit(&r);
}

// Resident pages of the whole map, in bytes.
static size_t resident(const struct replay *r) {
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    char line[512];
    size_t total = 0;
    bool inside = false;
    while (fgets(line, sizeof(line), f)) {
        unsigned long from, to, kib;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = from < (unsigned long)r->map + r->map_size && to > (unsigned long)r->map;
        } else if (inside && sscanf(line, "Rss: %lu kB", &kib) == 1) {
            total += kib * 1024;
        }
    }
    fclose(f);
    return total;
}

// A large reservation with a small capacity uses memory for the capacity only, also
// after the ring has wrapped.
static void test_memory_follows_the_capacity(void **state) {
    (void)state;
    enum { RESERVED = 1000000, CAPACITY = 50000 };
    struct replay r;
    init(&r, RESERVED, CAPACITY);
    for (uint64_t k = 0; k < 2 * RESERVED; k += ADD_MAX) {
        add(&r, k, ADD_MAX);
    }
    size_t now = resident(&r), want = replay_bytes(O, A, CAPACITY);
    size_t slack = 3u << 20;
    if (now > want + slack || now < want / 2) {
        fail_msg("resident %zu bytes, the rows take %zu", now, want);
    }
    replay_deinit(&r);
}

// Hardly more space than the rows need: the newest row is next to the places whose pages are
// given back, and often on the same page.
static void test_memory_given_back_holds_no_rows(void **state) {
    (void)state;
    enum { CAPACITY = 5000, ADDED = 500 };
    uint64_t place_bytes = replay_bytes(O, A, 1), spare = (1u << 20) / place_bytes + 2;
    struct replay r;
    init(&r, CAPACITY + spare, CAPACITY);
    int given_back = 0;
    for (uint64_t k = 0; k < 4 * r.reserved; k += ADDED) {
        uint64_t behind = r.behind;
        add(&r, k, ADDED);
        if (r.behind < behind) {
            check_holds(&r, k + ADDED - CAPACITY, CAPACITY);
            given_back++;
        }
    }
    assert_in_range(given_back, 3, 5); // once a lap
    replay_deinit(&r);
}

static void test_samples_are_uniform(void **state) {
    (void)state;
    enum { ROWS = 50, DRAWS = 200, B = 100 };
    struct replay r;
    init(&r, 64, ROWS);
    add(&r, 0, 45);
    add(&r, 45, 45); // rows 40..89, over the ring's end
    assert_int_equal(r.first, 40);
    struct replay_batch batch;
    replay_batch_init(&batch, B, O, A);
    int count[ROWS] = {0};
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        struct rng rng = rng_make(3, RNG_TEST, draw);
        replay_sample(&batch, 0, B, &r, &rng);
        for (int i = 0; i < B; i++) {
            uint64_t k = (uint64_t)(batch.reward[i] / 2);
            assert_in_range(k, 40, 89);
            check_row(k, batch.obs + i * O, batch.act + i * A, batch.reward[i],
                      batch.next_obs + i * O, batch.terminated[i] > 0.5f);
            count[k - 40]++;
        }
    }
    // Chi-square with 49 degrees of freedom: 0.999 of all are below 85.4.
    double expected = (double)DRAWS * B / ROWS, chi2 = 0;
    for (int k = 0; k < ROWS; k++) {
        chi2 += (count[k] - expected) * (count[k] - expected) / expected;
    }
    if (chi2 > 85.4 || chi2 < 20) {
        fail_msg("chi-square %.1f with 49 degrees of freedom, seed 3", chi2);
    }
    replay_batch_deinit(&batch);
    replay_deinit(&r);
}

// A mixed batch: each sample fills its own rows only.
static void test_sample_at_an_offset(void **state) {
    (void)state;
    struct replay low, high;
    init(&low, 10, 10);
    init(&high, 10, 10);
    add(&low, 0, 10);
    add(&high, 1000, 10);
    struct replay_batch batch;
    replay_batch_init(&batch, 8, O, A);
    struct rng rng = rng_make(1, RNG_TEST, 0);
    replay_sample(&batch, 0, 3, &low, &rng);
    replay_sample(&batch, 3, 5, &high, &rng);
    replay_sample(&batch, 8, 0, &low, &rng);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(batch.reward[i] >= 2000, i >= 3);
    }
    // The same position in the stream samples the same rows.
    struct replay_batch again;
    replay_batch_init(&again, 8, O, A);
    rng = rng_make(1, RNG_TEST, 0);
    replay_sample(&again, 0, 3, &low, &rng);
    replay_sample(&again, 3, 5, &high, &rng);
    assert_memory_equal(batch.obs, again.obs, 8 * O * sizeof(float));
    replay_batch_deinit(&again);
    replay_batch_deinit(&batch);
    replay_deinit(&high);
    replay_deinit(&low);
}

static void test_refuses_more_than_the_machine_has(void **state) {
    (void)state;
    struct replay r;
    char err[256] = "";
    assert_int_equal(replay_init(&r, 1 << 20, 1 << 20, REPLAY_ROWS_MAX, 1, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "rows of replay"));
    replay_deinit(&r); // may be called on an empty buffer
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_resize_keeps_the_newest),
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_memory_follows_the_capacity),
        cmocka_unit_test(test_memory_given_back_holds_no_rows),
        cmocka_unit_test(test_samples_are_uniform),
        cmocka_unit_test(test_sample_at_an_offset),
        cmocka_unit_test(test_refuses_more_than_the_machine_has),
    };
    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
