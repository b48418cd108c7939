// SPDX-License-Identifier: MIT
//
// The actors' side. A message's rows are kept in a batch and handed to the
// store; the actor is answered when the store says that they are on the disk. In
// between the message counts as taken (seq_in, rows_in), so the ones behind it
// may follow without waiting for the disk; should the store fail, everything
// falls back to what is stored and the actor sends again.
//
// Credit is what pacing allows beyond the rows that are stored, on their way,
// or promised to others, shared out in small portions so that actors that come
// later find some.
#include "modelserver/core/core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"

static struct store_batch *take_batch(struct modelserver *ms, struct peer *p, uint64_t seq) {
    if (ms->ingest.free_batches == 0) {
        ms_count(ms, MS_transitions_deferred, 1);
        return NULL;
    }
    struct store_batch *b = ms->ingest.free_batch[--ms->ingest.free_batches];
    memcpy(b->id, p->id, sizeof(b->id));
    b->index = p->registered ? p->index : STORE_NEW_ACTOR;
    b->incarnation = p->incarnation;
    b->seq = seq;
    b->rows = 0;
    b->policy_version = 0;
    b->owner = p;
    return b;
}

void ingest_hello(struct modelserver *ms, struct peer *p, bool begins) {
    if (begins) {
        // The entry's index is the id's and stays; `registered` again once the
        // store knows the new incarnation.
        p->registered = p->registering = false;
        p->seq_in = p->seq_stored = 0;
        p->rows_in = p->rows_stored = p->credit = p->random_credit = p->credit_told = 0;
    }
    ingest_back(ms, p);
    if (p->registered) {
        ms_queue(ms, p, PENDING_WELCOME | PENDING_CREDIT | PENDING_ACK);
    } else if (!p->registering) {
        struct store_batch *b = take_batch(ms, p, 0);
        if (b) {
            p->registering = true;
            ms->jobs.store(ms->jobs.arg, b);
        }
    }
    ms_queue(ms, p, ms->shutdown.announced ? PENDING_SHUTDOWN : 0);
}

void ingest_gone(struct modelserver *ms, struct peer *p) {
    p->credit = p->rows_in; // what it has not used goes to others
    for (int i = 0; i < ms->ingest.actors_up; i++) {
        if (ms->ingest.actor_up[i] == p) {
            ms->ingest.actors_up--;
            memmove(&ms->ingest.actor_up[i], &ms->ingest.actor_up[i + 1],
                    (size_t)(ms->ingest.actors_up - i) * sizeof(ms->ingest.actor_up[0]));
            return;
        }
    }
}

void ingest_back(struct modelserver *ms, struct peer *p) {
    for (int i = 0; i < ms->ingest.actors_up; i++) {
        if (ms->ingest.actor_up[i] == p) {
            return;
        }
    }
    ms->ingest.actor_up[ms->ingest.actors_up++] = p;
    ms_queue(ms, p, p->registered ? PENDING_CREDIT : 0);
}

// ---- rows ----

// Whether seq is the next one. If not, the answer says what is stored.
static bool in_order(struct modelserver *ms, struct peer *p, uint64_t seq) {
    if (seq == p->seq_in + 1) {
        return true;
    }
    ms_count(ms, seq <= p->seq_in ? MS_transitions_duplicate : MS_transitions_gap, 1);
    ms_queue(ms, p, PENDING_ACK);
    return false;
}

void ingest_refused_rows(struct modelserver *ms, struct peer *p, uint64_t seq, uint32_t rows) {
    if (!p->registered || !in_order(ms, p, seq)) {
        return;
    }
    struct store_batch *b = take_batch(ms, p, seq);
    if (!b) {
        return;
    }
    ms_count(ms, MS_rows_refused_value, rows);
    p->seq_in = seq;
    ms->jobs.store(ms->jobs.arg, b);
}

// What speaks against the message as such. False: refused.
static bool rows_are_sound(struct modelserver *ms, struct peer *p,
                           const struct wire_transitions *t) {
    const struct wire_rows *rows = &t->rows;
    if (!p->registered) {
        ms_refuse(ms, &p->route, WIRE_REFUSED_UNKNOWN, false,
                  "%s: Transitions before Welcome: say Hello again", p->id);
        return false;
    }
    if (rows->obs_dim != ms->feed.env->obs_dim || rows->act_dim != ms->feed.env->act_dim) {
        ms_refuse(ms, &p->route, WIRE_REFUSED_TASK, true,
                  "%s: rows of (%u, %u) numbers, this run's are (%u, %u)", p->id, rows->obs_dim,
                  rows->act_dim, ms->feed.env->obs_dim, ms->feed.env->act_dim);
        return false;
    }
    if (rows->rows > (uint32_t)ms->run.config.network.batch_rows_max) {
        ms_refuse(ms, &p->route, WIRE_REFUSED_FORMAT, false,
                  "%s: %u rows in a message; at most network.batch_rows_max = %d", p->id,
                  rows->rows, ms->run.config.network.batch_rows_max);
        return false;
    }
    return true;
}

