// SPDX-License-Identifier: MIT
//
// Messages are looked up by route, thousands a second, so routes have a hash
// table (open addressing, linear probing). Routes change only with Hello; the
// table is then built anew, which needs no care for removals. Ids are looked up
// by Hello alone, one by one.
#include "modelserver/registry.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define TABLE_LEN (4 * REGISTRY_PEERS_MAX)

struct registry {
    int count;
    struct peer peers[REGISTRY_PEERS_MAX];
    int table[TABLE_LEN]; // index + 1, 0: free
};

struct registry *registry_create(void) {
    return xcalloc(1, sizeof(struct registry));
}

void registry_destroy(struct registry **r) {
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

static void insert(struct registry *r, int index) {
    uint32_t at = hash(&r->peers[index].route);
    while (r->table[at] != 0) {
        at = (at + 1) % TABLE_LEN;
    }
    r->table[at] = index + 1;
}

static void rebuild(struct registry *r) {
    memset(r->table, 0, sizeof(r->table));
    for (int i = 0; i < r->count; i++) {
        if (r->peers[i].has_route) {
            insert(r, i);
        }
    }
}

struct peer *registry_by_route(struct registry *r, const struct net_peer *route) {
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

struct peer *registry_by_id(struct registry *r, const char *id) {
    for (int i = 0; i < r->count; i++) {
        if (strcmp(r->peers[i].id, id) == 0) {
            return &r->peers[i];
        }
    }
    return NULL;
}

struct peer *registry_add(struct registry *r, const char *id) {
    size_t len = strlen(id);
    CHECK(len < WIRE_STRING_MAX);
    if (r->count == REGISTRY_PEERS_MAX) {
        return NULL;
    }
    struct peer *p = &r->peers[r->count++];
    memcpy(p->id, id, len + 1);
    return p;
}

void registry_set_route(struct registry *r, struct peer *p, const struct net_peer *route) {
    struct peer *before = registry_by_route(r, route);
    if (before == p) {
        return;
    }
    if (before) {
        before->has_route = false;
    }
    p->route = *route;
    p->has_route = true;
    rebuild(r);
}

int registry_count(const struct registry *r) {
    return r->count;
}

struct peer *registry_at(struct registry *r, int index) {
    CHECK(index < r->count);
    return &r->peers[index];
}

bool peer_is_up(const struct peer *p) {
    return p->has_route && (p->state == WIRE_PEER_CONNECTED || p->state == WIRE_PEER_WAITING);
}
