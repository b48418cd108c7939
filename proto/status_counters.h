// SPDX-License-Identifier: MIT
// The named counters of a status: what was refused, dropped, resent.
#ifndef SPUR_PROTO_STATUS_COUNTERS_H
#define SPUR_PROTO_STATUS_COUNTERS_H

#include "proto/session.h"
#include "proto/wire.h"

// Appends one counter.
void status_counter_add(struct wire_status *status, const char *name, uint64_t value);
// Appends those that each session has.
void status_counters_session(struct wire_status *status, const struct session *session);

#endif
