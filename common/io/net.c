// SPDX-License-Identifier: MIT
// ZeroMQ sockets with all options set explicitly. ZeroMQ's defaults are unsafe for a daemon: it
// lingers forever, accepts messages of any size, queues for absent peers, reconnects without
// back-off and deletes any file at an ipc path that it binds. Instead:
//
// - A DEALER queues only while connected (ZMQ_IMMEDIATE): without a peer, a send returns -EAGAIN
//   and the core keeps the data, instead of losing a queue with the socket.
// - A ROUTER reports a disconnected peer (ZMQ_ROUTER_MANDATORY) instead of silently dropping.
// - Senders check the size of messages too: a receiver closes the connection on an oversized
//   message, which loses the messages queued behind it.
// - Addresses are validated before ZeroMQ sees them (net_address.c).
// - The number of connections to a ROUTER is limited, and what they send before a message is whole
//   (net_guard.c).
//
// Each socket has a monitor. For a DEALER it reports whether the connection is up; for a ROUTER,
// its connections, and when the listener is closed, so that the endpoint can be bound again right
// after net_close. The order of closing matters: stop the monitor, close the socket, close the
// monitor's receiving end. Any other order can deadlock ZeroMQ's I/O thread without an error.
#include "common/io/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/rlimits.h"
#include "common/io/net_address.h"
#include "common/io/net_guard.h"
#include "common/io/net_zap.h"

enum {
    QUEUE_MESSAGES_MAX = 256, // per direction of a connection, unless limited
    LINGER_MS = 1000,         // to deliver the final Goodbye
    RECONNECT_MS = 100,       // initial back-off, doubled up to RECONNECT_MS_MAX
    RECONNECT_MS_MAX = 2000,
    HANDSHAKE_MS_MAX = 5000,
    BACKLOG_MAX = 1024,
    HANDSHAKES_FAILED_MIN = 3, // one after the other, without a reason
    REFUSED_MS = 10000,        // and for so long: a server with too many connections refuses some
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
    TCP_UNACKED_MS_MAX = 15000, // unacknowledged data for longer: the connection is dead
    UNBIND_MS_MAX = 1000,
    // Upper bounds of what a context and a socket take.
    CONTEXT_THREADS = 3,
    CONTEXT_DESCRIPTORS = 10,
    CONTEXT_BYTES = 4 << 20,
    SOCKET_DESCRIPTORS = 8,
};

struct net {
    void *ctx;
    unsigned sockets_open;
    uint64_t sockets_made; // for unique names of monitors
    struct net_limits limits;
    const struct keys *keys; // NULL: none
    struct net_zap *zap;     // of a server with keys
    // Of DEALERs, which may be opened again: handshakes that failed without a reason, in a row.
    int handshakes_failed;
    uint64_t failing_ms; // since when
};

struct net_socket {
    struct net *net;
    void *zmq;
    void *monitor; // receiving end of the monitor's events
    enum net_kind kind;
    bool connected;
    bool secured;            // connections have a user id
    const char *refusal;     // of a DEALER; NULL: not refused
    struct net_guard *guard; // of a ROUTER
    int fd;
    ino_t ipc_inode; // of the bound socket file; 0: none
    char endpoint[NET_ENDPOINT_MAX];
};

_Static_assert(sizeof(zmq_msg_t) <= sizeof(((struct net_frame *)0)->opaque),
               "a frame holds a zmq_msg_t");
_Static_assert(_Alignof(zmq_msg_t) <= 16, "a frame is aligned for a zmq_msg_t");

struct net *net_create(void) {
    char err[256];
    // ZeroMQ aborts where its threads or their descriptors cannot be had.
    if (rlimits_check(CONTEXT_THREADS, CONTEXT_DESCRIPTORS, CONTEXT_BYTES, err, sizeof(err)) != 0) {
        die(EXIT_CODE_RESOURCES, "raise the limit, in the shell or of the batch job", "%s", err);
    }
    struct net *net = xmalloc(sizeof(*net));
    net->ctx = zmq_ctx_new();
    CHECK(net->ctx);
    net->limits = (struct net_limits){.message_max = NET_MESSAGE_MAX,
                                      .send_max = QUEUE_MESSAGES_MAX,
                                      .receive_max = QUEUE_MESSAGES_MAX};
    return net;
}

void net_limit(struct net *net, const struct net_limits *limits) {
    net->limits = *limits;
}

void net_destroy(struct net **net) {
    if (!*net) {
        return;
    }
    CHECK((*net)->sockets_open == 0);
    zmq_ctx_shutdown((*net)->ctx);
    net_zap_stop(&(*net)->zap);
    while (zmq_ctx_term((*net)->ctx) != 0 && errno == EINTR) {
    }
    free(*net);
    *net = NULL;
}

