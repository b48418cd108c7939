// SPDX-License-Identifier: MIT
// The connections of a ROUTER, and what they cost before a message has come from them.
//
// ZeroMQ accepts any number of connections, and keeps the parts of a message until its last one,
// however many. A guard counts connections by their descriptors and shuts down
//
// - those beyond the number that the limit of descriptors has room for;
// - those beyond NET_STRANGERS_MAX that are new and have sent no message;
// - over TCP, those that have sent many bytes and no whole message.
//
// ZeroMQ then closes them as it does when a peer is gone. No ZeroMQ here: net.c reports events.
#ifndef SPUR_COMMON_IO_NET_GUARD_H
#define SPUR_COMMON_IO_NET_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_STRANGERS_MAX 256 // connections without a message, of the last NET_STRANGER_MS
#define NET_STRANGER_MS 5000  // the time of a handshake
#define NET_CONNECTIONS_MAX 8192

struct net_guard;

// message_max: bytes of the largest message that is accepted.
struct net_guard *net_guard_create(size_t message_max);
void net_guard_destroy(struct net_guard **guard);

void net_guard_accepted(struct net_guard *guard, uint64_t now_ms, int fd);
// A whole message has arrived. False: of a connection that was not reported yet.
bool net_guard_message(struct net_guard *guard, int fd);
void net_guard_closed(struct net_guard *guard, int fd);
// Looks at all connections, at most every 50 ms. To be called often.
void net_guard_check(struct net_guard *guard, uint64_t now_ms);

int net_guard_connections(const struct net_guard *guard);

#endif
