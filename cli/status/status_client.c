// SPDX-License-Identifier: MIT
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

enum { LOOK_MS = 20 }; // the socket's descriptor can miss an edge: look this often anyway

struct status_client {
    struct net *net;
    struct net_socket *socket;
    struct wire *wire;
    struct wire_msg msg;
};

struct status_client *status_client_create(const char *endpoint, char *err, size_t err_len) {
    struct status_client *a = xmalloc(sizeof(*a));
    a->net = net_create();
    a->wire = wire_create();
    if (net_open(&a->socket, a->net, NET_DEALER, endpoint, err, err_len) != 0) {
        status_client_destroy(&a);
        return NULL;
    }
    return a;
}

void status_client_destroy(struct status_client **a) {
    if (!*a) {
        return;
    }
    if ((*a)->socket) {
        net_close(&(*a)->socket);
    }
    net_destroy(&(*a)->net);
    wire_destroy(&(*a)->wire);
    free(*a);
    *a = NULL;
}

// False: nothing there.
static bool receive(struct status_client *a, int *verdict, char *err, size_t err_len) {
    struct net_peer from;
    struct net_frame frame;
    if (net_recv(a->socket, &from, &frame) != 0) {
        return false;
    }
    *verdict = wire_unpack(a->wire, &a->msg, frame.data, frame.len, err, err_len);
    net_frame_close(&frame);
    return true;
}

int status_client_status(struct status_client *a, const struct wire_status **status,
                         uint32_t timeout_ms, char *err, size_t err_len) {
    const struct wire_msg question = {.type = WIRE_STATUS_REQUEST};
    bool sent = false;
    uint64_t until = clock_ms() + timeout_ms;
    while (clock_ms() < until) {
        sent = sent || wire_send(a->wire, a->socket, NULL, &question) == 0;
        int verdict;
        while (receive(a, &verdict, err, err_len)) {
            if (verdict != 0) {
                return -1; // err is wire_unpack's
            }
            if (a->msg.type == WIRE_STATUS) {
                *status = &a->msg.status;
                return 0;
            }
            if (a->msg.type == WIRE_REFUSE) {
                snprintf(err, err_len, "%s refuses to answer: %s", net_endpoint(a->socket),
                         a->msg.refuse.text);
                return -1;
            }
        }
        struct pollfd fd = {.fd = net_fd(a->socket), .events = POLLIN};
        poll(&fd, 1, LOOK_MS);
    }
    if (sent) {
        snprintf(err, err_len,
                 "%s is there but did not answer within %u s: is it one of spur's processes, and "
                 "of this version?",
                 net_endpoint(a->socket), timeout_ms / 1000);
    } else {
        snprintf(err, err_len,
                 "nobody answered at %s within %u s: does the run still go on, and is the address "
                 "right?",
                 net_endpoint(a->socket), timeout_ms / 1000);
    }
    return -1;
}
