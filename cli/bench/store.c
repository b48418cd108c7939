// SPDX-License-Identifier: MIT
// Rate of transitions sent to, stored and acknowledged by a spur-modelserver process, started in a
// temporary directory. This process is its only actor and sends as fast as credit allows.
//
// The limit is the disk: the same bytes written to a file in the same directory, with one fdatasync
// per window of unacknowledged rows. The store commits all pending rows in one transaction, so it
// cannot store more rows per sync than that.
#include "cli/bench/bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/run/spawn.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/io/keys.h"
#include "common/io/loop.h"
#include "common/io/net.h"
#include "proto/hello.h"
#include "proto/wire.h"

#define ROWS_MAX 500000      // per measurement
#define STEPS 6000000        // rows in total: two cases in six rounds, 0.6 GiB
#define ROWS_LARGE 256       // rows per large message
#define WELCOME_MS_MAX 60000 // generous, for a loaded machine
#define ACK_MS_MAX 10000
#define LEAVE_MS_MAX 5000
#define TICK_MS 10
#define RESEND_MS 1000         // without an acknowledgement
#define UNACKED_MAX 512        // unacknowledged messages
#define UNACKED_ROWS_MAX 16384 // unacknowledged rows: the default of actors

// How the actor reaches the server.
enum link { LINK_IPC, LINK_TOKEN, LINK_CURVE, LINK_COUNT };

// The actor and its server, shared by the cases of one link.
struct store_bench {
    enum link link;
    struct keys keys;
    int users; // cases not closed yet
    struct rundir dir;
    struct endpoints endpoints;
    struct child child;
    bool child_ended;
    struct net *net;
    struct loop *loop;
    struct net_socket *socket;
    struct wire *wire;
    bool started, hello_sent, sending, timed_out;
    uint64_t acked_ms;            // time of the last acknowledgement
    uint64_t until_ms;            // time at which the loop stops; 0: none
    char trouble[BENCH_TEXT_MAX]; // permanent error; "": none
    uint64_t run_id, steps_allowed;
    uint32_t rows; // per message
    uint64_t seq, acked, rows_sent, rows_acked;
    uint64_t rows_end; // end of this measurement
    float *columns;    // (ROWS_LARGE) rows of noise, by column
    uint8_t *flags;
};

static size_t row_bytes(const struct task *task) {
    return wire_row_bytes((uint64_t)task->obs_dim, (uint64_t)task->act_dim);
}

// ---- the actor ----

static int send_msg(struct store_bench *s, struct wire_msg *msg) {
    msg->run_id = s->run_id;
    return wire_send(s->wire, s->socket, NULL, msg);
}

static int send_hello(struct store_bench *s) {
    const struct hello_sender sender = {
        .role = WIRE_ROLE_ACTOR,
        .id = "bench",
        .host = "localhost",
        .version = SPUR_VERSION,
        .pid = (uint64_t)getpid(),
    };
    struct wire_msg msg = {.type = WIRE_HELLO};
    hello_fill(&msg.hello, &sender);
    return send_msg(s, &msg);
}

static bool may_send(const struct store_bench *s) {
    uint64_t unacked = s->seq - s->acked;
    uint64_t rows = s->rows_sent + s->rows;
    return s->sending && rows <= s->steps_allowed && rows <= s->rows_end && unacked < UNACKED_MAX &&
           (unacked + 1) * s->rows <= UNACKED_ROWS_MAX;
}

