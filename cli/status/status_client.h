// SPDX-License-Identifier: MIT
// Client for StatusRequest: queries a daemon, with a time-out.
#ifndef SPUR_CLI_STATUS_STATUS_CLIENT_H
#define SPUR_CLI_STATUS_STATUS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

struct status_client;

// Does not wait for the connection. keys: a path as of --keys; NULL or "": none. Returns NULL with
// a message in err.
struct status_client *status_client_create(const char *endpoint, const char *keys, char *err,
                                           size_t err_len);
void status_client_destroy(struct status_client **c);

// Requests the status and waits for the reply. *status, and all memory that it points to, is valid
// until the next call. Returns 0, or -1 with a message in err that says what to check; -EACCES: the
// process refuses these keys.
int status_client_status(struct status_client *c, const struct wire_status **status,
                         uint32_t timeout_ms, char *err, size_t err_len);

#endif
