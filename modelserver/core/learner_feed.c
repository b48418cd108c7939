// SPDX-License-Identifier: MIT
//
// The learner's side: what it is given to learn from, and how many updates it
// may make of it. The order of lockstep is the order of this file: train when a
// training point is reached; make the rollouts that are owed; send real rows,
// then rollouts; raise the grant.
#include "modelserver/core/core.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"

// Numbers of fills lie above those of real steps' rollouts, which are the steps
// themselves.
#define FILL_NUMBER (UINT64_C(1) << 39)

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

bool learner_feed_learner_up(const struct modelserver *ms) {
    return ms->learner && peer_is_up(ms->learner);
}

static bool training_is_due(const struct modelserver *ms) {
    uint64_t point = pacing_training_point(&ms->pacing, ms->steps);
    return point > 0 && (!ms->model || point > ms->state.trained_for);
}

// Whether the newest policy there is, is here. The learner publishes after every
// round(G) updates, so the number of updates says which one that is.
static bool has_newest_policy(const struct modelserver *ms) {
    uint64_t every = (uint64_t)llround(ms->pacing.updates_per_step);
    every = every < 1 ? 1 : every;
    return ms->policy && ms->policy->version >= ms->learner_version &&
           ms->policy->updates >= ms->updates - ms->updates % every;
}

struct pacing_view learner_feed_view(const struct modelserver *ms) {
    uint64_t training = 0;
    if (ms->fit_running) {
        training = ms->fit_point;
    } else if (training_is_due(ms)) {
        training = pacing_training_point(&ms->pacing, ms->steps);
    }
    return (struct pacing_view){.steps = ms->steps,
                                .updates = ms->updates,
                                .rollout_steps = ms->state.rollout_steps,
                                .has_model = ms->model != NULL,
                                .ready = ms->model && ms->state.filled,
                                .has_policy = has_newest_policy(ms),
                                .training_point = training};
}

uint64_t learner_feed_capacity(const struct modelserver *ms) {
    uint64_t explore = ms->config.run.explore_steps;
    return config_model_rows(&ms->config, ms->steps > explore ? ms->steps : explore);
}

// ---- what the learner says ----

// D_model is empty: the fill begins again.
static void empty_fill(struct modelserver *ms) {
    ms->state.filled = ms->state.fill_total = ms->state.fill_done = 0;
    ms->fill_asked = 0;
    if (ms->batch.is_fill) {
        ms->batch.total = ms->batch.asked = 0;
    }
}

void learner_feed_hello(struct modelserver *ms, const struct wire_hello *h, bool begins) {
    uint64_t unconfirmed = ms->queue.model_rows_unconfirmed;
    experience_queue_hello(&ms->queue, h->real_rows);
    ms_count(ms, MS_model_rows_unconfirmed, ms->queue.model_rows_unconfirmed - unconfirmed);
    ms->updates = h->updates;
    ms->learner_version = h->policy_version;
    ms->learner_fresh = ms->learner_fresh || begins;
    ms->grant = (struct wire_grant){0};
    if (h->model_rows == 0) {
        empty_fill(ms);
    }
    if (!ms->learner_seen) {
        // Rollouts since the last checkpoint of this server were made if the
        // learner has made updates of them: they are not made twice.
        double behind = (double)ms->updates / ms->pacing.updates_per_step;
        double slack = ms->pacing.mode == PACING_RATIO ? (double)ms->pacing.slack : 0;
        uint64_t made = behind > slack ? (uint64_t)floor(behind - slack) : 0;
        made = least(ms->pacing.explore + made, ms->steps);
        if (made > ms->state.rollout_steps && ms->state.filled) {
            ms->state.rollout_steps = ms->rollout_asked_steps = made;
        }
        ms->learner_seen = true;
    }
}

