// SPDX-License-Identifier: MIT
// The only user of zlib besides pictures.
#include "common/base/checksum.h"

#include <zlib.h>

uint32_t checksum_add(uint32_t sum, const void *data, size_t n) {
    return n > 0 ? (uint32_t)crc32_z(sum, data, n) : sum;
}
