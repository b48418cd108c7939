// SPDX-License-Identifier: MIT
#include "modelserver/feed.h"

#include <string.h>

#include "common/check.h"

#define MESSAGE_BYTES_MAX (16u << 20) // a quarter of what a socket takes

void feed_init(struct feed *f, uint32_t obs_dim, uint32_t act_dim) {
    uint32_t row = (2 * obs_dim + act_dim + 1) * (uint32_t)sizeof(float) + 1;
    uint32_t rows = MESSAGE_BYTES_MAX / row;
    *f = (struct feed){.obs_dim = obs_dim,
                       .act_dim = act_dim,
                       .rows_max = rows < WIRE_ROWS_MAX ? rows : WIRE_ROWS_MAX};
}

void feed_hello(struct feed *f, uint64_t real_rows) {
    for (uint64_t seq = f->acked + 1; seq <= f->sent; seq++) {
        f->model_rows_unconfirmed += f->model_rows[seq % FEED_WINDOW];
    }
    f->sent = f->acked = 0;
    f->real_next = real_rows;
}

bool feed_has_room(const struct feed *f) {
    return f->blocks < FEED_BLOCKS;
}

void feed_add(struct feed *f, struct feed_block *b) {
    CHECK(feed_has_room(f));
    f->block[f->blocks++] = b;
}

static uint32_t part(const struct feed *f, uint64_t rows) {
    return rows < f->rows_max ? (uint32_t)rows : f->rows_max;
}

bool feed_next(const struct feed *f, struct wire_experience *out, const struct store_columns *env,
               uint64_t real_rows) {
    if (f->sent - f->acked >= FEED_WINDOW) {
        return false;
    }
    size_t o = f->obs_dim, a = f->act_dim;
    *out = (struct wire_experience){.seq = f->sent + 1};
    if (f->real_next < real_rows) {
        size_t at = f->real_next;
        out->kind = WIRE_REAL;
        out->first_index = at;
        out->rows = (struct wire_rows){.rows = part(f, real_rows - at),
                                       .obs_dim = f->obs_dim,
                                       .act_dim = f->act_dim,
                                       .obs = env->obs + at * o,
                                       .act = env->act + at * a,
                                       .reward = env->reward + at,
                                       .next_obs = env->next_obs + at * o,
                                       .flags = env->flags + at};
        return true;
    }
    if (f->blocks == 0) {
        return false;
    }
    const struct feed_block *b = f->block[0];
    size_t at = f->block_sent;
    out->kind = WIRE_MODEL;
    out->model_version = b->job.model->version;
    out->policy_version = b->job.policy->version;
    out->rows = (struct wire_rows){.rows = part(f, b->out.rows - at),
                                   .obs_dim = f->obs_dim,
                                   .act_dim = f->act_dim,
                                   .obs = b->out.obs + at * o,
                                   .act = b->out.act + at * a,
                                   .reward = b->out.reward + at,
                                   .next_obs = b->out.next_obs + at * o,
                                   .flags = b->out.flags + at};
    return true;
}

void feed_sent(struct feed *f, const struct wire_experience *sent) {
    CHECK(sent->seq == f->sent + 1);
    f->sent = sent->seq;
    f->model_rows[f->sent % FEED_WINDOW] = sent->kind == WIRE_MODEL ? sent->rows.rows : 0;
    if (sent->kind == WIRE_REAL) {
        f->real_next += sent->rows.rows;
        f->real_rows_sent += sent->rows.rows;
    } else {
        f->block_sent += sent->rows.rows;
        f->model_rows_sent += sent->rows.rows;
    }
}

struct feed_block *feed_take_done(struct feed *f) {
    if (f->blocks == 0 || f->block_sent < f->block[0]->out.rows) {
        return NULL;
    }
    struct feed_block *b = f->block[0];
    f->blocks--;
    memmove(f->block, f->block + 1, (size_t)f->blocks * sizeof(f->block[0]));
    f->block_sent = 0;
    return b;
}

bool feed_acked(struct feed *f, uint64_t seq) {
    if (seq > f->sent || seq < f->acked) {
        return false;
    }
    f->acked = seq;
    return true;
}

bool feed_empty(const struct feed *f, uint64_t real_rows) {
    return f->blocks == 0 && f->real_next >= real_rows;
}
