// SPDX-License-Identifier: MIT
// Bytes of rows in memory and on disk.
#include "modelserver/storage/store_size.h"

#include "modelserver/storage/store_batch.h"
#include "proto/wire.h"

size_t store_row_bytes(uint32_t obs_dim, uint32_t act_dim) {
    return STORE_ROW_HEADER_WORDS * 8 + ((size_t)2 * obs_dim + act_dim + 1) * sizeof(float);
}

uint64_t store_memory_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim) {
    return rows_max * wire_row_bytes(obs_dim, act_dim) +
           2 * STORE_ACTORS_MAX * sizeof(struct store_actor);
}

// LMDB stores a node header and a key with every value, fills appended pages
// almost completely, and copies the pages that a transaction modifies. A factor
// of 1.5 and 64 MiB cover that; the file grows only as far as it is used.
uint64_t store_disk_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim) {
    uint64_t row = store_row_bytes(obs_dim, act_dim) + 24;
    uint64_t page = 4096, in_pages = row > page / 2 ? (row + 2 * page) / page * page : row;
    uint64_t bytes = rows_max * in_pages * 3 / 2 + (UINT64_C(64) << 20);
    return (bytes + page - 1) / page * page;
}
