// SPDX-License-Identifier: MIT
//
// Every message looks up its route, thousands a second: a hash table (open
// addressing, linear probing). Routes change only with Hello; the table is then
// rebuilt, so removals need no code. Only Hello looks up ids: linear search.
#include "modelserver/core/peers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

#define TABLE_LEN (4 * PEERS_MAX)

struct peers {
    int count, actors, others; // others: learners and evaluators
    struct peer peers[PEERS_MAX];
    int table[TABLE_LEN]; // index + 1, 0: free
};

struct peers *peers_create(void) {
    return xcalloc(1, sizeof(struct peers));
}

void peers_destroy(struct peers **r) {
    free(*r);
    *r = NULL;
}

static uint32_t hash(const struct net_peer *route) {
    uint32_t h = 2166136261u; // FNV-1a
    for (int i = 0; i < route->len; i++) {
        h = (h ^ route->id[i]) * 16777619u;
    }
    return h % TABLE_LEN;
}

static void insert(struct peers *r, int index) {
    uint32_t at = hash(&r->peers[index].route);
    while (r->table[at] != 0) {
        at = (at + 1) % TABLE_LEN;
    }
    r->table[at] = index + 1;
}

static void rebuild(struct peers *r) {
    memset(r->table, 0, sizeof(r->table));
    for (int i = 0; i < r->count; i++) {
        if (r->peers[i].has_route) {
            insert(r, i);
        }
    }
}

struct peer *peers_by_route(struct peers *r, const struct net_peer *route) {
    uint32_t at = hash(route);
    while (r->table[at] != 0) {
        struct peer *p = &r->peers[r->table[at] - 1];
        if (net_peer_equal(&p->route, route)) {
            return p;
        }
        at = (at + 1) % TABLE_LEN;
    }
    return NULL;
}

struct peer *peers_by_id(struct peers *r, enum wire_role role, const char *id) {
    for (int i = 0; i < r->count; i++) {
        if (r->peers[i].role == role && strcmp(r->peers[i].id, id) == 0) {
            return &r->peers[i];
        }
    }
    return NULL;
}

// Whether nothing more is expected of a peer, and nothing of it is on its way into the store.
static bool is_forgettable(const struct peer *p, uint64_t now_ms) {
    bool away = p->state == WIRE_PEER_LEFT ||
                (p->state == WIRE_PEER_LOST && now_ms - p->heard_ms >= PEERS_FORGET_MS);
    return away && !p->registering && p->seq_accepted == p->seq_stored &&
           p->rows_accepted == p->rows_stored;
}

// The forgettable peer, of actors or of the others, that was heard of first.
static struct peer *forget(struct peers *r, bool actor, uint64_t now_ms,
                           const struct peer *const *keep) {
    struct peer *found = NULL;
    for (int i = 0; i < r->count; i++) {
        struct peer *p = &r->peers[i];
        if ((p->role == WIRE_ROLE_ACTOR) == actor && is_forgettable(p, now_ms) && p != keep[0] &&
            p != keep[1] && (!found || p->heard_ms < found->heard_ms)) {
            found = p;
        }
    }
    if (found) {
        *found = (struct peer){.queued = found->queued,
                               .has_index = found->has_index,
                               .index = found->index,
                               .steps = found->steps,
                               .episodes = found->episodes};
        rebuild(r);
    }
    return found;
}

struct peer *peers_add(struct peers *r, enum wire_role role, const char *id, uint64_t now_ms,
                       const struct peer *const *keep) {
    bool actor = role == WIRE_ROLE_ACTOR;
    int *count = actor ? &r->actors : &r->others;
    bool full = *count == (actor ? PEERS_ACTORS_MAX : PEERS_MAX - PEERS_ACTORS_MAX);
    size_t len = strlen(id);
    CHECK(len < WIRE_STRING_MAX);
    struct peer *p = full ? forget(r, actor, now_ms, keep) : &r->peers[r->count];
    if (!p) {
        return NULL;
    }
    if (!full) {
        r->count++;
        (*count)++;
    }
    memcpy(p->id, id, len + 1);
    p->role = role;
    p->last_return = NAN;
    return p;
}

struct peer *peers_set_route(struct peers *r, struct peer *p, const struct net_peer *route) {
    struct peer *before = peers_by_route(r, route);
    if (before == p) {
        return NULL;
    }
    if (before) {
        before->has_route = false;
    }
    p->route = *route;
    p->has_route = true;
    rebuild(r);
    return before;
}

int peers_count(const struct peers *r) {
    return r->count;
}

struct peer *peers_at(struct peers *r, int index) {
    CHECK(index < r->count);
    return &r->peers[index];
}

bool peer_is_up(const struct peer *p) {
    return p->has_route && (p->state == WIRE_PEER_CONNECTED || p->state == WIRE_PEER_WAITING);
}
