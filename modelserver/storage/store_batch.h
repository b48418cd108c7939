// SPDX-License-Identifier: MIT
// Input and result of a store_commit: a batch of one actor's transitions, and the actor's progress.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_BATCH_H
#define SPUR_MODELSERVER_STORAGE_STORE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_ID_MAX 256
#define STORE_ACTORS_MAX 4096
#define STORE_NEW_ACTOR UINT64_MAX

// Progress of one actor id. index is the order of first appearance, and permanent.
struct store_actor {
    char id[STORE_ID_MAX];
    uint64_t index;
    uint64_t incarnation;
    uint64_t seq;               // last stored message of this incarnation
    uint64_t steps_incarnation; // rows of this incarnation
    uint64_t steps, episodes;   // rows, and episodes started, of all incarnations
    bool in_episode;            // the last row did not end its episode
};

// The rows of one message, to be stored.
struct store_batch {
    char id[STORE_ID_MAX];
    uint64_t index;       // the actor's, or STORE_NEW_ACTOR
    uint64_t incarnation; // larger than the stored one: starts a new incarnation
    uint64_t seq;         // the stored one + 1; 0: registers the incarnation only
    uint64_t policy_version;
    uint32_t rows;                              // may be 0: all rows of the message were refused
    const float *obs, *act, *reward, *next_obs; // borrowed until the result
    const uint8_t *flags;
    void *owner, *memory; // for the caller: the batch's origin, the memory of its rows
    // Result: 0 and the actor's new progress, or a negative errno. -ESTALE: out of order, because
    // an earlier batch failed.
    int error;
    struct store_actor actor;
};

#endif
