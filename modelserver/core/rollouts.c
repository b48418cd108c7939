// SPDX-License-Identifier: MIT
// Batches of rollouts, their numbers, and the two blocks in use.
#include "modelserver/core/rollouts.h"

#include <math.h>

#include "common/base/check.h"
#include "common/config/config.h"
#include "modelserver/model/versions.h"
#include "proto/wire.h"

#define BLOCK_ROWS_MAX 131072 // rows that one block of rollouts may make

// The number of a batch for real steps is the step that it completes; numbers of
// fills have this bit set, so that the two never meet.
#define FILL_NUMBER (UINT64_C(1) << 39)

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint32_t block_rollouts(const struct config *config) {
    if (config_has_states(config)) {
        return (uint32_t)config->dhmbpo.starts;
    }
    uint32_t n = BLOCK_ROWS_MAX / (uint32_t)config_rollout_length_max(config);
    n = n < 1 ? 1 : n;
    return n < ROLLOUT_BLOCK ? n : ROLLOUT_BLOCK;
}

static uint32_t block_rows(const struct config *config) {
    if (config_has_states(config)) {
        return (uint32_t)config_states_max(config);
    }
    return block_rollouts(config) * (uint32_t)config_rollout_length_max(config);
}

void rollouts_init(struct rollouts *r, const struct run_context *run, const struct ms_jobs *jobs,
                   struct counters *counters) {
    *r = (struct rollouts){.run = run,
                           .jobs = jobs,
                           .counters = counters,
                           .block_rollouts = block_rollouts(&run->config)};
    for (int i = 0; i < ROLLOUT_BLOCKS && run->has_model; i++) {
        rollout_rows_init(&r->blocks[i].out, block_rows(&run->config), (uint32_t)run->task->obs_dim,
                          (uint32_t)run->task->act_dim);
    }
}

void rollouts_deinit(struct rollouts *r) {
    for (int i = 0; i < ROLLOUT_BLOCKS; i++) {
        rollout_rows_deinit(&r->blocks[i].out);
    }
}

uint64_t rollouts_memory_bytes(const struct config *config, const struct task *task) {
    uint64_t row = wire_row_bytes((uint64_t)task->obs_dim, (uint64_t)task->act_dim);
    return ROLLOUT_BLOCKS * block_rows(config) * row;
}

void rollouts_state(const struct rollouts *r, struct ms_state *out) {
    out->rollout_steps = r->steps;
    out->filled = r->filled;
    out->fill_number = r->fill_number;
    out->fill_total = r->fill_total;
    out->fill_done = r->fill_done;
    out->rollouts = r->count;
    out->rollout_rows = r->rows;
}

void rollouts_restore(struct rollouts *r, const struct ms_state *from) {
    uint64_t explore = config_explore_end(&r->run->config);
    r->steps = from->rollout_steps > explore ? from->rollout_steps : explore;
    r->filled = from->filled;
    r->fill_number = from->fill_number;
    r->fill_total = from->fill_total;
    r->fill_done = from->fill_done;
    r->count = from->rollouts;
    r->rows = from->rollout_rows;
    // Requests resume after the last delivered rollouts.
    r->requested_steps = r->steps;
    r->fill_requested = r->fill_done;
}

void rollouts_empty_fill(struct rollouts *r) {
    r->filled = r->fill_total = r->fill_done = 0;
    r->fill_requested = 0;
    if (r->batch.is_fill) {
        r->batch.total = r->batch.requested = 0;
    }
}

void rollouts_skip_learnt(struct rollouts *r, uint64_t updates, uint64_t steps) {
    const struct pacing *p = &r->run->pacing;
    double behind = pacing_steps_of(p, updates);
    double slack = p->mode == PACING_RATIO ? (double)p->slack : 0;
    uint64_t made = behind > slack ? (uint64_t)floor(behind - slack) : 0;
    made = least(p->explore + made, steps);
    if (made > r->steps && r->filled) {
        r->steps = r->requested_steps = made;
    }
}

void rollouts_hello(struct rollouts *r, uint64_t states) {
    r->states = r->states_requested = states;
}

uint64_t rollouts_updates_supplied(const struct rollouts *r) {
    const struct config *c = &r->run->config;
    return config_has_states(c) ? r->states * c->dhmbpo.states_every : 0;
}

