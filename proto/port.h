// SPDX-License-Identifier: MIT
// The interface by which a core sends messages.
//
// The cores of the model server, the learner and the actors have no socket. A daemon
// (daemon/daemon.h) provides a port to its sockets; a test provides one that records.
#ifndef SPUR_PROTO_PORT_H
#define SPUR_PROTO_PORT_H

#include "common/io/net_peer.h"
#include "proto/wire.h"

// The sockets that a process may have.
enum port_socket {
    PORT_OWN,         // bound to --bind: any number of peers
    PORT_MODELSERVER, // connected to the model server
    PORT_LEARNER,     // connected to the learner
    PORT_SOCKET_COUNT
};

// The calls must not call back into the core.
struct port {
    void *arg;
    // `to` is the receiver for PORT_OWN, NULL for the other two. 0; -EAGAIN: the socket is
    // full, retry later; another negative errno: the peer is gone.
    int (*send)(void *arg, enum port_socket socket, const struct net_peer *to,
                const struct wire_msg *msg);
    // Replaces the connection by a new one to endpoint (copied), shortly after the call.
    void (*reopen)(void *arg, enum port_socket socket, const char *endpoint);
};

#endif
