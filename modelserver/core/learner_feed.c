// SPDX-License-Identifier: MIT
// Progress and policies of the learner, rows and grants for it.
#include "modelserver/core/learner_feed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/nn/hidden.h"
#include "proto/epoch.h"
#include "proto/hello.h"

void learner_feed_init(struct learner_feed *f, const struct run_context *run, struct outbox *outbox,
                       struct counters *counters, const struct env_columns *env) {
    *f = (struct learner_feed){.run = run, .outbox = outbox, .counters = counters, .env = env};
    struct policy shape = ms_policy(&run->config, run->task);
    f->older_max = learner_feed_older_policies(&run->config);
    f->older =
        f->older_max > 0 ? xcalloc((size_t)f->older_max, sizeof(struct policy_version *)) : NULL;
    policy_slots_init(&f->policies, &shape, f->older_max);
    experience_queue_init(&f->queue, (uint32_t)run->task->obs_dim, (uint32_t)run->task->act_dim,
                          config_has_states(&run->config));
}

void learner_feed_deinit(struct learner_feed *f) {
    policy_slots_deinit(&f->policies);
    free(f->older);
}

// ---- messages of the learner ----

bool learner_feed_hello(struct learner_feed *f, struct peer *p, const struct wire_hello *h) {
    bool first = !f->seen;
    f->learner = p;
    f->seen = true;
    uint64_t unconfirmed = f->queue.model_rows_unconfirmed;
    experience_queue_hello(&f->queue, h->real_rows, h->states);
    counters_add(f->counters, MS_model_rows_unconfirmed,
                 f->queue.model_rows_unconfirmed - unconfirmed);
    f->updates = h->updates;
    hello_endpoint(f->endpoint, h);
    f->learner_version = epoch_version(p->incarnation, epoch_number(h->policy_version));
    f->grant = (struct wire_grant){0};
    f->progress.checkpoint = h->checkpoint;
    f->progress.checkpoint_id = h->incarnation == 0 ? h->checkpoint : 0;
    return first;
}

int learner_feed_older_policies(const struct config *config) {
    uint64_t lag = config->rollout.policy_lag_updates, every = config_publish_every(config);
    return (int)((lag + every - 1) / every);
}

struct policy_version *learner_feed_rollout_policy(const struct learner_feed *f) {
    uint64_t lag = f->run->config.rollout.policy_lag_updates;
    struct policy_version *p = f->policy;
    for (int i = 0; i < f->older_max && f->older[i] && p->updates + lag > f->policy->updates; i++) {
        p = f->older[i];
    }
    return p;
}

static void set_policy(struct learner_feed *f, struct policy_version *p) {
    policy_drop(f->older_max > 0 ? &f->older[f->older_max - 1] : &f->policy);
    for (int i = f->older_max - 1; i > 0; i--) {
        f->older[i] = f->older[i - 1];
    }
    if (f->older_max > 0) {
        f->older[0] = f->policy;
    }
    f->policy = p;
}

static void new_policy(struct learner_feed *f, uint64_t now_ms, const struct wire_policy *from) {
    struct policy_version *p = policy_take(&f->policies);
    p->version = from->version;
    p->updates = from->updates;
    memcpy(p->params, from->params, from->params_len * sizeof(float));
    set_policy(f, p);
    f->policy_times[p->version % LEARNER_FEED_POLICY_TIMES] = now_ms;
}

static bool policy_fits(const struct learner_feed *f, const struct wire_policy *p) {
    struct wire_policy own = {0};
    run_describe_policy(f->run, &own);
    return p->obs_dim == (uint32_t)f->run->task->obs_dim &&
           p->act_dim == (uint32_t)f->run->task->act_dim && p->hidden_layers == own.hidden_layers &&
           p->activation == own.activation &&
           memcmp(p->hidden, own.hidden, own.hidden_layers * sizeof(own.hidden[0])) == 0 &&
           p->params_len == f->policies.params;
}

