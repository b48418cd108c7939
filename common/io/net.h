// SPDX-License-Identifier: MIT
// Messages between processes: a thin doorway to ZeroMQ (zmq.h is included by
// net.c alone).
//
// Two kinds of sockets are enough for spur: a ROUTER that is bound and serves
// many peers, and a DEALER that connects to one. ZeroMQ gives no delivery
// guarantee: whatever must arrive is acknowledged and resent by the cores.
// Nothing here blocks: a send that cannot be taken returns -EAGAIN and the
// caller keeps the message. Limits, linger, back-off and keep-alives are always
// set. One thread uses a socket; it is the loop's.
#ifndef SPUR_COMMON_IO_NET_H
#define SPUR_COMMON_IO_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/io/net_address.h"
#include "common/io/net_peer.h"

#define NET_MESSAGE_MAX (64u << 20) // bytes; checked by sender and receiver

// One message in ZeroMQ's own memory. A received one stays valid until net_frame_close.
struct net_frame {
    const void *data;
    size_t len;
    _Alignas(16) unsigned char opaque[64]; // the library's message
};
void net_frame_close(struct net_frame *frame);
// A frame to send: returns its memory of len bytes, to be filled by the caller.
void *net_frame_make(struct net_frame *frame, size_t len);

struct net; // a ZeroMQ context, one a process
struct net_socket;

struct net *net_create(void);
void net_destroy(struct net **net); // all sockets must be closed

// Binds a ROUTER or connects a DEALER. endpoint: tcp://HOST:PORT, tcp://HOST:*
// (a free port) or ipc://PATH. On failure returns a negative errno and a
// sentence for people in err: "tcp://127.0.0.1:7000 is in use by another
// process". Connecting never waits for the peer.
int net_open(struct net_socket **out, struct net *net, enum net_kind kind, const char *endpoint,
             char *err, size_t err_len);
void net_close(struct net_socket **socket); // also removes an ipc file that it bound

// The endpoint as bound, wildcards resolved; or as given to connect.
const char *net_endpoint(const struct net_socket *socket);

// Sends the frame, uncopied, and closes it whatever comes of it. 0; -EAGAIN: no room or no
// connection, try again later; -EHOSTUNREACH: that ROUTER peer is gone; -EMSGSIZE: above
// NET_MESSAGE_MAX.
int net_send(struct net_socket *socket, const struct net_peer *to, struct net_frame *frame);

// 0 and a frame to close; -EAGAIN: nothing there.
int net_recv(struct net_socket *socket, struct net_peer *from, struct net_frame *frame);

// DEALER: whether a connection stands right now (from the socket monitor,
// updated by net_recv/net_send calls).
bool net_connected(struct net_socket *socket);

// For the loop alone: ZeroMQ's edge-triggered descriptor, and whether a
// message can be received now (reading it re-arms the edge).
int net_fd(const struct net_socket *socket);
bool net_readable(struct net_socket *socket);

#endif
