// SPDX-License-Identifier: MIT
// Shows that the store keeps every acknowledged transition, each once, in order:
// across restarts, a SIGKILL at any instant, and a full disk.
//
// Rows are derived from (actor, index), so that each is unique. The kill is real: a
// child commits batches and reports each stored one; it is killed at a random moment,
// and the parent compares.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "modelserver/storage/store.h"
#include "modelserver/storage/store_row.h"
#include "proto/wire.h"
#include "tests/unit/store_fixture.h"

static void rows_and_actors_survive(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *a = new_batch(), *b = new_batch();
    fill(a, "actor-a", 1, 100, 1, 0, 12);
    fill(b, "actor-b", 2, 200, 1, 0, 7);
    struct store_batch *both[] = {a, b};
    assert_int_equal(store_commit(s, both, 2, err, sizeof(err)), 2);
    assert_int_equal(a->actor.index, 0);
    assert_int_equal(b->actor.index, 1);
    assert_int_equal(a->actor.episodes, 2); // rows 0..9 and 10..11
    assert_true(a->actor.in_episode);
    fill(a, "actor-a", 1, 100, 2, 12, 8); // ends with row 19: an episode's end
    assert_int_equal(commit_one(s, a), 1);
    assert_false(a->actor.in_episode);
    store_close(&s);

    struct store_meta meta = some_meta();
    meta.run_id = 12345;
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(meta.run_id, 77); // from the store
    assert_int_equal(store_rows(s), 27);
    for (uint64_t i = 0; i < 27; i++) {
        bool of_b = i >= 12 && i < 19;
        check_row(s, i, of_b ? 2 : 1, of_b ? i - 12 : i < 12 ? i : i - 7);
    }
    assert_int_equal(store_actor_count(s), 2);
    const struct store_actor *actor = store_actor_at(s, 0);
    assert_string_equal(actor->id, "actor-a");
    assert_int_equal(actor->incarnation, 100);
    assert_int_equal(actor->seq, 2);
    assert_int_equal(actor->steps, 20);
    assert_int_equal(actor->episodes, 2);
    store_close(&s);
    free(a);
    free(b);
}

static void order_is_kept(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 3);
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(commit_one(s, b), 0); // repeated
    assert_int_equal(b->error, -ESTALE);
    fill(b, "a", 1, 5, 3, 3, 3); // a gap
    assert_int_equal(commit_one(s, b), 0);
    assert_int_equal(b->error, -ESTALE);
    fill(b, "a", 1, 4, 2, 3, 3); // of an older start
    assert_int_equal(commit_one(s, b), 0);
    fill(b, "a", 1, 5, 2, 0, 0); // acknowledged without rows
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.seq, 2);
    fill(b, "a", 1, 4, 1, 3, 3); // an older start, which was not begun again
    assert_int_equal(commit_one(s, b), 0);
    assert_int_equal(b->error, -ESTALE);
    fill(b, "a", 1, 3, 0, 0, 0); // a new start, whose clock is behind
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.incarnation, 3);
    fill(b, "a", 1, 6, 0, 0, 0); // another
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.seq, 0);
    assert_int_equal(b->actor.steps_incarnation, 0);
    assert_int_equal(b->actor.steps, 3);
    fill(b, "a", 1, 6, 1, 3, 2);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.episodes, 2); // a new start begins a new episode
    assert_int_equal(store_rows(s), 5);
    store_close(&s);
    free(b);
}

static void a_failed_batch_takes_its_followers_along(void **state) {
    (void)state;
    struct store *s = must_open(8);
    struct store_batch *b[3];
    for (uint64_t i = 0; i < 3; i++) {
        b[i] = new_batch();
        fill(b[i], "a", 1, 5, i + 1, i * 3, i == 1 ? 6 : 3);
    }
    assert_int_equal(store_commit(s, b, 3, err, sizeof(err)), 1);
    assert_int_equal(b[0]->error, 0);
    assert_int_equal(b[1]->error, -ENOBUFS); // 3 + 6 rows, room for 8
    assert_int_equal(b[2]->error, -ESTALE);
    assert_int_equal(store_rows(s), 3);
    store_close(&s);
    s = must_open(8);
    assert_int_equal(store_actor_at(s, 0)->seq, 1);
    store_close(&s);
    for (int i = 0; i < 3; i++) {
        free(b[i]);
    }
}