static void new_policy(struct modelserver *ms, uint64_t now_ms, const struct wire_policy *from) {
    struct policy_version *p = policy_take(&ms->policies);
    p->version = from->version;
    p->updates = from->updates;
    memcpy(p->params, from->params, from->params_len * sizeof(float));
    policy_drop(&ms->policy);
    ms->policy = p;
    ms->learner_fresh = false;
    ms->policy_times[p->version % MS_POLICY_TIMES] = now_ms;
}

void learner_feed_policy(struct modelserver *ms, uint64_t now_ms, const struct wire_policy *p) {
    if (p->obs_dim != (uint32_t)ms->task->obs_dim || p->act_dim != (uint32_t)ms->task->act_dim ||
        p->hidden_width != (uint32_t)ms->config.sac.hidden_width ||
        p->hidden_layers != (uint32_t)ms->config.sac.hidden_layers ||
        p->params_len != ms->policies.params) {
        ms_refuse(ms, &ms->learner->route, WIRE_REFUSED_TASK, true,
                  "policy of %u x %u units and %llu numbers; this run's have %d x %d and %zu",
                  p->hidden_layers, p->hidden_width, (unsigned long long)p->params_len,
                  ms->config.sac.hidden_layers, ms->config.sac.hidden_width, ms->policies.params);
        return;
    }
    uint64_t have = ms->policy ? ms->policy->version : 0;
    if (p->version == have && !ms->learner_fresh) {
        return; // sent again after a new connection
    }
    if (p->version < have && !ms->learner_fresh) {
        ms_count(ms, MS_policies_stale, 1);
        return;
    }
    if (p->version < have) {
        ms_count(ms, MS_policies_rewound, 1);
        log_warn("the learner goes on from policy %llu; %llu was known",
                 (unsigned long long)p->version, (unsigned long long)have);
    }
    new_policy(ms, now_ms, p);
}

void learner_feed_progress(struct modelserver *ms, uint64_t now_ms, const struct wire_progress *p) {
    if (!experience_queue_acked(&ms->queue, p->experience_seq)) {
        ms_count(ms, MS_progress_stale, 1); // of the connection before
        return;
    }
    if (p->updates > ms->updates) {
        rate_add(&ms->updates_rate, now_ms, p->updates - ms->updates);
    }
    ms->updates = p->updates;
    ms->learner_version = p->policy_version;
    ms->progress = *p;
    ms->learner->state = p->waiting[0] ? WIRE_PEER_WAITING : WIRE_PEER_CONNECTED;
}

// ---- training ----

static void start_training(struct modelserver *ms) {
    if (ms->fit_running || !training_is_due(ms)) {
        return;
    }
    ms->fit_running = true;
    ms->fit_point = pacing_training_point(&ms->pacing, ms->steps);
    ms->fit = (struct ms_fit_job){
        .out = model_take(&ms->models), .rows = ms->steps, .number = ms->state.trainings};
    ms->port.fit(ms->port.arg, &ms->fit);
}

static void training_broke(struct modelserver *ms, uint64_t now_ms) {
    ms_count(ms, MS_trainings_broken, 1);
    if (ms->model) {
        log_error("a training ended with weights that are not finite; the model before is kept");
        ms->state.trained_for = ms->fit_point;
        return;
    }
    ms->failed = true;
    ms_stop(ms, now_ms, false, "the first training of the model did not end in finite weights");
}

void ms_on_fit(struct modelserver *ms, uint64_t now_ms, struct ms_fit_job *job) {
    CHECK(ms->fit_running);
    ms->fit_running = false;
    struct model *m = job->out;
    if (job->result == FIT_DONE) {
        model_drop(&ms->model);
        ms->model = m;
        ms->model_ms = now_ms;
        ms->state.trainings++;
        ms->state.trained_for = ms->fit_point;
        ms->save_wanted = true;
        log_info("model %llu: %llu rows, %llu epochs, holdout error %.4g",
                 (unsigned long long)m->version, (unsigned long long)m->env_rows,
                 (unsigned long long)m->epochs, model_holdout_mse(m));
        if (m->termination) {
            struct termination_score s = model_termination_score(m);
            log_info("termination heads: %.0f held out rows ended; missed %.3g of them, ended "
                     "%.3g of the others",
                     (double)s.ended, (double)s.missed, (double)s.wrong);
        }
    } else {
        model_drop(&m);
        if (job->result == FIT_BROKEN) {
            training_broke(ms, now_ms);
        }
    }
    ms_advance(ms, now_ms);
}

