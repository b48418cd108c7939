// SPDX-License-Identifier: MIT
// Sends bytes over a socket, for tests.
#ifndef SPUR_TESTS_UNIT_NET_BYTES_H
#define SPUR_TESTS_UNIT_NET_BYTES_H

#include <string.h>

#include "common/io/net.h"

// net_send of a copy of data.
static inline int send_bytes(struct net_socket *s, const struct net_peer *to, const void *data,
                             size_t len) {
    struct net_frame frame;
    memcpy(net_frame_make(&frame, len), data, len);
    int rc = net_send(s, to, &frame);
    return frame.data ? 1 : rc; // closed in any case
}

#endif
