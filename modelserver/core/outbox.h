// SPDX-License-Identifier: MIT
// Outgoing messages: which peers have pending ones, and the time of the last
// logged refusal.
#ifndef SPUR_MODELSERVER_CORE_OUTBOX_H
#define SPUR_MODELSERVER_CORE_OUTBOX_H

#include <stdint.h>

#include "modelserver/core/peers.h"

struct outbox {
    struct peer *queued[PEERS_MAX]; // peers with pending messages
    int queued_count;
    uint64_t now_ms, refusal_logged_ms; // refusals are logged once a second at most
};

#endif
