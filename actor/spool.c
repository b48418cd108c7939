// SPDX-License-Identifier: MIT
// The ring of rows, and the ring of messages that are slices of it.
#include "actor/spool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/checksum.h"

static const char magic[8] = "SPUROWS1";

#define DIM_MAX (1u << 20) // of what a damaged header may say

// A message: rows of the ring from `first`. Their number and the checksum change in one store.
struct batch {
    uint64_t policy_version;
    volatile uint64_t made; // rows, and the checksum in the upper half
    uint32_t first, unused;
};

static uint32_t rows_of(const struct batch *b) {
    return (uint32_t)b->made;
}

static void set_rows(struct batch *b, uint32_t rows, uint32_t sum) {
    b->made = (uint64_t)sum << 32 | rows;
}

// At the begin of the block. Messages are counted from 1 as they are made; the number of message i
// for the server is i - shift.
struct header {
    char magic[8];
    uint32_t capacity, batch_rows_max, obs_dim, act_dim;
    struct spool_owner owner;
    uint64_t acked, last; // messages acknowledged or dropped, and sealed
    uint64_t confirmed;   // the last number that the server has stored
    uint64_t shift;
    uint64_t pushed, dropped, dropped_ends;
    struct batch open;
};

struct spool {
    struct header *h;
    void *own; // the block, if it is the spool's
    // Columns of the ring, `capacity` rows each.
    float *obs, *act, *reward, *next_obs;
    uint8_t *flags;
    // Message i is batches[i % capacity]. Each has at least one row, so there are never
    // more messages than rows.
    struct batch *batches;

    uint32_t end;    // index of the next row
    uint32_t used;   // unacknowledged rows
    uint64_t cursor; // last message sent; acked <= cursor <= last
    uint64_t open_since_ms;
};

// What was written before is in memory before what is written after.
static void in_order(void) {
    atomic_signal_fence(memory_order_seq_cst);
}

// ---- the block ----

static size_t header_bytes(void) {
    return (sizeof(struct header) + 63) / 64 * 64;
}

static size_t row_bytes(uint64_t obs_dim, uint64_t act_dim) {
    return (size_t)(2 * obs_dim + act_dim + 1) * sizeof(float) + 1 + sizeof(struct batch);
}

static size_t block_bytes(uint64_t rows, uint64_t obs_dim, uint64_t act_dim) {
    return header_bytes() + (size_t)rows * row_bytes(obs_dim, act_dim);
}

static struct spool *attach(void *block) {
    struct spool *s = xcalloc(1, sizeof(*s));
    struct header *h = s->h = block;
    size_t n = h->capacity;
    s->batches = (struct batch *)((char *)block + header_bytes());
    s->obs = (float *)(s->batches + n);
    s->act = s->obs + n * h->obs_dim;
    s->next_obs = s->act + n * h->act_dim;
    s->reward = s->next_obs + n * h->obs_dim;
    s->flags = (uint8_t *)(s->reward + n);
    return s;
}

static struct spool *start(void *block, uint64_t rows, uint32_t batch_rows_max, uint32_t obs_dim,
                           uint32_t act_dim, const struct spool_owner *owner) {
    struct header *h = block;
    memset(h->magic, 0, sizeof(h->magic));
    in_order();
    *h = (struct header){.capacity = (uint32_t)rows,
                         .batch_rows_max = batch_rows_max < rows ? batch_rows_max : (uint32_t)rows,
                         .obs_dim = obs_dim,
                         .act_dim = act_dim,
                         .owner = *owner};
    in_order();
    memcpy(h->magic, magic, sizeof(magic));
    return attach(block);
}

struct spool *spool_create(uint32_t rows_max, uint32_t batch_rows_max, uint32_t obs_dim,
                           uint32_t act_dim) {
    CHECK(rows_max > 0);
    CHECK(batch_rows_max > 0);
    static const struct spool_owner nobody;
    void *block = xcalloc(1, block_bytes(rows_max, obs_dim, act_dim));
    struct spool *s = start(block, rows_max, batch_rows_max, obs_dim, act_dim, &nobody);
    s->own = block;
    return s;
}