// Sends messages while there is credit and space in the socket's queue.
static void send_rows(struct store_bench *s) {
    size_t O = (size_t)s->dir.task.obs_dim, A = (size_t)s->dir.task.act_dim;
    const float *next_obs = s->columns + ROWS_LARGE * O, *act = next_obs + ROWS_LARGE * O;
    while (may_send(s)) {
        struct wire_msg msg = {.type = WIRE_TRANSITIONS};
        msg.transitions.seq = s->seq + 1;
        msg.transitions.rows = (struct wire_rows){
            .rows = s->rows,
            .obs_dim = (uint32_t)O,
            .act_dim = (uint32_t)A,
            .obs = s->columns,
            .act = act,
            .reward = act + ROWS_LARGE * A,
            .next_obs = next_obs,
            .flags = s->flags,
        };
        if (send_msg(s, &msg) != 0) {
            return; // queue full: continues at the next acknowledgement
        }
        s->seq++;
        s->rows_sent += s->rows;
    }
}

static void trouble(struct store_bench *s, const char *what, const char *text) {
    snprintf(s->trouble, sizeof(s->trouble), "%.80s: %.160s", what, text);
    loop_stop(s->loop);
}

static void on_message(void *arg, const struct net_peer *from, const void *data, size_t len) {
    static struct wire_msg msg; // too large for the stack; one thread only
    struct store_bench *s = arg;
    char err[256];
    (void)from;
    if (wire_unpack(s->wire, &msg, data, len, err, sizeof(err)) < 0) {
        trouble(s, "invalid message from the model server", err);
        return;
    }
    switch (msg.type) {
    case WIRE_WELCOME:
        s->run_id = msg.run_id;
        loop_stop(s->loop);
        break;
    case WIRE_CREDIT:
        s->steps_allowed = msg.credit.steps_allowed;
        send_rows(s);
        break;
    case WIRE_ACK:
        if (msg.ack.seq > s->acked && msg.ack.seq <= s->seq) {
            s->rows_acked += (msg.ack.seq - s->acked) * s->rows;
            s->acked = msg.ack.seq;
            s->acked_ms = clock_ms();
        }
        send_rows(s);
        if (s->acked == s->seq && (!s->sending || s->rows_sent + s->rows > s->rows_end)) {
            loop_stop(s->loop);
        }
        break;
    case WIRE_REFUSE:
        trouble(s, "refused by the model server", msg.refuse.text);
        break;
    default:
        break; // heartbeats
    }
}

static void on_child_end(void *arg, int exit_status, int term_signal) {
    struct store_bench *s = arg;
    s->child_ended = true;
    if (!s->trouble[0]) {
        char how[128];
        child_describe_end(how, sizeof(how), exit_status, term_signal);
        trouble(s, "spur-modelserver", how);
    }
    loop_stop(s->loop);
}

static void on_tick(void *arg) {
    struct store_bench *s = arg;
    if (s->socket && !s->hello_sent) {
        s->hello_sent = send_hello(s) == 0; // fails until the server listens
    }
    // A message that the server dropped for lack of space is resent, with all later ones.
    if (s->acked < s->seq && clock_ms() - s->acked_ms > RESEND_MS) {
        bool was = s->sending;
        s->acked_ms = clock_ms();
        s->seq = s->acked;
        s->rows_sent = s->rows_acked;
        s->sending = true;
        send_rows(s);
        s->sending = was;
    }
    if (s->until_ms && clock_ms() >= s->until_ms) {
        s->timed_out = true;
        loop_stop(s->loop);
    }
}

// Runs the loop until a handler stops it (true) or the time is over (false).
static bool loop_for(struct store_bench *s, uint64_t ms) {
    s->timed_out = false;
    s->until_ms = clock_ms() + ms;
    loop_run(s->loop);
    s->until_ms = 0;
    return !s->timed_out;
}

// Rows acknowledged per second, from the first row sent to the last acknowledgement.
static double transitions_measure(struct store_bench *s, uint32_t rows, double seconds) {
    uint64_t begin_ns = clock_ns(), before = s->rows_acked;
    s->rows = rows;
    s->rows_end = s->rows_acked + ROWS_MAX;
    s->sending = true;
    s->acked_ms = clock_ms();
    send_rows(s);
    loop_for(s, (uint64_t)(seconds * 1000) + 1);
    s->sending = false;
    if (s->acked < s->seq && !s->trouble[0] && !loop_for(s, ACK_MS_MAX)) {
        trouble(s, "the model server", "did not acknowledge all messages");
    }
    if (s->rows_acked == before && !s->trouble[0]) {
        trouble(s, "the model server", "sent no credit: its limit of rows is reached");
    }
    return (double)(s->rows_acked - before) / ((double)(clock_ns() - begin_ns) / 1e9);
}

