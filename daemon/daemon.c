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
#include "daemon/admission.h"

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
        bool named = d->keys.name[0] != '\0' && !d->keys.serves; // a key allows ids below its name
        snprintf(d->id, sizeof(d->id), "%.48s%s%.48s-%d-%08x", named ? d->keys.name : "",
                 named ? "/" : "", d->host, (int)getpid(), unique);
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

// The path of the lock, in a folder that is made where it is missing.
static void lock_path(char out[PATH_MAX], struct daemon *d) {
    char dir[PATH_MAX], name[64];
    daemon_path(dir, sizeof(dir), d, "checkpoint");
    snprintf(name, sizeof(name), "%s.lock", d->spec->name);
    int rc = file_make_dirs(dir);
    rc = rc ? rc : file_dir_writable(dir);
    rc = rc ? rc : file_join(out, PATH_MAX, dir, name);
    if (rc < 0) {
        die(EXIT_CODE_IO, "the run directory must be writable", "--run-dir %s: %s",
            d->options.run_dir, strerror(-rc));
    }
}

static void sweep(const struct daemon *d) {
    char dir[PATH_MAX];
    daemon_path(dir, sizeof(dir), d, "checkpoint");
    int removed = file_sweep(dir) + file_sweep(d->options.run_dir);
    if (removed > 0) {
        log_info("%d temporary files of killed processes removed", removed);
    }
}