struct spool *spool_create_in(void *block, size_t bytes, uint32_t batch_rows_max, uint32_t obs_dim,
                              uint32_t act_dim, const struct spool_owner *owner) {
    CHECK(batch_rows_max > 0);
    size_t rows =
        bytes < header_bytes() ? 0 : (bytes - header_bytes()) / row_bytes(obs_dim, act_dim);
    rows = rows < UINT32_MAX / 2 ? rows : UINT32_MAX / 2;
    return rows > 0 ? start(block, rows, batch_rows_max, obs_dim, act_dim, owner) : NULL;
}

void spool_destroy(struct spool **spool) {
    struct spool *s = *spool;
    if (!s) {
        return;
    }
    free(s->own);
    free(s);
    *spool = NULL;
}

const struct spool_owner *spool_owner(const struct spool *s) {
    return &s->h->owner;
}

bool spool_fits(const struct spool *s, uint32_t obs_dim, uint32_t act_dim) {
    return s->h->obs_dim == obs_dim && s->h->act_dim == act_dim;
}

// ---- messages ----

static struct batch *batch_at(const struct spool *s, uint64_t i) {
    return &s->batches[i % s->h->capacity];
}

// The checksum of rows before, continued by row i of the ring.
static uint32_t add_row(const struct spool *s, uint32_t sum, size_t i) {
    size_t O = s->h->obs_dim, A = s->h->act_dim;
    sum = checksum_add(sum, s->obs + i * O, O * sizeof(float));
    sum = checksum_add(sum, s->act + i * A, A * sizeof(float));
    sum = checksum_add(sum, s->next_obs + i * O, O * sizeof(float));
    sum = checksum_add(sum, &s->reward[i], sizeof(float));
    return checksum_add(sum, &s->flags[i], 1);
}

static uint32_t sum_of(const struct spool *s, const struct batch *b) {
    uint32_t sum = checksum_add(0, &b->policy_version, sizeof(b->policy_version));
    for (uint32_t i = 0; i < rows_of(b); i++) {
        sum = add_row(s, sum, b->first + i);
    }
    return sum;
}

static bool is_sound(const struct spool *s, const struct batch *b) {
    uint32_t capacity = s->h->capacity;
    return rows_of(b) > 0 && rows_of(b) <= s->h->batch_rows_max && b->first < capacity &&
           rows_of(b) <= capacity - b->first && sum_of(s, b) == (uint32_t)(b->made >> 32);
}

static uint64_t ends_in(const struct spool *s, const struct batch *b) {
    uint64_t ends = 0;
    for (uint32_t i = 0; i < rows_of(b); i++) {
        ends += s->flags[b->first + i] != 0;
    }
    return ends;
}

bool spool_full(const struct spool *s) {
    return s->used == s->h->capacity;
}

void spool_seal(struct spool *s) {
    struct header *h = s->h;
    if (rows_of(&h->open) == 0) {
        return;
    }
    *batch_at(s, h->last + 1) = h->open;
    in_order();
    h->last++; // a process that ends here leaves the message open as well: see take_open
    in_order();
    set_rows(&h->open, 0, 0);
}

// Numbers of messages that were never sent close up at once.
uint32_t spool_drop_oldest(struct spool *s) {
    struct header *h = s->h;
    if (h->acked == h->last) {
        spool_seal(s);
    }
    CHECK(h->acked < h->last);
    bool sent = s->cursor > h->acked;
    const struct batch *b = batch_at(s, h->acked + 1);
    uint32_t rows = rows_of(b);
    h->dropped += rows;
    h->dropped_ends += ends_in(s, b);
    s->used -= rows;
    h->acked++;
    in_order();
    h->shift += !sent;
    s->cursor = s->cursor > h->acked ? s->cursor : h->acked;
    return rows;
}

