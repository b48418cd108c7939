// SPDX-License-Identifier: MIT
// The ring of rows, and the ring of messages that are slices of it.
#include "actor/spool.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

// A message: rows first .. first + rows - 1 of the ring.
struct batch {
    uint32_t first, rows;
    uint64_t policy_version;
};

struct spool {
    uint32_t capacity, batch_rows_max, obs_dim, act_dim;
    // Columns of the ring, `capacity` rows each.
    float *obs, *act, *reward, *next_obs;
    uint8_t *flags;
    uint32_t end;  // index of the next row
    uint32_t used; // unacknowledged rows

    // Message seq is batches[seq % capacity]. Each has at least one row, so there are never
    // more messages than rows.
    struct batch *batches;
    uint64_t acked, cursor, seq_last; // acked <= cursor <= seq_last; cursor: last one sent
    struct batch open;
    uint64_t open_since_ms;
    uint64_t pushed; // total of rows
};

struct spool *spool_create(uint32_t rows_max, uint32_t batch_rows_max, uint32_t obs_dim,
                           uint32_t act_dim) {
    CHECK(rows_max > 0);
    CHECK(batch_rows_max > 0);
    struct spool *s = xcalloc(1, sizeof(*s));
    s->capacity = rows_max;
    s->batch_rows_max = batch_rows_max < rows_max ? batch_rows_max : rows_max;
    s->obs_dim = obs_dim;
    s->act_dim = act_dim;
    s->obs = xfloats((size_t)rows_max * obs_dim);
    s->act = xfloats((size_t)rows_max * act_dim);
    s->reward = xfloats(rows_max);
    s->next_obs = xfloats((size_t)rows_max * obs_dim);
    s->flags = xcalloc(rows_max, sizeof(*s->flags));
    s->batches = xcalloc(rows_max, sizeof(*s->batches));
    return s;
}

void spool_destroy(struct spool **spool) {
    struct spool *s = *spool;
    if (!s) {
        return;
    }
    free(s->obs);
    free(s->act);
    free(s->reward);
    free(s->next_obs);
    free(s->flags);
    free(s->batches);
    free(s);
    *spool = NULL;
}

bool spool_full(const struct spool *s) {
    return s->used == s->capacity;
}

void spool_seal(struct spool *s) {
    if (s->open.rows == 0) {
        return;
    }
    s->seq_last++;
    s->batches[s->seq_last % s->capacity] = s->open;
    s->open = (struct batch){0};
}

uint64_t spool_push(struct spool *s, const struct vec_env_row *row, uint64_t now_ms) {
    CHECK(!spool_full(s));
    if (s->open.rows > 0 && s->open.policy_version != row->policy_version) {
        spool_seal(s);
    }
    if (s->open.rows == 0) {
        s->open = (struct batch){.first = s->end, .policy_version = row->policy_version};
        s->open_since_ms = now_ms;
    }

    size_t i = s->end;
    memcpy(s->obs + i * s->obs_dim, row->obs, s->obs_dim * sizeof(float));
    memcpy(s->act + i * s->act_dim, row->act, s->act_dim * sizeof(float));
    memcpy(s->next_obs + i * s->obs_dim, row->next_obs, s->obs_dim * sizeof(float));
    s->reward[i] = row->reward;
    s->flags[i] = row->flags;

    s->open.rows++;
    s->used++;
    s->end = (s->end + 1) % s->capacity;
    // Cut at the ring's end: a slice does not wrap around.
    if (s->open.rows == s->batch_rows_max || s->end == 0) {
        spool_seal(s);
    }
    return ++s->pushed;
}

bool spool_truncate(struct spool *s, uint64_t number) {
    CHECK(number <= s->pushed);
    if (number == 0 || s->pushed - number >= s->open.rows) {
        return false;
    }
    uint8_t *flags = &s->flags[s->open.first + s->open.rows - 1 - (s->pushed - number)];
    *flags = *flags ? *flags : WIRE_TRUNCATED;
    return true;
}

bool spool_next(const struct spool *s, struct wire_transitions *out) {
    if (s->cursor == s->seq_last) {
        return false;
    }
    uint64_t seq = s->cursor + 1;
    const struct batch *b = &s->batches[seq % s->capacity];
    *out = (struct wire_transitions){
        .seq = seq,
        .policy_version = b->policy_version,
        .rows =
            {
                .rows = b->rows,
                .obs_dim = s->obs_dim,
                .act_dim = s->act_dim,
                .obs = s->obs + (size_t)b->first * s->obs_dim,
                .act = s->act + (size_t)b->first * s->act_dim,
                .reward = s->reward + b->first,
                .next_obs = s->next_obs + (size_t)b->first * s->obs_dim,
                .flags = s->flags + b->first,
            },
    };
    return true;
}

void spool_sent(struct spool *s) {
    CHECK(s->cursor < s->seq_last);
    s->cursor++;
}

bool spool_ack(struct spool *s, uint64_t seq) {
    if (seq > s->seq_last) {
        return false;
    }
    while (s->acked < seq) {
        s->acked++;
        s->used -= s->batches[s->acked % s->capacity].rows;
    }
    // A message queued for resending may have arrived the first time.
    if (s->cursor < s->acked) {
        s->cursor = s->acked;
    }
    return true;
}

uint64_t spool_rewind(struct spool *s) {
    uint64_t again = s->cursor - s->acked;
    s->cursor = s->acked;
    return again;
}

uint64_t spool_acked(const struct spool *s) {
    return s->acked;
}

uint64_t spool_in_flight(const struct spool *s) {
    return s->cursor - s->acked;
}

uint64_t spool_rows(const struct spool *s) {
    return s->used;
}

uint64_t spool_open_ms(const struct spool *s, uint64_t now_ms) {
    return s->open.rows > 0 ? now_ms - s->open_since_ms : 0;
}
