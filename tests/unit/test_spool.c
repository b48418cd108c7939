// SPDX-License-Identifier: MIT
// Shows that the spool keeps an actor's rows in order until they are acknowledged: division into
// messages, resending, and the row that a bad step may still mark.
//
// Row k has numbers derived from k, so the rows of each message are known.
#include "actor/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { O = 2, A = 1, CAPACITY = 10, BATCH_MAX = 4 };

static struct spool *spool;
static uint64_t made; // rows pushed

static int set_up(void **state) {
    (void)state;
    spool = spool_create(CAPACITY, BATCH_MAX, O, A);
    made = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spool_destroy(&spool);
    return 0;
}

static uint64_t push(uint64_t policy_version, uint8_t flags) {
    float k = (float)made++;
    float obs[O] = {k, k + 0.25f}, next[O] = {-k, -k - 0.25f}, act[A] = {k / 2};
    struct vec_env_row row = {.obs = obs,
                              .act = act,
                              .next_obs = next,
                              .reward = 2 * k,
                              .flags = flags,
                              .policy_version = policy_version};
    return spool_push(spool, &row, 1000);
}

static void push_many(int n, uint64_t policy_version) {
    for (int i = 0; i < n; i++) {
        push(policy_version, 0);
    }
}

// The next message holds rows first, first + 1, ... of one policy; it is then sent.
static void expect_message(uint64_t seq, uint64_t first, uint32_t rows, uint64_t policy_version) {
    struct wire_transitions t;
    assert_true(spool_next(spool, &t));
    assert_int_equal(t.seq, seq);
    assert_int_equal(t.rows.rows, rows);
    assert_int_equal(t.policy_version, policy_version);
    for (uint32_t i = 0; i < rows; i++) {
        float k = (float)(first + i);
        assert_true(t.rows.obs[i * O] == k && t.rows.obs[i * O + 1] == k + 0.25f);
        assert_true(t.rows.next_obs[i * O] == -k && t.rows.next_obs[i * O + 1] == -k - 0.25f);
        assert_true(t.rows.act[i] == k / 2 && t.rows.reward[i] == 2 * k);
    }
    spool_sent(spool);
}

static void expect_nothing(void) {
    struct wire_transitions t;
    assert_false(spool_next(spool, &t));
}

static void messages_are_cut(void **state) {
    (void)state;
    push_many(4, 1); // a full message
    push_many(2, 1); // one that the next policy ends
    push_many(1, 2);
    expect_message(1, 0, 4, 1);
    expect_message(2, 4, 2, 1);
    expect_nothing(); // the open one waits
    spool_seal(spool);
    spool_seal(spool); // nothing to close any more
    expect_message(3, 6, 1, 2);
    expect_nothing();
    assert_true(spool_ack(spool, 3));
    // Three places are left before the ring's end: a message does not wrap around.
    push_many(4, 2);
    spool_seal(spool);
    expect_message(4, 7, 3, 2);
    expect_message(5, 10, 1, 2);
}

static void full_until_acknowledged(void **state) {
    (void)state;
    push_many(CAPACITY, 1);
    assert_true(spool_full(spool));
    expect_message(1, 0, 4, 1);
    expect_message(2, 4, 4, 1);
    assert_int_equal(spool_in_flight(spool), 2);
    assert_true(spool_ack(spool, 1));
    assert_false(spool_full(spool));
    assert_int_equal(spool_rows(spool), 6);
    assert_int_equal(spool_in_flight(spool), 1);
    assert_int_equal(spool_acked(spool), 1);
    assert_true(spool_ack(spool, 1)); // again
    assert_int_equal(spool_rows(spool), 6);
    assert_false(spool_ack(spool, 4)); // message 4 was never made
    assert_true(spool_ack(spool, 3));
    assert_int_equal(spool_rows(spool), 0);
}