uint64_t spool_push(struct spool *s, const struct vec_env_row *row, uint64_t now_ms) {
    struct header *h = s->h;
    CHECK(!spool_full(s));
    if (rows_of(&h->open) > 0 && h->open.policy_version != row->policy_version) {
        spool_seal(s);
    }
    if (rows_of(&h->open) == 0) {
        h->open = (struct batch){.first = s->end, .policy_version = row->policy_version};
        set_rows(&h->open, 0, sum_of(s, &h->open));
        s->open_since_ms = now_ms;
    }

    size_t i = s->end, O = h->obs_dim, A = h->act_dim;
    memcpy(s->obs + i * O, row->obs, O * sizeof(float));
    memcpy(s->act + i * A, row->act, A * sizeof(float));
    memcpy(s->next_obs + i * O, row->next_obs, O * sizeof(float));
    s->reward[i] = row->reward;
    s->flags[i] = row->flags;
    uint32_t sum = add_row(s, (uint32_t)(h->open.made >> 32), i);
    in_order();
    set_rows(&h->open, rows_of(&h->open) + 1, sum);
    in_order();
    h->pushed++;

    s->used++;
    s->end = (s->end + 1) % h->capacity;
    // Cut at the ring's end: a slice does not wrap around.
    if (rows_of(&h->open) == h->batch_rows_max || s->end == 0) {
        spool_seal(s);
    }
    return h->pushed;
}

bool spool_truncate(struct spool *s, uint64_t number) {
    struct batch *open = &s->h->open;
    CHECK(number <= s->h->pushed);
    if (number == 0 || s->h->pushed - number >= rows_of(open)) {
        return false;
    }
    uint8_t *flags = &s->flags[open->first + rows_of(open) - 1 - (s->h->pushed - number)];
    *flags = *flags ? *flags : WIRE_TRUNCATED;
    set_rows(open, rows_of(open), sum_of(s, open));
    return true;
}

bool spool_next(const struct spool *s, struct wire_transitions *out) {
    if (s->cursor == s->h->last) {
        return false;
    }
    const struct batch *b = batch_at(s, s->cursor + 1);
    size_t O = s->h->obs_dim, A = s->h->act_dim;
    *out = (struct wire_transitions){
        .seq = s->cursor + 1 - s->h->shift,
        .policy_version = b->policy_version,
        .rows =
            {
                .rows = rows_of(b),
                .obs_dim = s->h->obs_dim,
                .act_dim = s->h->act_dim,
                .obs = s->obs + b->first * O,
                .act = s->act + b->first * A,
                .reward = s->reward + b->first,
                .next_obs = s->next_obs + b->first * O,
                .flags = s->flags + b->first,
            },
    };
    return true;
}

void spool_sent(struct spool *s) {
    CHECK(s->cursor < s->h->last);
    s->cursor++;
}

// ---- answers of the server ----

bool spool_ack(struct spool *s, uint64_t seq) {
    struct header *h = s->h;
    if (seq > h->last - h->shift) {
        return false;
    }
    h->confirmed = seq > h->confirmed ? seq : h->confirmed;
    while (h->acked < seq + h->shift) {
        s->used -= rows_of(batch_at(s, h->acked + 1));
        h->acked++;
    }
    // A message queued for resending may have arrived the first time.
    s->cursor = s->cursor > h->acked ? s->cursor : h->acked;
    return true;
}

bool spool_welcome(struct spool *s, uint64_t next_seq) {
    struct header *h = s->h;
    if (next_seq == 0 || next_seq - 1 < h->confirmed) {
        return false;
    }
    uint64_t oldest = h->acked + 1 - h->shift;
    if (next_seq < oldest) { // what was dropped in between was not stored
        h->shift += oldest - next_seq;
        h->confirmed = next_seq - 1;
        return true;
    }
    return spool_ack(s, next_seq - 1);
}

