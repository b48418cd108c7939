// SPDX-License-Identifier: MIT
// Which process starts again, when a pair is made, and the end of a run.
#include "modelserver/core/pair.h"

#include <stdio.h>

#include "common/base/log.h"

#define END_MS 10000 // how long the end waits for its checkpoints

bool pair_hello(struct modelserver *ms, const struct peer *p, const struct wire_hello *h) {
    const struct saving *s = &ms->saving;
    bool fresh = h->incarnation == 0, untouched = ms->feed.queue.real_rows_sent == 0;
    if (!ms->pair.matches || (fresh && untouched && h->checkpoint == s->checkpoint_id) ||
        (!fresh && !untouched)) {
        return true;
    }
    if (!fresh) {
        outbox_refuse(&ms->outbox, &p->route, WIRE_REFUSED_UNKNOWN, true,
                      "lockstep goes on from step %llu: start again from the checkpoint",
                      (unsigned long long)s->checkpoint_id);
        return false;
    }
    if (h->checkpoint != s->checkpoint_id && h->checkpoint != s->previous_step &&
        h->checkpoint != 0) {
        log_warn("no checkpoint is of the learner's step: the run goes on with other bits than "
                 "without the interruption");
        ms->pair.matches = false;
        saving_set_steps(&ms->saving, 0, 0);
        ingest_come_to(&ms->ingest, UINT64_MAX);
        return true;
    }
    log_info("the learner goes on from step %llu: so does the model server",
             (unsigned long long)h->checkpoint);
    outbox_refuse(&ms->outbox, &p->route, WIRE_REFUSED_MODE, false,
                  "lockstep goes back to step %llu: say Hello again",
                  (unsigned long long)h->checkpoint);
    ms->pair.starts_again = true;
    ms->pair.learner_step = h->checkpoint;
    return false;
}

bool pair_may_save(struct modelserver *ms, struct ms_state *state, bool *keep) {
    if (ms->shutdown.phase != MS_RUNNING || ms->saving.checkpoint_id == ms->ingest.steps) {
        saving_give_up(&ms->saving);
        return false;
    }
    *keep = ms->feed.progress.checkpoint == ms->saving.checkpoint_id;
    state->checkpoint_id = ms->ingest.steps;
    return core_is_quiet(ms);
}

void pair_begin_end(struct modelserver *ms, uint64_t now_ms, bool done, const char *text) {
    struct closing *c = &ms->closing;
    if (!c->begun) {
        *c = (struct closing){.begun = true, .done = done, .begun_ms = now_ms};
        snprintf(c->text, sizeof(c->text), "%s", text);
        saving_request(&ms->saving);
    }
}

void pair_advance_end(struct modelserver *ms, uint64_t now_ms) {
    const struct closing *c = &ms->closing;
    uint64_t steps = ms->ingest.steps;
    bool saved = ms->saving.checkpoint_id == steps && ms->feed.progress.checkpoint_id == steps;
    if (c->begun && (saved || steps < ms->run.pacing.explore || !learner_feed_is_up(&ms->feed) ||
                     now_ms - c->begun_ms >= END_MS)) {
        shutdown_begin(&ms->shutdown, now_ms, c->done, c->text);
    }
}
