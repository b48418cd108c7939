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
    int count;
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

struct peer *peers_by_id(struct peers *r, const char *id) {
    for (int i = 0; i < r->count; i++) {
        if (strcmp(r->peers[i].id, id) == 0) {
            return &r->peers[i];
        }
    }
    return NULL;
}

struct peer *peers_add(struct peers *r, const char *id) {
    size_t len = strlen(id);
    CHECK(len < WIRE_STRING_MAX);
    if (r->count == PEERS_MAX) {
        return NULL;
    }
    struct peer *p = &r->peers[r->count++];
    memcpy(p->id, id, len + 1);
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