// A new id takes over the place of one that is forgotten: its counts go on, its name is gone.
static void places_are_taken_over(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "old", 1, 5, 1, 0, 7);
    assert_int_equal(commit_one(s, b), 1);
    fill(b, "other", 2, 6, 1, 0, 3);
    assert_int_equal(commit_one(s, b), 1);
    fill(b, "new", 1, 9, 0, 0, 0);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.index, 0);
    assert_int_equal(b->actor.seq, 0);
    assert_int_equal(b->actor.steps_incarnation, 0);
    assert_int_equal(b->actor.steps, 7);
    fill(b, "new", 1, 9, 1, 7, 2);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    // A place is never another's who has one already.
    fill(b, "other", 2, 7, 0, 0, 0);
    b->index = 0;
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.index, 1);
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_actor_count(s), 2);
    assert_string_equal(store_actor_at(s, 0)->id, "new");
    assert_int_equal(store_actor_at(s, 0)->incarnation, 9);
    assert_int_equal(store_actor_at(s, 0)->steps, 9);
    assert_string_equal(store_actor_at(s, 1)->id, "other");
    fill(b, "old", 3, 5, 1, 0, 1); // it is new again
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.index, 2);
    assert_int_equal(b->actor.steps, 1);
    store_close(&s);
    free(b);
}

// A number that was handed out is on disk with the batch that begins the start.
static void numbers_of_starts_survive(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 4, 0, 0, 0);
    b->handed_out = true;
    assert_int_equal(commit_one(s, b), 1);
    fill(b, "learner", 1, 11, 0, 0, 0);
    b->role = WIRE_ROLE_LEARNER;
    b->handed_out = true;
    assert_int_equal(commit_one(s, b), 1);
    b->incarnation = 3; // chosen by a client of before, or stored late
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_starts(s, WIRE_ROLE_ACTOR), 4);
    assert_int_equal(store_starts(s, WIRE_ROLE_LEARNER), 11);
    assert_int_equal(store_starts(s, WIRE_ROLE_EVALUATOR), 0);
    assert_int_equal(store_actor_count(s), 1); // the learner has no entry
    store_close(&s);
    free(b);
}

static void another_run_is_refused(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    store_close(&s);
    struct store_meta meta = some_meta();
    snprintf(meta.task, sizeof(meta.task), "inverted_pendulum");
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "hopper"));
    assert_non_null(strstr(err, "inverted_pendulum"));
    meta = some_meta();
    meta.obs_dim = 4;
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    meta = some_meta();
    meta.seed = 6;
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "seed"));
    assert_null(s);
    meta = some_meta();
    char inside_a_file[96];
    snprintf(inside_a_file, sizeof(inside_a_file), "%s/data.mdb/store", dir);
    assert_int_equal(store_open(&s, inside_a_file, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, inside_a_file));
}

static void rows_of_another_run_are_taken_over(void **state) {
    (void)state;
    struct store *from = must_open(ROWS_MAX), *s;
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 100);
    assert_int_equal(commit_one(from, b), 1);
    // The other store stays open: its run may go on.
    char other[80];
    snprintf(other, sizeof(other), "%s-other", dir);
    struct store_meta meta = {.run_id = 9, .seed = 8, .task = "new", .obs_dim = O, .act_dim = A};
    assert_int_equal(store_open(&s, other, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(store_take_rows(s, dir, 101, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "contains 100 real steps, fewer than from.rows, 101"));
    assert_int_equal(store_rows(s), 0);
    assert_int_equal(store_take_rows(s, "/nowhere", 1, err, sizeof(err)), -1);
    assert_int_equal(store_take_rows(s, dir, 60, err, sizeof(err)), 0);
    assert_int_equal(store_rows(s), 60);
    // Own rows follow, with own actors; all of it survives.
    fill(b, "a", 2, 1, 1, 0, 5);
    assert_int_equal(commit_one(s, b), 1);
    assert_int_equal(b->actor.steps, 5);
    store_close(&s);
    assert_int_equal(store_open(&s, other, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(store_rows(s), 65);
    assert_int_equal(store_actor_count(s), 1);
    for (uint64_t i = 0; i < 65; i++) {
        check_row(s, i, i < 60 ? 1 : 2, i < 60 ? i : i - 60);
    }
    store_close(&s);
    // Other dimensions.
    char command[200];
    snprintf(command, sizeof(command), "rm -r %s", other);
    assert_int_equal(system(command), 0);
    meta.obs_dim = O + 1;
    assert_int_equal(store_open(&s, other, &meta, ROWS_MAX, err, sizeof(err)), 0);
    assert_int_equal(store_take_rows(s, dir, 60, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "other dimensions"));
    assert_int_equal(store_rows(s), 0);
    store_close(&s);
    assert_int_equal(system(command), 0);
    store_close(&from);
    free(b);
}

static void a_full_disk_stores_nothing_and_heals(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 100);
    assert_int_equal(commit_one(s, b), 1);

    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 16 << 10;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    fill(b, "a", 1, 5, 2, 100, 1024);
    assert_int_equal(commit_one(s, b), 0);
    assert_true(b->error < 0 && b->error != -ESTALE);
    assert_non_null(strstr(err, "nothing could be stored"));
    assert_int_equal(store_rows(s), 100);
    setrlimit(RLIMIT_FSIZE, &before);

    assert_int_equal(commit_one(s, b), 1); // the same batch, resent
    assert_int_equal(store_rows(s), 1124);
    for (uint64_t i = 0; i < 1124; i++) {
        check_row(s, i, 1, i);
    }
    store_close(&s);
    free(b);
}

// The file is removed, replaced, or moved away for a while: rows may have been committed to it that
// were not acknowledged, so only a new opening knows what is stored.
static void a_file_that_is_no_longer_in_place_takes_nothing(void **state) {
    (void)state;
    char path[96], other[96];
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    snprintf(other, sizeof(other), "%s/lock.mdb", dir);
    enum { REMOVED, REPLACED, CUT_OFF, MOVED, FAULTS };
    for (int fault = REMOVED; fault < FAULTS; fault++) {
        struct store *s = must_open(ROWS_MAX);
        struct store_batch *b = new_batch();
        fill(b, "a", 1, 5, 1, 0, 100);
        assert_int_equal(commit_one(s, b), 1);
        assert_int_equal(fault == REMOVED    ? unlink(path)
                         : fault == REPLACED ? rename(other, path)
                         : fault == CUT_OFF  ? truncate(path, 8192)
                                             : rename(path, other),
                         0);
        fill(b, "a", 1, 5, 2, 100, 10);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(commit_one(s, b), 0);
            assert_int_equal(b->error, -ENOENT);
            assert_non_null(strstr(err, path));
            assert_non_null(strstr(err, "was removed, moved or replaced"));
            assert_true(fault != MOVED || again || rename(other, path) == 0);
        }
        assert_int_equal(store_rows(s), 100);
        store_close(&s);
        unlink(path);
        free(b);
    }
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0); // for remove_dir
}

