// SPDX-License-Identifier: MIT
// One question to a daemon, with patience but not for ever.
#ifndef SPUR_CLI_STATUS_STATUS_CLIENT_H
#define SPUR_CLI_STATUS_STATUS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

struct status_client;

// Connecting never waits for the other side. NULL with a sentence in err.
struct status_client *status_client_create(const char *endpoint, char *err, size_t err_len);
void status_client_destroy(struct status_client **a);

// Asks for the status and waits for the answer; *status (and what it points to)
// is valid until the next call. 0, or -1 with a sentence in err that says what
// to check.
int status_client_status(struct status_client *a, const struct wire_status **status,
                         uint32_t timeout_ms, char *err, size_t err_len);

#endif
