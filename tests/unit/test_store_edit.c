// SPDX-License-Identifier: MIT
// Shows that dropped rows are set aside whole, that others take their places without changing what
// actors have done, and that restoring gives the same store back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "modelserver/storage/store.h"
#include "modelserver/storage/store_edit.h"

enum { O = 2, A = 1, ROWS = 60 };

static char dir[64], err[512];

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/spur-edit-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

static struct store *must_open(void) {
    struct store_meta meta = {.run_id = 7, .seed = 5, .task = "t", .obs_dim = O, .act_dim = A};
    struct store *s;
    if (store_open(&s, dir, &meta, ROWS, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    return s;
}

// Two actors with 30 rows each; the reward is the place.
static void fill_store(void) {
    float obs[30 * O] = {0}, act[30 * A] = {0}, reward[30];
    uint8_t flags[30] = {0};
    struct store *s = must_open();
    for (int actor = 0; actor < 2; actor++) {
        struct store_batch b = {.index = STORE_NEW_ACTOR,
                                .role = WIRE_ROLE_ACTOR,
                                .incarnation = 1,
                                .seq = 1,
                                .rows = 30,
                                .obs = obs,
                                .act = act,
                                .reward = reward,
                                .next_obs = obs,
                                .flags = flags};
        struct store_batch *batch = &b;
        snprintf(b.id, sizeof(b.id), "actor-%d", actor);
        for (int i = 0; i < 30; i++) {
            reward[i] = (float)(30 * actor + i);
        }
        assert_int_equal(store_commit(s, &batch, 1, err, sizeof(err)), 1);
    }
    store_close(&s);
}

static struct store_edit open_edit(void) {
    struct store_edit e;
    if (store_edit_open(&e, dir, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    assert_int_equal(e.rows, ROWS);
    return e;
}

static void dropped_rows_are_set_aside_and_come_back(void **state) {
    (void)state;
    uint64_t count;
    bool chosen[ROWS] = {false}, all[ROWS];
    memset(all, true, sizeof(all));
    fill_store();
    struct store_edit e = open_edit();
    for (int i = 20; i < 40; i++) {
        chosen[i] = true;
    }
    assert_int_equal(store_edit_drop(&e, chosen, &count, err, sizeof(err)), 0);
    assert_int_equal(count, 20);
    assert_int_equal(store_edit_drop(&e, chosen, &count, err, sizeof(err)), 0);
    assert_int_equal(count, 0);
    chosen[5] = true; // what filled other places, maybe
    assert_int_equal(store_edit_drop(&e, chosen, &count, err, sizeof(err)), 0);
    assert_int_equal(count, 1);
    store_edit_close(&e);

    // The store is whole: it opens, with all rows, and none of the dropped ones.
    struct store *s = must_open();
    assert_int_equal(store_rows(s), ROWS);
    assert_int_equal(store_actor_at(s, 0)->steps, 30);
    int different = 0;
    for (int i = 0; i < ROWS; i++) {
        float reward = store_columns(s)->reward[i];
        assert_false(chosen[(int)reward]);
        assert_true(chosen[i] || reward == (float)i);
        different += chosen[i] && reward != store_columns(s)->reward[20];
    }
    assert_true(different > 10); // not one row everywhere
    store_close(&s);

    // Set aside as it was, and back to the bit.
    e = open_edit();
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(e.dropped[i], chosen[i]);
        assert_true(store_edit_numbers(&e, (uint64_t)i)[O + A] == (float)i);
        assert_int_equal(store_edit_header(&e, (uint64_t)i).actor, i / 30);
    }
    assert_int_equal(store_edit_restore(&e, all, &count, err, sizeof(err)), 0);
    assert_int_equal(count, 21);
    store_edit_close(&e);
    s = must_open();
    for (int i = 0; i < ROWS; i++) {
        assert_true(store_columns(s)->reward[i] == (float)i);
    }
    store_close(&s);
    e = open_edit();
    for (int i = 0; i < ROWS; i++) {
        assert_false(e.dropped[i]);
    }
    assert_int_equal(store_edit_drop(&e, all, &count, err, sizeof(err)), -1);
    assert_string_equal(err, "no step would be left");
    assert_false(e.dropped[0]);
    store_edit_close(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dropped_rows_are_set_aside_and_come_back, make_dir,
                                        remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
