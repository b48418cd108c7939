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
    // The key of the connection: its entry in the list of keys, from 1. 0: it may do everything, as
    // a process of the same user, with the run's token or with the server's own key.
    uint16_t key;
};

#define NET_PEER_NO_KEY UINT16_MAX // may do nothing

static inline bool net_peer_equal(const struct net_peer *a, const struct net_peer *b) {
    return a->len == b->len && a->key == b->key && memcmp(a->id, b->id, a->len) == 0;
}

#endif
