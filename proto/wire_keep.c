// SPDX-License-Identifier: MIT
// Rows that outlive their message: takes over the arena they were unpacked into, or copies.
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "proto/wire_parts.h"

static const void *copy(struct arena *a, const void *column, size_t bytes) {
    void *to = arena_alloc(a, bytes);
    CHECK(to);
    return memcpy(to, column, bytes);
}

static void copy_columns(struct arena *a, struct wire_rows *r) {
    size_t n = r->rows, obs = n * r->obs_dim * sizeof(float), act = n * r->act_dim * sizeof(float);
    size_t bytes = n * wire_row_bytes(r->obs_dim, r->act_dim) + WIRE_STRUCTS_BYTES_ROWS;
    arena_reset(a, bytes, bytes);
    r->obs = copy(a, r->obs, obs);
    r->act = copy(a, r->act, act);
    r->reward = copy(a, r->reward, n * sizeof(float));
    r->next_obs = copy(a, r->next_obs, obs);
    r->flags = copy(a, r->flags, n);
}

struct wire_kept *wire_keep(const struct wire_rows *rows) {
    struct wire_kept *kept = xmalloc(sizeof(*kept));
    kept->rows = *rows;
    kept->rows.wire = NULL;
    if (rows->wire) {
        kept->memory = arena_detach(&rows->wire->unpacking);
        CHECK(kept->memory); // else the rows were kept twice
    } else {
        struct arena copies = {0};
        copy_columns(&copies, &kept->rows);
        kept->memory = arena_detach(&copies);
    }
    return kept;
}

static void move(const void *column, uint32_t to, uint32_t from, size_t bytes) {
    char *own = (char *)(uintptr_t)column;
    memmove(own + to * bytes, own + from * bytes, bytes);
}

void wire_kept_move(struct wire_kept *kept, uint32_t to, uint32_t from) {
    const struct wire_rows *r = &kept->rows;
    move(r->obs, to, from, r->obs_dim * sizeof(float));
    move(r->act, to, from, r->act_dim * sizeof(float));
    move(r->reward, to, from, sizeof(float));
    move(r->next_obs, to, from, r->obs_dim * sizeof(float));
    move(r->flags, to, from, 1);
}

void wire_drop(struct wire_kept **kept) {
    if (*kept) {
        arena_free((*kept)->memory);
        free(*kept);
        *kept = NULL;
    }
}