// ---- keys ----

void net_secure(struct net *net, const struct keys *keys) {
    net->keys = keys;
}

void net_admit(struct net *net) {
    if (net->zap) {
        net_zap_admit(net->zap, net->keys);
    }
}

void net_make_keys(char public_key[KEY_LEN], char secret_key[KEY_LEN]) {
    CHECK(zmq_curve_keypair(public_key, secret_key) == 0);
}

static void set_text(void *zmq, int option, const char *text) {
    CHECK(zmq_setsockopt(zmq, option, text, strlen(text)) == 0);
}

// CURVE and PLAIN exclude each other. The handler is there before the first connection; one that it
// has not admitted has no user id, and may do nothing.
static void set_server_keys(struct net_socket *s, bool curve) {
    const int yes = 1;
    if (!s->net->zap) {
        s->net->zap = net_zap_start(s->net->ctx, s->net->keys);
    }
    set_text(s->zmq, ZMQ_ZAP_DOMAIN, NET_ZAP_DOMAIN);
    int kind = curve ? ZMQ_CURVE_SERVER : ZMQ_PLAIN_SERVER;
    CHECK(zmq_setsockopt(s->zmq, kind, &yes, sizeof(yes)) == 0);
    if (curve) {
        set_text(s->zmq, ZMQ_CURVE_SECRETKEY, s->net->keys->secret_key);
    }
}

static void set_client_keys(struct net_socket *s, bool curve) {
    const struct keys *k = s->net->keys;
    if (curve) {
        set_text(s->zmq, ZMQ_CURVE_SERVERKEY, k->server_key);
        set_text(s->zmq, ZMQ_CURVE_PUBLICKEY, k->public_key);
        set_text(s->zmq, ZMQ_CURVE_SECRETKEY, k->secret_key);
    } else {
        set_text(s->zmq, ZMQ_PLAIN_USERNAME, "spur");
        set_text(s->zmq, ZMQ_PLAIN_PASSWORD, k->token);
    }
}

static void set_keys(struct net_socket *s, const char *endpoint) {
    const struct keys *k = s->net->keys;
    // A client's key admits nobody: what a client binds is ipc, open to its user.
    bool curve = k && k->secret_key[0] != '\0' && (k->serves || s->kind != NET_ROUTER);
    bool token = k && k->token[0] != '\0' && strncmp(endpoint, "tcp://", 6) == 0;
    s->secured = curve || token;
    if (s->secured && s->kind == NET_ROUTER) {
        set_server_keys(s, curve);
    } else if (s->secured) {
        set_client_keys(s, curve);
    }
}

// ---- opening ----

static void set_int(void *zmq, int option, int value) {
    CHECK(zmq_setsockopt(zmq, option, &value, sizeof(value)) == 0);
}

// The server that a DEALER connects to may send what it likes.
static void set_limits(const struct net_socket *s) {
    const struct net_limits *limits = &s->net->limits;
    bool router = s->kind == NET_ROUTER;
    int64_t message_max = router ? (int64_t)limits->message_max : NET_MESSAGE_MAX;
    CHECK(zmq_setsockopt(s->zmq, ZMQ_MAXMSGSIZE, &message_max, sizeof(message_max)) == 0);
    set_int(s->zmq, ZMQ_SNDHWM, router ? limits->send_max : QUEUE_MESSAGES_MAX);
    set_int(s->zmq, ZMQ_RCVHWM, router ? limits->receive_max : QUEUE_MESSAGES_MAX);
}

