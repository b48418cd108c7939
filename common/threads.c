// SPDX-License-Identifier: MIT
#include "common/threads.h"

#include <stdio.h>

#include "common/process.h"
#include "common/spelling.h"

static int clamp(int n, int low, int high) {
    return n < low ? low : n > high ? high : n;
}

struct threads threads_divide(const struct config *c, int cores) {
    int learner = c->compute.learner_threads, modelserver = c->compute.modelserver_threads;
    return (struct threads){
        .learner = clamp(learner ? learner : cores, 1, THREADS_LEARNER_MAX),
        .modelserver =
            clamp(modelserver ? modelserver : cores - THREADS_LEARNER_MAX, 1, c->model.members),
    };
}

void threads_describe(char *out, size_t out_len, const struct config *c, const char *root) {
    int cores = process_cores_within(root);
    double quota = process_cgroup_cores(root);
    struct threads t = threads_divide(c, cores);
    char limit[64] = "no cgroup limit";
    if (quota > 0) {
        snprintf(limit, sizeof(limit), "cgroup limit %.3g", quota);
    }
    snprintf(out, out_len,
             "%d core%s (affinity %d, %s): learner %d thread%s, model server %d thread%s", cores,
             plural(cores), process_affinity(), limit, t.learner, plural(t.learner), t.modelserver,
             plural(t.modelserver));
}
