// SPDX-License-Identifier: MIT
// A learner in waiting (spur-learner --standby): it asks the model server for its status, and says
// when the run has lost its learner.
//
// It takes no part in the run: it sends no Hello, holds no state of the run and reads no file of
// it. It has no socket, clock or thread. When it says that the place is free, its owner loads the
// newest checkpoint and goes on as a learner (learner.h).
//
// The place is free when the model server has said for STANDBY_PATIENCE_MS that its learner is
// lost or has left, or for STANDBY_FIRST_MS that it has seen none: a learner that is there may
// need that long to find a model server that was restarted.
#ifndef SPUR_LEARNER_STANDBY_H
#define SPUR_LEARNER_STANDBY_H

#include <stdbool.h>
#include <stdint.h>

#include "learner/learner.h"

#define STANDBY_ASK_MS 500 // between two requests
#define STANDBY_PATIENCE_MS 1000
#define STANDBY_FIRST_MS 15000

struct standby;
// Borrows who.
struct standby *standby_create(const struct learner_identity *who, const struct port *port,
                               uint64_t now_ms);
void standby_destroy(struct standby **s);

void standby_on_message(struct standby *s, uint64_t now_ms, enum port_socket socket,
                        const struct net_peer *from, const struct wire_msg *msg);
// Every 20 ms, about. True: the place of the learner is free.
bool standby_on_tick(struct standby *s, uint64_t now_ms);

void standby_stop(struct standby *s, const char *why); // why: for the log
// True at the end: the process exits with *exit_code.
bool standby_finished(const struct standby *s, enum exit_code *exit_code);

#endif
