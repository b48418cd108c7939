// SPDX-License-Identifier: MIT
// A replay buffer: rows of (s, a, r, s', terminated) in columns, first in, first
// out.
//
// The learner has two: its copy of D_env, and D_model, whose capacity follows the
// rollout length. Address space for the largest capacity is reserved once, as a
// ring, so a change of capacity changes two numbers only. Resident memory follows
// the number of rows: pages without rows yet are not resident, and pages before
// the oldest row are released.
#ifndef SPUR_LEARNER_REPLAY_H
#define SPUR_LEARNER_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/rng.h"

#define REPLAY_ROWS_MAX UINT32_MAX

// Rows in columns, borrowed.
struct replay_rows {
    uint64_t n;
    const float *obs;          // (n, obs_dim)
    const float *act;          // (n, act_dim)
    const float *reward;       // (n)
    const float *next_obs;     // (n, obs_dim)
    const uint8_t *terminated; // (n): 1 if s' is terminal; a time limit does not count
};

// Rows sampled for one update, in memory of its own.
struct replay_batch {
    int rows, obs_dim, act_dim;
    float *obs;        // (rows, obs_dim)
    float *act;        // (rows, act_dim)
    float *reward;     // (rows)
    float *next_obs;   // (rows, obs_dim)
    float *terminated; // (rows), 0 or 1
};

enum replay_column { REPLAY_OBS, REPLAY_ACT, REPLAY_REWARD, REPLAY_NEXT_OBS, REPLAY_TERMINATED };
#define REPLAY_COLUMNS 5

struct replay {
    int obs_dim, act_dim;
    uint64_t reserved; // slots of the ring: the largest possible capacity
    uint64_t capacity; // current limit of rows, at most `reserved`
    uint64_t len;      // rows, at most `capacity`
    uint64_t first;    // slot of the oldest row
    uint64_t added;    // rows ever added
    uint64_t behind;   // slots before the oldest row that may still be resident
    struct {
        char *data;      // (reserved) rows of row_size bytes
        size_t row_size; // bytes
    } column[REPLAY_COLUMNS];
    char *map;
    size_t map_size;
};

// 0, or -1 with a sentence in err (not enough address space).
int replay_init(struct replay *r, int obs_dim, int act_dim, uint64_t reserved, uint64_t capacity,
                char *err, size_t err_len);
void replay_deinit(struct replay *r);

// Bytes of `rows` rows.
uint64_t replay_bytes(int obs_dim, int act_dim, uint64_t rows);

// Copies rows into the buffer; the oldest rows beyond the capacity are dropped.
void replay_add(struct replay *r, const struct replay_rows *rows);

// Changes the capacity (1..reserved). The newest rows are kept.
void replay_resize(struct replay *r, uint64_t capacity);

// Fills batch rows [at, at + n) with rows sampled uniformly, with replacement.
// n may be 0; otherwise the buffer must not be empty.
void replay_sample(struct replay_batch *batch, int at, int n, const struct replay *r,
                   struct rng *rng);

// All rows, oldest first, as at most two runs: part 0 and part 1 (may be empty).
// Borrowed until the next change.
struct replay_rows replay_part(const struct replay *r, int part);

void replay_batch_init(struct replay_batch *batch, int rows, int obs_dim, int act_dim);
void replay_batch_deinit(struct replay_batch *batch);

#endif
