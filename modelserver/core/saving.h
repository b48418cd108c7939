// SPDX-License-Identifier: MIT
// Checkpoints of the model server: after the first training, every checkpoint.every_s
// seconds, and at the end of the run. A resumed run trains an older model again at once, so that
// writes do not grow with trainings.
//
// In lockstep a checkpoint belongs to one of the learner of the same step: a resumed run goes on
// from such a pair (docs/decisions/034). The learner is asked for
// its own when this one is on the disk, and the next begins when it has answered. The file before
// is kept while the learner has the one that belongs to it.
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
    uint64_t checkpoint_id; // last one requested of the learner; lockstep: its step
    uint64_t previous_step; // lockstep: of the file before; 0: none
};

void saving_init(struct saving *s, const struct run_context *run, const struct ms_jobs *jobs,
                 struct counters *counters);
// The part of a checkpoint: to out, and from one (or zeros) at start-up.
void saving_state(const struct saving *s, struct ms_state *out);
void saving_restore(struct saving *s, const struct ms_state *from);
// While the run goes on: a checkpoint, of the learner too, is due when the interval is over.
void saving_check_interval(struct saving *s, uint64_t now_ms, uint64_t steps);
// Lockstep: the step of the newest file, and of the one before, or 0: none.
void saving_set_steps(struct saving *s, uint64_t newest, uint64_t previous);
// A training ended with a new model; trainings: how many have.
void saving_new_model(struct saving *s, uint64_t trainings);
void saving_request(struct saving *s);
bool saving_is_idle(const struct saving *s); // none due, none running
void saving_give_up(struct saving *s);       // nothing is due any more
// Starts the one that is due. None may be running. keep: the newest file becomes the one before.
void saving_start(struct saving *s, const struct ms_state *state, struct model *model, bool keep);
void saving_done(struct saving *s, struct ms_save_job *job);

#endif
