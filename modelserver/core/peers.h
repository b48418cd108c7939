// SPDX-License-Identifier: MIT
// Peers: every process that said Hello in this run: actors, evaluator, learner.
//
// A peer is identified by its role, id and incarnation; the routing id belongs to a
// connection and only says how to reach the peer now. Status shows lost and departed
// peers too. Entries are never removed, so pointers to them stay valid; but when there are
// no more for a role, the one that has been away for longest is forgotten, and its entry
// becomes that of another id. Actors cannot take the entries of the other roles.
#ifndef SPUR_MODELSERVER_CORE_PEERS_H
#define SPUR_MODELSERVER_CORE_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/stats.h"
#include "common/io/net_peer.h"
#include "proto/wire.h"

#define PEERS_MAX WIRE_ACTORS_MAX
#define PEERS_ACTORS_MAX 4096  // the others are for learners and evaluators
#define PEERS_FORGET_MS 600000 // until a lost peer may be forgotten; one that left may be at once

// Pending messages for a peer, one bit each. A message is built when it is sent.
enum pending {
    PENDING_WELCOME = 1,
    PENDING_CREDIT = 2,
    PENDING_ACK = 4,
    PENDING_GRANT = 8,
    PENDING_EVAL = 16,
    PENDING_HEARTBEAT = 32,
    PENDING_SHUTDOWN = 64,
};

struct peer {
    struct net_peer route;
    bool has_route;
    enum wire_role role;
    enum wire_peer_state state;
    char id[WIRE_STRING_MAX], host[WIRE_STRING_MAX], waiting[WIRE_STRING_MAX];
    uint64_t pid, incarnation;
    uint64_t heard_ms, sent_ms;
    unsigned pending;             // messages to send, enum pending bits
    bool queued;                  // in the outbox
    bool registering, registered; // the store knows this incarnation: the Welcome may be sent
    // Actors. Rows and credit count in this incarnation.
    bool has_index;                      // it has a place in the store:
    uint64_t index;                      // its number, also of random streams
    uint64_t seq_accepted, seq_stored;   // last message accepted, last one stored
    uint64_t rows_accepted, rows_stored; // the same in rows, refused ones included
    uint64_t credit, random_credit;      // rows allowed in all, and of these with random actions
    uint64_t credit_max;                 // the most it ever was allowed, withdrawn or not
    uint64_t rows_refused;               // since the last that was accepted
    uint64_t credit_ms;                  // when it was last given credit, or used some
    uint64_t steps, episodes;            // stored, of all incarnations in this place
    uint64_t policy_version, unacked_rows, steps_bad;
    uint32_t environments;     // stepped in parallel
    uint64_t policy_announced; // newest version that a Credit named
    double last_return;        // NaN: no episode has ended
    struct rate steps_rate;
};

struct peers;

struct peers *peers_create(void);
void peers_destroy(struct peers **r);

struct peer *peers_by_route(struct peers *r, const struct net_peer *route);     // NULL: none
struct peer *peers_by_id(struct peers *r, enum wire_role role, const char *id); // NULL: none
// An entry for a new id: a free one, or that of a forgotten peer of the same kind, but not of
// keep (2). The place of a forgotten actor, with its counts, is the new one's. NULL: full.
struct peer *peers_add(struct peers *r, enum wire_role role, const char *id, uint64_t now_ms,
                       const struct peer *const *keep);
// The route belongs to p from now on. Returns the peer that had it before and is without one
// now; NULL: none.
struct peer *peers_set_route(struct peers *r, struct peer *p, const struct net_peer *route);

int peers_count(const struct peers *r);
struct peer *peers_at(struct peers *r, int index);

// Connected: not lost and not gone.
bool peer_is_up(const struct peer *p);

#endif
