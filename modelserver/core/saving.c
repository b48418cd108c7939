// SPDX-License-Identifier: MIT
//
// Checkpoints: every checkpoint.every_s seconds, after each training and at the
// end of the run. The learner is requested to save at the same step.
#include "modelserver/core/core.h"

void saving_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->shutdown.phase == MS_RUNNING &&
        now_ms - ms->saving.requested_ms >= ms->run.config.checkpoint.every_s * UINT64_C(1000)) {
        ms->saving.due = true;
        ms->saving.requested_ms = now_ms;
        ms->saving.checkpoint_id = ms->ingest.steps > ms->saving.checkpoint_id
                                       ? ms->ingest.steps
                                       : ms->saving.checkpoint_id;
    }
    // Not beside a training: weights and state must belong together.
    if (!ms->saving.due || ms->saving.running || ms->training.running) {
        return;
    }
    ms->saving.due = false;
    ms->saving.running = true;
    ms->saving.wall_ms = ms_wall_ms(ms, now_ms);
    ms->saving.job = (struct ms_save_job){
        .state = ms_state(ms), .model = ms->training.model ? model_ref(ms->training.model) : NULL};
    ms->jobs.save(ms->jobs.arg, &ms->saving.job);
}

void ms_on_save(struct modelserver *ms, uint64_t now_ms, struct ms_save_job *job) {
    struct model *held = (struct model *)(uintptr_t)job->model;
    model_drop(&held);
    ms->saving.running = false;
    ms_count(ms, MS_saves_failed, job->failed);
    ms_advance(ms, now_ms);
}