// ---- the server ----

// Exploration until the limit of rows, so that the server does not wait for a learner.
static int write_config(struct store_bench *s) {
    struct config *c = &s->dir.config;
    bench_config(c);
    c->run.steps = STEPS;
    c->run.explore_steps = STEPS - 1;
    c->network.heartbeat_ms = 60000;
    c->network.lost_after_ms = 600000; // the actor is silent between rounds
    c->network.batch_rows_max = ROWS_LARGE;
    char err[256];
    CHECK(task_from_config(&s->dir.task, c, err, sizeof(err)) == 0);
    FILE *f = rundir_join(s->dir.config_path, s->dir.path, "config.yaml")
                  ? fopen(s->dir.config_path, "w")
                  : NULL;
    if (!f) {
        snprintf(s->trouble, sizeof(s->trouble), "config.yaml cannot be written");
        return -1;
    }
    config_print(c, f, false);
    fclose(f);
    memcpy(s->dir.record_path, s->dir.config_path, sizeof(s->dir.record_path));
    return 0;
}

// A free port of the loopback interface; another process may take it before it is bound.
static unsigned free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return bound ? ntohs(address.sin_port) : 0;
}

// Address and keys of the link, in the temporary directory.
static int make_link(struct store_bench *s) {
    struct endpoints *e = &s->endpoints;
    char public_key[KEY_LEN], secret_key[KEY_LEN], path[PATH_MAX];
    if (s->link == LINK_IPC) {
        snprintf(e->modelserver, sizeof(e->modelserver), "ipc://%.200s/socket", s->dir.path);
        return 0;
    }
    snprintf(e->modelserver, sizeof(e->modelserver), "tcp://127.0.0.1:%u", free_port());
    if (s->link == LINK_TOKEN) {
        bool written =
            rundir_join(e->keys, s->dir.path, KEYS_TOKEN_FILE) && keys_write_token(e->keys) == 0;
        return written ? keys_load(&s->keys, e->keys, s->trouble, sizeof(s->trouble)) : -1;
    }
    net_make_keys(public_key, secret_key);
    bool written = rundir_join(e->keys, s->dir.path, "keys") && file_make_dir(e->keys) == 0 &&
                   rundir_join(path, e->keys, KEYS_SERVER_FILE) &&
                   keys_write_pair(path, "server", public_key, secret_key, NULL) == 0 &&
                   rundir_join(path, e->keys, KEYS_LIST_FILE) &&
                   file_write_atomic(path, "", 0) == 0;
    return written ? keys_load(&s->keys, e->keys, s->trouble, sizeof(s->trouble)) : -1;
}

static int start_server(struct store_bench *s) {
    char path[PATH_MAX], err[256];
    if (make_link(s) < 0) {
        snprintf(s->trouble, sizeof(s->trouble), "keys cannot be written");
        return -1;
    }
    net_secure(s->net, &s->keys);
    memcpy(s->endpoints.modelserver_bind, s->endpoints.modelserver,
           sizeof(s->endpoints.modelserver));
    if (!child_init(&s->child, CHILD_MODELSERVER, 0, &s->dir, &s->endpoints)) {
        snprintf(s->trouble, sizeof(s->trouble), "spur-modelserver cannot be started");
        return -1;
    }
    int log_fd = rundir_join(path, s->dir.path, "log")
                     ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                     : -1;
    s->child.handle =
        log_fd < 0 ? NULL
                   : loop_spawn(s->loop, s->child.args, log_fd, on_child_end, s, err, sizeof(err));
    if (log_fd >= 0) {
        close(log_fd);
    }
    if (!s->child.handle) {
        snprintf(s->trouble, sizeof(s->trouble), "spur-modelserver: %.200s",
                 log_fd < 0 ? "no log" : err);
        return -1;
    }
    if (net_open(&s->socket, s->net, NET_DEALER, s->endpoints.modelserver, s->trouble,
                 sizeof(s->trouble)) < 0) {
        return -1;
    }
    loop_add_socket(s->loop, s->socket, on_message, s);
    if (!loop_for(s, WELCOME_MS_MAX)) {
        trouble(s, "spur-modelserver", "did not answer");
    }
    return s->trouble[0] ? -1 : 0;
}