static void set_options(void *zmq, enum net_kind kind, bool ipv6) {
    set_int(zmq, ZMQ_LINGER, LINGER_MS);
    set_int(zmq, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS_MAX);
    set_int(zmq, ZMQ_TCP_KEEPALIVE, 1);
    set_int(zmq, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S);
    set_int(zmq, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S);
    set_int(zmq, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT);
    set_int(zmq, ZMQ_TCP_MAXRT, TCP_UNACKED_MS_MAX);
    set_int(zmq, ZMQ_IPV6, ipv6);
    if (kind == NET_ROUTER) {
        set_int(zmq, ZMQ_ROUTER_MANDATORY, 1);
        set_int(zmq, ZMQ_BACKLOG, BACKLOG_MAX);
    } else {
        set_int(zmq, ZMQ_IMMEDIATE, 1);
        set_int(zmq, ZMQ_RECONNECT_IVL, RECONNECT_MS);
        set_int(zmq, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    }
}

// The receiving PAIR has no queue limit: a full queue would block ZeroMQ's I/O thread. It stays
// short: few events are subscribed to, and net_readable drains them.
static void monitor_start(struct net_socket *s) {
    char name[64];
    snprintf(name, sizeof(name), "inproc://monitor-%llu",
             (unsigned long long)s->net->sockets_made++);
    int events = s->kind == NET_ROUTER
                     ? ZMQ_EVENT_CLOSED | ZMQ_EVENT_CLOSE_FAILED | ZMQ_EVENT_ACCEPTED |
                           ZMQ_EVENT_DISCONNECTED
                     : ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                           ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    CHECK_RESOURCES(zmq_socket_monitor(s->zmq, name, events) == 0);
    s->monitor = zmq_socket(s->net->ctx, ZMQ_PAIR);
    CHECK_RESOURCES(s->monitor);
    set_int(s->monitor, ZMQ_RCVHWM, 0);
    set_int(s->monitor, ZMQ_LINGER, 0);
    CHECK_RESOURCES(zmq_connect(s->monitor, name) == 0);
}

// Reads one event; 0 if none is pending. value: of some, a descriptor.
static int monitor_next(struct net_socket *s, int32_t *value) {
    unsigned char head[6]; // event (2 bytes, native order) and value (4 bytes)
    unsigned char address[NET_ENDPOINT_MAX];
    if (zmq_recv(s->monitor, head, sizeof(head), ZMQ_DONTWAIT) != (int)sizeof(head)) {
        return 0;
    }
    zmq_recv(s->monitor, address, sizeof(address), ZMQ_DONTWAIT);
    uint16_t event;
    memcpy(&event, head, sizeof(event));
    memcpy(value, head + sizeof(event), sizeof(*value));
    return event;
}

static void drain_router(struct net_socket *s) {
    uint64_t now_ms = clock_ms();
    int32_t fd;
    for (int event; (event = monitor_next(s, &fd)) != 0;) {
        if (event == ZMQ_EVENT_ACCEPTED) {
            net_guard_accepted(s->guard, now_ms, fd);
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            net_guard_closed(s->guard, fd);
        }
    }
    net_guard_check(s->guard, now_ms);
}

// What a failed handshake says about this process and the server.
static const char *refusal_of(struct net_socket *s, int event, int32_t value) {
    bool token = s->net->keys && s->net->keys->token[0] != '\0';
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        return token ? "does not admit the token of this process: it is another run's"
                     : "does not admit the key of this process: it is not in its list, or was "
                       "revoked";
    }
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
        return s->secured ? "asks for another proof of who this process is than --keys has: a key "
                            "of `spur keys`, the token of its run, or none"
                          : "asks for a key or the token of its run: give it with --keys";
    }
    return NULL;
}

// Whose boxes a server cannot open, it leaves without a word.
static void count_failure(struct net *net) {
    if (net->handshakes_failed++ == 0) {
        net->failing_ms = clock_ms();
    }
}

static void drain_dealer(struct net_socket *s) {
    int32_t value;
    for (int event; (event = monitor_next(s, &value)) != 0;) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            s->connected = true;
            s->net->handshakes_failed = 0;
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            s->connected = false;
        } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
            count_failure(s->net);
        } else if (!s->refusal) {
            s->refusal = refusal_of(s, event, value);
        }
    }
}

static void monitor_drain(struct net_socket *s) {
    if (s->kind == NET_ROUTER) {
        drain_router(s);
    } else {
        drain_dealer(s);
    }
}

int net_open(struct net_socket **out, struct net *net, enum net_kind kind, const char *endpoint,
             char *err, size_t err_len) {
    *out = NULL;
    struct net_address address;
    int rc = net_address_prepare(&address, kind, endpoint, err, err_len);
    if (rc != 0) {
        return rc;
    }

    rc = rlimits_check(0, SOCKET_DESCRIPTORS, 0, err, err_len);
    if (rc != 0) {
        return rc;
    }
    void *zmq = zmq_socket(net->ctx, kind == NET_ROUTER ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!zmq) {
        return net_address_explain(errno, zmq_strerror(errno), kind, endpoint, err, err_len);
    }
    struct net_socket *s = xmalloc(sizeof(*s));
    *s = (struct net_socket){.net = net, .zmq = zmq, .kind = kind};
    net->sockets_open++;
    s->guard = kind == NET_ROUTER ? net_guard_create(net->limits.message_max) : NULL;
    set_limits(s);
    set_options(s->zmq, kind, address.ipv6);
    set_keys(s, endpoint);
    monitor_start(s);
    size_t fd_len = sizeof(s->fd);
    CHECK(zmq_getsockopt(s->zmq, ZMQ_FD, &s->fd, &fd_len) == 0);

    if ((kind == NET_ROUTER ? zmq_bind(s->zmq, address.text) : zmq_connect(s->zmq, address.text)) !=
        0) {
        rc = net_address_explain(errno, zmq_strerror(errno), kind, endpoint, err, err_len);
        net_close(&s);
        return rc;
    }
    snprintf(s->endpoint, sizeof(s->endpoint), "%s", endpoint);
    if (kind == NET_ROUTER) {
        size_t len = sizeof(s->endpoint);
        CHECK(zmq_getsockopt(s->zmq, ZMQ_LAST_ENDPOINT, s->endpoint, &len) == 0);
        struct stat st;
        if (strncmp(s->endpoint, "ipc://", 6) == 0 && lstat(s->endpoint + 6, &st) == 0) {
            s->ipc_inode = st.st_ino;
        }
    }
    *out = s;
    return 0;
}

