// SPDX-License-Identifier: MIT
// The messages that a core under test has sent, in order, for fixtures that play its peers.
//
// Each goes through proto/wire.c, as on a network: a malformed one ends the test, and what is kept
// has memory of its own.
#ifndef SPUR_TESTS_UNIT_SENT_H
#define SPUR_TESTS_UNIT_SENT_H

#include "proto/port.h"
#include "proto/wire.h"

struct sent {
    enum port_socket socket;
    uint8_t to; // first byte of the routing id; 0 where a socket has one peer
    struct wire_msg msg;
    struct wire *memory; // of msg
};

// Zeros are an empty list.
struct sent_list {
    struct sent **all; // (count); each stays where it is
    int count, room;
    int seen; // sent_next continues here
    struct wire *pack;
};

void sent_add(struct sent_list *l, enum port_socket socket, const struct net_peer *to,
              const struct wire_msg *msg);
void sent_forget(struct sent_list *l); // those that are seen, or not yet
void sent_deinit(struct sent_list *l);

// to, type: 0 for any. NULL: there is none.
const struct wire_msg *sent_next(struct sent_list *l, uint8_t to, enum wire_type type); // not seen
const struct wire_msg *sent_last(const struct sent_list *l, uint8_t to, enum wire_type type);
// The position of the n-th, from 0; -1: there are not so many.
int sent_position(const struct sent_list *l, uint8_t to, enum wire_type type, int n);
int sent_count(const struct sent_list *l, uint8_t to, enum wire_type type);

#endif
