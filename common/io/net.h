// SPDX-License-Identifier: MIT
// Message sockets between processes, on ZeroMQ. Only net.c includes zmq.h.
//
// There are two kinds: a ROUTER is bound and serves many peers, a DEALER connects to one. ZeroMQ
// does not guarantee delivery: the cores acknowledge and resend where it matters. No call blocks: a
// send returns -EAGAIN if there is no connection or its queue is full. Limits, linger, back-off and
// keep-alives are always set. A socket must be used by one thread only, the loop's.
#ifndef SPUR_COMMON_IO_NET_H
#define SPUR_COMMON_IO_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/io/keys.h"
#include "common/io/net_address.h"
#include "common/io/net_peer.h"

#define NET_MESSAGE_MAX (64u << 20) // bytes; checked by sender and receiver

// What one connection to a ROUTER of this process may cost.
struct net_limits {
    size_t message_max;        // bytes of a message from it; a larger one ends the connection
    int send_max, receive_max; // messages in its queues
};

// One message, in memory owned by ZeroMQ. Valid until net_frame_close.
struct net_frame {
    const void *data;
    size_t len;
    _Alignas(16) unsigned char opaque[64]; // zmq_msg_t
};
void net_frame_close(struct net_frame *frame);
// Allocates a frame of len bytes to send; returns its memory for the caller to fill.
void *net_frame_make(struct net_frame *frame, size_t len);

struct net; // a ZeroMQ context, one per process
struct net_socket;

struct net *net_create(void);
void net_destroy(struct net **net); // all sockets must be closed
// For the sockets opened from now on. At first NET_MESSAGE_MAX, and 256 messages each way.
void net_limit(struct net *net, const struct net_limits *limits);
// Sockets opened from now on use these keys, which the context borrows: a ROUTER admits those that
// they list, a DEALER presents its own. A token is for tcp only; without keys nothing is asked.
void net_secure(struct net *net, const struct keys *keys);
// The list has changed, for connections from now on. Those that exist end with their socket.
void net_admit(struct net *net);
// A new pair of keys, as text.
void net_make_keys(char public_key[KEY_LEN], char secret_key[KEY_LEN]);

// Binds a ROUTER or connects a DEALER. endpoint: tcp://HOST:PORT, tcp://HOST:* (any free port) or
// ipc://PATH. On failure returns a negative errno and a message for the user in err:
// "tcp://127.0.0.1:7000 is in use by another process". Connecting never waits for the peer.
int net_open(struct net_socket **out, struct net *net, enum net_kind kind, const char *endpoint,
             char *err, size_t err_len);
void net_close(struct net_socket **socket); // also removes the ipc file of a ROUTER
// net_close that ends all connections at once: what is queued is lost.
void net_cut(struct net_socket **socket);

// ROUTER: the bound endpoint, wildcards resolved. DEALER: the endpoint given to net_open.
const char *net_endpoint(const struct net_socket *socket);

// Sends the frame without copying it, and closes it, also on failure. Returns 0; -EAGAIN: queue
// full or not connected, retry later with a new frame; -EHOSTUNREACH: this peer of a ROUTER has
// disconnected; -EMSGSIZE: larger than NET_MESSAGE_MAX.
int net_send(struct net_socket *socket, const struct net_peer *to, struct net_frame *frame);

// Receives a message. Returns 0 and a frame, which the caller must close; -EAGAIN: none pending.
int net_recv(struct net_socket *socket, struct net_peer *from, struct net_frame *frame);

// DEALER: whether the connection is up. Reads the events of the socket monitor.
bool net_connected(struct net_socket *socket);

// DEALER: whether the server refuses this process for good: a sentence without the address, or
// NULL. "does not admit this key: ...". A server that ends handshakes without a reason does so
// after 10 s; at_last: already now.
const char *net_refusal(struct net_socket *socket, bool at_last);

// For loop.c only: ZeroMQ's edge-triggered descriptor, and whether a message can be received now.
// net_readable re-arms the edge.
int net_fd(const struct net_socket *socket);
int net_monitor_fd(const struct net_socket *socket); // ROUTER: of its connections; DEALER: -1
bool net_readable(struct net_socket *socket);

#endif
