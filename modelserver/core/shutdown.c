// SPDX-License-Identifier: MIT
//
// Saving, while the run goes on and at its end; and the end itself: what is on
// its way to the learner is sent, peers are told, what they still have is taken
// in, jobs come back, and the state is saved a last time.
#include "modelserver/core/core.h"

#include <stdio.h>

#include "common/base/log.h"

void ms_stop(struct modelserver *ms, uint64_t now_ms, bool done, const char *text) {
    if (ms->shutdown.phase != MS_RUNNING) {
        return;
    }
    log_info("ending the run: %s", text);
    ms->shutdown.phase = MS_STOPPING;
    ms->shutdown.stop_ms = now_ms;
    ms->shutdown.message.done = done;
    snprintf(ms->shutdown.message.text, sizeof(ms->shutdown.message.text), "%s", text);
}

static int others_up(struct modelserver *ms) {
    int up = 0;
    for (int i = 0; i < peers_count(ms->peers); i++) {
        const struct peer *p = peers_at(ms->peers, i);
        up += peer_is_up(p) && p != ms->feed.learner;
    }
    return up;
}

void shutdown_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->shutdown.phase != MS_STOPPING) {
        return;
    }
    uint64_t since = now_ms - ms->shutdown.stop_ms;
    bool learner = learner_feed_learner_up(ms);
    // What is on its way to the learner goes first, so that its last checkpoint
    // holds all that this one says it was sent.
    if (!ms->shutdown.announced && (!learner || learner_feed_drained(ms) || since >= MS_DRAIN_MS)) {
        ms->shutdown.announced = true;
        for (int i = 0; i < peers_count(ms->peers); i++) {
            struct peer *p = peers_at(ms->peers, i);
            ms_queue(ms, p, peer_is_up(p) ? PENDING_SHUTDOWN : 0);
        }
        return;
    }
    bool peers_done = (!learner || since >= MS_BYE_LEARNER_MS) &&
                      (others_up(ms) == 0 || since >= MS_BYE_OTHERS_MS);
    bool jobs_done = !ms->training.running && !ms->rollouts.running && ms->ingest.rows_pending == 0;
    if (!ms->shutdown.announced || !peers_done || !jobs_done) {
        return;
    }
    if (!ms->shutdown.saved) {
        ms->shutdown.saved = ms->saving.due = true;
        saving_advance(ms, now_ms);
    } else if (!ms->saving.due && !ms->saving.running) {
        ms->shutdown.phase = MS_STOPPED;
    }
}

enum ms_phase ms_phase(const struct modelserver *ms) {
    return ms->shutdown.phase;
}

bool ms_failed(const struct modelserver *ms) {
    return ms->shutdown.failed;
}

const char *ms_end_text(const struct modelserver *ms) {
    return ms->shutdown.message.text;
}
