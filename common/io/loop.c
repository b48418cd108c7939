// SPDX-License-Identifier: MIT
// Integration of ZeroMQ sockets and child processes into libuv's event loop.
//
// Sockets. ZeroMQ's descriptor becomes readable once per change of state, not as long as messages
// are pending, and any call on the socket may consume the edge. So the poll callback does nothing;
// it only ends the loop's sleep. The prepare callback, before each sleep, checks every socket for
// messages; if one has any, an active idle handle prevents the sleep. The check callback, after it,
// receives at most MESSAGES_MAX messages per socket and for at most SERVE_NS_MAX, so that a busy
// peer does not starve timers, signals and other sockets.
//
// Children are forked by child.c, since libuv's uv_spawn cannot set a parent-death signal, and
// reaped on SIGCHLD. Ctrl-C on the terminal reaches the parent only, which then stops its children
// in order.
#include "common/io/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/check.h"
#include "common/base/child.h"
#include "common/base/rlimits.h"

enum {
    MESSAGES_MAX = 64,
    SERVE_NS_MAX = 2000000,
    LOOP_DESCRIPTORS = 14, // an upper bound, with both loops and the pipes of signals
};

// The libuv handle is the first member of each struct, so that free_handle can free any of them.
struct loop_socket {
    uv_poll_t poll;
    uv_poll_t *connections; // of a ROUTER: ends the sleep when a connection comes or goes
    struct net_socket *net;
    loop_message_fn *fn;
    void *arg;
    bool removed;
    struct loop_socket *next;
};

struct loop_timer {
    uv_timer_t uv;
    loop_fn *fn;
    void *arg;
};

struct loop_wake {
    uv_async_t uv;
    loop_fn *fn;
    void *arg;
};

struct loop_idle {
    uv_idle_t uv;
    loop_fn *fn;
    void *arg;
};

struct loop_signal {
    uv_signal_t uv;
    loop_fn *fn;
    void *arg;
};

struct loop_child {
    pid_t pid;
    bool exited;
    loop_exit_fn *fn;
    void *arg;
    struct loop_child *next;
};

struct loop {
    uv_loop_t uv;
    uv_loop_t watch; // sees the same signals, for loop_signal_arrived
    bool watching, signal_arrived;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t awake;    // active while messages are pending: keeps the loop from sleeping
    uv_signal_t reaper; // SIGCHLD; started by the first loop_spawn
    bool reaping;
    struct loop_socket *sockets;
    struct loop_child *children;
};

// ---- loop ----

static void stay_awake(uv_idle_t *idle) {
    (void)idle;
}

static void poll_sockets(uv_prepare_t *prepare) {
    struct loop *loop = prepare->data;
    bool any = false;
    for (struct loop_socket *s = loop->sockets; s; s = s->next) {
        any |= net_readable(s->net); // every socket: the call re-arms its descriptor
    }
    if (any) {
        CHECK_RESOURCES(uv_idle_start(&loop->awake, stay_awake) == 0);
    } else {
        uv_idle_stop(&loop->awake);
    }
}

static void serve(struct loop_socket *s) {
    uint64_t until = uv_hrtime() + SERVE_NS_MAX;
    for (int n = 0; n < MESSAGES_MAX && !s->removed; n++) {
        struct net_peer from;
        struct net_frame frame;
        if (net_recv(s->net, &from, &frame) != 0) {
            return;
        }
        s->fn(s->arg, &from, frame.data, frame.len);
        net_frame_close(&frame);
        if (uv_hrtime() >= until) {
            return;
        }
    }
}

// A callback may remove any socket, this one included: it is unlinked at once, but its memory, and
// with it `next`, stays valid until libuv's close callback, which runs later.
static void serve_sockets(uv_check_t *check) {
    struct loop *loop = check->data;
    for (struct loop_socket *s = loop->sockets; s; s = s->next) {
        serve(s);
    }
}

