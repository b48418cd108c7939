// SPDX-License-Identifier: MIT
// Address of a peer connected to a ROUTER, for code that does not use sockets itself.
#ifndef SPUR_COMMON_IO_NET_PEER_H
#define SPUR_COMMON_IO_NET_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NET_PEER_ID_MAX 32

// The routing id that ZeroMQ assigned to a connection. It changes when the peer reconnects; the
// lasting identity (actor id, incarnation) is part of the messages. All zero for a DEALER.
struct net_peer {
    uint8_t len;
    uint8_t id[NET_PEER_ID_MAX];
};

static inline bool net_peer_equal(const struct net_peer *a, const struct net_peer *b) {
    return a->len == b->len && memcmp(a->id, b->id, a->len) == 0;
}

#endif
