// SPDX-License-Identifier: MIT
// What the holder of a key may say to a daemon: the one place where roles and ids are checked.
//
// It looks at each message that was decoded, before a core sees it. A Hello must be of a role and
// an id of the key; every other message must be one of its roles' messages. So a core need not know
// keys: a connection that said Hello has the role and the id that its key allows.
#ifndef SPUR_DAEMON_ADMISSION_H
#define SPUR_DAEMON_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/io/keys.h"
#include "proto/wire.h"

// Whether the key of an entry may send msg to a server; why not, in a sentence. entry NULL: a key
// that is in no list.
bool admission_allows(const struct key_entry *entry, const struct wire_msg *msg, char *why,
                      size_t why_len);

#endif
