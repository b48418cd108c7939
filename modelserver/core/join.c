// SPDX-License-Identifier: MIT
// Checks for id, role and place, and the peer's entry after them.
#include "modelserver/core/join.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "proto/hello.h"

static bool hello_is_valid(struct outbox *o, const struct join_view *v, const struct net_peer *from,
                           const struct wire_hello *h) {
    const struct hello_run run = {
        .task = v->run->task->name,
        .obs_dim = v->run->task->obs_dim,
        .act_dim = v->run->task->act_dim,
        .lockstep = v->run->config.pacing.mode == PACING_LOCKSTEP,
        .real_rows = v->steps,
    };
    enum wire_refusal code;
    char text[WIRE_STRING_MAX];
    if (hello_check(&code, text, sizeof(text), h, &run) != 0) {
        outbox_refuse(o, from, code, true, "%s", text);
        return false;
    }
    if (v->run_id != 0 && v->run_id != v->run->id) {
        outbox_refuse(o, from, WIRE_REFUSED_RUN, true,
                      "%s has joined run %016llx, and this is run %016llx: restart it", h->id,
                      (unsigned long long)v->run_id, (unsigned long long)v->run->id);
        return false;
    }
    return true;
}

// Whether another start takes precedence. A process that was welcomed before may only continue:
// as a new start it would send rows again that are stored. Of new ones the later Hello takes the
// place. Clients of before that choose their number, a clock, take it from a start that is
// connected only with a larger one.
static bool is_superseded(const struct join_view *v, const struct wire_hello *h,
                          const struct peer *p) {
    if (h->incarnation == 0) {
        return v->run_id != 0;
    }
    if (h->role == WIRE_ROLE_LEARNER) {
        return h->incarnation != v->starts[WIRE_ROLE_LEARNER];
    }
    if (!p) {
        return false;
    }
    return v->run_id != 0 ? h->incarnation != p->incarnation
                          : h->incarnation < p->incarnation && peer_is_up(p);
}

// The sender's number: its own, that of its first Hello, which it repeats on the same
// connection, or a new one.
static uint64_t incarnation_of(const struct join_view *v, const struct net_peer *from,
                               const struct wire_hello *h, const struct peer *p) {
    if (h->incarnation != 0) {
        return h->incarnation;
    }
    if (p && p->has_route && net_peer_equal(&p->route, from) && p->state != WIRE_PEER_LEFT) {
        return p->incarnation;
    }
    uint64_t next = v->starts[h->role] + 1;
    return p && next == p->incarnation ? next + 1 : next; // a client of before may have chosen it
}

// Whether the sender may have its id and its role. p: its entry, or NULL. False:
// refused.
static bool place_is_free(struct outbox *o, const struct join_view *v, const struct net_peer *from,
                          const struct wire_hello *h, const struct peer *p) {
    if (h->role == WIRE_ROLE_LEARNER && v->run_id == 0 && h->incarnation != 0) {
        outbox_refuse(o, from, WIRE_REFUSED_SCHEMA, true,
                      "%s is a learner of an older spur: build all programs from the same source",
                      h->id);
        return false;
    }
    if (!p && h->role == WIRE_ROLE_ACTOR && v->run_id != 0) {
        outbox_refuse(o, from, WIRE_REFUSED_RUN, true,
                      "%s: its place was given to another id while it was away: restart it", h->id);
        return false;
    }
    if (is_superseded(v, h, p)) {
        outbox_refuse(o, from, WIRE_REFUSED_FENCED, true,
                      "%s: a newer start of the same %s has joined (this is start %llu)", h->id,
                      h->role == WIRE_ROLE_LEARNER ? "role" : "id",
                      (unsigned long long)h->incarnation);
        return false;
    }
    bool actor = h->role == WIRE_ROLE_ACTOR;
    const struct peer *holder = actor                          ? v->actor
                                : h->role == WIRE_ROLE_LEARNER ? v->learner
                                                               : v->evaluator;
    if (holder && holder != p && peer_is_up(holder)) {
        outbox_refuse(o, from, WIRE_REFUSED_MODE, actor,
                      actor ? "%s: lockstep has one actor, and %s is connected"
                            : "%s: %s is connected in this role; a run has one at a time",
                      h->id, holder->id);
        return false;
    }
    return true;
}

