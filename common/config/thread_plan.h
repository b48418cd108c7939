// SPDX-License-Identifier: MIT
// How the cores that a run has are divided between the threads that compute.
//
// What compute.* says holds; where it leaves it open (0), an update takes two
// threads where there are two cores, because the run waits for it, and the model
// server trains its ensemble on those that are left, at least one. On two cores
// these are three threads, on purpose: pacing makes whoever is ahead wait, and a
// core that one side does not use is then the other's (docs/performance.md has
// what other divisions gave). Results do not depend on any of these numbers.
#ifndef SPUR_COMMON_CONFIG_THREAD_PLAN_H
#define SPUR_COMMON_CONFIG_THREAD_PLAN_H

#include <stddef.h>

#include "common/config/config.h"

// An update has work for two: there are two critics.
#define THREAD_PLAN_LEARNER_MAX 2

struct thread_plan {
    int learner, modelserver;
};

// cores: that all processes share, at least 1.
struct thread_plan thread_plan_divide(const struct config *c, int cores);

// The division in words: "2 cores (affinity 2, no cgroup limit): learner 2
// threads, model server 1 thread". root: as of host_cores_within.
void thread_plan_describe(char *out, size_t out_len, const struct config *c, const char *root);

#endif
