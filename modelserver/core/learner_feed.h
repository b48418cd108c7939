// SPDX-License-Identifier: MIT
// The learner: what it reports, its newest policy, the experience it is sent, and
// the grant, which is the number of updates that it may make in all.
#ifndef SPUR_MODELSERVER_CORE_LEARNER_FEED_H
#define SPUR_MODELSERVER_CORE_LEARNER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/stats.h"
#include "modelserver/core/experience_queue.h"
#include "modelserver/core/outbox.h"
#include "modelserver/core/peers.h"
#include "modelserver/core/run_context.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"
#include "proto/wire.h"

#define LEARNER_FEED_POLICY_TIMES 1024 // publications remembered, for the age of a version

struct learner_feed {
    const struct run_context *run;
    struct outbox *outbox;
    struct counters *counters;
    const struct env_columns *env;  // D_env
    struct peer *learner;           // NULL: none yet
    bool seen;                      // a learner joined since this process began
    char endpoint[WIRE_STRING_MAX]; // where it answers actors; empty: not known
    uint64_t learner_version;       // of its newest policy, as it reports; proto/epoch.h
    uint64_t updates;               // U
    struct wire_progress progress;
    struct wire_grant grant; // last one sent
    struct experience_queue queue;
    struct rate updates_rate;
    struct policy_slots policies;
    struct policy_version *policy; // newest; NULL: none yet
    // rollout.policy_lag_updates: those before it, from the newest.
    struct policy_version **older; // (older_max)
    int older_max;
    uint64_t policy_times[LEARNER_FEED_POLICY_TIMES];
};

void learner_feed_init(struct learner_feed *f, const struct run_context *run, struct outbox *outbox,
                       struct counters *counters, const struct env_columns *env);
void learner_feed_deinit(struct learner_feed *f);

// Hello of a learner. True: the first one of this process.
bool learner_feed_hello(struct learner_feed *f, struct peer *p, const struct wire_hello *hello);
void learner_feed_policy(struct learner_feed *f, uint64_t now_ms, const struct wire_policy *policy);
void learner_feed_progress(struct learner_feed *f, uint64_t now_ms,
                           const struct wire_progress *progress);

bool learner_feed_is_up(
    const struct learner_feed *f); // a learner is connected and its start stored
// Whether the learner's newest policy has arrived.
bool learner_feed_has_newest_policy(const struct learner_feed *f);
uint64_t learner_feed_policy_version(const struct learner_feed *f); // newest; 0: none
// The policy of rollouts: the newest, or the newest of rollout.policy_lag_updates before, or the
// oldest since the start if there is none.
struct policy_version *learner_feed_rollout_policy(const struct learner_feed *f);
// Versions that are kept beside the newest.
int learner_feed_older_policies(const struct config *config);
// When that version arrived; 0: not known.
uint64_t learner_feed_policy_ms(const struct learner_feed *f, uint64_t version);

// Rows for the learner: blocks of rollouts enter, messages leave, blocks whose
// rows are all sent return.
bool learner_feed_has_room(const struct learner_feed *f); // for another block
void learner_feed_add(struct learner_feed *f, struct rollout_block *b);
// model: the newest, or NULL.
bool learner_feed_owes_model(const struct learner_feed *f, const struct model *model);
bool learner_feed_next(const struct learner_feed *f, struct wire_msg *out, uint64_t steps,
                       const struct model *model);
void learner_feed_sent(struct learner_feed *f, const struct wire_msg *sent);
struct rollout_block *learner_feed_take_delivered(struct learner_feed *f); // NULL: none
uint64_t learner_feed_rows_sent(const struct learner_feed *f); // rows of D_env, from the first
bool learner_feed_is_drained(const struct learner_feed *f, uint64_t steps);

// Whether a grant differs from the last one sent in more than its reason.
bool learner_feed_grant_differs(const struct learner_feed *f, const struct wire_grant *grant);
void learner_feed_granted(struct learner_feed *f, const struct wire_grant *grant);

#endif
