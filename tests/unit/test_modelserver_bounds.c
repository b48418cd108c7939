// SPDX-License-Identifier: MIT
// Shows that the model server's core refuses wild rows by those that are stored: acknowledged with
// the others of their message, counted, and replaced by further credit.
#include <string.h>

#include "tests/unit/ms_setup.h"

// Three rows, of which the row `wild`, or all of them (3), have an observation of `value`.
static void send_wild_rows(uint64_t seq, int wild, float value) {
    enum { ROWS = 3, O = 4 };
    float obs[ROWS * O] = {0}, next_obs[ROWS * O] = {0}, act[ROWS] = {0}, reward[ROWS] = {1, 2, 3};
    const uint8_t flags[ROWS] = {0};
    for (int i = 0; i < ROWS; i++) {
        next_obs[i * O + 2] = wild == i || wild == ROWS ? value : 0;
    }
    struct wire_msg msg = {.type = WIRE_TRANSITIONS, .transitions = {.seq = seq}};
    msg.transitions.rows = (struct wire_rows){.rows = ROWS,
                                              .obs_dim = O,
                                              .act_dim = 1,
                                              .obs = obs,
                                              .act = act,
                                              .reward = reward,
                                              .next_obs = next_obs,
                                              .flags = flags};
    world_message(&w, ACTOR, &msg);
}

static void wild_rows_are_refused_and_counted(void **state) {
    (void)state;
    world_meet_actor(&w);
    send_wild_rows(1, 1, 1e20f);
    assert_int_equal(sent_last(&w.sent, ACTOR, WIRE_ACK)->ack.seq, 1);
    assert_int_equal(world_counter(&w, "rows_refused_bound"), 1);
    assert_int_equal(world_status(&w)->env_steps, 2);
    const struct env_columns *c = &w.sim->disk.columns;
    assert_true(c->reward[0] == 1 && c->reward[1] == 3); // the others, in order
    // The credit comes back, by a further row.
    send_wild_rows(2, 0, 1e6f); // few rows are known yet
    assert_int_equal(world_status(&w)->env_steps, 5);
    assert_true(sent_last(&w.sent, ACTOR, WIRE_CREDIT)->credit.steps_allowed > 20);
}

static void rows_that_arrive_make_the_bounds(void **state) {
    (void)state;
    w.config.data.bound_rows = 4;
    world_restart(&w);
    world_meet_actor(&w);
    send_wild_rows(1, 0, 1e6f); // the first rows have none
    send_wild_rows(2, 0, 1e6f);
    assert_int_equal(world_status(&w)->env_steps, 6);
    send_wild_rows(3, 1, 1e6f);
    assert_int_equal(world_status(&w)->env_steps, 8);
    assert_int_equal(world_counter(&w, "rows_refused_bound"), 1);
}

static void a_restart_judges_by_the_stored_rows(void **state) {
    (void)state;
    world_meet_actor(&w);
    world_rows(&w, ACTOR, 1, 6);
    w.config.data.bound_rows = 6;
    world_restart(&w);
    world_hello(&w, ACTOR, WIRE_ROLE_ACTOR, "actor-0", 2);
    send_wild_rows(1, 2, 1e6f);
    assert_int_equal(world_status(&w)->env_steps, 8);
    assert_int_equal(world_counter(&w, "rows_refused_bound"), 1);
    assert_null(strstr(world_status(&w)->waiting, "bounds"));
    // Nothing but wild rows: the run waits for others.
    send_wild_rows(2, 3, -1e6f);
    send_wild_rows(3, 3, -1e6f);
    assert_int_equal(world_status(&w)->env_steps, 8);
    assert_non_null(strstr(world_status(&w)->waiting, "for rows within the bounds"));
    assert_non_null(strstr(world_status(&w)->waiting, "actor-0: next_obs[2] is -1e+06"));
    send_wild_rows(4, 0, 0);
    assert_null(strstr(world_status(&w)->waiting, "bounds"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RATIO(wild_rows_are_refused_and_counted),
        RATIO(rows_that_arrive_make_the_bounds),
        RATIO(a_restart_judges_by_the_stored_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
