// SPDX-License-Identifier: MIT
// Shows that rows of another run's store are taken over by way of a child process: a store that is
// cut off, damaged, or shortened while it is read is an error with a sentence, not the end of the
// process, and no row of it is taken.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "modelserver/storage/store.h"
#include "modelserver/storage/store_size.h"
#include "modelserver/storage/store_source.h"

enum { O = 6, A = 2, ROWS = 6000, BATCH = 100, PAGE = 4096 };

static char dir[64], other[96], file[96], err[1024];

static struct store *must_open(const char *at) {
    struct store_meta meta = {.run_id = 7, .seed = 5, .task = "t", .obs_dim = O, .act_dim = A};
    struct store *s;
    if (store_open(&s, at, &meta, ROWS, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    return s;
}

// A store whose rewards are the places.
static int make_store(void **state) {
    (void)state;
    static float obs[BATCH * O], act[BATCH * A], reward[BATCH];
    static uint8_t flags[BATCH];
    snprintf(dir, sizeof(dir), "/tmp/spur-source-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(other, sizeof(other), "%s/other", dir);
    snprintf(file, sizeof(file), "%s/data.mdb", dir);
    struct store *s = must_open(dir);
    for (uint64_t seq = 1; seq <= ROWS / BATCH; seq++) {
        struct store_batch b = {.index = seq == 1 ? STORE_NEW_ACTOR : 0,
                                .role = WIRE_ROLE_ACTOR,
                                .id = "a",
                                .incarnation = 1,
                                .seq = seq,
                                .rows = BATCH,
                                .obs = obs,
                                .act = act,
                                .reward = reward,
                                .next_obs = obs,
                                .flags = flags};
        struct store_batch *batch = &b;
        for (uint64_t i = 0; i < BATCH; i++) {
            reward[i] = (float)((seq - 1) * BATCH + i);
        }
        if (store_commit(s, &batch, 1, err, sizeof(err)) != 1) {
            return -1;
        }
    }
    store_close(&s);
    return 0;
}

static int remove_store(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

static off_t size_of_file(void) {
    int fd = open(file, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    return size;
}

static void expect_refused(void) {
    struct store *s = must_open(other);
    assert_int_equal(store_take_rows(s, dir, ROWS, err, sizeof(err)), -1);
    assert_non_null(strstr(err, dir));
    assert_non_null(strstr(err, "damaged"));
    assert_int_equal(store_rows(s), 0);
    store_close(&s);
    s = must_open(other);
    assert_int_equal(store_rows(s), 0);
    store_close(&s);
}

static void a_store_that_is_cut_off_is_refused(void **state) {
    (void)state;
    assert_int_equal(truncate(file, size_of_file() / 2 / PAGE * PAGE), 0);
    expect_refused();
}

static void a_damaged_row_is_refused(void **state) {
    (void)state;
    int fd = open(file, O_RDWR);
    for (off_t page = 2; page < size_of_file() / PAGE; page++) {
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, page * PAGE + 3050), 1);
        byte ^= 16;
        assert_int_equal(pwrite(fd, &byte, 1, page * PAGE + 3050), 1);
    }
    close(fd);
    expect_refused();
    // The steps before the first damaged one are whole, and the sentence of its own run says so.
    struct store_meta meta = {.run_id = 7, .seed = 5, .task = "t", .obs_dim = O, .act_dim = A};
    struct store *s;
    assert_int_equal(store_open(&s, dir, &meta, ROWS, err, sizeof(err)), -1);
    const char *said = strstr(err, "--set from.rows=");
    assert_non_null(said);
    uint64_t whole = strtoull(said + strlen("--set from.rows="), NULL, 10);
    assert_true(whole > 0 && whole < BATCH);
    s = must_open(other);
    assert_int_equal(store_take_rows(s, dir, whole + 1, err, sizeof(err)), -1);
    assert_int_equal(store_take_rows(s, dir, whole, err, sizeof(err)), 0);
    assert_int_equal(store_rows(s), whole);
    store_close(&s);
}

static void a_store_that_shrinks_meanwhile_is_refused(void **state) {
    (void)state;
    const size_t len = store_row_bytes(O, A);
    unsigned char *row = xmalloc(len);
    struct store_source s;
    assert_int_equal(store_source_open(&s, dir, ROWS, len, err, sizeof(err)), 0);
    assert_int_equal(store_source_read(&s, row, len, err, sizeof(err)), 0);
    assert_int_equal(truncate(file, 2L * PAGE), 0); // the child waits for room in the pipe
    int rc = 0, read = 1;
    while (rc == 0 && read < ROWS) {
        rc = store_source_read(&s, row, len, err, sizeof(err));
        read += rc == 0;
    }
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err, "changed while its steps were taken over"));
    store_source_close(&s);
    free(row);
}

static void a_store_is_taken_over(void **state) {
    (void)state;
    struct store *from = must_open(dir), *s = must_open(other); // its run goes on
    assert_int_equal(store_take_rows(s, dir, ROWS / 2, err, sizeof(err)), 0);
    assert_int_equal(store_rows(s), ROWS / 2);
    for (int i = 0; i < ROWS / 2; i++) {
        assert_true(store_columns(s)->reward[i] == (float)i);
    }
    store_close(&s);
    store_close(&from);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, make_store, remove_store)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_store_is_taken_over),
        WITH_STORE(a_store_that_is_cut_off_is_refused),
        WITH_STORE(a_damaged_row_is_refused),
        WITH_STORE(a_store_that_shrinks_meanwhile_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
