// SPDX-License-Identifier: MIT
// How much memory and disk a store (store.h) takes: known before it is opened,
// and without LMDB.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_SIZE_H
#define SPUR_MODELSERVER_STORAGE_STORE_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define STORE_ROW_HEADER_WORDS 3 // before a row's floats on disk, 8 bytes each

// A row's value on disk.
size_t store_row_bytes(uint32_t obs_dim, uint32_t act_dim);
// At most, for rows_max rows.
uint64_t store_memory_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);
uint64_t store_disk_bytes(uint64_t rows_max, uint32_t obs_dim, uint32_t act_dim);

#endif
