// SPDX-License-Identifier: MIT
// Hello: which process may join the run, and in which role. A newer incarnation
// of an id replaces the older one; an older one is refused for good. Places of
// which there is one (learner, evaluator, the actor of lockstep) are free only
// while their holder is not connected.
#ifndef SPUR_MODELSERVER_CORE_JOIN_H
#define SPUR_MODELSERVER_CORE_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/outbox.h"
#include "modelserver/core/peers.h"
#include "modelserver/core/run_context.h"

// The state of the run that a Hello is checked against.
struct join_view {
    const struct run_context *run;
    uint64_t steps;                         // real steps stored
    const struct peer *learner, *evaluator; // NULL: none yet
    const struct peer *actor;               // of lockstep, connected; NULL: none
    bool rejoins;                           // the sender has been welcomed in this run before
};

struct joined {
    struct peer *peer;    // NULL: refused
    bool new_incarnation; // another start of the id than the one before
};

// Adds or updates the sender's entry, or answers with Refuse.
struct joined join_hello(struct peers *peers, struct outbox *outbox, const struct join_view *view,
                         uint64_t now_ms, const struct net_peer *from,
                         const struct wire_hello *hello);

void join_fill_welcome(const struct run_context *run, const struct peer *p,
                       struct wire_welcome *out);

#endif
