// SPDX-License-Identifier: MIT
// Shows that the loop runs its callbacks on time: timers, wakes from another thread (also run under
// TSan), idle work, signals and messages. A peer that floods a socket delays neither timers nor
// other sockets. Children start, are reaped, can be stopped, ignore the terminal's Ctrl-C and die
// with their parent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/queue.h"
#include "common/io/loop.h"
#include "tests/unit/net_bytes.h"

// State of the callbacks.
struct world {
    struct loop *loop;
    struct net *net;
    struct net_socket *server, *client, *other;
    struct loop_idle *idle;
    struct loop_child *child;
    unsigned fired, wanted;
    unsigned messages, other_messages;
    uint64_t last_ms, worst_gap_ms;
    int exit_status, term_signal;
    bool late; // the test took too long
};

static void too_late(void *arg) {
    struct world *w = arg;
    w->late = true;
    loop_stop(w->loop);
}

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    w->loop = loop_create();
    loop_add_timer(w->loop, 20000, 0, too_late, w); // limits each test
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    bool late = w->late;
    loop_destroy(&w->loop);
    net_close(&w->client);
    net_close(&w->other);
    net_close(&w->server);
    net_destroy(&w->net);
    free(w);
    return late ? -1 : 0;
}

static void fire(void *arg) {
    struct world *w = arg;
    if (++w->fired == w->wanted) {
        loop_stop(w->loop);
    }
}

static void stop(void *arg) {
    struct world *w = arg;
    loop_stop(w->loop);
}

// ---- timers, wakes, idle, signals ----

static void timers_fire_on_time(void **state) {
    struct world *w = *state;
    uint64_t start = clock_ms();
    w->wanted = 5;
    loop_add_timer(w->loop, 30, 20, fire, w);
    assert_int_equal(loop_run(w->loop), 0);
    uint64_t took = clock_ms() - start;
    assert_int_equal(w->fired, 5);
    assert_in_range(took, 105, 2000); // 30 + 4 * 20

    // A one-shot timer fires once, and a stopped loop can be run again.
    struct world once = {.loop = w->loop, .wanted = 100};
    loop_add_timer(w->loop, 1, 0, fire, &once);
    loop_add_timer(w->loop, 100, 0, stop, w);
    uint64_t before = loop_now_ms(w->loop);
    loop_run(w->loop);
    assert_int_equal(once.fired, 1);
    assert_true(loop_now_ms(w->loop) >= before + 99);
}

enum { ITEMS = 2000 };

struct worker {
    struct loop_wake *wake;
    struct queue *queue;
    struct loop *loop;
    uintptr_t next;
    unsigned wakes;
};

static void take_items(void *arg) {
    struct worker *w = arg;
    w->wakes++;
    void *item;
    while ((item = queue_pop(w->queue, 0)) != NULL) {
        assert_int_equal((uintptr_t)item, ++w->next);
    }
    if (w->next == ITEMS) {
        loop_stop(w->loop);
    }
}

static void *make_items(void *arg) {
    struct worker *w = arg;
    for (uintptr_t i = 1; i <= ITEMS; i++) {
        queue_push(w->queue, (void *)i);
        loop_wake_up(w->wake);
    }
    return NULL;
}

// As workers do: push to a queue, then wake. Wakes may be merged, but the last is never lost.
static void another_thread_wakes_the_loop(void **state) {
    struct world *w = *state;
    struct worker worker = {.loop = w->loop, .queue = queue_create(ITEMS)};
    worker.wake = loop_add_wake(w->loop, take_items, &worker);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, make_items, &worker), 0);
    loop_run(w->loop);
    pthread_join(thread, NULL);
    assert_int_equal(worker.next, ITEMS);
    assert_in_range(worker.wakes, 1, ITEMS);
    queue_destroy(&worker.queue);
}

static void idle_step(void *arg) {
    struct world *w = arg;
    if (++w->fired == 1000) {
        loop_idle_set(w->idle, false);
    }
}