// Removes the socket file that was bound, unless another has replaced it. ZeroMQ does not remove
// it. Called while still listening, so that no other process can consider the path stale.
static void remove_ipc_file(const struct net_socket *s) {
    struct stat st;
    const char *path = s->endpoint + strlen("ipc://");
    if (s->ipc_inode != 0 && lstat(path, &st) == 0 && st.st_ino == s->ipc_inode) {
        unlink(path);
    }
}

// Stops listening and waits until ZeroMQ's I/O thread has closed the port, which it does
// asynchronously. Before that, the endpoint cannot be bound again.
static void unbind(struct net_socket *s) {
    remove_ipc_file(s);
    if (zmq_unbind(s->zmq, s->endpoint) != 0) {
        return;
    }
    zmq_pollitem_t item = {.socket = s->monitor, .events = ZMQ_POLLIN};
    while (zmq_poll(&item, 1, UNBIND_MS_MAX) > 0) {
        int32_t value;
        int event = monitor_next(s, &value);
        if (event == ZMQ_EVENT_CLOSED || event == ZMQ_EVENT_CLOSE_FAILED) {
            return;
        }
    }
}

void net_close(struct net_socket **socket) {
    struct net_socket *s = *socket;
    if (!s) {
        return;
    }
    if (s->kind == NET_ROUTER && s->endpoint[0]) {
        unbind(s);
    }
    zmq_socket_monitor(s->zmq, NULL, 0);
    zmq_close(s->zmq);
    zmq_close(s->monitor);
    net_guard_destroy(&s->guard);
    s->net->sockets_open--;
    free(s);
    *socket = NULL;
}

void net_cut(struct net_socket **socket) {
    if (*socket) {
        set_int((*socket)->zmq, ZMQ_LINGER, 0);
        net_close(socket);
    }
}

const char *net_endpoint(const struct net_socket *socket) {
    return socket->endpoint;
}

// ---- messages ----

// Makes ZeroMQ look at what its thread reports, which a call does once a millisecond at most.
static int events_of(struct net_socket *s) {
    int events = 0;
    size_t len = sizeof(events);
    while (zmq_getsockopt(s->zmq, ZMQ_EVENTS, &events, &len) != 0) {
        CHECK(errno == EINTR);
    }
    return events;
}