static void keep_rows(struct store_batch *b, const struct wire_rows *rows) {
    struct wire_kept *kept = wire_keep(rows);
    b->memory = kept;
    b->rows = kept->rows.rows;
    b->obs = kept->rows.obs;
    b->act = kept->rows.act;
    b->reward = kept->rows.reward;
    b->next_obs = kept->rows.next_obs;
    b->flags = kept->rows.flags;
}

void ingest_drop_rows(struct store_batch *b) {
    struct wire_kept *kept = b->memory;
    wire_drop(&kept);
    b->memory = NULL;
}

// Rows beyond all credit that the actor ever had. Credit that was withdrawn while
// it was lost counts: whoever got it instead may use it too, so steps can exceed
// what pacing allows by as much, and wait until the learner has caught up. Were
// such rows sent back, two actors could block each other for ever, each with a
// message that does not fit any more.
static bool exceeds_credit(const struct modelserver *ms, const struct peer *p, uint64_t rows) {
    return p->rows_in + rows > p->credit_told &&
           ms->ingest.steps + ms->ingest.rows_pending + rows > ms->ingest.steps_granted;
}

void ingest_transitions(struct modelserver *ms, struct peer *p, const struct wire_transitions *t) {
    if (!rows_are_sound(ms, p, t) || !in_order(ms, p, t->seq)) {
        return;
    }
    if (exceeds_credit(ms, p, t->rows.rows)) {
        // It keeps the rows and sends them again until there is leave for them.
        ms_count(ms, MS_transitions_deferred, 1);
        return;
    }
    struct store_batch *b = take_batch(ms, p, t->seq);
    if (!b) {
        return;
    }
    keep_rows(b, &t->rows);
    b->policy_version = t->policy_version;
    p->seq_in = t->seq;
    p->rows_in += b->rows;
    p->policy_version = t->policy_version > 0 ? t->policy_version : p->policy_version;
    ms->ingest.rows_pending += b->rows;
    ms->jobs.store(ms->jobs.arg, b);
}

static void stored(struct modelserver *ms, uint64_t now_ms, struct peer *p,
                   const struct store_batch *b) {
    ms->ingest.steps += b->rows;
    rate_add(&ms->ingest.steps_rate, now_ms, b->rows);
    rate_add(&p->steps_rate, now_ms, b->rows);
    p->steps = b->actor.steps;
    p->episodes = b->actor.episodes;
    p->index = b->actor.index;
    if (b->incarnation != p->incarnation) {
        return; // a newer one has taken over meanwhile
    }
    p->seq_stored = b->actor.seq;
    p->rows_stored = b->actor.steps_incarnation;
    if (b->seq == 0) {
        p->registering = false;
        p->registered = true;
        p->seq_in = p->seq_stored;
        p->rows_in = p->credit = p->credit_told = p->rows_stored;
        ms_queue(ms, p, PENDING_WELCOME | PENDING_CREDIT);
    } else {
        ms_queue(ms, p, PENDING_ACK);
    }
}

static void not_stored(struct modelserver *ms, struct peer *p, const struct store_batch *b,
                       const char *err) {
    ms_count(ms, MS_store_errors, 1);
    if (b->error != -ESTALE) {
        log_error("%s", err);
    }
    if (b->incarnation == p->incarnation) {
        p->seq_in = p->seq_stored;
        p->rows_in = p->rows_stored;
        p->registering = false;
    }
}

void ms_on_stored(struct modelserver *ms, uint64_t now_ms, struct store_batch *b, const char *err) {
    struct peer *p = b->owner;
    ms->ingest.rows_pending -= b->rows;
    if (b->error == 0) {
        stored(ms, now_ms, p, b);
        ms->ingest.store_error[0] = '\0';
    } else {
        not_stored(ms, p, b, err);
        if (b->error != -ESTALE) {
            snprintf(ms->ingest.store_error, sizeof(ms->ingest.store_error), "%s", err);
        }
    }
    ingest_drop_rows(b);
    CHECK(ms->ingest.free_batches < INGEST_BATCHES);
    ms->ingest.free_batch[ms->ingest.free_batches++] = b;
    ms_advance(ms, now_ms);
}