static void resends_what_is_not_acknowledged(void **state) {
    (void)state;
    push_many(9, 1);
    spool_seal(spool);
    expect_message(1, 0, 4, 1);
    expect_message(2, 4, 4, 1);
    assert_true(spool_ack(spool, 1));
    assert_int_equal(spool_rewind(spool), 1);
    assert_int_equal(spool_in_flight(spool), 0);
    expect_message(2, 4, 4, 1);
    expect_message(3, 8, 1, 1);
    // An acknowledgement that comes after all: nothing of it is sent a third time.
    assert_int_equal(spool_rewind(spool), 2);
    assert_true(spool_ack(spool, 2));
    assert_int_equal(spool_in_flight(spool), 0);
    expect_message(3, 8, 1, 1);
    expect_nothing();
}

static void only_an_open_row_is_marked(void **state) {
    (void)state;
    struct wire_transitions t;
    push_many(1, 1);
    uint64_t ended = push(1, WIRE_TERMINATED), last = push(1, 0);
    assert_false(spool_truncate(spool, 0));
    assert_true(spool_truncate(spool, last));
    assert_true(spool_truncate(spool, ended)); // which has ended already, and stays so
    spool_seal(spool);
    assert_false(spool_truncate(spool, last)); // too late
    assert_true(spool_next(spool, &t));
    assert_int_equal(t.rows.flags[0], 0);
    assert_int_equal(t.rows.flags[1], WIRE_TERMINATED);
    assert_int_equal(t.rows.flags[2], WIRE_TRUNCATED);
}

// Messages that were never sent close up when the oldest goes.
static void the_oldest_make_room(void **state) {
    (void)state;
    push_many(CAPACITY, 1); // 4, 4 and an open one of 2, sealed at the ring's end
    assert_int_equal(spool_drop_oldest(spool), 4);
    assert_int_equal(spool_dropped(spool), 4);
    assert_int_equal(spool_rows(spool), 6);
    push_many(4, 1);
    expect_message(1, 4, 4, 1);
    expect_message(2, 8, 2, 1);
    expect_message(3, 10, 4, 1);
    expect_nothing();
    assert_false(spool_has_gap(spool));
    // Nothing is sealed: the open message goes.
    assert_true(spool_ack(spool, 3));
    push_many(3, 1);
    assert_int_equal(spool_drop_oldest(spool), 3);
    assert_int_equal(spool_rows(spool), 0);
    push_many(4, 1);
    expect_message(4, 17, 3, 1); // to the end of the ring
}

// A dropped message that was on its way: stored, or lost. The server's Welcome tells.
static void a_gap_is_closed_by_the_welcome(void **state) {
    (void)state;
    for (int stored = 0; stored < 2; stored++) {
        push_many(CAPACITY, 1);
        expect_message(1, 0, 4, 1);
        expect_message(2, 4, 4, 1);
        spool_drop_oldest(spool);
        assert_true(spool_has_gap(spool));
        assert_true(spool_welcome(spool, stored ? 2 : 1));
        assert_false(spool_has_gap(spool));
        spool_rewind(spool);
        expect_message(stored ? 2 : 1, 4, 4, 1);
        expect_message(stored ? 3 : 2, 8, 2, 1);
        assert_false(spool_welcome(spool, stored ? 1 : 0)); // below what is stored
        assert_true(spool_ack(spool, stored ? 3 : 2));
        assert_false(spool_welcome(spool, 1));
        assert_false(spool_welcome(spool, 9));
        tear_down(NULL);
        set_up(NULL);
    }
}

static uint64_t block[512]; // a file of an actor
static const struct spool_owner owner = {7, 3, "robot"};

// As if the process had ended at this point.
static struct spool *taken_over(uint64_t spoilt_rows) {
    uint64_t spoilt;
    free(spool); // without a word to the block
    spool = spool_continue(block, sizeof(block), &spoilt);
    assert_int_equal(spoilt, spoilt_rows);
    return spool;
}