struct joined join_hello(struct peers *peers, struct outbox *outbox, const struct join_view *view,
                         uint64_t now_ms, const struct net_peer *from, const struct wire_hello *h) {
    struct peer *p = peers_by_id(peers, h->role, h->id);
    if (!hello_is_valid(outbox, view, from, h) || !place_is_free(outbox, view, from, h, p)) {
        return (struct joined){0};
    }
    uint64_t incarnation = incarnation_of(view, from, h, p);
    bool new_incarnation = !p || incarnation != p->incarnation;
    if (!p) {
        const struct peer *const keep[] = {view->learner, view->evaluator};
        p = peers_add(peers, h->role, h->id, now_ms, keep);
    }
    if (!p) {
        outbox_refuse(outbox, from, WIRE_REFUSED_FULL, false,
                      "%s: the table of peers is full (%d actors, none of which has left)", h->id,
                      PEERS_ACTORS_MAX);
        return (struct joined){0};
    }
    if (new_incarnation) {
        log_peer(LOG_INFO, "%s joined: start %llu, pid %llu on %s, version %s", h->id,
                 (unsigned long long)incarnation, (unsigned long long)h->pid, h->host, h->version);
    }
    struct peer *displaced = peers_set_route(peers, p, from);
    p->incarnation = incarnation;
    p->pid = h->pid;
    p->environments = h->environments ? h->environments : 1;
    p->steps_bad = new_incarnation ? 0 : p->steps_bad;
    snprintf(p->host, sizeof(p->host), "%s", h->host);
    p->heard_ms = now_ms;
    p->state = WIRE_PEER_CONNECTED;
    return (struct joined){.peer = p,
                           .new_incarnation = new_incarnation,
                           .handed_out = new_incarnation && h->incarnation == 0,
                           .displaced = displaced};
}

// Whether row i of D_env begins an episode.
static bool begins_episode(const struct env_columns *env, uint64_t i, size_t obs_dim) {
    return i == 0 || env->flags[i - 1] != 0 ||
           memcmp(env->obs + i * obs_dim, env->next_obs + (i - 1) * obs_dim,
                  obs_dim * sizeof(float)) != 0;
}

// Lockstep: an actor that has made all rows goes on within its last episode, if that has not
// ended. Its episodes are counted by their rows.
static void fill_episode(const struct run_context *run, const struct env_columns *env,
                         uint64_t stored, struct wire_welcome *out) {
    size_t o = (size_t)run->task->obs_dim, a = (size_t)run->task->act_dim;
    uint64_t taken = config_rows_taken(&run->config), first = taken, episodes = 0;
    if (run->pacing.mode != PACING_LOCKSTEP || out->actor_steps == 0 ||
        out->actor_steps + taken != stored) {
        return;
    }
    for (uint64_t i = taken; i < stored; i++) {
        bool begins = i == taken || begins_episode(env, i, o);
        episodes += begins;
        first = begins ? i : first;
    }
    out->actor_episodes = episodes;
    if (env->flags[stored - 1] != 0 || stored - first > WIRE_ROWS_MAX) {
        return;
    }
    out->episode = (struct wire_rows){.rows = (uint32_t)(stored - first),
                                      .obs_dim = (uint32_t)o,
                                      .act_dim = (uint32_t)a,
                                      .obs = env->obs + first * o,
                                      .act = env->act + first * a,
                                      .reward = env->reward + first,
                                      .next_obs = env->next_obs + first * o,
                                      .flags = env->flags + first};
}

void join_fill_welcome(const struct run_context *run, const struct peer *p,
                       const struct env_columns *env, uint64_t stored, struct wire_welcome *out) {
    static const enum wire_noise noises[] = {[EXPLORE_NOISE_WHITE] = WIRE_NOISE_WHITE,
                                             [EXPLORE_NOISE_PINK] = WIRE_NOISE_PINK,
                                             [EXPLORE_NOISE_OU] = WIRE_NOISE_OU};
    *out = (struct wire_welcome){
        .seed = run->config.run.seed,
        .obs_dim = (uint32_t)run->task->obs_dim,
        .act_dim = (uint32_t)run->task->act_dim,
        .horizon = (uint32_t)run->task->horizon,
        .heartbeat_ms = (uint32_t)run->config.network.heartbeat_ms,
        .lost_after_ms = (uint32_t)run->config.network.lost_after_ms,
        .batch_rows_max = (uint32_t)run->config.network.batch_rows_max,
        .unacked_rows_max = (uint32_t)run->config.network.unacked_rows_max,
        .noise = noises[run->config.explore.noise],
        .noise_ou_theta = run->config.explore.ou_theta,
        .incarnation = p->incarnation,
    };
    snprintf(out->task, sizeof(out->task), "%s", run->task->name);
    if (p->role == WIRE_ROLE_ACTOR) {
        out->actor_index = (uint32_t)p->index;
        out->next_seq = p->seq_stored + 1;
        out->actor_steps = p->steps;
        out->actor_episodes = p->episodes;
        fill_episode(run, env, stored, out);
    }
}
