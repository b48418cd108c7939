// SPDX-License-Identifier: MIT
// One reserved mapping for all columns; pages become resident when written and are released
// before the oldest row.
#include "learner/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"

// Memory before the oldest row is released in pieces of at least this size, to
// limit the number of system calls.
#define RELEASE_BYTES (1u << 20)

#define CACHE_LINE 64
#define AHEAD 32 // rows prefetched while a batch is gathered

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

uint64_t replay_bytes(int obs_dim, int act_dim, uint64_t rows) {
    return rows * ((2 * (uint64_t)obs_dim + (uint64_t)act_dim + 1) * sizeof(float) + 1);
}

int replay_init(struct replay *r, int obs_dim, int act_dim, uint64_t reserved, uint64_t capacity,
                char *err, size_t err_len) {
    CHECK(reserved > 0 && reserved <= REPLAY_ROWS_MAX);
    CHECK(capacity > 0 && capacity <= reserved);
    *r = (struct replay){
        .obs_dim = obs_dim, .act_dim = act_dim, .reserved = reserved, .capacity = capacity};
    const size_t sizes[REPLAY_COLUMNS] = {
        [REPLAY_OBS] = (size_t)obs_dim * sizeof(float),
        [REPLAY_ACT] = (size_t)act_dim * sizeof(float),
        [REPLAY_REWARD] = sizeof(float),
        [REPLAY_NEXT_OBS] = (size_t)obs_dim * sizeof(float),
        [REPLAY_TERMINATED] = 1,
    };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int c = 0; c < REPLAY_COLUMNS; c++) {
        r->column[c].row_size = sizes[c];
        r->map_size += round_up(sizes[c] * reserved, page);
    }
    // Address space only: a page becomes resident when a row is written to it.
    void *map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        snprintf(err, err_len, "%llu rows of replay (%.1f MiB): %s; lower rollout.retain_epochs",
                 (unsigned long long)reserved, (double)r->map_size / 0x1p20, strerror(errno));
        *r = (struct replay){0};
        return -1;
    }
    r->map = map;
    char *at = r->map;
    for (int c = 0; c < REPLAY_COLUMNS; c++) {
        r->column[c].data = at;
        at += round_up(sizes[c] * reserved, page);
    }
    return 0;
}

void replay_deinit(struct replay *r) {
    if (r->map) {
        munmap(r->map, r->map_size);
    }
    *r = (struct replay){0};
}

// Releases the pages of n slots from `begin` on.
static void release(struct replay *r, uint64_t begin, uint64_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int c = 0; c < REPLAY_COLUMNS; c++) {
        // Whole pages only: the first and the last may contain other rows. They stay
        // resident until the ring wraps, one page per RELEASE_BYTES.
        size_t from = round_up((size_t)begin * r->column[c].row_size, page);
        size_t to = (size_t)(begin + n) * r->column[c].row_size / page * page;
        if (from < to) {
            // On failure the pages stay resident, which is harmless.
            (void)madvise(r->column[c].data + from, to - from, MADV_DONTNEED);
        }
    }
}

// Releases the slots before the oldest row once they are RELEASE_BYTES.
static void trim(struct replay *r) {
    uint64_t unused = r->reserved - r->len;
    r->behind = r->behind < unused ? r->behind : unused;
    if (replay_bytes(r->obs_dim, r->act_dim, r->behind) < RELEASE_BYTES) {
        return;
    }
    uint64_t begin = (r->first + r->reserved - r->behind) % r->reserved;
    uint64_t to_end = r->reserved - begin;
    uint64_t n = r->behind < to_end ? r->behind : to_end;
    release(r, begin, n);
    release(r, 0, r->behind - n);
    r->behind = 0;
}

static void drop_oldest(struct replay *r, uint64_t n) {
    r->first = (r->first + n) % r->reserved;
    r->len -= n;
    r->behind += n;
}

// Copies rows [from, from + n) of rows to n slots from `place` on.
static void copy_in(struct replay *r, uint64_t place, const struct replay_rows *rows, uint64_t from,
                    uint64_t n) {
    const char *columns[REPLAY_COLUMNS] = {
        [REPLAY_OBS] = (const char *)rows->obs,
        [REPLAY_ACT] = (const char *)rows->act,
        [REPLAY_REWARD] = (const char *)rows->reward,
        [REPLAY_NEXT_OBS] = (const char *)rows->next_obs,
        [REPLAY_TERMINATED] = (const char *)rows->terminated,
    };
    for (int c = 0; c < REPLAY_COLUMNS && n > 0; c++) {
        size_t size = r->column[c].row_size;
        memcpy(r->column[c].data + place * size, columns[c] + from * size, n * size);
    }
}

