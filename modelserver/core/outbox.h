// SPDX-License-Identifier: MIT
// Outgoing messages. Each peer has a set of pending ones (enum pending); the
// dispatcher builds a message when it is sent, so that it is never out of date.
#ifndef SPUR_MODELSERVER_CORE_OUTBOX_H
#define SPUR_MODELSERVER_CORE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/counters.h"
#include "modelserver/core/peers.h"
#include "proto/port.h"
#include "proto/wire.h"

struct outbox {
    struct port port;
    uint64_t run_id;
    struct counters *counters;
    struct peer *queued[PEERS_MAX]; // peers with pending messages
    int queued_count;
};

void outbox_init(struct outbox *o, const struct port *port, uint64_t run_id,
                 struct counters *counters);
// Adds these (enum pending bits) to the pending messages of p.
void outbox_queue(struct outbox *o, struct peer *p, unsigned pending);
// After sending: forgets peers that have nothing pending any more.
void outbox_compact(struct outbox *o);

// 0; -EAGAIN: the socket is full, send again later; another negative errno: the
// connection is gone.
int outbox_send(struct outbox *o, struct peer *p, uint64_t now_ms, struct wire_msg *msg);
// Sends an answer once; a receiver that misses it asks again.
void outbox_reply(struct outbox *o, const struct net_peer *to, struct wire_msg *msg);
// Answers a message with Refuse and counts the refusal.
void outbox_refuse(struct outbox *o, const struct net_peer *to, enum wire_refusal code, bool fatal,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
