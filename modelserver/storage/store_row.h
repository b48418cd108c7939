// SPDX-License-Identifier: MIT
// The values on disk, without LMDB (all numbers are little-endian). An actor's is seven u64 in the
// order of struct store_actor, of which the last has a checksum as a row's third word has. A row's:
//   u64 actor index (all ones: taken over from another run), u64 policy version,
//   u8 flags, u8[3] 0 or, with a checksum, 0, 0, 128; u32 checksum of the value with 0 in its
//   place, f32 obs (O), act (A), reward (1), next_obs (O)
// Values of earlier builds have no checksum.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_ROW_H
#define SPUR_MODELSERVER_STORAGE_STORE_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_NO_ACTOR UINT64_MAX // of rows of another run
#define STORE_ACTOR_WORDS 7

struct store_row_header {
    uint64_t actor, policy_version;
    uint8_t flags;
};

// Of a value of len bytes, at least STORE_ROW_HEADER_WORDS words. Setting a header leaves the value
// without a checksum; store_row_seal, when it is complete, gives it one.
struct store_row_header store_row_header(const unsigned char *value);
void store_row_set_header(unsigned char *value, const struct store_row_header *header);
void store_row_seal(unsigned char *value, size_t len);
// The same for an actor's value.
void store_actor_seal(uint64_t words[STORE_ACTOR_WORDS]);
bool store_actor_is_intact(const uint64_t words[STORE_ACTOR_WORDS]);
// False: it has another content than when it was sealed.
bool store_row_is_intact(const unsigned char *value, size_t len);

#endif
