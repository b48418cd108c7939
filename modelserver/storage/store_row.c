// SPDX-License-Identifier: MIT
// The third word of a row's header, and the last of an actor, have flags, mark and checksum.
#include "modelserver/storage/store_row.h"

#include <string.h>

#include "common/base/checksum.h"
#include "modelserver/storage/store_size.h"

#define SEALED (UINT64_C(1) << 31)
#define FLAGS UINT64_C(255)

struct store_row_header store_row_header(const unsigned char *value) {
    uint64_t words[STORE_ROW_HEADER_WORDS];
    memcpy(words, value, sizeof(words));
    return (struct store_row_header){words[0], words[1], (uint8_t)(words[2] & FLAGS)};
}

void store_row_set_header(unsigned char *value, const struct store_row_header *h) {
    const uint64_t words[STORE_ROW_HEADER_WORDS] = {h->actor, h->policy_version, h->flags};
    memcpy(value, words, sizeof(words));
}

// The checksum of the value with `last` as the third word.
static uint32_t sum_of(const unsigned char *value, size_t len, uint64_t last) {
    uint64_t words[STORE_ROW_HEADER_WORDS];
    memcpy(words, value, sizeof(words));
    words[2] = last;
    uint32_t sum = checksum_add(0, words, sizeof(words));
    return checksum_add(sum, value + sizeof(words), len - sizeof(words));
}

void store_row_seal(unsigned char *value, size_t len) {
    struct store_row_header h = store_row_header(value);
    uint64_t last = h.flags | SEALED;
    last |= (uint64_t)sum_of(value, len, last) << 32;
    memcpy(value + 2 * sizeof(last), &last, sizeof(last));
}

bool store_row_is_intact(const unsigned char *value, size_t len) {
    uint64_t last;
    memcpy(&last, value + 2 * sizeof(last), sizeof(last));
    uint32_t sum = (uint32_t)(last >> 32);
    last &= UINT32_MAX;
    return (last & SEALED) ? sum == sum_of(value, len, last) : (last & ~FLAGS) == 0 && sum == 0;
}

static uint32_t sum_of_actor(const uint64_t *words, uint64_t last) {
    uint32_t sum = checksum_add(0, words, (STORE_ACTOR_WORDS - 1) * sizeof(*words));
    return checksum_add(sum, &last, sizeof(last));
}

void store_actor_seal(uint64_t words[STORE_ACTOR_WORDS]) {
    uint64_t *last = &words[STORE_ACTOR_WORDS - 1];
    *last = (*last & FLAGS) | SEALED;
    *last |= (uint64_t)sum_of_actor(words, *last) << 32;
}

bool store_actor_is_intact(const uint64_t words[STORE_ACTOR_WORDS]) {
    uint64_t last = words[STORE_ACTOR_WORDS - 1] & UINT32_MAX;
    uint32_t sum = (uint32_t)(words[STORE_ACTOR_WORDS - 1] >> 32);
    return (last & SEALED) ? sum == sum_of_actor(words, last) : (last & ~FLAGS) == 0 && sum == 0;
}
