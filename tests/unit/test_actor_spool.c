// SPDX-License-Identifier: MIT
// Shows that an actor sends on what an earlier process kept in a file, as the start that made it,
// and that dropped rows use up no credit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/unit/actor_world.h"

static uint64_t block[1024]; // stands for a file

static struct world *start(bool drops) {
    struct world *w = world_make(false);
    const struct spool_home home = {
        .path = "rows", .block = block, .bytes = sizeof(block), .drops = drops};
    actor_use_spool(w->actor, &home);
    pass(w, 50);
    return w;
}

static void a_new_process_sends_what_was_kept(void **state) {
    (void)state;
    memset(block, 0, sizeof(block));
    struct world *w = start(false);
    assert_int_equal(find_sent(w, WIRE_HELLO, 0)->hello.incarnation, 0);
    welcome(w);
    credit(w, 10, 10, 0, 0);
    step(w);
    assert_int_equal(rows_sent(w), 10);
    world_free(w); // as if it were killed

    w = start(false);
    const struct wire_msg *hello = find_sent(w, WIRE_HELLO, 0);
    assert_int_equal(hello->run_id, RUN);
    assert_true(hello->hello.incarnation != 0);
    sent_forget(&w->sent);
    welcome_with(w, 3, 8, 1); // the server has two messages of four rows
    assert_int_equal(count_sent(w, WIRE_TRANSITIONS), 1);
    const struct wire_msg *rest = find_sent(w, WIRE_TRANSITIONS, 0);
    assert_int_equal(rest->transitions.seq, 3);
    assert_int_equal(rest->transitions.rows.rows, 2);
    assert_true(rest->transitions.rows.obs[1] == 8 % EPISODE_STEPS); // where the first process was
    // It made ten rows of its credit, so the next is the eleventh, in a new episode.
    assert_false(actor_may_step(w->actor));
    credit(w, 12, 12, 0, 0);
    sent_forget(&w->sent);
    step(w);
    assert_int_equal(rows_sent(w), 2);
    rest = find_sent(w, WIRE_TRANSITIONS, 0);
    assert_int_equal(rest->transitions.seq, 4);
    assert_true(rest->transitions.rows.obs[1] == 0);
    world_free(w);
}

static void rows_of_another_actor_are_not_sent(void **state) {
    (void)state;
    memset(block, 0, sizeof(block));
    struct world *w = start(false);
    welcome(w);
    credit(w, 3, 3, 0, 0);
    step(w);
    world_free(w);
    w = world_make(false);
    w->who.id = "actor-1";
    const struct spool_home home = {.path = "rows", .block = block, .bytes = sizeof(block)};
    actor_use_spool(w->actor, &home);
    int code;
    assert_true(finished(w, &code));
    assert_int_equal(code, EXIT_CODE_CONFIG);
    world_free(w);
}

static void dropped_rows_use_up_no_credit(void **state) {
    (void)state;
    struct world *w = world_make(false);
    const struct spool_home home = {.drops = true}; // in memory, for UNACKED_MAX rows
    actor_use_spool(w->actor, &home);
    pass(w, 50);
    welcome(w);
    credit(w, 20, 20, 0, 0);
    w->deaf = true;
    for (int i = 0; i < 10; i++) {
        assert_true(actor_may_step(w->actor));
        actor_step(w->actor, w->now_ms);
    }
    uint64_t dropped = counter(w, "rows_dropped");
    assert_in_range(dropped, 80 - UNACKED_MAX, 80);
    w->deaf = false;
    sent_forget(&w->sent);
    pass(w, 50);
    assert_int_equal(rows_sent(w), 80 - dropped);
    assert_int_equal(find_sent(w, WIRE_TRANSITIONS, 0)->transitions.seq, 1);
    struct wire_msg ack = {.type = WIRE_ACK, .ack = {.seq = 3}};
    hear(w, PORT_MODELSERVER, &ack);
    assert_int_equal(line_of(w).unacked_rows, 0);
    // The server has seen twelve rows, and eight more are allowed.
    assert_true(actor_may_step(w->actor));
    credit(w, 80 - dropped, 80, 0, 0);
    assert_false(actor_may_step(w->actor));
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_process_sends_what_was_kept),
        cmocka_unit_test(rows_of_another_actor_are_not_sent),
        cmocka_unit_test(dropped_rows_use_up_no_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