// ---- credit ----

uint64_t ingest_steps_allowed(const struct modelserver *ms, char *why, size_t why_len) {
    struct pacing_view view = learner_feed_view(ms);
    uint64_t limit = pacing_steps_allowed(&ms->run.pacing, &view, why, why_len);
    if (evaluation_holds_steps(ms)) {
        limit = ms->ingest.steps;
        if (why) {
            snprintf(why, why_len, "the evaluation at step %llu: it may end the run",
                     (unsigned long long)ms->ingest.steps);
        }
    }
    return limit;
}

static uint64_t unused(const struct peer *p) {
    return p->credit > p->rows_in ? p->credit - p->rows_in : 0;
}

void ingest_credit(struct modelserver *ms) {
    if (ms->shutdown.phase != MS_RUNNING || ms->ingest.actors_up == 0) {
        return;
    }
    uint64_t limit = ingest_steps_allowed(ms, NULL, 0);
    ms->ingest.steps_granted = limit > ms->ingest.steps_granted ? limit : ms->ingest.steps_granted;
    uint64_t taken = ms->ingest.steps + ms->ingest.rows_pending, promised = 0;
    for (int i = 0; i < ms->ingest.actors_up; i++) {
        promised += unused(ms->ingest.actor_up[i]);
    }
    if (taken + promised >= limit) {
        return;
    }
    uint64_t left = limit - taken - promised;
    uint64_t portion = (limit - taken) / (uint64_t)ms->ingest.actors_up;
    uint64_t portion_max = 2 * (uint64_t)ms->run.config.network.batch_rows_max;
    portion = portion < 1 ? 1 : portion < portion_max ? portion : portion_max;
    for (int i = 0; i < ms->ingest.actors_up && left > 0; i++) {
        struct peer *p =
            ms->ingest
                .actor_up[(ms->ingest.credit_turn + (uint64_t)i) % (uint64_t)ms->ingest.actors_up];
        uint64_t has = unused(p);
        if (!p->registered || has >= portion) {
            continue;
        }
        uint64_t more = portion - has < left ? portion - has : left;
        p->credit = p->rows_in + has + more;
        p->credit_told = p->credit > p->credit_told ? p->credit : p->credit_told;
        left -= more;
        if (ms->ingest.steps < ms->run.config.run.explore_steps) {
            p->random_credit = p->credit; // the limit ends with exploration
        }
        ms_queue(ms, p, PENDING_CREDIT);
    }
    ms->ingest.credit_turn++;
}

void ingest_fill_credit(struct modelserver *ms, const struct peer *p, struct wire_credit *out) {
    bool explores = ms->ingest.steps < ms->run.config.run.explore_steps;
    uint64_t newest = ms->feed.policy ? ms->feed.policy->version : 0;
    bool lockstep = ms->run.config.pacing.mode == PACING_LOCKSTEP;
    *out = (struct wire_credit){.steps_allowed = p->credit,
                                .random_steps = p->random_credit,
                                .newest_policy_version = newest,
                                .min_policy_version = explores   ? 0
                                                      : lockstep ? newest
                                                                 : 1};
    ingest_steps_allowed(ms, out->reason, sizeof(out->reason));
}

void ingest_fill_welcome(const struct modelserver *ms, const struct peer *p,
                         struct wire_welcome *out) {
    *out = (struct wire_welcome){
        .seed = ms->run.config.run.seed,
        .obs_dim = (uint32_t)ms->run.task->obs_dim,
        .act_dim = (uint32_t)ms->run.task->act_dim,
        .horizon = (uint32_t)ms->run.task->horizon,
        .heartbeat_ms = (uint32_t)ms->run.config.network.heartbeat_ms,
        .lost_after_ms = (uint32_t)ms->run.config.network.lost_after_ms,
        .batch_rows_max = (uint32_t)ms->run.config.network.batch_rows_max,
        .unacked_rows_max = (uint32_t)ms->run.config.network.unacked_rows_max,
    };
    snprintf(out->task, sizeof(out->task), "%s", ms->run.task->name);
    if (p->role == WIRE_ROLE_ACTOR) {
        out->actor_index = (uint32_t)p->index;
        out->next_seq = p->seq_stored + 1;
        out->actor_steps = p->steps;
        out->actor_episodes = p->episodes;
    }
}
