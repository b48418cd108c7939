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

#define WITH_SPOOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SPOOL(messages_are_cut),
        WITH_SPOOL(full_until_acknowledged),
        WITH_SPOOL(resends_what_is_not_acknowledged),
        WITH_SPOOL(only_an_open_row_is_marked),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
