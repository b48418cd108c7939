// SPDX-License-Identifier: MIT
// Steps set aside in the store of a stopped run, and put back.
//
// A dropped row stays in the store, in the database `dropped` under its index. Its place takes a
// copy of another row, drawn at random from those that are not dropped. So the number of steps,
// what each actor has done and what the pacing has counted stay true, and learning sees a bootstrap
// sample of the other rows.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_EDIT_H
#define SPUR_MODELSERVER_STORAGE_STORE_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelserver/storage/store_row.h"

// A copy of all rows in memory, dropped ones as they were. (rows) by place.
struct store_edit {
    uint64_t rows;
    uint32_t obs_dim, act_dim;
    bool *dropped;
    size_t row_bytes;
    unsigned char *values; // (rows, row_bytes)
    struct store_edit_file *file;
};

// The numbers of a row: obs (O), act (A), reward, next_obs (O).
const float *store_edit_numbers(const struct store_edit *e, uint64_t place);
struct store_row_header store_edit_header(const struct store_edit *e, uint64_t place);

// Opens the store in folder dir, which no other process may use. 0, or -1 with a sentence in err.
int store_edit_open(struct store_edit *e, const char *dir, char *err, size_t err_len);
void store_edit_close(struct store_edit *e);
// Drops, or restores, the chosen rows (rows) in one synced transaction; *count: how many there
// were to do. 0, or -1 with a sentence in err, and nothing is changed: no row would be left.
int store_edit_drop(struct store_edit *e, const bool *chosen, uint64_t *count, char *err,
                    size_t err_len);
int store_edit_restore(struct store_edit *e, const bool *chosen, uint64_t *count, char *err,
                       size_t err_len);

#endif
