// SPDX-License-Identifier: MIT
// Hello: which process may join the run, and in which role.
//
// A new start of an id is given an incarnation, a number that its role never had before, and
// takes the place of the start before; one that continues presents its number, and is refused
// for good if another start has taken the place. Places of which there is one (learner,
// evaluator, the actor of lockstep) are free only while their holder is not connected.
//
// The learner's incarnation is the epoch of its policies: it belongs to the role, whatever ids
// learners have.
#ifndef SPUR_MODELSERVER_CORE_JOIN_H
#define SPUR_MODELSERVER_CORE_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/model/env_columns.h"
#include "modelserver/core/outbox.h"
#include "modelserver/core/peers.h"
#include "modelserver/core/run_context.h"

// The state of the run that a Hello is checked against.
struct join_view {
    const struct run_context *run;
    uint64_t steps;                         // real steps stored
    const struct peer *learner, *evaluator; // NULL: none yet
    const struct peer *actor;               // of lockstep, connected; NULL: none
    uint64_t run_id;                        // of the message; 0: the sender's first Hello
    const uint64_t *starts;                 // (STORE_ROLES) numbers handed out, by role
};

struct joined {
    struct peer *peer;      // NULL: refused
    bool new_incarnation;   // another start of the id than the one before
    bool handed_out;        // its number is new: to be recorded before the Welcome
    struct peer *displaced; // that had this connection before, and is gone; NULL: none
};

// Adds or updates the sender's entry, or answers with Refuse.
struct joined join_hello(struct peers *peers, struct outbox *outbox, const struct join_view *view,
                         uint64_t now_ms, const struct net_peer *from,
                         const struct wire_hello *hello);

// env, stored: D_env, for the unfinished episode of an actor in lockstep; out borrows its columns.
void join_fill_welcome(const struct run_context *run, const struct peer *p,
                       const struct env_columns *env, uint64_t stored, struct wire_welcome *out);

#endif
