// SPDX-License-Identifier: MIT
// A safetensors file whose checksum is not looked at.
#ifndef SPUR_TESTS_FUZZ_WITHOUT_SUM_H
#define SPUR_TESTS_FUZZ_WITHOUT_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/check.h"

// Gives the metadata's entry another name, in place. Returns len.
static inline size_t without_sum(uint8_t *data, size_t len) {
    uint8_t *key = memmem(data, len, "\"checksum\"", 10);
    CHECK(key);
    memcpy(key, "\"no_check\"", 10);
    return len;
}

#endif
