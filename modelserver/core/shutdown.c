// SPDX-License-Identifier: MIT
// Steps of the shutdown and their time limits.
#include "modelserver/core/shutdown.h"

#include <stdio.h>

#include "common/base/log.h"

// Time limits, from the beginning of the end.
#define DRAIN_MS 2000    // for pending rows to the learner
#define LEARNER_MS 20000 // for the learner's last checkpoint
#define OTHERS_MS 3000   // for other peers

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
    bool peers_done =
        (!v->learner_up || since >= LEARNER_MS) && (!v->others_up || since >= OTHERS_MS);
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
