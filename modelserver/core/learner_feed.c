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

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

bool learner_feed_learner_up(const struct modelserver *ms) {
    return ms->feed.learner && peer_is_up(ms->feed.learner);
}

// Whether the newest policy there is, is here. The learner publishes after every
// round(G) updates, so the number of updates says which one that is.
static bool has_newest_policy(const struct modelserver *ms) {
    uint64_t every = (uint64_t)llround(ms->run.pacing.updates_per_step);
    every = every < 1 ? 1 : every;
    return ms->feed.policy && ms->feed.policy->version >= ms->feed.learner_version &&
           ms->feed.policy->updates >= ms->feed.updates - ms->feed.updates % every;
}

struct pacing_view learner_feed_view(const struct modelserver *ms) {
    uint64_t training = 0;
    if (ms->training.running) {
        training = ms->training.point;
    } else if (training_is_due(ms)) {
        training = pacing_training_point(&ms->run.pacing, ms->ingest.steps);
    }
    return (struct pacing_view){.steps = ms->ingest.steps,
                                .updates = ms->feed.updates,
                                .rollout_steps = ms->rollouts.steps,
                                .has_model = ms->training.model != NULL,
                                .ready = ms->training.model && ms->rollouts.filled,
                                .has_policy = has_newest_policy(ms),
                                .training_point = training};
}

uint64_t learner_feed_capacity(const struct modelserver *ms) {
    uint64_t explore = ms->run.config.run.explore_steps;
    return config_model_rows(&ms->run.config,
                             ms->ingest.steps > explore ? ms->ingest.steps : explore);
}

// ---- what the learner says ----

void learner_feed_hello(struct modelserver *ms, const struct wire_hello *h, bool begins) {
    uint64_t unconfirmed = ms->feed.queue.model_rows_unconfirmed;
    experience_queue_hello(&ms->feed.queue, h->real_rows);
    ms_count(ms, MS_model_rows_unconfirmed, ms->feed.queue.model_rows_unconfirmed - unconfirmed);
    ms->feed.updates = h->updates;
    ms->feed.learner_version = h->policy_version;
    ms->feed.fresh = ms->feed.fresh || begins;
    ms->feed.grant = (struct wire_grant){0};
    if (h->model_rows == 0) {
        rollouts_empty_fill(ms);
    }
    if (!ms->feed.seen) {
        // Rollouts since the last checkpoint of this server were made if the
        // learner has made updates of them: they are not made twice.
        double behind = (double)ms->feed.updates / ms->run.pacing.updates_per_step;
        double slack = ms->run.pacing.mode == PACING_RATIO ? (double)ms->run.pacing.slack : 0;
        uint64_t made = behind > slack ? (uint64_t)floor(behind - slack) : 0;
        made = least(ms->run.pacing.explore + made, ms->ingest.steps);
        if (made > ms->rollouts.steps && ms->rollouts.filled) {
            ms->rollouts.steps = ms->rollouts.requested_steps = made;
        }
        ms->feed.seen = true;
    }
}

static void new_policy(struct modelserver *ms, uint64_t now_ms, const struct wire_policy *from) {
    struct policy_version *p = policy_take(&ms->feed.policies);
    p->version = from->version;
    p->updates = from->updates;
    memcpy(p->params, from->params, from->params_len * sizeof(float));
    policy_drop(&ms->feed.policy);
    ms->feed.policy = p;
    ms->feed.fresh = false;
    ms->feed.policy_times[p->version % LEARNER_FEED_POLICY_TIMES] = now_ms;
}