// Makes writes by LMDB's descriptor for its last page of a transaction (O_DSYNC) fail.
static void break_the_last_write(void) {
    char path[96], link[64], target[128];
    data_path(path);
    for (int fd = 3; fd < 64; fd++) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, path) == 0 && (fcntl(fd, F_GETFL) & O_DSYNC)) {
            int broken = open(path, O_RDONLY);
            assert_int_equal(dup2(broken, fd), fd);
            close(broken);
        }
    }
}

static void a_disk_that_failed_is_said_and_final(void **state) {
    (void)state;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 100);
    assert_int_equal(commit_one(s, b), 1);
    break_the_last_write();
    fill(b, "a", 1, 5, 2, 100, 10);
    assert_int_equal(commit_one(s, b), 0);
    assert_true(b->error != 0 && b->error != -ESTALE);
    assert_int_equal(commit_one(s, b), 0);
    assert_int_equal(b->error, -ENOTRECOVERABLE);
    assert_non_null(strstr(err, "an earlier write failed"));
    assert_int_equal(store_rows(s), 100);
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_rows(s), 100);
    assert_int_equal(commit_one(s, b), 1); // sent again
    store_close(&s);
    free(b);
}

_Noreturn static void commit_until_killed(int told) {
    struct store_meta meta = some_meta();
    struct store *s;
    CHECK(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)) == 0);
    struct store_batch *b = new_batch();
    for (uint64_t seq = 1; seq <= ROWS_MAX / 4; seq++) {
        fill(b, "a", 1, 5, seq, (seq - 1) * 4, 4);
        CHECK(commit_one(s, b) == 1);
        CHECK(write(told, &seq, sizeof(seq)) == sizeof(seq));
    }
    _exit(0);
}

static void a_kill_loses_nothing_that_was_acknowledged(void **state) {
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        commit_until_killed(pipes[1]);
    }
    uint64_t seq = 0;
    while (seq < 20) { // let it start, then kill it at any point
        assert_int_equal(read(pipes[0], &seq, sizeof(seq)), sizeof(seq));
    }
    kill(child, SIGKILL);
    close(pipes[1]);
    waitpid(child, NULL, 0);
    while (read(pipes[0], &seq, sizeof(seq)) == sizeof(seq)) {
    }
    close(pipes[0]);

    struct store *s = must_open(ROWS_MAX);
    const struct store_actor *a = store_actor_at(s, 0);
    assert_true(a->seq >= seq);
    assert_int_equal(store_rows(s), a->seq * 4); // whole batches, each once
    assert_int_equal(a->steps, a->seq * 4);
    for (uint64_t i = 0; i < store_rows(s); i++) {
        check_row(s, i, 1, i);
    }
    store_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_and_actors_survive, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(order_is_kept, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_failed_batch_takes_its_followers_along, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(places_are_taken_over, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(numbers_of_starts_survive, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(another_run_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(rows_of_another_run_are_taken_over, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_full_disk_stores_nothing_and_heals, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_disk_that_failed_is_said_and_final, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_longer_in_place_takes_nothing, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_kill_loses_nothing_that_was_acknowledged, make_dir,
                                        remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
