// SPDX-License-Identifier: MIT
// A batch of one actor's transitions on the way into the store, and the store's
// answer. Plain data, without the store.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_BATCH_H
#define SPUR_MODELSERVER_STORAGE_STORE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire.h"

#define STORE_ID_MAX 256
#define STORE_ACTORS_MAX 4096
#define STORE_NEW_ACTOR UINT64_MAX
#define STORE_ROLES (WIRE_ROLE_LEARNER + 1)

// The stored state of one actor. index is its place, 0, 1, ... Ids take places in the order of
// their first appearance; when there are no more, an id takes over the place of one that is
// forgotten, with its counts, so that the random streams of the place go on.
struct store_actor {
    char id[STORE_ID_MAX];
    uint64_t index;
    uint64_t incarnation;
    uint64_t seq;               // last message of this incarnation that is stored
    uint64_t steps_incarnation; // rows of this incarnation, refused ones included
    uint64_t steps, episodes;   // rows, and episodes begun, of all incarnations in this place
    bool in_episode;            // the last row did not end its episode
};

// The rows of one message, or the start of a process.
struct store_batch {
    enum wire_role role; // of the sender; only an actor has rows and an entry
    // With seq 0: the incarnation was handed out by the server, and is not handed out again.
    bool handed_out;
    char id[STORE_ID_MAX];
    uint64_t index; // the actor's, or STORE_NEW_ACTOR. With seq 0 that of another id: taken over
    uint64_t incarnation; // of the sender
    uint64_t seq;         // the stored one + 1; 0: begins the incarnation, unless it is stored
    uint64_t policy_version;
    uint32_t rows;                              // may be 0: acknowledged, but nothing to store
    uint32_t rows_refused;                      // of the message, not stored: they used up credit
    const float *obs, *act, *reward, *next_obs; // borrowed, until the answer
    const uint8_t *flags;
    void *owner, *memory; // the caller's: the actor, and the memory of the rows
    // The answer: 0 and the actor as it is stored now, or a negative errno.
    // -ESTALE: out of order, because an earlier batch failed. -ENOENT, -ENOTRECOVERABLE:
    // nothing can be stored any more, because the store's file was removed or replaced, or
    // because the disk failed.
    int error;
    struct store_actor actor; // of an actor
};

#endif
