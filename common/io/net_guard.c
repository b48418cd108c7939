// SPDX-License-Identifier: MIT
// A table of connections by descriptor; TCP_INFO has the bytes that each has received.
#include "common/io/net_guard.h"

#include <linux/tcp.h> // the C library's has no tcpi_bytes_received
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/rlimits.h"

enum {
    CHECK_MS = 50,
    DESCRIPTORS_RESERVED_MAX = 256, // for files and sockets of our own
    QUEUE_BYTES = 4 << 20,          // more than honest peers have sent ahead
};

struct connection {
    bool open;
    bool heard;     // not a stranger: a message has come, or it is old enough
    bool delivered; // a message since the last check
    bool suspect;   // over the budget at the last check
    uint64_t accepted_ms;
    uint64_t bytes; // received when the last message was noted
};

struct net_guard {
    struct connection *connections; // by descriptor
    int size;                       // of the table
    int open, strangers, open_max;
    uint64_t bytes_max, checked_ms;
};

struct net_guard *net_guard_create(size_t message_max) {
    struct net_guard *g = xcalloc(1, sizeof(*g));
    int limit = rlimits_descriptors();
    int reserved = limit / 4 < DESCRIPTORS_RESERVED_MAX ? limit / 4 : DESCRIPTORS_RESERVED_MAX;
    g->open_max = limit - reserved < NET_CONNECTIONS_MAX ? limit - reserved : NET_CONNECTIONS_MAX;
    g->bytes_max = 2 * (uint64_t)message_max + QUEUE_BYTES;
    return g;
}

void net_guard_destroy(struct net_guard **guard) {
    if (*guard) {
        free((*guard)->connections);
        free(*guard);
        *guard = NULL;
    }
}

static struct connection *find(struct net_guard *g, int fd) {
    return fd >= 0 && fd < g->size && g->connections[fd].open ? &g->connections[fd] : NULL;
}

static void make_room(struct net_guard *g, int fd) {
    if (fd < g->size) {
        return;
    }
    int size = 2 * fd + 64;
    struct connection *larger = xcalloc((size_t)size, sizeof(*larger));
    if (g->size > 0) {
        memcpy(larger, g->connections, (size_t)g->size * sizeof(*larger));
    }
    free(g->connections);
    g->connections = larger;
    g->size = size;
}

// ZeroMQ reads the end of the connection and closes it, which the peer sees as a reset: it would
// wait for room in a full buffer otherwise.
static void cut(int fd) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    shutdown(fd, SHUT_RD);
}

void net_guard_accepted(struct net_guard *g, uint64_t now_ms, int fd) {
    if (fd < 0) {
        return;
    }
    net_guard_closed(g, fd); // its end may not have been reported
    make_room(g, fd);
    g->connections[fd] = (struct connection){.open = true, .accepted_ms = now_ms};
    g->open++;
    g->strangers++;
    if (g->open > g->open_max) {
        log_peer(LOG_WARN, "a connection is refused: there are %d, and the limit is %d", g->open,
                 g->open_max);
        cut(fd);
    } else if (g->strangers > NET_STRANGERS_MAX) {
        log_peer(LOG_WARN, "a connection is refused: %d new ones have sent no message yet",
                 g->strangers);
        cut(fd);
    }
}

static void hear(struct net_guard *g, struct connection *c) {
    g->strangers -= !c->heard;
    c->heard = true;
}

bool net_guard_message(struct net_guard *g, int fd) {
    struct connection *c = find(g, fd);
    if (c) {
        hear(g, c);
        c->delivered = true;
    }
    return c != NULL;
}

void net_guard_closed(struct net_guard *g, int fd) {
    struct connection *c = find(g, fd);
    if (c) {
        hear(g, c);
        c->open = false;
        g->open--;
    }
}

// 0 if it is not a TCP connection.
static uint64_t received(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_received : 0;
}

// Messages that have arrived are served between two checks: a queue of them is not cut.
static void check_bytes(const struct net_guard *g, struct connection *c, int fd) {
    uint64_t bytes = received(fd);
    if (c->delivered) {
        c->bytes = bytes;
    }
    bool over = bytes > c->bytes && bytes - c->bytes > g->bytes_max;
    if (over && c->suspect) {
        log_peer(LOG_WARN, "a connection is cut: it has sent %llu bytes and no whole message",
                 (unsigned long long)(bytes - c->bytes));
        cut(fd);
    }
    c->delivered = false;
    c->suspect = over;
}

void net_guard_check(struct net_guard *g, uint64_t now_ms) {
    if (now_ms - g->checked_ms < CHECK_MS) {
        return;
    }
    g->checked_ms = now_ms;
    for (int fd = 0, seen = 0; fd < g->size && seen < g->open; fd++) {
        struct connection *c = &g->connections[fd];
        if (!c->open) {
            continue;
        }
        seen++;
        if (now_ms - c->accepted_ms >= NET_STRANGER_MS) {
            hear(g, c);
        }
        check_bytes(g, c, fd);
    }
}

int net_guard_connections(const struct net_guard *g) {
    return g->open;
}
