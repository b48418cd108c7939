// SPDX-License-Identifier: MIT
// Shows that the function of an env_wait runs at intervals while an environment is created, in
// another thread, never after the creation; that a false result ends the process; and that a stop
// between two creations refuses the next one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/env_factory.h"
#include "actor/env/keepalive.h"
#include "common/base/clock.h"

struct seen {
    int calls, calls_in_own_thread, abandoned;
    uint64_t last_ms;
    pthread_t caller;
    bool go_on;
    int stop_at;         // the call that returns false
    atomic_bool blocked; // until abandoned
};

static bool on_wait(void *arg, uint64_t now_ms, uint64_t since_ms) {
    assert_true(since_ms <= now_ms);
    struct seen *s = arg;
    s->calls++;
    s->go_on = s->go_on && s->calls < s->stop_at;
    s->calls_in_own_thread += pthread_equal(pthread_self(), s->caller) != 0;
    s->last_ms = now_ms;
    return s->go_on;
}

static void on_abandon(void *arg) {
    struct seen *s = arg;
    s->abandoned++;
    s->go_on = true;
    s->blocked = false;
}

static void sleep_long(void *arg) {
    (void)arg;
    usleep(5 * ENV_WAIT_MS * 1000);
}

static void return_at_once(void *arg) {
    (*(int *)arg)++;
}

static void block(void *arg) {
    struct seen *s = arg;
    while (s->blocked) {
        usleep(1000);
    }
}

static void heartbeats_continue(void **state) {
    (void)state;
    struct seen seen = {.caller = pthread_self(), .go_on = true, .stop_at = 100};
    struct env_wait wait = {.arg = &seen, .fn = on_wait};
    uint64_t begun_ms = clock_ms();
    assert_true(keepalive_call(&wait, sleep_long, NULL));
    uint64_t ended_ms = clock_ms();
    assert_in_range(seen.calls, 3, 6);
    assert_int_equal(seen.calls_in_own_thread, 1); // before the call
    assert_in_range(seen.last_ms, begun_ms + ENV_WAIT_MS, ended_ms);
    int calls = seen.calls;
    usleep(2 * ENV_WAIT_MS * 1000);
    assert_int_equal(seen.calls, calls);
}

static void a_short_call_is_not_delayed(void **state) {
    (void)state;
    int done = 0;
    struct seen seen = {.go_on = true, .stop_at = 100};
    struct env_wait wait = {.arg = &seen, .fn = on_wait};
    uint64_t begun_ms = clock_ms();
    for (int i = 0; i < 10; i++) {
        assert_true(keepalive_call(&wait, return_at_once, &done));
        assert_true(keepalive_call(NULL, return_at_once, &done));
    }
    assert_int_equal(done, 20);
    assert_true(clock_ms() - begun_ms < 10 * ENV_WAIT_MS);
}

static void a_stop_ends_the_process(void **state) {
    (void)state;
    struct seen seen = {.caller = pthread_self(), .go_on = true, .stop_at = 2, .blocked = true};
    struct env_wait wait = {.arg = &seen, .fn = on_wait, .abandon = on_abandon};
    assert_true(keepalive_call(&wait, block, &seen));
    assert_int_equal(seen.abandoned, 1);
}

static void a_stop_refuses_the_next_creation(void **state) {
    (void)state;
    char err[256];
    struct seen seen = {.caller = pthread_self(), .stop_at = 100};
    struct env_wait wait = {.arg = &seen, .fn = on_wait};
    const struct task *task = task_find("inverted_pendulum");
    assert_null(env_create_waiting(task, &wait, err, sizeof(err)));
    assert_non_null(strstr(err, "stopped before"));
    seen.go_on = true;
    struct env *env = env_create_waiting(task, &wait, err, sizeof(err));
    assert_non_null(env);
    env_destroy(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heartbeats_continue),
        cmocka_unit_test(a_short_call_is_not_delayed),
        cmocka_unit_test(a_stop_ends_the_process),
        cmocka_unit_test(a_stop_refuses_the_next_creation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