void replay_add(struct replay *r, const struct replay_rows *rows) {
    // If there are more rows than fit, only the newest are copied.
    uint64_t skip = rows->n > r->capacity ? rows->n - r->capacity : 0;
    uint64_t n = rows->n - skip;
    if (r->len + n > r->capacity) {
        drop_oldest(r, r->len + n - r->capacity);
    }
    uint64_t place = (r->first + r->len) % r->reserved;
    uint64_t to_end = r->reserved - place;
    uint64_t n_first = n < to_end ? n : to_end;
    copy_in(r, place, rows, skip, n_first);
    copy_in(r, 0, rows, skip + n_first, n - n_first);
    r->len += n;
    r->added += rows->n;
    trim(r);
}

void replay_resize(struct replay *r, uint64_t capacity) {
    CHECK(capacity > 0 && capacity <= r->reserved);
    r->capacity = capacity;
    if (r->len > capacity) {
        drop_oldest(r, r->len - capacity);
        trim(r);
    }
}

static const float *row_floats(const struct replay *r, enum replay_column c, uint64_t place) {
    return (const float *)(r->column[c].data + place * r->column[c].row_size);
}

// Prefetches a row: rows are at random addresses, and waiting for them one by one
// would take longer than copying.
static void prefetch(const struct replay *r, uint64_t place) {
    for (int c = 0; c < REPLAY_COLUMNS; c++) {
        const char *at = r->column[c].data + place * r->column[c].row_size;
        const char *last = at + r->column[c].row_size - 1;
        for (; at < last; at += CACHE_LINE) {
            __builtin_prefetch(at);
        }
        __builtin_prefetch(last);
    }
}

static void copy_out(struct replay_batch *batch, size_t i, const struct replay *r, uint64_t place) {
    size_t O = (size_t)r->obs_dim, A = (size_t)r->act_dim;
    memcpy(batch->obs + i * O, row_floats(r, REPLAY_OBS, place), O * sizeof(float));
    memcpy(batch->act + i * A, row_floats(r, REPLAY_ACT, place), A * sizeof(float));
    memcpy(batch->next_obs + i * O, row_floats(r, REPLAY_NEXT_OBS, place), O * sizeof(float));
    batch->reward[i] = *row_floats(r, REPLAY_REWARD, place);
    batch->terminated[i] = r->column[REPLAY_TERMINATED].data[place] ? 1.0f : 0.0f;
}

void replay_sample(struct replay_batch *batch, int at, int n, const struct replay *r,
                   struct rng *rng) {
    CHECK(at >= 0 && n >= 0 && at + n <= batch->rows);
    CHECK(batch->obs_dim == r->obs_dim && batch->act_dim == r->act_dim);
    // Prefetched rows: row i is copied once row i + AHEAD has been requested.
    uint64_t place[AHEAD];
    for (int i = 0; i < n + AHEAD; i++) {
        if (i >= AHEAD) {
            copy_out(batch, (size_t)(at + i - AHEAD), r, place[i % AHEAD]);
        }
        if (i < n) {
            place[i % AHEAD] = (r->first + rng_below(rng, (uint32_t)r->len)) % r->reserved;
            prefetch(r, place[i % AHEAD]);
        }
    }
}

struct replay_rows replay_part(const struct replay *r, int part) {
    CHECK(part == 0 || part == 1);
    uint64_t to_end = r->reserved - r->first;
    uint64_t older = r->len < to_end ? r->len : to_end;
    uint64_t place = part == 0 ? r->first : 0;
    return (struct replay_rows){
        .n = part == 0 ? older : r->len - older,
        .obs = row_floats(r, REPLAY_OBS, place),
        .act = row_floats(r, REPLAY_ACT, place),
        .reward = row_floats(r, REPLAY_REWARD, place),
        .next_obs = row_floats(r, REPLAY_NEXT_OBS, place),
        .terminated = (const uint8_t *)r->column[REPLAY_TERMINATED].data + place,
    };
}

void replay_batch_init(struct replay_batch *batch, int rows, int obs_dim, int act_dim) {
    size_t B = (size_t)rows, O = (size_t)obs_dim, A = (size_t)act_dim;
    float *memory = xfloats(B * (2 * O + A + 2));
    *batch = (struct replay_batch){
        .rows = rows,
        .obs_dim = obs_dim,
        .act_dim = act_dim,
        .obs = memory,
        .next_obs = memory + B * O,
        .act = memory + 2 * B * O,
        .reward = memory + B * (2 * O + A),
        .terminated = memory + B * (2 * O + A + 1),
    };
}

void replay_batch_deinit(struct replay_batch *batch) {
    free(batch->obs); // start of the block
    *batch = (struct replay_batch){0};
}