// One daemon of a kind per run directory: two would overwrite each other's checkpoints.
static void lock_run_dir(struct daemon *d) {
    char path[PATH_MAX];
    int pid = 0;
    lock_path(path, d);
    if (d->options.standby) {
        return; // another process has the lock
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
    sweep(d);
}

void daemon_take_run_dir(struct daemon *d) {
    char path[PATH_MAX];
    lock_path(path, d);
    d->lock = file_lock_replace(path);
    if (d->lock < 0) {
        die(EXIT_CODE_IO, NULL, "%s: %s", path, strerror(-d->lock));
    }
    sweep(d);
}

// ---- keys ----

// The token of a run on this machine: the first of its servers makes it.
static void find_token(struct daemon *d, char path[PATH_MAX]) {
    daemon_path(path, PATH_MAX, d, KEYS_TOKEN_FILE);
    int rc = file_exists(path) || !d->options.bind ? 0 : keys_write_token(path);
    if (rc < 0) {
        die(EXIT_CODE_IO, NULL, "%s: cannot be written: %s", path, strerror(-rc));
    }
}

// Dies unless the keys suffice for an endpoint.
static void require_keys(const struct daemon *d, const char *endpoint, bool bound) {
    if (!endpoint) {
        return;
    }
    enum net_reach reach = net_address_reach(endpoint);
    const struct keys *k = &d->keys;
    bool pair = k->secret_key[0] != '\0';
    if (reach == NET_REACH_NETWORK && !pair) {
        die(EXIT_CODE_DENIED, NET_KEYS_HINT,
            "%s can be reached from other machines: keys are needed", endpoint);
    }
    if (reach == NET_REACH_MACHINE && bound && !pair && k->token[0] == '\0') {
        die(EXIT_CODE_DENIED, "--keys RUN_DIR/token, or an ipc:// address",
            "%s can be reached by every user of this machine: the token of the run is needed",
            endpoint);
    }
    // An actor serves its user's `spur status` alone; other machines reach a server.
    bool for_user = reach == NET_REACH_USER && !(d->spec->options.needs & OPTION_BIND);
    if (bound && pair && !k->serves && !for_user) {
        die(EXIT_CODE_DENIED,
            "spur-actor needs no --bind, or an ipc:// one; servers take the folder of `spur keys`",
            "--keys %s is a client's key: it admits nobody at %s", k->path, endpoint);
    }
}

static void read_keys(struct daemon *d, const char *path) {
    char err[1024];
    if (keys_load(&d->keys, path, err, sizeof(err)) < 0) {
        die(EXIT_CODE_DENIED, "`spur keys --help` says how to make them", "%s", err);
    }
}

static bool in_machine(const char *endpoint) {
    return endpoint && net_address_reach(endpoint) == NET_REACH_MACHINE;
}

// Finds the token where none was given, and dies unless the keys suffice.
static void check_keys(struct daemon *d) {
    const struct options *o = &d->options;
    if (!o->keys && o->run_dir && (in_machine(o->bind) || in_machine(o->modelserver))) {
        char token[PATH_MAX];
        find_token(d, token);
        read_keys(d, token);
    }
    require_keys(d, o->bind, true);
    require_keys(d, o->modelserver, false);
    require_keys(d, o->learner, false);
}

void daemon_init(struct daemon *d, const struct daemon_spec *spec, void *arg, int argc,
                 char *argv[]) {
    rlimits_start();
    check_libraries();
    *d = (struct daemon){.spec = spec, .arg = arg, .lock = -1, .limits = requests_only};
    d->argv = argv;
    options_parse(&d->options, &spec->options, argc, argv);
    if (d->options.keys) {
        read_keys(d, d->options.keys);
    }
    identify(d);
    options_open_log(&d->options, spec->name ? spec->name : d->id);
    if (d->options.config) {
        load_config(d);
    }
    if (d->options.run_dir) {
        lock_run_dir(d);
    }
    check_keys(d);
    char slow[256];
    if (gemm_is_slow(slow, sizeof(slow))) {
        log_warn("%s", slow);
    }
}

// ---- admission ----

// The entry of a peer; false: it needs none.
static bool entry_of(const struct daemon *d, const struct net_peer *from,
                     const struct key_entry **entry) {
    *entry = from->key > 0 && from->key <= d->keys.count ? &d->keys.list[from->key - 1] : NULL;
    return from->key != 0;
}

// A server that refuses this process will do so again: it stops in order.
static void check_refusals(struct daemon *d, uint64_t now_ms) {
    for (int i = PORT_MODELSERVER; i < PORT_SOCKET_COUNT && !d->refused; i++) {
        const char *why = d->sockets[i] ? net_refusal(d->sockets[i], false) : NULL;
        if (why) {
            char text[512];
            snprintf(text, sizeof(text), "%s %s", net_endpoint(d->sockets[i]), why);
            log_error("%s", text);
            d->refused = true;
            d->spec->stop(d->arg, now_ms, text);
        }
    }
}

enum exit_code daemon_exit_code(const struct daemon *d, enum exit_code code) {
    return d->refused ? EXIT_CODE_DENIED : code;
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
    const struct key_entry *entry;
    if (rc == 0 && socket == PORT_OWN && entry_of(d, from, &entry) &&
        !admission_allows(entry, &d->msg, err, sizeof(err))) {
        rc = -WIRE_REFUSED_KEY;
    }
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

// A connection keeps what its handshake gave it, so all of them end when a key may do less.
static void on_hangup(void *arg) {
    struct daemon *d = arg;
    char err[1024];
    int taken;
    if (keys_reload(&d->keys, &taken, err, sizeof(err)) < 0) {
        log_error("the list of keys stays as it was: %s", err);
        return;
    }
    net_admit(d->net);
    log_info("read %s again: %d keys may do less", d->keys.path, taken);
    if (taken > 0) {
        loop_remove_socket(d->loop, d->sockets[PORT_OWN]);
        net_cut(&d->sockets[PORT_OWN]);
        open_socket(d, PORT_OWN, d->own_endpoint);
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
    check_refusals(d, now_ms);
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
    net_secure(d->net, &d->keys);
    d->loop = loop_create();
    d->wire = wire_create();
    d->wake = loop_add_wake(d->loop, on_wake, d);
    d->idle = loop_add_idle(d->loop, on_idle, d);
    open_socket(d, PORT_OWN, d->options.bind);
    open_socket(d, PORT_MODELSERVER, d->options.modelserver);
    open_socket(d, PORT_LEARNER, d->options.learner);
    if (d->sockets[PORT_OWN]) {
        snprintf(d->own_endpoint, sizeof(d->own_endpoint), "%s",
                 net_endpoint(d->sockets[PORT_OWN]));
    }
}

void daemon_run(struct daemon *d) {
    d->running = true;
    loop_add_timer(d->loop, 0, d->spec->tick_ms, on_tick, d);
    loop_on_signal(d->loop, SIGINT, on_signal, d);
    loop_on_signal(d->loop, SIGTERM, on_signal, d);
    if (d->keys.serves && d->sockets[PORT_OWN]) {
        loop_on_signal(d->loop, SIGHUP, on_hangup, d);
    }
    loop_run(d->loop);
}

void daemon_close(struct daemon *d) {
    for (int i = 0; i < PORT_SOCKET_COUNT; i++) {
        close_socket(d, (enum port_socket)i);
    }
    loop_destroy(&d->loop);
    net_destroy(&d->net);
    wire_destroy(&d->wire);
    keys_free(&d->keys);
    if (d->lock >= 0) {
        close(d->lock);
    }
}

void daemon_again(const struct daemon *d) {
    if (!d->stop_ms) { // a signal to stop ends it
        log_info("starting again");
        execv("/proc/self/exe", d->argv);
        log_error("this process cannot start itself again: %s", strerror(errno));
    }
}
