// SPDX-License-Identifier: MIT
// Shows that the worker thread executes commands in order between updates, that a late
// reader of its reports gets the newest policy and complete sums, that its results
// have the bits of a trainer without a thread, and that checkpoints do not stop updates.
// Also run under the thread sanitizer.
#include "learner/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "tests/unit/learner_fixture.h"

static atomic_int woken;

static void wake(void *arg) {
    (void)arg;
    atomic_fetch_add(&woken, 1);
}

static struct trainer_command *rows(uint64_t first, uint32_t n) {
    static struct fixture_rows memory;
    fixture_fill(&memory, first, n, 0);
    return fixture_command(&memory, n);
}

static struct trainer_command *grant(uint64_t updates) {
    struct trainer_command *c = trainer_command_create(TRAINER_GRANT);
    c->updates_allowed = updates;
    c->model_capacity = 200;
    return c;
}

static struct trainer *make(const struct config *config, const char *dir) {
    char err[1024];
    struct trainer *t = trainer_create(config, fixture_task(), dir, err, sizeof(err));
    assert_non_null(t);
    return t;
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void test_same_bits_as_without_a_thread(void **state) {
    (void)state;
    char dir[PATH_MAX], err[256];
    fixture_folder(dir);
    struct config config = fixture_config();
    struct trainer *by_hand = make(&config, dir), *threaded = make(&config, dir);
    trainer_handle(by_hand, rows(0, 100));
    trainer_handle(by_hand, grant(200));
    while (trainer_can_update(by_hand)) {
        trainer_update(by_hand);
    }

    struct worker *w = worker_create(threaded, 16, wake, NULL, err, sizeof(err));
    assert_non_null(w);
    size_t n = fixture_sac(by_hand)->sac.policy_n;
    float *params = xfloats(n);
    struct trainer_report report;
    uint64_t version = 0, updates = 0, newest = 0, sum_n = 0;
    assert_true(worker_take(w, &report, params, &version, &updates));
    assert_int_equal(version, 1); // the initial policy
    assert_true(worker_submit(w, rows(0, 100)));
    assert_true(worker_submit(w, grant(200)));
    uint64_t until = clock_ms() + 60000;
    do {
        if (worker_take(w, &report, params, &version, &updates)) {
            assert_true(version > newest);
            assert_int_equal(updates, (version - 1) * 4);
            newest = version;
        }
        sum_n += report.sum.n;
        nap();
    } while ((report.updates < 200 || newest < 51) && clock_ms() < until);
    assert_int_equal(report.updates, 200);
    assert_int_equal(newest, 51);
    assert_int_equal(sum_n, 200); // figures of each update are reported once
    assert_true(atomic_load(&woken) > 0);
    assert_memory_equal(params, trainer_policy(by_hand).params, n * sizeof(float));
    worker_destroy(&w);
    const struct sac *one = &fixture_sac(threaded)->sac, *other = &fixture_sac(by_hand)->sac;
    assert_memory_equal(one->critic_params, other->critic_params, one->critic_n * sizeof(float));
    free(params);
    trainer_destroy(&by_hand);
    trainer_destroy(&threaded);
    fixture_remove(dir);
}

// Commands that arrive during updates do not wait for the end of the grant.
static void test_data_does_not_wait_for_updates(void **state) {
    (void)state;
    char dir[PATH_MAX], err[256];
    fixture_folder(dir);
    struct config config = fixture_config();
    struct trainer *t = make(&config, dir);
    struct worker *w = worker_create(t, 16, wake, NULL, err, sizeof(err));
    assert_non_null(w);
    float *params = xfloats(fixture_sac(t)->sac.policy_n);
    struct trainer_report report;
    uint64_t version, updates, until = clock_ms() + 60000;
    assert_true(worker_submit(w, rows(0, 50)));
    assert_true(worker_submit(w, grant(UINT32_MAX)));
    for (uint64_t i = 1; i <= 50; i++) {
        struct trainer_command *command = rows(i * 50, 10);
        while (!worker_submit(w, command) && clock_ms() < until) {
            nap();
        }
    }
    do {
        worker_take(w, &report, params, &version, &updates);
        nap();
    } while (report.real_rows < 550 && clock_ms() < until);
    assert_int_equal(report.real_rows, 550);
    assert_true(report.updates < UINT32_MAX);
    // It may be destroyed during updates, with waiting commands.
    worker_submit(w, rows(0, 10));
    worker_destroy(&w);
    trainer_destroy(&t);
    free(params);
    fixture_remove(dir);
}

static void test_a_full_queue_is_reported(void **state) {
    (void)state;
    char dir[PATH_MAX], err[256];
    fixture_folder(dir);
    struct config config = fixture_config();
    struct trainer *t = make(&config, dir);
    struct worker *w = worker_create(t, 2, wake, NULL, err, sizeof(err));
    assert_non_null(w);
    int refused = 0;
    for (int i = 0; i < 2000; i++) { // a checkpoint each: slower than this loop
        struct trainer_command *c = trainer_command_create(TRAINER_CHECKPOINT);
        if (!worker_submit(w, c)) {
            trainer_command_destroy(&c);
            refused++;
        }
    }
    assert_true(refused > 0);
    worker_destroy(&w);
    trainer_destroy(&t);
    fixture_remove(dir);
}

static struct trainer_report report_when(struct worker *w, float *params,
                                         bool (*done)(const struct trainer_report *)) {
    struct trainer_report report;
    uint64_t version, updates, until = clock_ms() + 60000;
    do {
        worker_take(w, &report, params, &version, &updates);
        nap();
    } while (!done(&report) && clock_ms() < until);
    return report;
}

static bool updated_100(const struct trainer_report *r) {
    return r->updates >= 100;
}

static bool one_failed(const struct trainer_report *r) {
    return r->checkpoint_failures == 1;
}

static bool one_written(const struct trainer_report *r) {
    return r->checkpoints == 1;
}

static bool finished(const struct trainer_report *r) {
    return r->finished;
}

// The disk is a pipe that nobody reads: the checkpoint does not end, and updates go on.
static void test_updates_go_on_while_a_checkpoint_is_written(void **state) {
    (void)state;
    char dir[PATH_MAX], pipe[PATH_MAX], err[256];
    fixture_folder(dir);
    struct config config = fixture_config();
    struct trainer *t = make(&config, dir);
    int len = snprintf(pipe, sizeof(pipe), "%.3000s/learner.safetensors.tmp.%d", t->staging,
                       (int)getpid());
    assert_true(len > 0 && mkfifo(pipe, 0600) == 0);
    struct worker *w = worker_create(t, 16, wake, NULL, err, sizeof(err));
    assert_non_null(w);
    float *params = xfloats(fixture_sac(t)->sac.policy_n);
    assert_true(worker_submit(w, rows(0, 50)));
    assert_true(worker_submit(w, trainer_command_create(TRAINER_CHECKPOINT)));
    assert_true(worker_submit(w, grant(100)));
    struct trainer_report report = report_when(w, params, updated_100);
    assert_int_equal(report.updates, 100);
    assert_int_equal(report.checkpoints + report.checkpoint_failures, 0);

    // A pipe cannot be synced: the checkpoint fails, and is reported while the worker is idle.
    int end = open(pipe, O_RDONLY | O_NONBLOCK);
    assert_true(end >= 0);
    char bytes[4096];
    struct pollfd readable = {.fd = end, .events = POLLIN};
    while (poll(&readable, 1, 10000) > 0 && read(end, bytes, sizeof(bytes)) > 0) {
    }
    report = report_when(w, params, one_failed);
    assert_int_equal(report.checkpoint_failures, 1);
    close(end);
    unlink(pipe);

    // The last checkpoint waits for the one that is being written.
    assert_true(worker_submit(w, trainer_command_create(TRAINER_CHECKPOINT)));
    report = report_when(w, params, one_written);
    assert_int_equal(report.checkpoints, 1);
    assert_true(worker_submit(w, trainer_command_create(TRAINER_CHECKPOINT)));
    assert_true(worker_submit(w, trainer_command_create(TRAINER_FINISH)));
    report = report_when(w, params, finished);
    assert_int_equal(report.checkpoints, 3);
    assert_true(report.saved);
    worker_destroy(&w);
    trainer_destroy(&t);
    t = make(&config, dir);
    assert_int_equal(t->updates, 100);
    trainer_destroy(&t);
    free(params);
    fixture_remove(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits_as_without_a_thread),
        cmocka_unit_test(test_data_does_not_wait_for_updates),
        cmocka_unit_test(test_a_full_queue_is_reported),
        cmocka_unit_test(test_updates_go_on_while_a_checkpoint_is_written),
    };
    return cmocka_run_group_tests_name("learner worker", tests, NULL, NULL);
}
