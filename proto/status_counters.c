// SPDX-License-Identifier: MIT
// Appends counters to a status.
#include "proto/status_counters.h"

#include <stdio.h>

#include "common/base/check.h"

void status_counter_add(struct wire_status *status, const char *name, uint64_t value) {
    CHECK(status->counter_count < WIRE_COUNTERS_MAX);
    struct wire_counter *counter = &status->counters[status->counter_count++];
    snprintf(counter->name, sizeof(counter->name), "%s", name);
    counter->value = value;
}

void status_counters_session(struct wire_status *status, const struct session *session) {
    status_counter_add(status, "connections_lost", session->lost);
    status_counter_add(status, "refusals_received", session->refused);
    status_counter_add(status, "messages_foreign", session->foreign);
}
