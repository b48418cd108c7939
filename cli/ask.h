// SPDX-License-Identifier: MIT
// One question to a daemon, with patience but not for ever.
#ifndef SPUR_CLI_ASK_H
#define SPUR_CLI_ASK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

struct ask;

// Connecting never waits for the other side. NULL with a sentence in err.
struct ask *ask_create(const char *endpoint, char *err, size_t err_len);
void ask_destroy(struct ask **a);

// Asks for the status and waits for the answer; *status (and what it points to)
// is valid until the next call. 0, or -1 with a sentence in err that says what
// to check.
int ask_status(struct ask *a, const struct wire_status **status, uint32_t timeout_ms, char *err,
               size_t err_len);

#endif