void learner_feed_policy(struct modelserver *ms, uint64_t now_ms, const struct wire_policy *p) {
    if (p->obs_dim != (uint32_t)ms->run.task->obs_dim ||
        p->act_dim != (uint32_t)ms->run.task->act_dim ||
        p->hidden_width != (uint32_t)ms->run.config.sac.hidden_width ||
        p->hidden_layers != (uint32_t)ms->run.config.sac.hidden_layers ||
        p->params_len != ms->feed.policies.params) {
        ms_refuse(ms, &ms->feed.learner->route, WIRE_REFUSED_TASK, true,
                  "policy of %u x %u units and %llu numbers; this run's have %d x %d and %zu",
                  p->hidden_layers, p->hidden_width, (unsigned long long)p->params_len,
                  ms->run.config.sac.hidden_layers, ms->run.config.sac.hidden_width,
                  ms->feed.policies.params);
        return;
    }
    uint64_t have = ms->feed.policy ? ms->feed.policy->version : 0;
    if (p->version == have && !ms->feed.fresh) {
        return; // sent again after a new connection
    }
    if (p->version < have && !ms->feed.fresh) {
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
    if (!experience_queue_acked(&ms->feed.queue, p->experience_seq)) {
        ms_count(ms, MS_progress_stale, 1); // of the connection before
        return;
    }
    if (p->updates > ms->feed.updates) {
        rate_add(&ms->feed.updates_rate, now_ms, p->updates - ms->feed.updates);
    }
    ms->feed.updates = p->updates;
    ms->feed.learner_version = p->policy_version;
    ms->feed.progress = *p;
    ms->feed.learner->state = p->waiting[0] ? WIRE_PEER_WAITING : WIRE_PEER_CONNECTED;
}

// ---- feeding ----

static void feed_learner(struct modelserver *ms, uint64_t now_ms) {
    struct peer *p = ms->feed.learner;
    // Rows must not overtake the Welcome, nor a Grant that makes room for them.
    while (learner_feed_learner_up(ms) && !ms->shutdown.announced &&
           !(p->due & (PENDING_WELCOME | PENDING_GRANT))) {
        struct rollout_block *done = experience_queue_take_done(&ms->feed.queue);
        if (done) {
            rollouts_block_done(ms, done);
            continue;
        }
        struct wire_msg msg = {.type = WIRE_EXPERIENCE};
        if (!experience_queue_next(&ms->feed.queue, &msg.experience, ms->feed.env,
                                   ms->ingest.steps) ||
            ms_send(ms, p, now_ms, &msg) != 0) {
            return;
        }
        experience_queue_sent(&ms->feed.queue, &msg.experience);
    }
}

void learner_feed_fill_grant(struct modelserver *ms, struct wire_grant *out) {
    struct pacing_view view = learner_feed_view(ms);
    *out = (struct wire_grant){.model_capacity = learner_feed_capacity(ms),
                               .env_steps = ms->ingest.steps,
                               .checkpoint_id = ms->saving.checkpoint_id};
    out->updates_allowed =
        pacing_updates_allowed(&ms->run.pacing, &view, out->reason, sizeof(out->reason));
    if (ms->shutdown.phase != MS_RUNNING) {
        out->updates_allowed = least(out->updates_allowed, ms->feed.grant.updates_allowed);
        snprintf(out->reason, sizeof(out->reason), "nothing: the run ends");
    }
    ms->feed.grant = *out;
}

static void raise_grant(struct modelserver *ms, uint64_t now_ms) {
    if (!learner_feed_learner_up(ms) || ms->shutdown.phase != MS_RUNNING) {
        return;
    }
    struct pacing_view view = learner_feed_view(ms);
    uint64_t allowed = pacing_updates_allowed(&ms->run.pacing, &view, NULL, 0);
    if (allowed != ms->feed.grant.updates_allowed ||
        learner_feed_capacity(ms) != ms->feed.grant.model_capacity ||
        ms->saving.checkpoint_id != ms->feed.grant.checkpoint_id) {
        ms_queue(ms, ms->feed.learner, PENDING_GRANT);
    }
    ms_flush(ms, ms->feed.learner, now_ms);
}

bool learner_feed_drained(const struct modelserver *ms) {
    return !ms->rollouts.running && experience_queue_empty(&ms->feed.queue, ms->ingest.steps);
}

void learner_feed_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->shutdown.phase == MS_RUNNING) {
        training_start(ms);
        rollouts_start(ms);
    }
    raise_grant(ms, now_ms);
    feed_learner(ms, now_ms);
    raise_grant(ms, now_ms);
    if (ms->shutdown.phase == MS_RUNNING) {
        rollouts_start(ms); // a block may have become free
    }
}
