// SPDX-License-Identifier: MIT
// Numbering of Experience messages, and the window of unconfirmed ones.
#include "modelserver/core/experience_queue.h"

#include <string.h>

#include "common/base/check.h"

#define MESSAGE_BYTES_MAX (16u << 20) // a quarter of NET_MESSAGE_MAX

void experience_queue_init(struct experience_queue *f, uint32_t obs_dim, uint32_t act_dim) {
    uint32_t rows = (uint32_t)(MESSAGE_BYTES_MAX / wire_row_bytes(obs_dim, act_dim));
    *f = (struct experience_queue){.obs_dim = obs_dim,
                                   .act_dim = act_dim,
                                   .rows_max = rows < WIRE_ROWS_MAX ? rows : WIRE_ROWS_MAX};
}

void experience_queue_hello(struct experience_queue *f, uint64_t real_rows) {
    for (uint64_t seq = f->acked + 1; seq <= f->sent; seq++) {
        f->model_rows_unconfirmed += f->model_rows[seq % EXPERIENCE_QUEUE_WINDOW];
    }
    f->sent = f->acked = 0;
    f->real_next = real_rows;
}

bool experience_queue_has_room(const struct experience_queue *f) {
    return f->blocks < ROLLOUT_BLOCKS;
}

void experience_queue_add(struct experience_queue *f, struct rollout_block *b) {
    CHECK(experience_queue_has_room(f));
    f->block[f->blocks++] = b;
}

static uint32_t part(const struct experience_queue *f, uint64_t rows) {
    return rows < f->rows_max ? (uint32_t)rows : f->rows_max;
}

bool experience_queue_next(const struct experience_queue *f, struct wire_experience *out,
                           const struct env_columns *env, uint64_t real_rows) {
    if (f->sent - f->acked >= EXPERIENCE_QUEUE_WINDOW) {
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
    const struct rollout_block *b = f->block[0];
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

void experience_queue_sent(struct experience_queue *f, const struct wire_experience *sent) {
    CHECK(sent->seq == f->sent + 1);
    f->sent = sent->seq;
    f->model_rows[f->sent % EXPERIENCE_QUEUE_WINDOW] =
        sent->kind == WIRE_MODEL ? sent->rows.rows : 0;
    if (sent->kind == WIRE_REAL) {
        f->real_next += sent->rows.rows;
        f->real_rows_sent += sent->rows.rows;
    } else {
        f->block_sent += sent->rows.rows;
        f->model_rows_sent += sent->rows.rows;
    }
}

struct rollout_block *experience_queue_take_done(struct experience_queue *f) {
    if (f->blocks == 0 || f->block_sent < f->block[0]->out.rows) {
        return NULL;
    }
    struct rollout_block *b = f->block[0];
    f->blocks--;
    memmove(f->block, f->block + 1, (size_t)f->blocks * sizeof(f->block[0]));
    f->block_sent = 0;
    return b;
}

bool experience_queue_acked(struct experience_queue *f, uint64_t seq) {
    if (seq > f->sent || seq < f->acked) {
        return false;
    }
    f->acked = seq;
    return true;
}

bool experience_queue_empty(const struct experience_queue *f, uint64_t real_rows) {
    return f->blocks == 0 && f->real_next >= real_rows;
}