// ---- rollouts ----

// Says in ms->batch what the next batch of rollouts is, if one is owed.
static bool begin_batch(struct modelserver *ms) {
    uint64_t per_step = ms->config.rollout.per_step;
    if (!ms->state.filled) {
        if (ms->state.fill_total == 0) {
            ms->state.fill_total =
                least(ms->pacing.train_every * per_step, learner_feed_capacity(ms));
            ms->state.fill_number = FILL_NUMBER | ms->steps;
        }
        ms->batch.is_fill = true;
        ms->batch.number = ms->state.fill_number;
        ms->batch.total = ms->state.fill_total;
        ms->batch.asked = ms->fill_asked;
        return ms->fill_asked < ms->state.fill_total;
    }
    if (ms->rollout_asked_steps >= ms->steps) {
        return false;
    }
    // Steps that came together share a batch, as far as one block holds them.
    uint64_t together = ms->block_rollouts / per_step;
    uint64_t steps = ms->steps - ms->rollout_asked_steps;
    steps = least(steps, together < 1 ? 1 : together);
    ms->batch.is_fill = false;
    ms->batch.through_steps = ms->batch.number = ms->rollout_asked_steps + steps;
    ms->batch.total = steps * per_step;
    ms->batch.asked = 0;
    return true;
}

static bool may_roll_out(struct modelserver *ms) {
    struct pacing_view view = learner_feed_view(ms);
    if (ms->phase != MS_RUNNING || ms->rollout_running || !experience_queue_has_room(&ms->queue) ||
        !view.has_model || !ms->policy || !learner_feed_learner_up(ms)) {
        return false;
    }
    return ms->config.pacing.mode == PACING_RATIO || (view.has_policy && view.training_point == 0);
}

static struct rollout_block *free_block(struct modelserver *ms) {
    for (int i = 0; i < ROLLOUT_BLOCKS; i++) {
        if (!ms->block_used[i]) {
            ms->block_used[i] = true;
            return &ms->blocks[i];
        }
    }
    CHECK(!"a free block, since the feed has room");
    return NULL;
}

static void start_rollouts(struct modelserver *ms) {
    if (!may_roll_out(ms) || (ms->batch.asked == ms->batch.total && !begin_batch(ms))) {
        return;
    }
    struct rollout_block *b = free_block(ms);
    uint64_t count = least(ms->batch.total - ms->batch.asked, ms->block_rollouts);
    b->is_fill = ms->batch.is_fill;
    b->through_steps = 0;
    b->job = (struct rollout_job){.number = ms->batch.number,
                                  .total = ms->batch.total,
                                  .first = ms->batch.asked,
                                  .count = (uint32_t)count,
                                  .length = (uint32_t)config_rollout_length(&ms->config, ms->steps),
                                  .env_rows = ms->steps,
                                  .model = model_ref(ms->model),
                                  .policy = policy_ref(ms->policy)};
    ms->batch.asked += count;
    if (b->is_fill) {
        ms->fill_asked = ms->batch.asked;
    } else if (ms->batch.asked == ms->batch.total) {
        b->through_steps = ms->rollout_asked_steps = ms->batch.through_steps;
    }
    ms->rollout_running = true;
    ms->port.rollout(ms->port.arg, b);
}

