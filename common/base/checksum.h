// SPDX-License-Identifier: MIT
// Checksum of files and stored rows: CRC-32 (zlib's), which finds every change of up to 32
// neighbouring bits, and all but one in 2^32 others.
#ifndef SPUR_COMMON_BASE_CHECKSUM_H
#define SPUR_COMMON_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

// The checksum of what `sum` covers (0: nothing), followed by n bytes of data.
uint32_t checksum_add(uint32_t sum, const void *data, size_t n);

#endif