// The next distribution rollout. False: its updates are not due, or too far ahead.
static bool begin_states(struct rollouts *r, const struct rollout_progress *p) {
    const struct config *c = &r->run->config;
    uint64_t first = r->states_requested * c->dhmbpo.states_every; // update that it serves
    if (p->due <= first || p->updates + (uint64_t)p->ahead * c->dhmbpo.states_every < first) {
        return false;
    }
    r->batch = (struct rollout_batch){.number = r->states_requested++,
                                      .total = (uint64_t)c->dhmbpo.starts * ROLLOUT_REPEATS};
    return true;
}

// Sets r->batch to the next batch of rollouts. False: there is none to be made.
static bool begin_batch(struct rollouts *r, uint64_t steps) {
    uint64_t per_step = r->run->config.rollout.per_step;
    if (!r->filled) {
        if (r->fill_total == 0) {
            r->fill_total =
                least(r->run->pacing.train_every * per_step, run_model_capacity(r->run, steps));
            r->fill_number = FILL_NUMBER | steps;
        }
        r->batch = (struct rollout_batch){.is_fill = true,
                                          .number = r->fill_number,
                                          .total = r->fill_total,
                                          .requested = r->fill_requested};
        return r->fill_requested < r->fill_total;
    }
    if (r->requested_steps >= steps) {
        return false;
    }
    // Steps that arrived together share a batch, as far as one block holds them.
    uint64_t together = r->block_rollouts / per_step;
    uint64_t count = least(steps - r->requested_steps, together < 1 ? 1 : together);
    r->batch = (struct rollout_batch){.number = r->requested_steps + count,
                                      .total = count * per_step,
                                      .through_steps = r->requested_steps + count};
    return true;
}

static struct rollout_block *free_block(struct rollouts *r) {
    for (int i = 0; i < ROLLOUT_BLOCKS; i++) {
        if (!r->block_used[i]) {
            r->block_used[i] = true;
            return &r->blocks[i];
        }
    }
    CHECK(!"a free block, since the queue of experience has room");
    return NULL;
}

uint32_t rollouts_length(const struct config *config, uint64_t steps, const struct model *model) {
    double k = config_rollout_length(config, steps);
    if (config_has_states(config) && config->dhmbpo.error_sum > 0 && model) {
        k = fmin(k, floor(config->dhmbpo.error_sum / model_holdout_mse(model)));
    }
    return (uint32_t)fmax(k, 1);
}

void rollouts_start(struct rollouts *r, uint64_t steps, const struct rollout_progress *progress,
                    struct model *model, struct policy_version *policy) {
    CHECK(!r->running);
    bool states = config_has_states(&r->run->config);
    bool next = states || r->batch.requested == r->batch.total;
    if (next && !(states ? begin_states(r, progress) : begin_batch(r, steps))) {
        return;
    }
    struct rollout_block *b = free_block(r);
    uint64_t count = least(r->batch.total - r->batch.requested, r->block_rollouts);
    b->is_fill = r->batch.is_fill;
    b->through_steps = 0;
    b->sent = false;
    b->job = (struct rollout_job){.number = r->batch.number,
                                  .total = r->batch.total,
                                  .first = r->batch.requested,
                                  .count = (uint32_t)count,
                                  .length = rollouts_length(&r->run->config, steps, model),
                                  .env_rows = steps,
                                  .rows_min = states ? r->run->config.dhmbpo.states : 0,
                                  .model = model_ref(model),
                                  .policy = policy_ref(policy)};
    r->batch.requested += count;
    if (b->is_fill) {
        r->fill_requested = r->batch.requested;
    } else if (r->batch.requested == r->batch.total) {
        b->through_steps = r->requested_steps = r->batch.through_steps;
    }
    r->running = true;
    r->jobs->rollout(r->jobs->arg, b);
}

void rollouts_done(struct rollouts *r, uint64_t now_ms, const struct rollout_block *b) {
    CHECK(r->running);
    r->running = false;
    counters_add(r->counters, MS_model_rows_not_finite, b->out.not_finite);
    r->last_count = b->job.count;
    r->last_rows = b->out.rows;
    rate_add(&r->rows_rate, now_ms, b->out.rows);
}

void rollouts_delivered(struct rollouts *r, struct rollout_block *b) {
    r->count += b->job.count;
    r->rows += b->out.rows;
    if (config_has_states(&r->run->config)) {
        r->states += b->job.number == r->states && b->sent;
    } else if (!b->is_fill) {
        r->steps = b->through_steps > 0 ? b->through_steps : r->steps;
    } else if (b->job.number == r->fill_number && r->fill_total > 0) {
        r->fill_done = b->job.first + b->job.count;
        r->filled = r->fill_done == r->fill_total;
    }
    model_drop(&b->job.model);
    policy_drop(&b->job.policy);
    r->block_used[b - r->blocks] = false;
}