struct loop *loop_create(void) {
    char err[256];
    if (rlimits_check(0, LOOP_DESCRIPTORS, 0, err, sizeof(err)) != 0) {
        die(EXIT_CODE_RESOURCES, "raise the limit, in the shell or of the batch job", "%s", err);
    }
    struct loop *loop = xmalloc(sizeof(*loop));
    CHECK_RESOURCES(uv_loop_init(&loop->uv) == 0);
    CHECK_RESOURCES(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
    CHECK_RESOURCES(uv_check_init(&loop->uv, &loop->check) == 0);
    CHECK_RESOURCES(uv_idle_init(&loop->uv, &loop->awake) == 0);
    CHECK_RESOURCES(uv_signal_init(&loop->uv, &loop->reaper) == 0);
    loop->prepare.data = loop->check.data = loop->reaper.data = loop;
    CHECK_RESOURCES(uv_prepare_start(&loop->prepare, poll_sockets) == 0);
    CHECK_RESOURCES(uv_check_start(&loop->check, serve_sockets) == 0);
    return loop;
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

// Handles embedded in struct loop are closed, but not freed separately.
static void close_handle(uv_handle_t *handle, void *arg) {
    struct loop *loop = arg;
    if (uv_is_closing(handle)) {
        return;
    }
    bool embedded = handle == (uv_handle_t *)&loop->prepare ||
                    handle == (uv_handle_t *)&loop->check ||
                    handle == (uv_handle_t *)&loop->awake || handle == (uv_handle_t *)&loop->reaper;
    uv_close(handle, embedded ? NULL : free_handle);
}

void loop_destroy(struct loop **loop) {
    struct loop *l = *loop;
    if (!l) {
        return;
    }
    uv_walk(&l->uv, close_handle, l);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) {
    }
    CHECK(uv_loop_close(&l->uv) == 0);
    while (l->children) {
        struct loop_child *child = l->children;
        l->children = child->next;
        free(child);
    }
    if (l->watching) {
        uv_walk(&l->watch, close_handle, l);
        uv_run(&l->watch, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&l->watch) == 0);
    }
    free(l);
    *loop = NULL;
}

int loop_run(struct loop *loop) {
    // prepare and check keep the loop alive, so it returns only when stopped.
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return 0;
}

void loop_stop(struct loop *loop) {
    uv_stop(&loop->uv);
}

uint64_t loop_now_ms(const struct loop *loop) {
    return uv_now(&loop->uv);
}

// ---- sockets ----

static void end_sleep(uv_poll_t *poll, int status, int events) {
    (void)poll;
    (void)status;
    (void)events;
}

void loop_add_socket(struct loop *loop, struct net_socket *socket, loop_message_fn *fn, void *arg) {
    struct loop_socket *s = xmalloc(sizeof(*s));
    *s = (struct loop_socket){.net = socket, .fn = fn, .arg = arg, .next = loop->sockets};
    CHECK_RESOURCES(uv_poll_init(&loop->uv, &s->poll, net_fd(socket)) == 0);
    CHECK_RESOURCES(uv_poll_start(&s->poll, UV_READABLE, end_sleep) == 0);
    int monitor = net_monitor_fd(socket);
    if (monitor >= 0) {
        s->connections = xmalloc(sizeof(*s->connections));
        CHECK_RESOURCES(uv_poll_init(&loop->uv, s->connections, monitor) == 0);
        CHECK_RESOURCES(uv_poll_start(s->connections, UV_READABLE, end_sleep) == 0);
    }
    loop->sockets = s;
}

void loop_remove_socket(struct loop *loop, struct net_socket *socket) {
    for (struct loop_socket **at = &loop->sockets; *at; at = &(*at)->next) {
        struct loop_socket *s = *at;
        if (s->net == socket) {
            *at = s->next;
            s->removed = true;
            if (s->connections) {
                uv_poll_stop(s->connections);
                uv_close((uv_handle_t *)s->connections, free_handle);
            }
            uv_poll_stop(&s->poll); // at once: the descriptor may be closed and reused soon
            uv_close((uv_handle_t *)&s->poll, free_handle);
            return;
        }
    }
}

// ---- timers, wakes, idle, signals ----

static void on_timer(uv_timer_t *uv) {
    struct loop_timer *timer = (struct loop_timer *)uv;
    timer->fn(timer->arg);
}

struct loop_timer *loop_add_timer(struct loop *loop, uint64_t ms, uint64_t repeat_ms, loop_fn *fn,
                                  void *arg) {
    struct loop_timer *timer = xmalloc(sizeof(*timer));
    *timer = (struct loop_timer){.fn = fn, .arg = arg};
    CHECK_RESOURCES(uv_timer_init(&loop->uv, &timer->uv) == 0);
    uv_update_time(&loop->uv); // count from now, not from the start of this iteration
    CHECK_RESOURCES(uv_timer_start(&timer->uv, on_timer, ms, repeat_ms) == 0);
    return timer;
}

static void on_wake(uv_async_t *uv) {
    struct loop_wake *wake = (struct loop_wake *)uv;
    wake->fn(wake->arg);
}