bool spool_has_gap(const struct spool *s) {
    return s->h->confirmed + s->h->shift < s->h->acked;
}

uint64_t spool_rewind(struct spool *s) {
    uint64_t again = s->cursor - s->h->acked;
    s->cursor = s->h->acked;
    return again;
}

// ---- a spool that was left ----

#define COUNT_MAX (UINT64_C(1) << 62) // of messages: no actor makes so many

static bool is_readable(const void *block, size_t bytes) {
    const struct header *h = block;
    return bytes >= header_bytes() && memcmp(h->magic, magic, sizeof(magic)) == 0 &&
           h->obs_dim <= DIM_MAX && h->act_dim <= DIM_MAX && h->capacity > 0 &&
           h->batch_rows_max > 0 && h->batch_rows_max <= h->capacity &&
           block_bytes(h->capacity, h->obs_dim, h->act_dim) <= bytes && h->acked <= h->last &&
           h->last - h->acked <= h->capacity && h->last < COUNT_MAX && h->shift <= h->acked &&
           memchr(h->owner.id, '\0', sizeof(h->owner.id));
}

// Sealed messages from the oldest, up to the first that is spoilt.
static void take_sealed(struct spool *s, uint64_t *spoilt) {
    struct header *h = s->h;
    for (uint64_t i = h->acked + 1; i <= h->last; i++) {
        const struct batch *b = batch_at(s, i);
        if (!is_sound(s, b) || s->used + rows_of(b) > h->capacity) {
            *spoilt = rows_of(&h->open);
            for (uint64_t k = i; k <= h->last; k++) {
                *spoilt += rows_of(batch_at(s, k));
            }
            h->last = i - 1;
            set_rows(&h->open, 0, 0);
            return;
        }
        s->used += rows_of(b);
        s->end = (b->first + rows_of(b)) % h->capacity;
    }
}

// The open message, unless it was sealed just before the process ended.
static void take_open(struct spool *s, uint64_t *spoilt) {
    struct header *h = s->h;
    struct batch *open = &h->open;
    bool sealed = h->last > h->acked && batch_at(s, h->last)->first == open->first;
    if (rows_of(open) == 0 || sealed) {
        set_rows(open, 0, 0);
    } else if (!is_sound(s, open) || s->used + rows_of(open) > h->capacity) {
        *spoilt += rows_of(open);
        set_rows(open, 0, 0);
    } else {
        s->used += rows_of(open);
        s->end = (open->first + rows_of(open)) % h->capacity;
        spool_seal(s);
    }
}

struct spool *spool_continue(void *block, size_t bytes, uint64_t *spoilt) {
    *spoilt = 0;
    if (!is_readable(block, bytes)) {
        return NULL;
    }
    struct spool *s = attach(block);
    s->cursor = s->h->acked;
    take_sealed(s, spoilt);
    take_open(s, spoilt);
    s->h->dropped += *spoilt;
    if (s->used == 0) {
        spool_destroy(&s);
    }
    return s;
}

// ---- counts ----

uint64_t spool_acked(const struct spool *s) {
    return s->h->confirmed;
}

uint64_t spool_in_flight(const struct spool *s) {
    return s->cursor - s->h->acked;
}

uint64_t spool_rows(const struct spool *s) {
    return s->used;
}

uint64_t spool_made(const struct spool *s) {
    return s->h->pushed;
}

uint64_t spool_dropped(const struct spool *s) {
    return s->h->dropped;
}

uint64_t spool_ends(const struct spool *s) {
    uint64_t ends = s->h->dropped_ends + ends_in(s, &s->h->open);
    for (uint64_t i = s->h->acked + 1; i <= s->h->last; i++) {
        ends += ends_in(s, batch_at(s, i));
    }
    return ends;
}

uint64_t spool_open_ms(const struct spool *s, uint64_t now_ms) {
    return rows_of(&s->h->open) > 0 ? now_ms - s->open_since_ms : 0;
}
