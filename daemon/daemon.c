// SPDX-License-Identifier: MIT
// Start of a daemon, its sockets and port, its loop, and the orderly end.
#include "daemon/daemon.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/host.h"
#include "common/base/rlimits.h"
#include "common/base/log.h"
#include "common/nn/gemm.h"

// A client has one request outstanding; the answer may be a policy.
static const struct net_limits requests_only = {
    .message_max = 64 << 10, .send_max = 2, .receive_max = 16};

// ---- start ----

static void identify(struct daemon *d) {
    if (gethostname(d->host, sizeof(d->host))) {
        snprintf(d->host, sizeof(d->host), "unknown");
    }
    d->host[sizeof(d->host) - 1] = '\0';
    d->pid = (uint64_t)getpid();
    const char *id = d->options.id;
    if (!id) {
        // Containers may share the host's name and each have a process 1.
        uint32_t unique;
        CHECK(getrandom(&unique, sizeof(unique), 0) == sizeof(unique));
        snprintf(d->id, sizeof(d->id), "%.64s-%d-%08x", d->host, (int)getpid(), unique);
    } else if (*id == '\0' || strlen(id) >= sizeof(d->id)) {
        die(EXIT_CODE_USAGE, NULL, "--id: 1 to %zu characters, not %zu", sizeof(d->id) - 1,
            strlen(id));
    } else {
        snprintf(d->id, sizeof(d->id), "%s", id);
    }
}

static void load_config(struct daemon *d) {
    char err[1024];
    config_defaults(&d->config);
    int rc = config_load(&d->config, d->options.config, err, sizeof(err));
    config_choose(&d->config);
    if (rc < 0 || config_check(&d->config, err, sizeof(err)) < 0 ||
        task_from_config(&d->task, &d->config, err, sizeof(err)) < 0) {
        die(EXIT_CODE_CONFIG, "`spur config` prints a full one", "%s", err);
    }
    gemm_start(d->config.compute.kernels);
}

void daemon_path(char *out, size_t out_len, const struct daemon *d, const char *name) {
    int rc = file_join(out, out_len, d->options.run_dir, name);
    if (rc < 0) {
        die(EXIT_CODE_USAGE, NULL, "--run-dir %s: %s", d->options.run_dir, strerror(-rc));
    }
}

// One daemon of a kind per run directory: two would overwrite each other's checkpoints.
static void lock_run_dir(struct daemon *d) {
    char dir[PATH_MAX], path[PATH_MAX], name[64];
    int pid = 0;
    daemon_path(dir, sizeof(dir), d, "checkpoint");
    snprintf(name, sizeof(name), "%s.lock", d->spec->name);
    int rc = file_make_dirs(dir);
    rc = rc ? rc : file_dir_writable(dir);
    rc = rc ? rc : file_join(path, sizeof(path), dir, name);
    if (rc < 0) {
        die(EXIT_CODE_IO, "the run directory must be writable", "--run-dir %s: %s",
            d->options.run_dir, strerror(-rc));
    }
    d->lock = file_lock(path, &pid);
    if (d->lock == -EWOULDBLOCK) {
        die(EXIT_CODE_TEMPFAIL, "stop that one, or use another --run-dir",
            "--run-dir %s: another %s serves it (process %d)", d->options.run_dir, d->spec->title,
            pid);
    }
    if (d->lock < 0) {
        die(EXIT_CODE_IO, NULL, "%s: %s", path, strerror(-d->lock));
    }
    int removed = file_sweep(dir) + file_sweep(d->options.run_dir);
    if (removed > 0) {
        log_info("%d temporary files of killed processes removed", removed);
    }
}

void daemon_init(struct daemon *d, const struct daemon_spec *spec, void *arg, int argc,
                 char *argv[]) {
    rlimits_start();
    *d = (struct daemon){
        .spec = spec, .arg = arg, .lock = -1, .own_endpoint = "", .limits = requests_only};
    options_parse(&d->options, &spec->options, argc, argv);
    identify(d);
    options_open_log(&d->options, spec->name ? spec->name : d->id);
    if (d->options.config) {
        load_config(d);
    }
    if (d->options.run_dir) {
        lock_run_dir(d);
    }
    char slow[256];
    if (gemm_is_slow(slow, sizeof(slow))) {
        log_warn("%s", slow);
    }
}

// ---- sockets ----

// After the core has handled an event.
static void settle(struct daemon *d) {
    if (!d->stopped && d->spec->finished(d->arg)) {
        d->stopped = true;
        loop_stop(d->loop);
    }
}

static void receive(struct daemon *d, enum port_socket socket, const struct net_peer *from,
                    const void *data, size_t len) {
    char err[512];
    uint64_t now_ms = loop_now_ms(d->loop);
    int rc = wire_unpack(d->wire, &d->msg, data, len, err, sizeof(err));
    if (rc < 0) {
        d->spec->garbage(d->arg, now_ms, socket, from, (enum wire_refusal) - rc, err, &d->msg);
    } else {
        d->spec->message(d->arg, now_ms, socket, from, &d->msg);
    }
    settle(d);
}

static void on_own(void *arg, const struct net_peer *from, const void *data, size_t len) {
    receive(arg, PORT_OWN, from, data, len);
}

static void on_modelserver(void *arg, const struct net_peer *from, const void *data, size_t len) {
    receive(arg, PORT_MODELSERVER, from, data, len);
}

static void on_learner(void *arg, const struct net_peer *from, const void *data, size_t len) {
    receive(arg, PORT_LEARNER, from, data, len);
}

