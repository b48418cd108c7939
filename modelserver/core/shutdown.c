// SPDX-License-Identifier: MIT
// Steps of the shutdown and their time limits.
#include "modelserver/core/shutdown.h"

#include <stdio.h>

#include "common/base/log.h"

// Time limits, from the beginning of the end.
#define DRAIN_MS 2000    // for pending rows to the learner
#define LEARNER_MS 20000 // for the learner's last checkpoint
#define OTHERS_MS 3000   // for other peers, and a standby learner
#define STANDBY_MS 2000  // a standby that was silent for longer before the end is gone

void shutdown_begin(struct shutdown *s, uint64_t now_ms, bool done, const char *text) {
    if (s->phase != MS_RUNNING) {
        return;
    }
    log_info("ending the run: %s", text);
    s->phase = MS_STOPPING;
    s->begun_ms = now_ms;
    s->message.done = done;
    snprintf(s->message.text, sizeof(s->message.text), "%s", text);
}

void shutdown_fail(struct shutdown *s, uint64_t now_ms, const char *text) {
    s->failed = true;
    shutdown_begin(s, now_ms, false, text);
}

void shutdown_note_standby(struct shutdown *s, uint64_t now_ms) {
    s->standby = true;
    s->standby_ms = now_ms;
    s->standby_told = s->phase != MS_RUNNING;
}

// Whether a standby learner, which requests the status at intervals, has yet to see the end.
static bool awaits_standby(const struct shutdown *s) {
    return s->standby && !s->standby_told && s->begun_ms - s->standby_ms < STANDBY_MS;
}

enum shutdown_step shutdown_advance(struct shutdown *s, uint64_t now_ms,
                                    const struct shutdown_view *v) {
    if (s->phase != MS_STOPPING) {
        return SHUTDOWN_WAIT;
    }
    uint64_t since = now_ms - s->begun_ms;
    if (!s->announced) {
        // Rows first: the learner's last checkpoint must hold all rows that this
        // server's checkpoint counts as delivered.
        s->announced = !v->learner_up || v->learner_drained || since >= DRAIN_MS;
        return s->announced ? SHUTDOWN_ANNOUNCE : SHUTDOWN_WAIT;
    }
    bool others = v->others_up || awaits_standby(s);
    bool peers_done = (!v->learner_up || since >= LEARNER_MS) && (!others || since >= OTHERS_MS);
    if (!peers_done || v->jobs_running) {
        return SHUTDOWN_WAIT;
    }
    if (!s->saved) {
        s->saved = true;
        return SHUTDOWN_SAVE;
    }
    if (v->saving_idle) {
        s->phase = MS_STOPPED;
    }
    return SHUTDOWN_WAIT;
}
