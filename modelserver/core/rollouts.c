// SPDX-License-Identifier: MIT
//
// Rollouts of the model. First the fill: as many as the learner should have
// before it learns. Then rollout.per_step for each real step, in batches of
// the steps that arrived together. A batch is made block by block.
#include "modelserver/core/core.h"

#include "common/base/check.h"

// Numbers of fills lie above those of real steps' rollouts, which are the steps
// themselves.
#define FILL_NUMBER (UINT64_C(1) << 39)

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

// D_model is empty: the fill begins again.
void rollouts_empty_fill(struct modelserver *ms) {
    ms->rollouts.filled = ms->rollouts.fill_total = ms->rollouts.fill_done = 0;
    ms->rollouts.fill_requested = 0;
    if (ms->rollouts.batch.is_fill) {
        ms->rollouts.batch.total = ms->rollouts.batch.requested = 0;
    }
}

// Says in ms->rollouts.batch what the next batch of rollouts is, if one is owed.
static bool begin_batch(struct modelserver *ms) {
    uint64_t per_step = ms->run.config.rollout.per_step;
    if (!ms->rollouts.filled) {
        if (ms->rollouts.fill_total == 0) {
            ms->rollouts.fill_total =
                least(ms->run.pacing.train_every * per_step, learner_feed_capacity(ms));
            ms->rollouts.fill_number = FILL_NUMBER | ms->ingest.steps;
        }
        ms->rollouts.batch.is_fill = true;
        ms->rollouts.batch.number = ms->rollouts.fill_number;
        ms->rollouts.batch.total = ms->rollouts.fill_total;
        ms->rollouts.batch.requested = ms->rollouts.fill_requested;
        return ms->rollouts.fill_requested < ms->rollouts.fill_total;
    }
    if (ms->rollouts.requested_steps >= ms->ingest.steps) {
        return false;
    }
    // Steps that came together share a batch, as far as one block holds them.
    uint64_t together = ms->rollouts.block_rollouts / per_step;
    uint64_t steps = ms->ingest.steps - ms->rollouts.requested_steps;
    steps = least(steps, together < 1 ? 1 : together);
    ms->rollouts.batch.is_fill = false;
    ms->rollouts.batch.through_steps = ms->rollouts.batch.number =
        ms->rollouts.requested_steps + steps;
    ms->rollouts.batch.total = steps * per_step;
    ms->rollouts.batch.requested = 0;
    return true;
}

static bool may_roll_out(struct modelserver *ms) {
    struct pacing_view view = learner_feed_view(ms);
    if (ms->shutdown.phase != MS_RUNNING || ms->rollouts.running ||
        !experience_queue_has_room(&ms->feed.queue) || !view.has_model || !ms->feed.policy ||
        !learner_feed_learner_up(ms)) {
        return false;
    }
    return ms->run.config.pacing.mode == PACING_RATIO ||
           (view.has_policy && view.training_point == 0);
}

static struct rollout_block *free_block(struct modelserver *ms) {
    for (int i = 0; i < ROLLOUT_BLOCKS; i++) {
        if (!ms->rollouts.block_used[i]) {
            ms->rollouts.block_used[i] = true;
            return &ms->rollouts.blocks[i];
        }
    }
    CHECK(!"a free block, since the feed has room");
    return NULL;
}

void rollouts_start(struct modelserver *ms) {
    if (!may_roll_out(ms) ||
        (ms->rollouts.batch.requested == ms->rollouts.batch.total && !begin_batch(ms))) {
        return;
    }
    struct rollout_block *b = free_block(ms);
    uint64_t count =
        least(ms->rollouts.batch.total - ms->rollouts.batch.requested, ms->rollouts.block_rollouts);
    b->is_fill = ms->rollouts.batch.is_fill;
    b->through_steps = 0;
    b->job = (struct rollout_job){
        .number = ms->rollouts.batch.number,
        .total = ms->rollouts.batch.total,
        .first = ms->rollouts.batch.requested,
        .count = (uint32_t)count,
        .length = (uint32_t)config_rollout_length(&ms->run.config, ms->ingest.steps),
        .env_rows = ms->ingest.steps,
        .model = model_ref(ms->training.model),
        .policy = policy_ref(ms->feed.policy)};
    ms->rollouts.batch.requested += count;
    if (b->is_fill) {
        ms->rollouts.fill_requested = ms->rollouts.batch.requested;
    } else if (ms->rollouts.batch.requested == ms->rollouts.batch.total) {
        b->through_steps = ms->rollouts.requested_steps = ms->rollouts.batch.through_steps;
    }
    ms->rollouts.running = true;
    ms->jobs.rollout(ms->jobs.arg, b);
}

void ms_on_rollout(struct modelserver *ms, uint64_t now_ms, struct rollout_block *b) {
    CHECK(ms->rollouts.running);
    ms->rollouts.running = false;
    ms_count(ms, MS_model_rows_not_finite, b->out.not_finite);
    ms->rollouts.last_count = b->job.count;
    ms->rollouts.last_rows = b->out.rows;
    rate_add(&ms->rollouts.rows_rate, now_ms, b->out.rows);
    experience_queue_add(&ms->feed.queue, b);
    ms_advance(ms, now_ms);
}

// All rows of b are with the learner.
void rollouts_block_done(struct modelserver *ms, struct rollout_block *b) {
    ms->rollouts.count += b->job.count;
    ms->rollouts.rows += b->out.rows;
    if (!b->is_fill) {
        ms->rollouts.steps = b->through_steps > 0 ? b->through_steps : ms->rollouts.steps;
    } else if (b->job.number == ms->rollouts.fill_number && ms->rollouts.fill_total > 0) {
        ms->rollouts.fill_done = b->job.first + b->job.count;
        ms->rollouts.filled = ms->rollouts.fill_done == ms->rollouts.fill_total;
    }
    model_drop(&b->job.model);
    policy_drop(&b->job.policy);
    ms->rollouts.block_used[b - ms->rollouts.blocks] = false;
}