static void idle_work_runs_while_it_is_active(void **state) {
    struct world *w = *state;
    w->idle = loop_add_idle(w->loop, idle_step, w);
    loop_add_timer(w->loop, 30, 0, stop, w);
    loop_run(w->loop);
    assert_int_equal(w->fired, 0); // idle work is off
    loop_idle_set(w->idle, true);
    loop_add_timer(w->loop, 300, 0, stop, w);
    loop_run(w->loop);
    assert_int_equal(w->fired, 1000); // and stops when switched off by its callback
}

static void signals_reach_the_loop(void **state) {
    struct world *w = *state;
    w->wanted = 2;
    loop_on_signal(w->loop, SIGTERM, fire, w);
    loop_on_signal(w->loop, SIGINT, fire, w);
    assert_false(loop_signal_arrived(w->loop));
    kill(getpid(), SIGTERM);
    assert_true(loop_signal_arrived(w->loop)); // before its function is called
    assert_int_equal(w->fired, 0);
    kill(getpid(), SIGINT);
    loop_run(w->loop);
    assert_int_equal(w->fired, 2);
}

// ---- sockets ----

static void open_sockets(struct world *w, const char *endpoint) {
    char err[256];
    w->net = net_create();
    assert_int_equal(net_open(&w->server, w->net, NET_ROUTER, endpoint, err, sizeof(err)), 0);
    const char *at = net_endpoint(w->server);
    assert_int_equal(net_open(&w->client, w->net, NET_DEALER, at, err, sizeof(err)), 0);
}

static void say(void *arg) {
    struct world *w = arg;
    if (w->messages == 0) { // until connected
        send_bytes(w->client, NULL, "x", 1);
    }
}

static void answer(void *arg, const struct net_peer *from, const void *data, size_t len) {
    struct world *w = arg;
    assert_int_equal(send_bytes(w->server, from, data, len), 0);
}

static void again(void *arg, const struct net_peer *from, const void *data, size_t len) {
    struct world *w = arg;
    (void)from;
    if (++w->messages >= w->wanted) {
        loop_stop(w->loop);
        return;
    }
    assert_int_equal(send_bytes(w->client, NULL, data, len), 0);
}

// One message at a time, back and forth: if an edge of the descriptor were lost once, the loop
// would sleep. The timer sends too, which covers sends outside of socket callbacks.
static void ping_pong(struct world *w, const char *endpoint) {
    open_sockets(w, endpoint);
    loop_add_socket(w->loop, w->server, answer, w);
    loop_add_socket(w->loop, w->client, again, w);
    loop_add_timer(w->loop, 1, 1, say, w);
    w->wanted = 5000;
    loop_run(w->loop);
    assert_true(w->messages >= 5000); // more than one may have been in flight
    loop_remove_socket(w->loop, w->server);
    loop_remove_socket(w->loop, w->client);
}

static void no_message_is_missed_on_tcp(void **state) {
    ping_pong(*state, "tcp://127.0.0.1:*");
}

static void no_message_is_missed_on_ipc(void **state) {
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "ipc:///tmp/spur-test-loop-%d", (int)getpid());
    ping_pong(*state, endpoint);
}

struct flood {
    char endpoint[NET_ENDPOINT_MAX];
    atomic_bool over;
};

static void *flood(void *arg) {
    struct flood *f = arg;
    struct net *net = net_create();
    struct net_socket *s;
    char err[256];
    if (net_open(&s, net, NET_DEALER, f->endpoint, err, sizeof(err)) == 0) {
        while (!atomic_load(&f->over)) {
            send_bytes(s, NULL, "flood", 5);
        }
        net_close(&s);
    }
    net_destroy(&net);
    return NULL;
}

// Slower than the flood, so that a message is always waiting.
static void slow(void *arg, const struct net_peer *from, const void *data, size_t len) {
    struct world *w = arg;
    (void)from;
    if (len == 5 && memcmp(data, "flood", 5) == 0) {
        w->messages++;
        uint64_t until = clock_ns() + 20000;
        while (clock_ns() < until) {
        }
    }
}

static void count_other(void *arg, const struct net_peer *from, const void *data, size_t len) {
    struct world *w = arg;
    (void)from, (void)data, (void)len;
    w->other_messages++;
}

