// SPDX-License-Identifier: MIT
// Output of a status: as text, and as JSON for programs (docs/status.md).
#ifndef SPUR_CLI_STATUS_STATUS_H
#define SPUR_CLI_STATUS_STATUS_H

#include <stdio.h>

#include "proto/wire.h"

void status_print_text(const struct wire_status *s, FILE *out);
// One JSON object, indented, followed by a newline.
void status_print_json(const struct wire_status *s, FILE *out);

const char *status_peer_state(enum wire_peer_state state); // "connected", ...
const char *status_role(enum wire_role role);              // "actor", ...

#endif
