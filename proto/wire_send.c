// SPDX-License-Identifier: MIT
// Packs a message directly into a network frame and sends it.
#include "common/io/net.h"
#include "proto/wire_parts.h"

int wire_send(struct wire *wire, struct net_socket *socket, const struct net_peer *to,
              const struct wire_msg *msg) {
    struct net_frame frame;
    size_t len = wire_pack_begin(wire, msg);
    wire_pack_end(wire, net_frame_make(&frame, len), len);
    return net_send(socket, to, &frame);
}
