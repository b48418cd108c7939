// SPDX-License-Identifier: MIT
// Where an actor keeps its unacknowledged rows: in memory, or in a file that outlives it; and what
// happens when there is no room.
#ifndef SPUR_ACTOR_SPOOL_HOME_H
#define SPUR_ACTOR_SPOOL_HOME_H

#include <stdbool.h>
#include <stddef.h>

#include "actor/spool.h"
#include "proto/wire.h"

#define SPOOL_HOME_LOG_MS 10000 // between two lines about dropped rows

struct spool_home {
    const char *path; // for messages
    void *block;      // of a spool_file, borrowed; NULL: memory of the spool's own
    size_t bytes;
    bool drops;          // when it is full: the oldest rows make room, and the actor does not wait
    uint64_t dropped_ms; // when the log said so last
};

// The rows that an earlier start of the actor left, or NULL. -1 with the reason in err if they are
// another actor's.
int spool_home_continue(struct spool **out, const struct spool_home *home, const char *id,
                        char *err, size_t err_len);
// A spool for a new start, as the Welcome asks for. NULL with the reason in err.
struct spool *spool_home_make(const struct spool_home *home, const struct wire_welcome *w,
                              const struct spool_owner *owner, char *err, size_t err_len);
// Makes room for a row if there is none. Only with `drops`. Returns the number of rows dropped,
// which use up no credit.
uint32_t spool_home_make_room(struct spool_home *home, struct spool *s, uint64_t now_ms);

#endif
