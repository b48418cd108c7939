// SPDX-License-Identifier: MIT
// A DEALER socket, polled until the status arrives or the time is over.
#include "cli/status/status_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/io/net.h"

enum { POLL_MS = 20 }; // the descriptor is edge-triggered: do not rely on it for longer

struct status_client {
    struct keys keys;
    struct net *net;
    struct net_socket *socket;
    struct wire *wire;
    struct wire_msg msg;
};

struct status_client *status_client_create(const char *endpoint, const char *keys, char *err,
                                           size_t err_len) {
    struct status_client *c = xmalloc(sizeof(*c));
    c->net = net_create();
    c->wire = wire_create();
    net_secure(c->net, &c->keys);
    if ((keys && keys[0] != '\0' && keys_load(&c->keys, keys, err, err_len) != 0) ||
        net_open(&c->socket, c->net, NET_DEALER, endpoint, err, err_len) != 0) {
        status_client_destroy(&c);
        return NULL;
    }
    return c;
}

void status_client_destroy(struct status_client **c) {
    if (!*c) {
        return;
    }
    if ((*c)->socket) {
        net_close(&(*c)->socket);
    }
    net_destroy(&(*c)->net);
    wire_destroy(&(*c)->wire);
    keys_free(&(*c)->keys);
    free(*c);
    *c = NULL;
}

// Receives a message, if any; *verdict becomes wire_unpack's result.
static bool receive(struct status_client *c, int *verdict, char *err, size_t err_len) {
    struct net_peer from;
    struct net_frame frame;
    if (net_recv(c->socket, &from, &frame) != 0) {
        return false;
    }
    *verdict = wire_unpack(c->wire, &c->msg, frame.data, frame.len, err, err_len);
    net_frame_close(&frame);
    return true;
}

static bool is_refused(struct status_client *c, bool at_last, char *err, size_t err_len) {
    const char *why = net_refusal(c->socket, at_last);
    if (why) {
        snprintf(err, err_len, "%s %s", net_endpoint(c->socket), why);
    }
    return why != NULL;
}

int status_client_status(struct status_client *c, const struct wire_status **status,
                         uint32_t timeout_ms, char *err, size_t err_len) {
    const struct wire_msg request = {.type = WIRE_STATUS_REQUEST};
    bool sent = false;
    uint64_t until = clock_ms() + timeout_ms;
    while (clock_ms() < until) {
        sent = sent || wire_send(c->wire, c->socket, NULL, &request) == 0;
        int verdict;
        while (receive(c, &verdict, err, err_len)) {
            if (verdict != 0) {
                return -1; // err was set by wire_unpack
            }
            if (c->msg.type == WIRE_STATUS) {
                *status = &c->msg.status;
                return 0;
            }
            if (c->msg.type == WIRE_REFUSE) {
                snprintf(err, err_len, "%s refused the request: %s", net_endpoint(c->socket),
                         c->msg.refuse.text);
                return c->msg.refuse.code == WIRE_REFUSED_KEY ? -EACCES : -1;
            }
        }
        if (is_refused(c, false, err, err_len)) {
            return -EACCES;
        }
        struct pollfd fd = {.fd = net_fd(c->socket), .events = POLLIN};
        poll(&fd, 1, POLL_MS);
    }
    if (is_refused(c, true, err, err_len)) {
        return -EACCES;
    }
    if (sent) {
        snprintf(err, err_len,
                 "%s accepts connections but did not answer within %u s: is it a process of spur, "
                 "and of this version?",
                 net_endpoint(c->socket), timeout_ms / 1000);
    } else {
        snprintf(err, err_len,
                 "cannot connect to %s within %u s: is the run still active, and is the address "
                 "correct?",
                 net_endpoint(c->socket), timeout_ms / 1000);
    }
    return -1;
}
