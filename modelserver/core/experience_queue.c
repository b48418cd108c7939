// SPDX-License-Identifier: MIT
// Numbering of Experience messages, and the window of unconfirmed ones.
#include "modelserver/core/experience_queue.h"

#include <string.h>

#include "common/base/check.h"

#define MESSAGE_BYTES_MAX (16u << 20) // a quarter of NET_MESSAGE_MAX

void experience_queue_init(struct experience_queue *f, uint32_t obs_dim, uint32_t act_dim,
                           bool states) {
    uint32_t rows = (uint32_t)(MESSAGE_BYTES_MAX / wire_row_bytes(obs_dim, act_dim));
    *f = (struct experience_queue){.obs_dim = obs_dim,
                                   .act_dim = act_dim,
                                   .states = states,
                                   .rows_max = rows < WIRE_ROWS_MAX ? rows : WIRE_ROWS_MAX};
}

void experience_queue_hello(struct experience_queue *f, uint64_t real_rows, uint64_t states) {
    for (uint64_t seq = f->acked + 1; seq <= f->sent; seq++) {
        f->model_rows_unconfirmed += f->model_rows[seq % EXPERIENCE_QUEUE_WINDOW];
    }
    f->sent = f->acked = 0;
    f->real_next = real_rows;
    f->model_sent = 0;
    f->states_next = states;
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

bool experience_queue_owes_model(const struct experience_queue *f, const struct model *model) {
    return f->states && model && model->version != f->model_sent;
}

static void fill_model(struct wire_msg *out, uint64_t seq, const struct model *m) {
    out->type = WIRE_ENSEMBLE;
    out->model = (struct wire_model){.seq = seq,
                                     .version = m->version,
                                     .env_rows = m->env_rows,
                                     .params_len = m->params_len,
                                     .params = m->params,
                                     .normalizer_len = m->normalizer_len,
                                     .normalizer = m->normalizer,
                                     .termination_len = m->termination_len,
                                     .termination = m->termination,
                                     .elites = (uint32_t)m->elites};
    for (int i = 0; i < m->elites; i++) {
        out->model.elite[i] = (uint32_t)m->elite[i];
    }
}

static void fill_real(struct wire_experience *out, const struct experience_queue *f,
                      const struct env_columns *env, uint64_t real_rows) {
    size_t o = f->obs_dim, a = f->act_dim, at = f->real_next;
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
}

static void fill_states(struct wire_states *out, const struct experience_queue *f) {
    const struct rollout_block *b = f->block[0];
    *out = (struct wire_states){.seq = f->sent + 1,
                                .number = b->job.number,
                                .model_version = b->job.model->version,
                                .policy_version = b->job.policy->version,
                                .policy_updates = b->job.policy->updates,
                                .rows = b->out.rows,
                                .obs_dim = f->obs_dim,
                                .obs = b->out.obs};
}

static void fill_rollouts(struct wire_experience *out, const struct experience_queue *f) {
    const struct rollout_block *b = f->block[0];
    size_t o = f->obs_dim, a = f->act_dim, at = f->block_sent;
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
}

bool experience_queue_next(const struct experience_queue *f, struct wire_msg *out,
                           const struct env_columns *env, uint64_t real_rows,
                           const struct model *model) {
    if (f->sent - f->acked >= EXPERIENCE_QUEUE_WINDOW) {
        return false;
    }
    if (experience_queue_owes_model(f, model)) {
        fill_model(out, f->sent + 1, model);
        return true;
    }
    if (f->real_next >= real_rows && f->blocks == 0) {
        return false;
    }
    if (f->real_next >= real_rows && f->states) {
        out->type = WIRE_STATES;
        fill_states(&out->states, f);
        return true;
    }
    out->type = WIRE_EXPERIENCE;
    out->experience = (struct wire_experience){.seq = f->sent + 1};
    if (f->real_next < real_rows) {
        fill_real(&out->experience, f, env, real_rows);
    } else {
        fill_rollouts(&out->experience, f);
    }
    return true;
}

void experience_queue_sent(struct experience_queue *f, const struct wire_msg *sent) {
    f->sent++;
    uint32_t *model_rows = &f->model_rows[f->sent % EXPERIENCE_QUEUE_WINDOW];
    *model_rows = 0;
    if (sent->type == WIRE_ENSEMBLE) {
        f->model_sent = sent->model.version;
    } else if (sent->type == WIRE_STATES) {
        f->block[0]->sent = true;
        f->block_sent = sent->states.rows;
        f->states_next++;
        f->model_rows_sent += sent->states.rows;
    } else if (sent->experience.kind == WIRE_REAL) {
        f->real_next += sent->experience.rows.rows;
        f->real_rows_sent += sent->experience.rows.rows;
    } else {
        *model_rows = sent->experience.rows.rows;
        f->block_sent += sent->experience.rows.rows;
        f->model_rows_sent += sent->experience.rows.rows;
    }
}

struct rollout_block *experience_queue_take_done(struct experience_queue *f) {
    struct rollout_block *b = f->blocks > 0 ? f->block[0] : NULL;
    bool stale = b && f->states && !b->sent && b->job.number != f->states_next;
    if (!b || (!stale && f->block_sent < b->out.rows)) {
        return NULL;
    }
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