void ms_on_rollout(struct modelserver *ms, uint64_t now_ms, struct rollout_block *b) {
    CHECK(ms->rollout_running);
    ms->rollout_running = false;
    ms_count(ms, MS_model_rows_not_finite, b->out.not_finite);
    ms->rollouts_last = b->job.count;
    ms->rollout_rows_last = b->out.rows;
    rate_add(&ms->rollout_rate, now_ms, b->out.rows);
    experience_queue_add(&ms->queue, b);
    ms_advance(ms, now_ms);
}

// All rows of b are with the learner.
static void block_done(struct modelserver *ms, struct rollout_block *b) {
    ms->state.rollouts += b->job.count;
    ms->state.rollout_rows += b->out.rows;
    if (!b->is_fill) {
        ms->state.rollout_steps = b->through_steps > 0 ? b->through_steps : ms->state.rollout_steps;
    } else if (b->job.number == ms->state.fill_number && ms->state.fill_total > 0) {
        ms->state.fill_done = b->job.first + b->job.count;
        ms->state.filled = ms->state.fill_done == ms->state.fill_total;
    }
    model_drop(&b->job.model);
    policy_drop(&b->job.policy);
    ms->block_used[b - ms->blocks] = false;
}

// ---- feeding ----

static void feed_learner(struct modelserver *ms, uint64_t now_ms) {
    struct peer *p = ms->learner;
    // Rows must not overtake the Welcome, nor a Grant that makes room for them.
    while (learner_feed_learner_up(ms) && !ms->shutdown_told &&
           !(p->due & (PENDING_WELCOME | PENDING_GRANT))) {
        struct rollout_block *done = experience_queue_take_done(&ms->queue);
        if (done) {
            block_done(ms, done);
            continue;
        }
        struct wire_msg msg = {.type = WIRE_EXPERIENCE};
        if (!experience_queue_next(&ms->queue, &msg.experience, ms->env, ms->steps) ||
            ms_send(ms, p, now_ms, &msg) != 0) {
            return;
        }
        experience_queue_sent(&ms->queue, &msg.experience);
    }
}

void learner_feed_fill_grant(struct modelserver *ms, struct wire_grant *out) {
    struct pacing_view view = learner_feed_view(ms);
    *out = (struct wire_grant){.model_capacity = learner_feed_capacity(ms),
                               .env_steps = ms->steps,
                               .checkpoint_id = ms->state.checkpoint_id};
    out->updates_allowed =
        pacing_updates_allowed(&ms->pacing, &view, out->reason, sizeof(out->reason));
    if (ms->phase != MS_RUNNING) {
        out->updates_allowed = least(out->updates_allowed, ms->grant.updates_allowed);
        snprintf(out->reason, sizeof(out->reason), "nothing: the run ends");
    }
    ms->grant = *out;
}

static void raise_grant(struct modelserver *ms, uint64_t now_ms) {
    if (!learner_feed_learner_up(ms) || ms->phase != MS_RUNNING) {
        return;
    }
    struct pacing_view view = learner_feed_view(ms);
    uint64_t allowed = pacing_updates_allowed(&ms->pacing, &view, NULL, 0);
    if (allowed != ms->grant.updates_allowed ||
        learner_feed_capacity(ms) != ms->grant.model_capacity ||
        ms->state.checkpoint_id != ms->grant.checkpoint_id) {
        ms_queue(ms, ms->learner, PENDING_GRANT);
    }
    ms_flush(ms, ms->learner, now_ms);
}

bool learner_feed_drained(const struct modelserver *ms) {
    return !ms->rollout_running && experience_queue_empty(&ms->queue, ms->steps);
}

void learner_feed_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->phase == MS_RUNNING) {
        start_training(ms);
        start_rollouts(ms);
    }
    raise_grant(ms, now_ms);
    feed_learner(ms, now_ms);
    raise_grant(ms, now_ms);
    if (ms->phase == MS_RUNNING) {
        start_rollouts(ms); // a block may have become free
    }
}