void learner_feed_policy(struct learner_feed *f, uint64_t now_ms, const struct wire_policy *p) {
    if (!policy_fits(f, p)) {
        outbox_refuse(
            f->outbox, &f->learner->route, WIRE_REFUSED_TASK, true,
            "policy of %u hidden layers and %llu numbers; this run's have %d and %zu, and "
            "widths and activation of section sac",
            p->hidden_layers, (unsigned long long)p->params_len,
            hidden_of_sac(&f->run->config).layers, f->policies.params);
        return;
    }
    uint64_t have = learner_feed_policy_version(f);
    if (p->version == have) {
        return; // sent again after a new connection
    }
    if (p->version < have || epoch_of(p->version) != f->learner->incarnation) {
        counters_add(f->counters, MS_policies_stale, 1);
        return;
    }
    if (epoch_number(p->version) < epoch_number(have)) {
        counters_add(f->counters, MS_policies_rewound, 1);
        log_peer(LOG_WARN,
                 "the learner resumed at policy %llu, which is older than policy %llu seen before; "
                 "its policies have epoch %llu now",
                 (unsigned long long)epoch_number(p->version),
                 (unsigned long long)epoch_number(have), (unsigned long long)epoch_of(p->version));
    }
    new_policy(f, now_ms, p);
}

void learner_feed_progress(struct learner_feed *f, uint64_t now_ms, const struct wire_progress *p) {
    if (!experience_queue_acked(&f->queue, p->experience_seq)) {
        counters_add(f->counters, MS_progress_stale, 1); // of the connection before
        return;
    }
    if (p->updates > f->updates) {
        rate_add(&f->updates_rate, now_ms, p->updates - f->updates);
    }
    f->updates = p->updates;
    f->learner_version = p->policy_version;
    f->progress = *p;
    f->learner->state = p->waiting[0] ? WIRE_PEER_WAITING : WIRE_PEER_CONNECTED;
}

// ---- state ----

bool learner_feed_is_up(const struct learner_feed *f) {
    return f->learner && peer_is_up(f->learner) && f->learner->registered;
}

// The learner publishes at fixed numbers of updates, so the number of updates tells
// which policy is the newest.
bool learner_feed_has_newest_policy(const struct learner_feed *f) {
    uint64_t every = config_publish_every(&f->run->config);
    return f->policy && f->policy->version >= f->learner_version &&
           f->policy->updates >= f->updates - f->updates % every;
}

uint64_t learner_feed_policy_version(const struct learner_feed *f) {
    return f->policy ? f->policy->version : 0;
}

uint64_t learner_feed_policy_ms(const struct learner_feed *f, uint64_t version) {
    uint64_t newest = learner_feed_policy_version(f);
    if (version == 0 || version > newest || newest - version >= LEARNER_FEED_POLICY_TIMES) {
        return 0;
    }
    return f->policy_times[version % LEARNER_FEED_POLICY_TIMES];
}

// ---- rows ----

bool learner_feed_has_room(const struct learner_feed *f) {
    return experience_queue_has_room(&f->queue);
}

void learner_feed_add(struct learner_feed *f, struct rollout_block *b) {
    experience_queue_add(&f->queue, b);
}

bool learner_feed_owes_model(const struct learner_feed *f, const struct model *model) {
    return experience_queue_owes_model(&f->queue, model);
}

bool learner_feed_next(const struct learner_feed *f, struct wire_msg *out, uint64_t steps,
                       const struct model *model) {
    return experience_queue_next(&f->queue, out, f->env, steps, model);
}

void learner_feed_sent(struct learner_feed *f, const struct wire_msg *sent) {
    experience_queue_sent(&f->queue, sent);
}

struct rollout_block *learner_feed_take_delivered(struct learner_feed *f) {
    return experience_queue_take_done(&f->queue);
}

uint64_t learner_feed_rows_sent(const struct learner_feed *f) {
    return f->queue.real_next;
}

bool learner_feed_is_drained(const struct learner_feed *f, uint64_t steps) {
    return experience_queue_empty(&f->queue, steps);
}

// ---- grants ----

bool learner_feed_grant_differs(const struct learner_feed *f, const struct wire_grant *grant) {
    return grant->updates_allowed != f->grant.updates_allowed ||
           grant->model_capacity != f->grant.model_capacity ||
           grant->checkpoint_id != f->grant.checkpoint_id;
}

void learner_feed_granted(struct learner_feed *f, const struct wire_grant *grant) {
    f->grant = *grant;
}
