// SPDX-License-Identifier: MIT
// The first of a list of things that may hold a run up: those that wait for no other come first.
#include "modelserver/core/stuck.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHY_MAX 200 // of a sentence of another part

uint64_t stuck_mark(const struct modelserver *ms) {
    return ms->ingest.steps + ms->feed.updates + ms->training.trainings +
           atomic_load_explicit(&ms->training.epochs, memory_order_relaxed) + ms->rollouts.rows +
           ms->rollouts.states + ms->feed.queue.real_next + ms->evaluation.history.evaluations;
}

static bool say(char *out, size_t out_len, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool say(char *out, size_t out_len, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(out, out_len, fmt, args);
    va_end(args);
    return true;
}

static bool job_runs(const struct modelserver *ms, char *out, size_t out_len) {
    if (ms->ingest.store_error[0]) {
        return say(out, out_len, "the store: %.*s", WHY_MAX, ms->ingest.store_error);
    }
    if (ms->ingest.rows_pending > 0) {
        return say(out, out_len, "the store has not answered for %llu rows",
                   (unsigned long long)ms->ingest.rows_pending);
    }
    if (ms->training.running) {
        return say(out, out_len, "the ensemble is being trained");
    }
    return ms->rollouts.running && say(out, out_len, "rollouts are being made");
}

// The actor that was heard of last, or NULL.
static const struct peer *last_actor(const struct modelserver *ms) {
    const struct peer *last = NULL;
    for (int i = 0; i < peers_count(ms->peers); i++) {
        const struct peer *p = peers_at(ms->peers, i);
        if (p->role == WIRE_ROLE_ACTOR && (!last || p->heard_ms > last->heard_ms)) {
            last = p;
        }
    }
    return last;
}

static bool is_away(const struct modelserver *ms, uint64_t now_ms, char *out, size_t out_len) {
    bool explores = ms->ingest.steps < ms->run.pacing.explore;
    const struct peer *p = NULL;
    const char *role = "learner";
    if (ms->ingest.actors_up == 0 && ms->ingest.steps < ms->run.pacing.steps_max) {
        p = last_actor(ms);
        role = "actor";
    } else if (!explores && !learner_feed_is_up(&ms->feed)) {
        p = ms->feed.learner;
    } else {
        return false;
    }
    if (!p) {
        return say(out, out_len, "no %s has joined", role);
    }
    return say(out, out_len, "no %s is connected; %.100s %s, heard of %llu s ago", role, p->id,
               p->state == WIRE_PEER_LEFT ? "has left" : "is lost",
               (unsigned long long)(now_ms - p->heard_ms) / 1000);
}

// Whether an actor makes rows that the server refuses.
static bool is_refused(const struct modelserver *ms, char *out, size_t out_len) {
    for (int i = 0; i < ms->ingest.actors_up; i++) {
        const struct peer *p = ms->ingest.actor_up[i];
        if (p->rows_refused > 0) {
            return say(out, out_len, "the last %llu rows of %.60s were refused",
                       (unsigned long long)p->rows_refused, p->id);
        }
    }
    return false;
}

// Whether a connected peer could go on but does not.
static bool is_idle(const struct modelserver *ms, char *out, size_t out_len) {
    static const char silent[] = "nothing";
    uint64_t rows;
    if (learner_feed_is_up(&ms->feed) && ms->feed.grant.updates_allowed > ms->feed.updates) {
        const char *why = ms->feed.progress.waiting;
        return say(out, out_len, "%.60s may make %llu updates and makes none; it waits for: %.*s",
                   ms->feed.learner->id,
                   (unsigned long long)(ms->feed.grant.updates_allowed - ms->feed.updates), WHY_MAX,
                   why[0] ? why : silent);
    }
    const struct peer *p = ingest_has_credit(&ms->ingest, &rows);
    if (p) {
        return say(out, out_len,
                   "%.60s has credit for %llu steps and makes none; it waits for: %.*s", p->id,
                   (unsigned long long)rows, WHY_MAX, p->waiting[0] ? p->waiting : silent);
    }
    p = ms->evaluation.evaluator;
    if (p && peer_is_up(p) && ms->evaluation.current.policy) {
        return say(out, out_len, "%.60s plays the evaluation of step %llu; it waits for: %.*s",
                   p->id, (unsigned long long)ms->evaluation.current.env_steps, WHY_MAX,
                   p->waiting[0] ? p->waiting : silent);
    }
    return false;
}

void stuck_describe(const struct modelserver *ms, uint64_t now_ms, char *out, size_t out_len) {
    uint64_t stuck_ms = watchdog_stuck_ms(&ms->watchdog, now_ms);
    out[0] = '\0';
    if (stuck_ms == 0 || ms->shutdown.phase != MS_RUNNING) {
        return;
    }
    int n = snprintf(out, out_len,
                     "nothing has moved for %llu s: ", (unsigned long long)stuck_ms / 1000);
    out += n;
    out_len -= (size_t)n;
    if (job_runs(ms, out, out_len) || is_away(ms, now_ms, out, out_len) ||
        is_refused(ms, out, out_len) || is_idle(ms, out, out_len)) {
        return;
    }
    char steps[WIRE_STRING_MAX] = "", updates[WIRE_STRING_MAX] = "";
    core_steps_allowed(ms, steps, sizeof(steps));
    core_grant_reason(ms, updates, sizeof(updates));
    say(out, out_len, "actors wait for %.90s; the learner waits for %.90s", steps, updates);
}
