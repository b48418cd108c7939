// SPDX-License-Identifier: MIT
// Packs each message and unpacks it into memory of its own.
#include "tests/unit/sent.h"

#include <stdlib.h>

#include "common/base/check.h"

static struct sent *new_entry(struct sent_list *l) {
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 256;
        l->all = realloc(l->all, (size_t)l->room * sizeof(*l->all));
        CHECK(l->all);
    }
    return l->all[l->count++] = xcalloc(1, sizeof(struct sent));
}

void sent_add(struct sent_list *l, enum port_socket socket, const struct net_peer *to,
              const struct wire_msg *msg) {
    const void *bytes;
    size_t len;
    char err[256];
    l->pack = l->pack ? l->pack : wire_create();
    wire_pack(l->pack, &bytes, &len, msg);
    struct sent *s = new_entry(l);
    s->socket = socket;
    s->to = to ? to->id[0] : 0;
    s->memory = wire_create();
    int rc = wire_unpack(s->memory, &s->msg, bytes, len, err, sizeof(err));
    CHECK(rc == 0 || rc == -WIRE_REFUSED_VALUE); // numbers are the environment's
}

void sent_forget(struct sent_list *l) {
    for (int i = 0; i < l->count; i++) {
        wire_destroy(&l->all[i]->memory);
        free(l->all[i]);
    }
    l->count = l->seen = 0;
}

void sent_deinit(struct sent_list *l) {
    sent_forget(l);
    wire_destroy(&l->pack);
    free(l->all);
    *l = (struct sent_list){0};
}

static bool fits(const struct sent *s, uint8_t to, enum wire_type type) {
    return (to == 0 || s->to == to) && (type == 0 || s->msg.type == type);
}

const struct wire_msg *sent_next(struct sent_list *l, uint8_t to, enum wire_type type) {
    while (l->seen < l->count) {
        const struct sent *s = l->all[l->seen++];
        if (fits(s, to, type)) {
            return &s->msg;
        }
    }
    return NULL;
}

const struct wire_msg *sent_last(const struct sent_list *l, uint8_t to, enum wire_type type) {
    for (int i = l->count - 1; i >= 0; i--) {
        if (fits(l->all[i], to, type)) {
            return &l->all[i]->msg;
        }
    }
    return NULL;
}

int sent_position(const struct sent_list *l, uint8_t to, enum wire_type type, int n) {
    for (int i = 0; i < l->count; i++) {
        if (fits(l->all[i], to, type) && n-- == 0) {
            return i;
        }
    }
    return -1;
}

int sent_count(const struct sent_list *l, uint8_t to, enum wire_type type) {
    int n = 0;
    for (int i = 0; i < l->count; i++) {
        n += fits(l->all[i], to, type);
    }
    return n;
}