static int set_up_block(void **state) {
    (void)state;
    memset(block, 0, sizeof(block));
    spool = spool_create_in(block, sizeof(block), BATCH_MAX, O, A, &owner);
    made = 0;
    return spool ? 0 : -1;
}

static void rows_survive_their_process(void **state) {
    (void)state;
    assert_null(spool_create_in(block, 100, BATCH_MAX, O, A, &owner));
    push_many(9, 1);
    expect_message(1, 0, 4, 1);
    expect_message(2, 4, 4, 1);
    assert_true(spool_ack(spool, 1));
    push(1, WIRE_TERMINATED);
    assert_non_null(taken_over(0));
    assert_string_equal(spool_owner(spool)->id, "robot");
    assert_true(spool_owner(spool)->run_id == 7 && spool_owner(spool)->incarnation == 3);
    assert_true(spool_fits(spool, O, A) && !spool_fits(spool, O, 2));
    assert_int_equal(spool_rows(spool), 6);
    assert_int_equal(spool_made(spool), 10);
    assert_int_equal(spool_ends(spool), 1);
    // The server has stored one that was not acknowledged.
    assert_true(spool_welcome(spool, 3));
    expect_message(3, 8, 2, 1);
    push_many(4, 2);
    expect_message(4, 10, 4, 2);
    assert_true(spool_ack(spool, 4));
    assert_null(taken_over(0)); // nothing is left to be sent
}

// Every state that a process can leave between two stores of one push.
static void a_message_is_not_taken_twice(void **state) {
    (void)state;
    static uint64_t before[512];
    push_many(2, 1);
    memcpy(before, block, sizeof(block));
    spool_seal(spool);
    // Sealed, but still open as well: the words of the open message are the old ones.
    for (size_t i = 0; i < 512; i++) {
        if (before[i] != 0 && block[i] == 0) {
            block[i] = before[i];
        }
    }
    assert_non_null(taken_over(0));
    assert_int_equal(spool_rows(spool), 2);
    expect_message(1, 0, 2, 1);
    expect_nothing();
}

static void spoilt_rows_are_left_out(void **state) {
    (void)state;
    push_many(7, 1);
    float *found = NULL;
    for (size_t i = 0; i < 2 * (sizeof(block) / sizeof(block[0])); i++) {
        float *x = (float *)(void *)block + i;
        found = *x == 5.25f ? x : found; // of row 5, in the open message
    }
    assert_non_null(found);
    *found = 0;
    assert_non_null(taken_over(3));
    assert_int_equal(spool_rows(spool), 4);
    expect_message(1, 0, 4, 1);
    expect_nothing();
    assert_int_equal(spool_dropped(spool), 3);
    // Counts that no actor reaches.
    enum { COUNTS = 296 }; // of messages acknowledged and sealed: their place in the block
    const uint64_t huge[] = {UINT64_MAX - 1, UINT64_MAX};
    uint64_t right[2];
    memcpy(right, (char *)block + COUNTS, sizeof(right));
    assert_int_equal(right[1] - right[0], 1);
    memcpy((char *)block + COUNTS, huge, sizeof(huge));
    assert_null(taken_over(0));
    memcpy((char *)block + COUNTS, right, sizeof(right));
    // A block of anything else is none.
    block[0]++;
    assert_null(taken_over(0));
}

#define WITH_BLOCK(test) cmocka_unit_test_setup_teardown(test, set_up_block, tear_down)
#define WITH_SPOOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SPOOL(messages_are_cut),
        WITH_SPOOL(full_until_acknowledged),
        WITH_SPOOL(resends_what_is_not_acknowledged),
        WITH_SPOOL(only_an_open_row_is_marked),
        WITH_SPOOL(the_oldest_make_room),
        WITH_SPOOL(a_gap_is_closed_by_the_welcome),
        WITH_BLOCK(rows_survive_their_process),
        WITH_BLOCK(a_message_is_not_taken_twice),
        WITH_BLOCK(spoilt_rows_are_left_out),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