struct loop_wake *loop_add_wake(struct loop *loop, loop_fn *fn, void *arg) {
    struct loop_wake *wake = xmalloc(sizeof(*wake));
    *wake = (struct loop_wake){.fn = fn, .arg = arg};
    CHECK_RESOURCES(uv_async_init(&loop->uv, &wake->uv, on_wake) == 0);
    return wake;
}

void loop_wake_up(struct loop_wake *wake) {
    uv_async_send(&wake->uv);
}

static void on_idle(uv_idle_t *uv) {
    struct loop_idle *idle = (struct loop_idle *)uv;
    idle->fn(idle->arg);
}

struct loop_idle *loop_add_idle(struct loop *loop, loop_fn *fn, void *arg) {
    struct loop_idle *idle = xmalloc(sizeof(*idle));
    *idle = (struct loop_idle){.fn = fn, .arg = arg};
    CHECK_RESOURCES(uv_idle_init(&loop->uv, &idle->uv) == 0);
    return idle;
}

void loop_idle_set(struct loop_idle *idle, bool active) {
    if (active) {
        CHECK_RESOURCES(uv_idle_start(&idle->uv, on_idle) == 0);
    } else {
        uv_idle_stop(&idle->uv);
    }
}

static void on_signal(uv_signal_t *uv, int number) {
    (void)number;
    struct loop_signal *sig = (struct loop_signal *)uv;
    sig->fn(sig->arg);
}

static void note_signal(void *arg) {
    ((struct loop *)arg)->signal_arrived = true;
}

void loop_on_signal(struct loop *loop, int signal_number, loop_fn *fn, void *arg) {
    struct loop_signal *sig = xmalloc(sizeof(*sig));
    *sig = (struct loop_signal){.fn = fn, .arg = arg};
    CHECK_RESOURCES(uv_signal_init(&loop->uv, &sig->uv) == 0);
    CHECK_RESOURCES(uv_signal_start(&sig->uv, on_signal, signal_number) == 0);

    if (!loop->watching) {
        CHECK_RESOURCES(uv_loop_init(&loop->watch) == 0);
        loop->watching = true;
    }
    struct loop_signal *seen = xmalloc(sizeof(*seen));
    *seen = (struct loop_signal){.fn = note_signal, .arg = loop};
    CHECK_RESOURCES(uv_signal_init(&loop->watch, &seen->uv) == 0);
    CHECK_RESOURCES(uv_signal_start(&seen->uv, on_signal, signal_number) == 0);
}

bool loop_signal_arrived(struct loop *loop) {
    if (loop->watching) {
        uv_run(&loop->watch, UV_RUN_NOWAIT);
    }
    return loop->signal_arrived;
}

// ---- children ----

static void reap(uv_signal_t *uv, int number) {
    (void)number;
    struct loop *loop = uv->data;
    for (struct loop_child *child = loop->children; child; child = child->next) {
        int status = 0;
        if (child->exited || waitpid(child->pid, &status, WNOHANG) != child->pid) {
            continue;
        }
        child->exited = true;
        child->fn(child->arg, WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                  WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

struct loop_child *loop_spawn(struct loop *loop, const char *const args[], int log_fd,
                              loop_exit_fn *fn, void *arg, char *err, size_t err_len) {
    if (!loop->reaping) {
        CHECK_RESOURCES(uv_signal_start(&loop->reaper, reap, SIGCHLD) == 0);
        loop->reaping = true;
    }
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t pid = null_fd < 0 ? -errno
                            : child_start(&(struct child_command){
                                  .args = args,
                                  .fds = (const int[]){null_fd, log_fd, log_fd},
                                  .fd_count = 3,
                                  .death_signal = SIGTERM,
                              });
    if (null_fd >= 0) {
        close(null_fd);
    }
    if (pid < 0) {
        snprintf(err, err_len, "cannot start %s: %s%s", args[0], strerror(-pid),
                 pid == -EAGAIN ? " (limit of processes, ulimit -u)" : "");
        return NULL;
    }
    struct loop_child *child = xmalloc(sizeof(*child));
    *child = (struct loop_child){.pid = pid, .fn = fn, .arg = arg, .next = loop->children};
    loop->children = child;
    return child;
}

int loop_child_pid(const struct loop_child *child) {
    return child->pid;
}

void loop_child_kill(struct loop_child *child, int signal_number) {
    if (!child->exited) { // once reaped, the pid may belong to another process
        kill(child->pid, signal_number);
    }
}