static void stop_server(struct store_bench *s) {
    if (!s->child.handle || s->child_ended) {
        return;
    }
    snprintf(s->trouble, sizeof(s->trouble), "stopped"); // its exit is not an error from now on
    loop_child_kill(s->child.handle, SIGTERM);
    if (!loop_for(s, LEAVE_MS_MAX) && !s->child_ended) {
        loop_child_kill(s->child.handle, SIGKILL);
        loop_for(s, LEAVE_MS_MAX);
    }
}

static void store_close_one(void *state) {
    struct store_bench *s = state;
    if (--s->users > 0) {
        return;
    }
    stop_server(s);
    loop_destroy(&s->loop);
    net_close(&s->socket);
    net_destroy(&s->net);
    keys_free(&s->keys);
    wire_destroy(&s->wire);
    if (s->dir.path[0]) {
        bench_remove_folder(s->dir.path);
    }
    free(s->columns);
    free(s->flags);
    free(s);
}

// ---- cases ----

// Appends the bytes of `rows` rows to a file and syncs it, repeatedly.
static double disk_measure(struct store_bench *s, uint32_t rows, double seconds) {
    char path[PATH_MAX];
    size_t len = rows * row_bytes(&s->dir.task);
    char *bytes = xcalloc(len, 1);
    for (size_t done = 0; done < len; done += sizeof(float) * ROWS_LARGE) {
        size_t n =
            len - done < sizeof(float) * ROWS_LARGE ? len - done : sizeof(float) * ROWS_LARGE;
        memcpy(bytes + done, s->columns, n); // not zeros, which a file system may not store
    }
    int fd = rundir_join(path, s->dir.path, "disk") ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)
                                                    : -1;
    uint64_t begin_ns = clock_ns(), syncs = 0;
    double elapsed = 0;
    bool fine = fd >= 0;
    for (; fine && elapsed < seconds; syncs++) {
        fine = write(fd, bytes, len) == (ssize_t)len && fdatasync(fd) == 0;
        elapsed = (double)(clock_ns() - begin_ns) / 1e9;
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    free(bytes);
    if (!fine) {
        snprintf(s->trouble, sizeof(s->trouble), "cannot write and sync a file in the directory");
    }
    return (double)syncs * rows / elapsed;
}

static double checked(struct bench_case *c, double rate) {
    struct store_bench *s = c->state;
    if (s->trouble[0]) {
        snprintf(c->note, sizeof(c->note), "%s", s->trouble);
        return -1;
    }
    return rate;
}

static double disk_small(struct bench_case *c, double seconds) {
    return checked(c, disk_measure(c->state, UNACKED_MAX, seconds));
}

static double disk_large(struct bench_case *c, double seconds) {
    return checked(c, disk_measure(c->state, UNACKED_ROWS_MAX, seconds));
}

static double transitions_small(struct bench_case *c, double seconds) {
    return checked(c, transitions_measure(c->state, 1, seconds));
}

static double transitions_large(struct bench_case *c, double seconds) {
    return checked(c, transitions_measure(c->state, ROWS_LARGE, seconds));
}

typedef double measure_fn(struct bench_case *c, double seconds);

