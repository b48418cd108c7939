// SPDX-License-Identifier: MIT
//
// Saving, while the run goes on and at its end; and the end itself: what is on
// its way to the learner is sent, peers are told, what they still have is taken
// in, jobs come back, and the state is saved a last time.
#include "modelserver/core/core.h"

#include <stdio.h>

#include "common/base/log.h"

void shutdown_save(struct modelserver *ms, uint64_t now_ms) {
    if (ms->phase == MS_RUNNING &&
        now_ms - ms->saved_ms >= ms->config.checkpoint.every_s * UINT64_C(1000)) {
        ms->save_wanted = true;
        ms->saved_ms = now_ms;
        ms->state.checkpoint_id =
            ms->steps > ms->state.checkpoint_id ? ms->steps : ms->state.checkpoint_id;
    }
    // Not beside a training: weights and state must belong together.
    if (!ms->save_wanted || ms->save_running || ms->fit_running) {
        return;
    }
    ms->save_wanted = false;
    ms->save_running = true;
    ms->state.wall_ms = ms_wall_ms(ms, now_ms);
    ms->save =
        (struct ms_save_job){.state = ms->state, .model = ms->model ? model_ref(ms->model) : NULL};
    ms->port.save(ms->port.arg, &ms->save);
}

void ms_on_save(struct modelserver *ms, uint64_t now_ms, struct ms_save_job *job) {
    struct model *held = (struct model *)(uintptr_t)job->model;
    model_drop(&held);
    ms->save_running = false;
    ms_count(ms, MS_saves_failed, job->failed);
    ms_advance(ms, now_ms);
}

// ---- the end ----

void ms_stop(struct modelserver *ms, uint64_t now_ms, bool done, const char *text) {
    if (ms->phase != MS_RUNNING) {
        return;
    }
    log_info("ending the run: %s", text);
    ms->phase = MS_STOPPING;
    ms->stop_ms = now_ms;
    ms->shutdown.done = done;
    snprintf(ms->shutdown.text, sizeof(ms->shutdown.text), "%s", text);
}

static int others_up(struct modelserver *ms) {
    int up = 0;
    for (int i = 0; i < peers_count(ms->peers); i++) {
        const struct peer *p = peers_at(ms->peers, i);
        up += peer_is_up(p) && p != ms->learner;
    }
    return up;
}

void shutdown_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->phase != MS_STOPPING) {
        return;
    }
    uint64_t since = now_ms - ms->stop_ms;
    bool learner = learner_feed_learner_up(ms);
    // What is on its way to the learner goes first, so that its last checkpoint
    // holds all that this one says it was sent.
    if (!ms->shutdown_told && (!learner || learner_feed_drained(ms) || since >= MS_DRAIN_MS)) {
        ms->shutdown_told = true;
        for (int i = 0; i < peers_count(ms->peers); i++) {
            struct peer *p = peers_at(ms->peers, i);
            ms_queue(ms, p, peer_is_up(p) ? PENDING_SHUTDOWN : 0);
        }
        return;
    }
    bool peers_done = (!learner || since >= MS_BYE_LEARNER_MS) &&
                      (others_up(ms) == 0 || since >= MS_BYE_OTHERS_MS);
    bool jobs_done = !ms->fit_running && !ms->rollout_running && ms->rows_pending == 0;
    if (!ms->shutdown_told || !peers_done || !jobs_done) {
        return;
    }
    if (!ms->saved_last) {
        ms->saved_last = ms->save_wanted = true;
        shutdown_save(ms, now_ms);
    } else if (!ms->save_wanted && !ms->save_running) {
        ms->phase = MS_STOPPED;
    }
}

enum ms_phase ms_phase(const struct modelserver *ms) {
    return ms->phase;
}

bool ms_failed(const struct modelserver *ms) {
    return ms->failed;
}

const char *ms_end_text(const struct modelserver *ms) {
    return ms->shutdown.text;
}
