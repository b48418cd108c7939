// SPDX-License-Identifier: MIT
// Shows that processes that read the store cannot stop it: neither one that died in a
// transaction, nor one that stays in one for ever.
//
// LMDB does not reuse a page that a reader may still see. The map of a small store is 64 MiB; the
// commits of each test write about twice as much or more.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "modelserver/storage/store.h"
#include "modelserver/storage/store_size.h"

enum { COMMITS = 300, ACTORS = 1500 };

static char dir[64], path[96], lock[96];

static int make_dir(void **state) {
    (void)state;
    log_init("test", LOG_ERROR, -1);
    snprintf(dir, sizeof(dir), "/tmp/spur-store-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    snprintf(lock, sizeof(lock), "%s/lock.mdb", dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    unlink(path);
    unlink(lock);
    return rmdir(dir);
}

static struct store *open_store(void) {
    char err[512];
    struct store_meta meta = {.run_id = 7, .seed = 5, .task = "hopper", .obs_dim = 3, .act_dim = 1};
    struct store *s;
    if (store_open(&s, dir, &meta, 10, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    return s;
}

// Another process, which is in a transaction when this returns.
static pid_t start_reader(void) {
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        MDB_env *env;
        MDB_txn *txn;
        CHECK(mdb_env_create(&env) == 0);
        CHECK(mdb_env_open(env, dir, MDB_RDONLY, 0) == 0);
        CHECK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
        CHECK(write(ready[1], &byte, 1) == 1);
        for (;;) {
            pause();
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void end_reader(pid_t reader) {
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
}

// Each commit rewrites the entries of all actors.
static void commit_many(struct store *s) {
    char err[512] = "";
    static struct store_batch batch[ACTORS], *batches[ACTORS];
    for (uint64_t seq = 1; seq <= COMMITS; seq++) {
        for (int i = 0; i < ACTORS; i++) {
            batch[i] = (struct store_batch){.role = WIRE_ROLE_ACTOR,
                                            .index = seq == 1 ? STORE_NEW_ACTOR : (uint64_t)i,
                                            .incarnation = 1,
                                            .seq = seq};
            snprintf(batch[i].id, sizeof(batch[i].id), "%0200d", i);
            batches[i] = &batch[i];
        }
        if (store_commit(s, batches, ACTORS, err, sizeof(err)) != ACTORS) {
            fail_msg("commit %llu: %s", (unsigned long long)seq, err);
        }
    }
}

static uint64_t file_bytes(void) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void a_dead_reader_costs_nothing(void **state) {
    (void)state;
    struct store *s = open_store();
    end_reader(start_reader());
    commit_many(s);
    assert_true(file_bytes() <= store_disk_bytes(10, 3, 1)); // the map is that of before
    store_close(&s);
}

static void a_reader_that_stays_makes_the_file_grow(void **state) {
    (void)state;
    struct store *s = open_store();
    pid_t reader = start_reader();
    commit_many(s);
    assert_true(file_bytes() > store_disk_bytes(10, 3, 1)); // the map has grown
    end_reader(reader);
    store_close(&s);
    s = open_store(); // larger than the map of its configuration
    assert_int_equal(store_actor_at(s, 0)->seq, COMMITS);
    store_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_dead_reader_costs_nothing, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_reader_that_stays_makes_the_file_grow, make_dir,
                                        remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