static void add_pair(struct bench *b, struct store_bench *s, uint32_t rows, measure_fn *disk_run,
                     measure_fn *store_run) {
    char name[64];
    uint32_t window = rows * UNACKED_MAX;
    window = window < UNACKED_ROWS_MAX ? window : UNACKED_ROWS_MAX;
    snprintf(name, sizeof(name), "disk_sync_%u", window);
    struct bench_case *disk = bench_add(b, name, "rows/s");
    snprintf(disk->what, sizeof(disk->what), "write and fdatasync, %u rows each time", window);
    snprintf(disk->note, sizeof(disk->note), "rate of the disk in the same directory");
    snprintf(name, sizeof(name), "transitions_%u", rows);
    struct bench_case *store = bench_add(b, name, "rows/s");
    snprintf(store->what, sizeof(store->what), "transitions stored and acknowledged, %u a message",
             rows);
    snprintf(store->note, sizeof(store->note),
             "limit: the disk, with one sync for the %u rows that may be unacknowledged", window);
    store->limit = bench_index(b, disk);
    store->cost = 1;
    disk->state = store->state = s;
    disk->close = store->close = store_close_one;
    s->users += 2;
    if (s->started) {
        disk->run = disk_run;
        store->run = store_run;
    } else {
        snprintf(disk->note, sizeof(disk->note), "%s", s->trouble);
        snprintf(store->note, sizeof(store->note), "%s", s->trouble);
    }
}

static struct store_bench *create(enum link link, const char *where) {
    struct store_bench *s = xcalloc(1, sizeof(*s));
    s->link = link;
    s->net = net_create();
    s->loop = loop_create();
    s->wire = wire_create();
    loop_add_timer(s->loop, TICK_MS, TICK_MS, on_tick, s);
    if (bench_make_folder(s->dir.path, where) != 0) {
        snprintf(s->trouble, sizeof(s->trouble), "cannot create a directory in %.200s", where);
    } else if (write_config(s) == 0) {
        size_t floats = ROWS_LARGE * (row_bytes(&s->dir.task) / sizeof(float) + 1);
        s->columns = xfloats(floats);
        s->flags = xcalloc(ROWS_LARGE, 1);
        struct rng rng = rng_make(1, RNG_BENCH, 5);
        for (size_t i = 0; i < floats; i++) {
            s->columns[i] = (float)rng_range(&rng, -1, 1);
        }
        s->started = start_server(s) == 0;
    }
    return s;
}

void bench_add_store(struct bench *b, const char *where) {
    struct store_bench *s = create(LINK_IPC, where);
    add_pair(b, s, 1, disk_small, transitions_small);
    add_pair(b, s, ROWS_LARGE, disk_large, transitions_large);
}

void bench_add_links(struct bench *b, const char *where) {
    static const char *const names[] = {"ipc", "token", "curve"};
    static const char *const whats[] = {"ipc", "tcp with a token", "tcp with CURVE"};
    static measure_fn *const runs[] = {transitions_small, transitions_large};
    int limits[2] = {BENCH_NO_LIMIT, BENCH_NO_LIMIT};
    for (int link = 0; link < LINK_COUNT; link++) {
        struct store_bench *s = create((enum link)link, where);
        for (int i = 0; i < 2; i++) {
            int rows = i == 0 ? 1 : ROWS_LARGE;
            char name[64];
            snprintf(name, sizeof(name), "transitions_%d_%s", rows, names[link]);
            struct bench_case *c = bench_add(b, name, "rows/s");
            snprintf(c->what, sizeof(c->what), "transitions acknowledged over %s, %d a message",
                     whats[link], rows);
            snprintf(c->note, sizeof(c->note), "%s", s->started ? "limit: over ipc" : s->trouble);
            limits[i] = link == 0 ? bench_index(b, c) : limits[i];
            c->limit = limits[i];
            c->cost = 1;
            c->state = s;
            c->close = store_close_one;
            c->run = s->started ? runs[i] : NULL;
            s->users++;
        }
    }
}
