// SPDX-License-Identifier: MIT
// Validation and resolution of endpoints (tcp://HOST:PORT, ipc://PATH) before ZeroMQ sees them.
//
// ZeroMQ accepts almost any address: it retries a misspelt host forever, truncates or refuses long
// paths without a message, and deletes any file at an ipc path that it binds, even the socket of a
// running process. Each of these is an error here, with a message that names the address.
#ifndef SPUR_COMMON_IO_NET_ADDRESS_H
#define SPUR_COMMON_IO_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define NET_ENDPOINT_MAX 256

enum net_kind {
    NET_ROUTER, // binds, serves many peers
    NET_DEALER, // connects to one peer
};

// Who can reach an endpoint.
enum net_reach {
    NET_REACH_USER,    // ipc: the owner of the socket's file
    NET_REACH_MACHINE, // the loopback interface: all users of this machine
    NET_REACH_NETWORK, // other machines
};
#define NET_KEYS_HINT "make them with: spur keys make (docs/security.md)"

// Of a host name, that of its address. What is not an address counts as the user's: net_open
// refuses it.
enum net_reach net_address_reach(const char *endpoint);

// An address for zmq_bind or zmq_connect.
struct net_address {
    char text[NET_ENDPOINT_MAX + 1024]; // a resolved host may be longer than its name
    bool ipv6;                          // a numeric IPv6 address, or a name without an IPv4 one
};

// Prepares an address. Removes a stale ipc socket file. Returns 0, or a negative errno with a
// message in err.
int net_address_prepare(struct net_address *out, enum net_kind kind, const char *endpoint,
                        char *err, size_t err_len);

// Writes a message for the errno of a failed bind or connect to err; why: ZeroMQ's own text.
// Returns a negative errno.
int net_address_explain(int failure, const char *why, enum net_kind kind, const char *endpoint,
                        char *err, size_t err_len);

#endif