static void measure_gap(void *arg) {
    struct world *w = arg;
    uint64_t now = clock_ms();
    if (w->last_ms > 0 && now - w->last_ms > w->worst_gap_ms) {
        w->worst_gap_ms = now - w->last_ms;
    }
    w->last_ms = now;
    w->fired++;
    send_bytes(w->client, NULL, "other", 5); // arrives at the other server socket
}

static void a_flood_does_not_starve_others(void **state) {
    struct world *w = *state;
    char err[256];
    open_sockets(w, "tcp://127.0.0.1:*");
    net_close(&w->client);
    assert_int_equal(net_open(&w->other, w->net, NET_ROUTER, "tcp://127.0.0.1:*", err, sizeof(err)),
                     0);
    const char *at = net_endpoint(w->other);
    assert_int_equal(net_open(&w->client, w->net, NET_DEALER, at, err, sizeof(err)), 0);
    loop_add_socket(w->loop, w->other, count_other, w);
    loop_add_socket(w->loop, w->server, slow, w); // the flooded socket is polled first
    loop_add_timer(w->loop, 10, 10, measure_gap, w);
    loop_add_timer(w->loop, 1500, 0, stop, w);

    struct flood f = {.over = false};
    snprintf(f.endpoint, sizeof(f.endpoint), "%s", net_endpoint(w->server));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, flood, &f), 0);
    loop_run(w->loop);
    atomic_store(&f.over, true);
    pthread_join(thread, NULL);

    print_message("%u flood messages, %u others, %u ticks, worst gap %llu ms\n", w->messages,
                  w->other_messages, w->fired, (unsigned long long)w->worst_gap_ms);
    assert_true(w->messages > 1000);
    assert_true(w->fired > 20);
    assert_true(w->other_messages > 20);
    assert_true(w->worst_gap_ms < 500);
}

static void remove_all(void *arg, const struct net_peer *from, const void *data, size_t len) {
    struct world *w = arg;
    (void)from, (void)data, (void)len;
    w->messages++;
    loop_remove_socket(w->loop, w->server);
    loop_remove_socket(w->loop, w->client);
    net_close(&w->client); // as in a reconnect
    net_close(&w->server);
}

static void say_twice(void *arg) {
    struct world *w = arg;
    if (w->client && net_connected(w->client)) {
        send_bytes(w->client, NULL, "x", 1);
        send_bytes(w->client, NULL, "y", 1);
    }
}

static void sockets_may_go_from_inside_their_callback(void **state) {
    struct world *w = *state;
    open_sockets(w, "tcp://127.0.0.1:*");
    loop_add_socket(w->loop, w->client, answer, w);
    loop_add_socket(w->loop, w->server, remove_all, w);
    loop_add_timer(w->loop, 5, 5, say_twice, w);
    loop_add_timer(w->loop, 300, 0, stop, w);
    loop_run(w->loop);
    assert_int_equal(w->messages, 1);
    assert_null(w->server);
}

// ---- children ----

static void child_gone(void *arg, int exit_status, int term_signal) {
    struct world *w = arg;
    w->exit_status = exit_status;
    w->term_signal = term_signal;
    if (++w->fired >= w->wanted) {
        loop_stop(w->loop);
    }
}

static struct loop_child *shell(struct world *w, const char *script, int log_fd) {
    const char *const args[] = {"/bin/sh", "-c", script, NULL};
    char err[256];
    struct loop_child *child = loop_spawn(w->loop, args, log_fd, child_gone, w, err, sizeof(err));
    if (!child) {
        fail_msg("%s", err);
    }
    return child;
}

static void a_child_runs_and_is_reaped(void **state) {
    struct world *w = *state;
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    struct loop_child *child = shell(w, "echo out; echo err >&2; cat; exit 7", out[1]);
    close(out[1]);
    assert_int_equal(getpgid(loop_child_pid(child)),
                     loop_child_pid(child)); // Ctrl-C does not reach it
    loop_run(w->loop);
    assert_int_equal(w->exit_status, 7); // cat ended: its input was empty
    assert_int_equal(w->term_signal, 0);
    char text[64] = "";
    assert_int_equal(read(out[0], text, sizeof(text) - 1), 8);
    assert_string_equal(text, "out\nerr\n");
    close(out[0]);
    loop_child_kill(child, SIGTERM); // too late: no effect
}

