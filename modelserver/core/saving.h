// SPDX-License-Identifier: MIT
// Checkpoints of the model server: after the first training, every checkpoint.every_s
// seconds, and at the end of the run; in lockstep after each training, too. A resumed run in
// ratio trains an older model again at once, so that its writes do not grow with its trainings.
#ifndef SPUR_MODELSERVER_CORE_SAVING_H
#define SPUR_MODELSERVER_CORE_SAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/counters.h"
#include "modelserver/core/jobs.h"
#include "modelserver/core/run_context.h"

struct saving {
    const struct run_context *run;
    const struct ms_jobs *jobs;
    struct counters *counters;
    struct ms_save_job job;
    bool due, running;
    bool failed;          // the last one
    uint64_t interval_ms; // when the current interval began
    // Part of the checkpoint.
    uint64_t checkpoint_id; // last one requested of the learner
};

void saving_init(struct saving *s, const struct run_context *run, const struct ms_jobs *jobs,
                 struct counters *counters);
// The part of a checkpoint: to out, and from one (or zeros) at start-up.
void saving_state(const struct saving *s, struct ms_state *out);
void saving_restore(struct saving *s, const struct ms_state *from);
// While the run goes on: a checkpoint, of the learner too, is due when the interval is over.
void saving_check_interval(struct saving *s, uint64_t now_ms, uint64_t steps);
// A training ended with a new model; trainings: how many have.
void saving_new_model(struct saving *s, uint64_t trainings);
void saving_request(struct saving *s);
bool saving_is_idle(const struct saving *s); // none due, none running
// Starts the one that is due. None may be running.
void saving_start(struct saving *s, const struct ms_state *state, struct model *model);
void saving_done(struct saving *s, struct ms_save_job *job);

#endif