static int send_part(struct net_socket *s, const void *data, size_t len, int flags) {
    for (bool looked = false; zmq_send(s->zmq, data, len, ZMQ_DONTWAIT | flags) < 0;) {
        if (errno == EAGAIN && !looked) {
            looked = true;
            events_of(s); // a short queue may be empty again
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

// Sends the routing id (ROUTER). 0 if the message itself will be accepted.
static int send_head(struct net_socket *s, const struct net_peer *to, size_t len) {
    if (len > NET_MESSAGE_MAX) {
        return -EMSGSIZE;
    }
    if (s->kind == NET_ROUTER) {
        // Once ZeroMQ has accepted the routing id, it accepts the rest of the message.
        CHECK(to && to->len > 0);
        return send_part(s, to->id, to->len, ZMQ_SNDMORE);
    }
    // For some milliseconds after a disconnect ZeroMQ would still queue messages, and lose them.
    return net_connected(s) ? 0 : -EAGAIN;
}

static zmq_msg_t *message_of(struct net_frame *frame) {
    return (zmq_msg_t *)(void *)frame->opaque;
}

void *net_frame_make(struct net_frame *frame, size_t len) {
    CHECK_RESOURCES(zmq_msg_init_size(message_of(frame), len) == 0);
    void *data = zmq_msg_data(message_of(frame));
    frame->data = data;
    frame->len = len;
    return data;
}

int net_send(struct net_socket *socket, const struct net_peer *to, struct net_frame *frame) {
    int rc = send_head(socket, to, frame->len);
    while (rc == 0 && zmq_msg_send(message_of(frame), socket->zmq, ZMQ_DONTWAIT) < 0) {
        rc = errno == EINTR ? 0 : -errno;
    }
    net_frame_close(frame); // empty if it was sent
    return rc;
}

// The user id of the handshake.
static uint16_t key_of(const struct net_socket *s, zmq_msg_t *part) {
    if (!s->secured || s->kind != NET_ROUTER) {
        return 0;
    }
    const char *user = zmq_msg_gets(part, "User-Id");
    char *end = NULL;
    unsigned long number = user ? strtoul(user, &end, 10) : NET_PEER_NO_KEY;
    return user && *user != '\0' && *end == '\0' && number <= KEYS_MAX ? (uint16_t)number
                                                                       : NET_PEER_NO_KEY;
}

static int recv_part(struct net_socket *s, zmq_msg_t *part) {
    while (zmq_msg_recv(part, s->zmq, ZMQ_DONTWAIT) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

// Reads the routing id, which a ROUTER prepends to each message.
static int recv_peer(struct net_socket *s, struct net_peer *from) {
    zmq_msg_t name;
    zmq_msg_init(&name);
    int rc = recv_part(s, &name);
    if (rc == 0) {
        size_t len = zmq_msg_size(&name);
        // ZeroMQ assigns five bytes. A longer id was set by a foreign peer: truncated, it is
        // unknown to ZeroMQ, so replies to it fail, harmlessly.
        from->len = (uint8_t)(len < NET_PEER_ID_MAX ? len : NET_PEER_ID_MAX);
        memcpy(from->id, zmq_msg_data(&name), from->len);
    }
    zmq_msg_close(&name);
    return rc;
}

int net_recv(struct net_socket *socket, struct net_peer *from, struct net_frame *frame) {
    struct net_peer peer = {.len = 0};
    int rc = socket->kind == NET_ROUTER ? recv_peer(socket, &peer) : 0;
    if (rc != 0) {
        return rc;
    }
    zmq_msg_t *part = message_of(frame);
    zmq_msg_init(part);
    rc = recv_part(socket, part);
    if (rc != 0) {
        zmq_msg_close(part);
        return rc;
    }

    peer.key = key_of(socket, part);

    // Valid messages have one part. Multi-part ones come from foreign peers: they are returned as
    // an empty message, which wire_unpack refuses and the core counts.
    bool foreign = false;
    while (zmq_msg_more(part)) {
        foreign = true;
        if (recv_part(socket, part) != 0) {
            break;
        }
    }
    if (from) {
        *from = peer;
    }
    int fd = socket->guard ? zmq_msg_get(part, ZMQ_SRCFD) : -1;
    if (fd >= 0 && !net_guard_message(socket->guard, fd)) {
        monitor_drain(socket);
        net_guard_message(socket->guard, fd);
    }
    frame->data = zmq_msg_data(part);
    frame->len = foreign ? 0 : zmq_msg_size(part);
    return 0;
}

void net_frame_close(struct net_frame *frame) {
    zmq_msg_close(message_of(frame));
    frame->data = NULL;
    frame->len = 0;
}

// ---- state ----

bool net_connected(struct net_socket *socket) {
    monitor_drain(socket);
    return socket->connected;
}

const char *net_refusal(struct net_socket *socket, bool at_last) {
    monitor_drain(socket);
    const struct net *net = socket->net;
    bool tcp = strncmp(socket->endpoint, "tcp://", 6) == 0;
    if (socket->refusal || socket->connected || !tcp ||
        net->handshakes_failed < HANDSHAKES_FAILED_MIN ||
        (!at_last && clock_ms() - net->failing_ms < REFUSED_MS)) {
        return socket->refusal;
    }
    return socket->secured
               ? "ends each handshake: it has another key than the server-key of "
                 "--keys, or is no process of spur"
               : "ends each handshake: it asks for a key or the token of its run, or is "
                 "no process of spur";
}

int net_fd(const struct net_socket *socket) {
    return socket->fd;
}

int net_monitor_fd(const struct net_socket *socket) {
    int fd = -1;
    size_t len = sizeof(fd);
    if (socket->kind == NET_ROUTER) {
        CHECK(zmq_getsockopt(socket->monitor, ZMQ_FD, &fd, &len) == 0);
    }
    return fd;
}

bool net_readable(struct net_socket *socket) {
    monitor_drain(socket);
    return (events_of(socket) & ZMQ_POLLIN) != 0;
}
