// SPDX-License-Identifier: MIT
// The defaults of compute.learner_threads and compute.modelserver_threads.
#include "common/config/thread_plan.h"

#include <stdio.h>

#include "common/base/host.h"
#include "common/base/spelling.h"

static int clamp(int n, int low, int high) {
    return n < low ? low : n > high ? high : n;
}

// Below so many multiply-adds between hidden layers in a pass of the batch, one thread does the
// updates: two spend much of such an update waiting for each other.
#define WORTH_THREADS 4e6

static bool is_small(const struct config *c) {
    double sum = 0;
    int layers = config_hidden_layers(&c->sac.hidden, c->sac.hidden_layers);
    for (int l = 1; l < layers; l++) {
        bool listed = c->sac.hidden.n > 0;
        sum += listed ? c->sac.hidden.v[l - 1] * c->sac.hidden.v[l]
                      : (double)c->sac.hidden_width * c->sac.hidden_width;
    }
    return c->sac.batch_size * sum < WORTH_THREADS;
}

struct thread_plan thread_plan_divide(const struct config *c, int cores) {
    int learner = c->compute.learner_threads, modelserver = c->compute.modelserver_threads;
    bool waits = c->pacing.training != PACING_TRAINING_OVERLAP; // trainings have all cores
    int rest = modelserver ? modelserver : waits ? cores : cores - THREAD_PLAN_LEARNER_MAX;
    int most = config_has_states(c) ? THREAD_PLAN_TILES_MAX : THREAD_PLAN_LEARNER_MAX;
    int wanted = is_small(c) ? 1 : cores;
    return (struct thread_plan){
        .learner = clamp(learner ? learner : wanted, 1, most),
        .modelserver = config_has_model(c) ? clamp(rest, 1, c->model.members) : 0,
    };
}

void thread_plan_describe(char *out, size_t out_len, const struct config *c, const char *root) {
    int cores = host_cores_within(root);
    double quota = host_cgroup_cores(root);
    struct thread_plan t = thread_plan_divide(c, cores);
    char limit[64] = "no cgroup limit";
    if (quota > 0) {
        snprintf(limit, sizeof(limit), "cgroup limit %.3g", quota);
    }
    int n = snprintf(out, out_len, "%d core%s (affinity %d, %s): learner %d thread%s", cores,
                     plural(cores), host_affinity(), limit, t.learner, plural(t.learner));
    if (t.modelserver > 0 && n > 0 && (size_t)n < out_len) {
        snprintf(out + n, out_len - (size_t)n, ", model server %d thread%s", t.modelserver,
                 plural(t.modelserver));
    }
}