static void many_children_are_distinguished(void **state) {
    struct world *w = *state;
    struct world each[10];
    w->wanted = 10;
    for (int i = 0; i < 10; i++) {
        char script[32];
        snprintf(script, sizeof(script), "exit %d", i);
        each[i] = (struct world){.loop = w->loop, .wanted = 2};
        shell(&each[i], script, 2);
    }
    loop_add_timer(w->loop, 1000, 0, stop, w);
    loop_run(w->loop);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(each[i].fired, 1);
        assert_int_equal(each[i].exit_status, i);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // no zombies
    assert_int_equal(errno, ECHILD);
}

static void kill_child(void *arg) {
    struct world *w = arg;
    loop_child_kill(w->child, SIGTERM);
}

static void a_child_can_be_stopped(void **state) {
    struct world *w = *state;
    w->child = shell(w, "exec sleep 60", 2);
    loop_add_timer(w->loop, 50, 0, kill_child, w);
    loop_run(w->loop);
    assert_int_equal(w->term_signal, SIGTERM);
}

static void a_child_starts_with_default_signals(void **state) {
    struct world *w = *state;
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGUSR1);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGPIPE, SIG_IGN);
    // Signals 32 and 33 belong to the C library; they may have been ignored by our parent.
    shell(w,
          "while read -r name mask; do case $name in SigBlk:|SigIgn:) "
          "[ $((0x$mask & ~0x180000000)) -eq 0 ] || exit 1;; esac; done </proc/$$/status",
          2);
    loop_run(w->loop);
    assert_int_equal(w->exit_status, 0);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &term, NULL);
}

static void a_missing_program_is_reported(void **state) {
    struct world *w = *state;
    const char *const args[] = {"/nonexistent/spur-actor", NULL};
    char err[256] = "";
    assert_null(loop_spawn(w->loop, args, 2, child_gone, w, err, sizeof(err)));
    assert_string_equal(err, "cannot start /nonexistent/spur-actor: No such file or directory");
    loop_add_timer(w->loop, 50, 0, stop, w);
    loop_run(w->loop);
    assert_int_equal(w->fired, 0);
}

// The intermediate parent, which is killed and cannot clean up.
static _Noreturn void parent(int report_fd) {
    struct world w = {.loop = loop_create(), .wanted = 1};
    const char *const args[] = {"/bin/sleep", "60", NULL};
    char err[256];
    struct loop_child *child = loop_spawn(w.loop, args, 2, child_gone, &w, err, sizeof(err));
    int pid = child ? loop_child_pid(child) : -1;
    if (write(report_fd, &pid, sizeof(pid)) != (ssize_t)sizeof(pid)) {
        _exit(1);
    }
    loop_run(w.loop);
    _exit(1);
}

static void a_child_dies_when_its_parent_is_killed(void **state) {
    (void)state;
    int report[2], pid = 0, status = 0;
    assert_int_equal(pipe(report), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); // orphans become our children
    pid_t between = fork();
    if (between == 0) {
        parent(report[1]);
    }
    assert_int_equal(read(report[0], &pid, sizeof(pid)), sizeof(pid));
    assert_true(pid > 0);
    assert_int_equal(kill(pid, 0), 0);
    kill(between, SIGKILL);
    assert_int_equal(waitpid(between, &status, 0), between);
    uint64_t until = clock_ms() + 10000;
    while (waitpid(pid, &status, WNOHANG) != pid) {
        assert_true(clock_ms() < until);
        usleep(2000);
    }
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    close(report[0]);
    close(report[1]);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_on_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_thread_wakes_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_work_runs_while_it_is_active, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals_reach_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_message_is_missed_on_tcp, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_message_is_missed_on_ipc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_does_not_starve_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sockets_may_go_from_inside_their_callback, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_child_runs_and_is_reaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_children_are_distinguished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_can_be_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_starts_with_default_signals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_program_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_dies_when_its_parent_is_killed, set_up, tear_down),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]); // a single test: another_thread_wakes_the_loop under TSan
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
