// SPDX-License-Identifier: MIT
// Authentication of connections: the handler that ZeroMQ asks in each handshake (ZAP, RFC 27).
//
// A thread of its own answers, so that handshakes do not wait for the loop. It admits a token
// (PLAIN), the server's own key and the keys of the list (CURVE), and nobody else. The user id of
// an admitted connection, which each of its messages carries, is the number of its entry from 1,
// or 0 for the token and the server's own key.
#ifndef SPUR_COMMON_IO_NET_ZAP_H
#define SPUR_COMMON_IO_NET_ZAP_H

#include "common/io/keys.h"

#define NET_ZAP_DOMAIN "spur"

struct net_zap;

// zmq: the context. Copies what it needs of keys.
struct net_zap *net_zap_start(void *zmq, const struct keys *keys);
// For handshakes from now on.
void net_zap_admit(struct net_zap *zap, const struct keys *keys);
// After the context was shut down.
void net_zap_stop(struct net_zap **zap);

#endif
