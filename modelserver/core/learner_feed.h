// SPDX-License-Identifier: MIT
// The learner: what it has reported, its newest policy, and the experience and
// grants that it is sent.
#ifndef SPUR_MODELSERVER_CORE_LEARNER_FEED_H
#define SPUR_MODELSERVER_CORE_LEARNER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/stats.h"
#include "modelserver/core/experience_queue.h"
#include "modelserver/core/peers.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"
#include "proto/wire.h"

#define LEARNER_FEED_POLICY_TIMES 1024 // publications remembered, for the age of a version

struct learner_feed {
    const struct env_columns *env; // D_env
    struct peer *learner;          // NULL: none yet
    bool fresh;                    // its first policy may have a lower version
    bool seen;                     // since this process began
    uint64_t learner_version;      // of its newest policy, as it reports
    uint64_t updates;              // U
    struct wire_progress progress;
    struct wire_grant grant; // last one sent
    struct experience_queue queue;
    struct rate updates_rate;
    struct policy policy_shape;
    struct policy_slots policies;
    struct policy_version *policy; // newest; NULL: none yet
    uint64_t policy_times[LEARNER_FEED_POLICY_TIMES];
};

#endif
