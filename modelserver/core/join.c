// SPDX-License-Identifier: MIT
//
// Hello: who may come in, and as what. A newer incarnation of an id takes the
// older one's place, an older one is turned away for good, and places of which
// there is one (learner, evaluator, the actor of lockstep) are free only while
// their holder is not up.
#include "modelserver/core/core.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "proto/hello.h"

static bool hello_is_valid(struct modelserver *ms, const struct net_peer *from,
                           const struct wire_hello *h) {
    const struct hello_run run = {
        .task = ms->run.task->name,
        .obs_dim = ms->run.task->obs_dim,
        .act_dim = ms->run.task->act_dim,
        .lockstep = ms->run.config.pacing.mode == PACING_LOCKSTEP,
        .real_rows = ms->ingest.steps,
    };
    enum wire_refusal code;
    char text[WIRE_STRING_MAX];
    if (hello_check(&code, text, sizeof(text), h, &run) != 0) {
        ms_refuse(ms, from, code, true, "%s", text);
        return false;
    }
    return true;
}

// Whether the place that this peer wants is taken by another one. p: its own
// entry, or NULL.
static bool place_is_free(struct modelserver *ms, const struct net_peer *from,
                          const struct wire_hello *h, const struct peer *p) {
    if (p && p->role != h->role) {
        ms_refuse(ms, from, WIRE_REFUSED_MODE, true, "%s: the id is another kind of process's",
                  h->id);
        return false;
    }
    if (p && h->incarnation < p->incarnation) {
        ms_refuse(ms, from, WIRE_REFUSED_FENCED, true,
                  "%s: a newer start of the same id is here (%llu, this is %llu)", h->id,
                  (unsigned long long)p->incarnation, (unsigned long long)h->incarnation);
        return false;
    }
    const struct peer *holder = NULL;
    if (h->role == WIRE_ROLE_LEARNER) {
        holder = ms->feed.learner;
    } else if (h->role == WIRE_ROLE_EVALUATOR) {
        holder = ms->evaluation.evaluator;
    } else if (ms->run.config.pacing.mode == PACING_LOCKSTEP && ms->ingest.actors_up > 0) {
        holder = ms->ingest.actor_up[0];
    }
    if (holder && holder != p && peer_is_up(holder)) {
        bool actor = h->role == WIRE_ROLE_ACTOR;
        ms_refuse(ms, from, WIRE_REFUSED_MODE, actor,
                  actor ? "%s: in lockstep there is one actor, and %s is here"
                        : "%s: %s has this place; it is free when that one goes",
                  h->id, holder->id);
        return false;
    }
    return true;
}

void join_hello(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                const struct wire_hello *h) {
    struct peer *p = peers_by_id(ms->peers, h->id);
    if (!hello_is_valid(ms, from, h) || !place_is_free(ms, from, h, p)) {
        return;
    }
    bool begins = !p || h->incarnation > p->incarnation;
    if (!p) {
        p = peers_add(ms->peers, h->id);
    }
    if (!p) {
        ms_refuse(ms, from, WIRE_REFUSED_FULL, false, "%s: %d ids are known already", h->id,
                  PEERS_MAX);
        return;
    }
    if (begins) {
        log_info("%s is here: pid %llu on %s, version %s", h->id, (unsigned long long)h->pid,
                 h->host, h->version);
    }
    peers_set_route(ms->peers, p, from);
    p->role = h->role;
    p->incarnation = h->incarnation;
    p->pid = h->pid;
    p->environments = h->environments ? h->environments : 1;
    p->steps_bad = begins ? 0 : p->steps_bad;
    snprintf(p->host, sizeof(p->host), "%s", h->host);
    p->heard_ms = now_ms;
    p->state = WIRE_PEER_CONNECTED;
    if (h->role == WIRE_ROLE_ACTOR) {
        ingest_hello(ms, p, begins);
        return;
    }
    if (h->role == WIRE_ROLE_LEARNER) {
        ms->feed.learner = p;
        learner_feed_hello(ms, h, begins);
    } else {
        ms->evaluation.evaluator = p;
        ms_queue(ms, p, ms->evaluation.current.policy ? PENDING_EVAL : 0);
    }
    ms_queue(ms, p, PENDING_WELCOME | (ms->shutdown.announced ? PENDING_SHUTDOWN : 0));
}