static void open_socket(struct daemon *d, enum port_socket socket, const char *endpoint) {
    static loop_message_fn *const handlers[] = {on_own, on_modelserver, on_learner};
    char err[512];
    if (!endpoint) {
        return;
    }
    enum net_kind kind = socket == PORT_OWN ? NET_ROUTER : NET_DEALER;
    int rc = net_open(&d->sockets[socket], d->net, kind, endpoint, err, sizeof(err));
    if ((rc == -EMFILE || rc == -ENFILE) && !d->running) {
        die(EXIT_CODE_RESOURCES, "raise the limit, in the shell or of the batch job", "%s", err);
    }
    if (rc && socket == PORT_OWN) {
        die(EXIT_CODE_UNAVAILABLE, "choose another --bind", "%s", err);
    }
    if ((rc == -EINVAL || rc == -ENAMETOOLONG) && !d->running) {
        die(EXIT_CODE_USAGE, "endpoints look like tcp://HOST:PORT or ipc://PATH", "%s", err);
    }
    if (rc) {
        // A host name not yet known, or no descriptors left: the session reopens it later.
        log_warn("%s", err);
        return;
    }
    loop_add_socket(d->loop, d->sockets[socket], handlers[socket], d);
}

static void close_socket(struct daemon *d, enum port_socket socket) {
    if (d->sockets[socket]) {
        loop_remove_socket(d->loop, d->sockets[socket]);
        net_close(&d->sockets[socket]);
    }
}

static void reopen_sockets(struct daemon *d) {
    for (int i = PORT_MODELSERVER; i < PORT_SOCKET_COUNT; i++) {
        if (d->reopen[i]) {
            d->reopen[i] = false;
            close_socket(d, (enum port_socket)i);
            open_socket(d, (enum port_socket)i, d->endpoints[i]);
        }
    }
}

// ---- the core's port ----

static int port_send(void *arg, enum port_socket socket, const struct net_peer *to,
                     const struct wire_msg *msg) {
    struct daemon *d = arg;
    if (!d->sockets[socket] || d->reopen[socket]) {
        return -EAGAIN;
    }
    return wire_send(d->wire, d->sockets[socket], to, msg);
}

// The core may call this while it handles a message of the very socket: the tick does it.
static void port_reopen(void *arg, enum port_socket socket, const char *endpoint) {
    struct daemon *d = arg;
    snprintf(d->endpoints[socket], sizeof(d->endpoints[socket]), "%s", endpoint);
    d->reopen[socket] = true;
}

struct port daemon_port(struct daemon *d) {
    return (struct port){.arg = d, .send = port_send, .reopen = port_reopen};
}

// ---- loop ----

static void on_tick(void *arg) {
    struct daemon *d = arg;
    uint64_t now_ms = loop_now_ms(d->loop);
    if (d->options.parent && getppid() != d->options.parent) {
        d->spec->stop(d->arg, now_ms, "the parent process has ended");
    }
    d->spec->tick(d->arg, now_ms);
    reopen_sockets(d);
    settle(d);
}

static void on_wake(void *arg) {
    struct daemon *d = arg;
    d->spec->wake(d->arg, loop_now_ms(d->loop));
    settle(d);
}

static void on_idle(void *arg) {
    struct daemon *d = arg;
    d->spec->idle(d->arg, loop_now_ms(d->loop));
    settle(d);
}

static void on_signal(void *arg) {
    struct daemon *d = arg;
    uint64_t now_ms = loop_now_ms(d->loop);
    if (host_stop_again(&d->stop_ms, now_ms)) {
        _exit(EXIT_CODE_FAILURE); // a second request: at once; files are whole at any instant
    }
    d->spec->stop(d->arg, now_ms, "stopped by a signal");
    settle(d);
}

void daemon_wake(void *daemon) {
    loop_wake_up(((struct daemon *)daemon)->wake);
}

bool daemon_stop_requested(void *daemon) {
    return loop_signal_arrived(((struct daemon *)daemon)->loop);
}

void daemon_exit_now(void *daemon) {
    struct daemon *d = daemon;
    for (int i = 0; i < PORT_SOCKET_COUNT; i++) {
        close_socket(d, (enum port_socket)i);
    }
    net_destroy(&d->net); // sends what is queued
    _exit(EXIT_CODE_OK);
}

void daemon_set_idle(struct daemon *d, bool active) {
    loop_idle_set(d->idle, active);
}

void daemon_open(struct daemon *d) {
    d->net = net_create();
    net_limit(d->net, &d->limits);
    d->loop = loop_create();
    d->wire = wire_create();
    d->wake = loop_add_wake(d->loop, on_wake, d);
    d->idle = loop_add_idle(d->loop, on_idle, d);
    open_socket(d, PORT_OWN, d->options.bind);
    open_socket(d, PORT_MODELSERVER, d->options.modelserver);
    open_socket(d, PORT_LEARNER, d->options.learner);
    if (d->sockets[PORT_OWN]) {
        d->own_endpoint = net_endpoint(d->sockets[PORT_OWN]);
    }
}

void daemon_run(struct daemon *d) {
    d->running = true;
    loop_add_timer(d->loop, 0, d->spec->tick_ms, on_tick, d);
    loop_on_signal(d->loop, SIGINT, on_signal, d);
    loop_on_signal(d->loop, SIGTERM, on_signal, d);
    loop_run(d->loop);
}

void daemon_close(struct daemon *d) {
    for (int i = 0; i < PORT_SOCKET_COUNT; i++) {
        close_socket(d, (enum port_socket)i);
    }
    loop_destroy(&d->loop);
    net_destroy(&d->net);
    wire_destroy(&d->wire);
    if (d->lock >= 0) {
        close(d->lock);
    }
}
