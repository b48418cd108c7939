// SPDX-License-Identifier: MIT
// The division of a run's cores between learner threads and model server threads.
//
// A number other than 0 in compute.* is used as it is. By default an update runs on two
// threads if there are two cores, because the run waits for updates, but on one where networks
// and batch are small; the ensemble is trained on the remaining cores, at least one, or on all
// if the run waits for it. On two cores this makes three threads, on purpose: pacing stops the
// side that is ahead, and its core is free for the other one (docs/performance.md compares
// other divisions). Results do not depend on these numbers.
#ifndef SPUR_COMMON_CONFIG_THREAD_PLAN_H
#define SPUR_COMMON_CONFIG_THREAD_PLAN_H

#include <stddef.h>

#include "common/config/config.h"

// An update of SAC runs on at most two threads, one for each critic; one of dhmbpo on more, which
// share tiles and critics.
#define THREAD_PLAN_LEARNER_MAX 2
#define THREAD_PLAN_TILES_MAX 8

struct thread_plan {
    int learner, modelserver;
};

// cores: of all processes together, at least 1.
struct thread_plan thread_plan_divide(const struct config *c, int cores);

// Describes the division: "2 cores (affinity 2, no cgroup limit): learner 2
// threads, model server 1 thread". root: see host_cores_within.
void thread_plan_describe(char *out, size_t out_len, const struct config *c, const char *root);

#endif
