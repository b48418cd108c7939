// SPDX-License-Identifier: MIT
// Intervals and requests of checkpoints; one job at a time.
#include "modelserver/core/saving.h"

#include "common/base/check.h"

void saving_init(struct saving *s, const struct run_context *run, const struct ms_jobs *jobs,
                 struct counters *counters) {
    *s = (struct saving){
        .run = run, .jobs = jobs, .counters = counters, .interval_ms = run->started_ms};
}

void saving_state(const struct saving *s, struct ms_state *out) {
    out->checkpoint_id = s->checkpoint_id;
}

void saving_restore(struct saving *s, const struct ms_state *from) {
    s->checkpoint_id = from->checkpoint_id;
}

void saving_check_interval(struct saving *s, uint64_t now_ms, uint64_t steps) {
    if (now_ms - s->interval_ms < s->run->config.checkpoint.every_s * UINT64_C(1000)) {
        return;
    }
    s->due = true;
    s->interval_ms = now_ms;
    if (s->run->pacing.mode != PACING_LOCKSTEP && steps > s->checkpoint_id) {
        s->checkpoint_id = steps;
    }
}

void saving_set_steps(struct saving *s, uint64_t newest, uint64_t previous) {
    s->checkpoint_id = newest;
    s->previous_step = previous;
}

void saving_new_model(struct saving *s, uint64_t trainings) {
    s->due = s->due || trainings == 1;
}

void saving_request(struct saving *s) {
    s->due = true;
}

void saving_give_up(struct saving *s) {
    s->due = false;
}

bool saving_is_idle(const struct saving *s) {
    return !s->due && !s->running;
}

void saving_start(struct saving *s, const struct ms_state *state, struct model *model, bool keep) {
    CHECK(s->due);
    CHECK(!s->running);
    s->due = false;
    s->running = true;
    s->job = (struct ms_save_job){
        .state = *state, .model = model ? model_ref(model) : NULL, .keep = keep};
    s->jobs->save(s->jobs->arg, &s->job);
}

void saving_done(struct saving *s, struct ms_save_job *job) {
    struct model *held = (struct model *)(uintptr_t)job->model;
    model_drop(&held);
    s->running = false;
    s->failed = job->failed;
    if (s->run->pacing.mode == PACING_LOCKSTEP && !job->failed) {
        uint64_t previous = job->keep ? s->checkpoint_id : s->previous_step;
        saving_set_steps(s, job->state.checkpoint_id, previous);
    }
    counters_add(s->counters, MS_saves_failed, job->failed);
}
