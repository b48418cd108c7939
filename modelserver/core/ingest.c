// SPDX-License-Identifier: MIT
// Order and validation of Transitions, batches for the disk thread, acknowledgements.
#include "modelserver/core/ingest.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "proto/epoch.h"
#include "proto/wire.h"

#define REFUSED_LOG_MS 10000 // between two lines about refused rows
#define REFUSED_ID_MAX 64    // of the sentence about the last one
#define REFUSED_WHY_MAX 160
#define FREE_CREDIT (UINT64_C(1) << 40) // steps: 34 years at 1 kHz

static void widen_rewards(struct ingest *in, const float *reward, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        in->reward_low = fminf(in->reward_low, reward[i]);
        in->reward_high = fmaxf(in->reward_high, reward[i]);
    }
}

static void count_bounds(struct ingest *in, const float *obs, const float *reward, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        row_bounds_add(&in->bounds, obs + i * in->bounds.obs_dim, reward[i]);
    }
}

void ingest_init(struct ingest *in, const struct run_context *run, struct outbox *outbox,
                 const struct ms_jobs *jobs, struct counters *counters,
                 const struct env_columns *env, uint64_t stored, uint64_t steps) {
    *in = (struct ingest){.run = run,
                          .outbox = outbox,
                          .jobs = jobs,
                          .counters = counters,
                          .stored = stored,
                          .steps = steps,
                          .steps_granted = stored,
                          .batches = xcalloc(INGEST_BATCHES, sizeof(*in->batches)),
                          .free_batches = INGEST_BATCHES};
    ends_init(&in->ends, run->task, run->has_model, env, stored);
    in->reward_low = INFINITY;
    in->reward_high = -INFINITY;
    widen_rewards(in, stored > 0 ? env->reward : NULL, stored);
    row_bounds_init(&in->bounds, &run->config, (uint32_t)run->task->obs_dim);
    count_bounds(in, stored > 0 ? env->obs : NULL, stored > 0 ? env->reward : NULL, stored);
    for (int i = 0; i < INGEST_BATCHES; i++) {
        in->free_batch[i] = &in->batches[i];
    }
}

static void free_rows(struct store_batch *b) {
    struct wire_kept *kept = b->memory;
    wire_drop(&kept);
    b->memory = NULL;
}

void ingest_deinit(struct ingest *in) {
    for (int i = 0; i < INGEST_BATCHES; i++) {
        free_rows(&in->batches[i]);
    }
    free(in->batches);
    row_bounds_deinit(&in->bounds);
    *in = (struct ingest){0};
}

uint64_t ingest_memory_bytes(const struct config *config, const struct task *task) {
    uint64_t row = wire_row_bytes((uint64_t)task->obs_dim, (uint64_t)task->act_dim);
    // What the run's own actors may have pending; actors that join add theirs, up to kept_max.
    uint64_t kept = (uint64_t)config->run.actors * (uint64_t)config->network.unacked_rows_max;
    uint64_t kept_max = INGEST_BATCHES * (uint64_t)config->network.batch_rows_max;
    return INGEST_BATCHES * sizeof(struct store_batch) + (kept < kept_max ? kept : kept_max) * row;
}

// ---- actors ----

static struct store_batch *take_batch(struct ingest *in, struct peer *p, uint64_t seq) {
    if (in->free_batches == 0) {
        counters_add(in->counters, MS_transitions_deferred, 1);
        return NULL;
    }
    struct store_batch *b = in->free_batch[--in->free_batches];
    b->role = p->role;
    b->handed_out = false;
    memcpy(b->id, p->id, sizeof(b->id));
    b->index = p->has_index ? p->index : STORE_NEW_ACTOR;
    b->incarnation = p->incarnation;
    b->seq = seq;
    b->rows = b->rows_refused = 0;
    b->policy_version = 0;
    b->owner = p;
    return b;
}

void ingest_start(struct ingest *in, struct peer *p, bool handed_out) {
    struct store_batch *b = take_batch(in, p, 0);
    if (b) {
        p->registering = true;
        b->handed_out = handed_out;
        in->jobs->store(in->jobs->arg, b);
    }
}

void ingest_hello(struct ingest *in, struct peer *p, bool new_incarnation) {
    if (new_incarnation) {
        p->seq_accepted = p->seq_stored = p->rows_refused = 0;
        p->rows_accepted = p->rows_stored = 0;
        p->credit = p->random_credit = p->credit_max = 0;
    }
    ingest_connected(in, p);
    outbox_queue(in->outbox, p, p->registered ? PENDING_CREDIT | PENDING_ACK : 0);
}

void ingest_connected(struct ingest *in, struct peer *p) {
    for (int i = 0; i < in->actors_up; i++) {
        if (in->actor_up[i] == p) {
            return;
        }
    }
    in->actor_up[in->actors_up++] = p;
    outbox_queue(in->outbox, p, p->registered ? PENDING_CREDIT : 0);
}

void ingest_gone(struct ingest *in, struct peer *p) {
    p->credit = p->rows_accepted; // the unused part is free for other actors
    for (int i = 0; i < in->actors_up; i++) {
        if (in->actor_up[i] == p) {
            in->actors_up--;
            memmove(&in->actor_up[i], &in->actor_up[i + 1],
                    (size_t)(in->actors_up - i) * sizeof(in->actor_up[0]));
            return;
        }
    }
}

// ---- rows ----

// Whether seq is the next one. If not, an Ack says what is stored.
static bool in_order(struct ingest *in, struct peer *p, uint64_t seq) {
    if (seq == p->seq_accepted + 1) {
        return true;
    }
    bool again = seq <= p->seq_accepted;
    counters_add(in->counters, again ? MS_transitions_duplicate : MS_transitions_gap, 1);
    outbox_queue(in->outbox, p, PENDING_ACK);
    return false;
}

void ingest_refused_rows(struct ingest *in, struct peer *p, uint64_t seq, uint32_t rows) {
    if (!p->registered || !in_order(in, p, seq)) {
        return;
    }
    struct store_batch *b = take_batch(in, p, seq);
    if (!b) {
        return;
    }
    counters_add(in->counters, MS_rows_refused_value, rows);
    b->rows_refused = rows;
    p->seq_accepted = seq;
    p->rows_refused += rows;
    p->rows_accepted += rows; // the actor has made them on its credit
    in->jobs->store(in->jobs->arg, b);
}

// Validates a message independent of its number. False: refused.
static bool rows_are_valid(struct ingest *in, struct peer *p, const struct wire_transitions *t) {
    const struct wire_rows *rows = &t->rows;
    uint32_t obs_dim = (uint32_t)in->run->task->obs_dim;
    uint32_t act_dim = (uint32_t)in->run->task->act_dim;
    int rows_max = in->run->config.network.batch_rows_max;
    if (!p->registered) {
        outbox_refuse(in->outbox, &p->route, WIRE_REFUSED_UNKNOWN, false,
                      "%s: Transitions before Welcome: say Hello again", p->id);
        return false;
    }
    if (rows->obs_dim != obs_dim || rows->act_dim != act_dim) {
        outbox_refuse(in->outbox, &p->route, WIRE_REFUSED_TASK, true,
                      "%s: rows of (%u, %u) numbers, this run's are (%u, %u)", p->id, rows->obs_dim,
                      rows->act_dim, obs_dim, act_dim);
        return false;
    }
    if (rows->rows > (uint32_t)rows_max) {
        outbox_refuse(in->outbox, &p->route, WIRE_REFUSED_FORMAT, false,
                      "%s: %u rows in a message; at most network.batch_rows_max = %d", p->id,
                      rows->rows, rows_max);
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

static void note_refused(struct ingest *in, uint64_t now_ms, const struct peer *p,
                         const char *why) {
    counters_add(in->counters, MS_rows_refused_bound, 1);
    in->refused_in_row++;
    snprintf(in->refused_why, sizeof(in->refused_why), "%.*s: %.*s", REFUSED_ID_MAX, p->id,
             REFUSED_WHY_MAX, why);
    if (log_due(&in->refused_logged_ms, now_ms, REFUSED_LOG_MS)) {
        log_warn("a row is refused: %s", in->refused_why);
    }
}

// Leaves out the rows beyond the bounds. They are acknowledged with the others.
static void leave_out_wild_rows(struct ingest *in, uint64_t now_ms, const struct peer *p,
                                struct store_batch *b) {
    struct wire_kept *kept = b->memory;
    uint32_t admitted = 0, o = in->bounds.obs_dim;
    char why[REFUSED_WHY_MAX];
    for (uint32_t i = 0; i < b->rows; i++) {
        if (!row_bounds_admit(&in->bounds, b->obs + i * o, b->reward[i], b->next_obs + i * o, why,
                              sizeof(why))) {
            note_refused(in, now_ms, p, why);
            continue;
        }
        if (admitted < i) {
            wire_kept_move(kept, admitted, i);
        }
        admitted++;
        in->refused_in_row = 0;
    }
    b->rows_refused = b->rows - admitted;
    b->rows = admitted;
}

bool ingest_refuses_all(const struct ingest *in, char *out, size_t out_len) {
    if (in->refused_in_row < in->run->config.data.bound_rows) {
        return false;
    }
    snprintf(out, out_len, "rows within the bounds of section data; %s", in->refused_why);
    return true;
}

// Whether rows exceed all credit that the actor ever had. Credit that was withdrawn
// while the actor was lost counts, although another actor may have it now: steps
// can then exceed what pacing allows by as much, and wait until the learner has
// caught up. If such rows were deferred, two actors could block each other for
// ever, each with a message that exceeds its credit.
static bool exceeds_credit(const struct ingest *in, const struct peer *p, uint64_t rows) {
    if (in->run->pacing.mode == PACING_FREE) { // the run's budget alone is a limit
        return in->stored + in->rows_pending >= in->run->pacing.steps_max;
    }
    return p->rows_accepted + rows > p->credit_max &&
           in->stored + in->rows_pending + rows > in->steps_granted;
}

void ingest_transitions(struct ingest *in, uint64_t now_ms, struct peer *p,
                        const struct wire_transitions *t) {
    if (!rows_are_valid(in, p, t) || !in_order(in, p, t->seq)) {
        return;
    }
    if (exceeds_credit(in, p, t->rows.rows)) {
        // The actor keeps the rows and sends them again until it has credit.
        counters_add(in->counters, MS_transitions_deferred, 1);
        return;
    }
    struct store_batch *b = take_batch(in, p, t->seq);
    if (!b) {
        return;
    }
    keep_rows(b, &t->rows);
    leave_out_wild_rows(in, now_ms, p, b);
    b->policy_version = t->policy_version;
    p->seq_accepted = t->seq;
    p->rows_accepted += t->rows.rows; // the actor has made them all on its credit
    p->credit_ms = now_ms;
    p->rows_refused = 0;
    p->policy_version = t->policy_version > 0 ? t->policy_version : p->policy_version;
    in->rows_pending += b->rows;
    in->jobs->store(in->jobs->arg, b);
}

static void commit_succeeded(struct ingest *in, uint64_t now_ms, struct peer *p,
                             const struct store_batch *b) {
    in->stored += b->rows;
    in->steps = in->run->pacing.mode == PACING_LOCKSTEP ? in->steps : in->stored;
    ends_count(&in->ends, b->next_obs, b->flags, b->rows);
    widen_rewards(in, b->reward, b->rows);
    count_bounds(in, b->obs, b->reward, b->rows);
    rate_add(&in->steps_rate, now_ms, b->rows);
    rate_add(&p->steps_rate, now_ms, b->rows);
    if (b->role == WIRE_ROLE_ACTOR) {
        p->steps = b->actor.steps;
        p->episodes = b->actor.episodes;
        p->has_index = true; // another than it was to take over, if the id has one already
        p->index = b->actor.index;
    }
    if (b->incarnation != p->incarnation) {
        return; // a newer one has said Hello since
    }
    p->seq_stored = b->actor.seq;
    p->rows_stored = b->actor.steps_incarnation;
    if (b->seq == 0) {
        p->registering = false;
        p->registered = true;
        p->seq_accepted = p->seq_stored;
        p->rows_accepted = p->credit = p->credit_max = p->rows_stored;
        outbox_queue(in->outbox, p,
                     PENDING_WELCOME | (p->role == WIRE_ROLE_ACTOR ? PENDING_CREDIT : 0));
    } else {
        outbox_queue(in->outbox, p, PENDING_ACK);
    }
}

static void commit_failed(struct ingest *in, struct peer *p, const struct store_batch *b,
                          const char *err) {
    counters_add(in->counters, MS_store_errors, 1);
    if (b->error != -ESTALE) {
        log_error("%s", err);
        snprintf(in->store_error, sizeof(in->store_error), "%s", err);
    }
    if (b->incarnation == p->incarnation) {
        p->seq_accepted = p->seq_stored;
        p->rows_accepted = p->rows_stored;
        p->registering = false;
    }
}

void ingest_stored(struct ingest *in, uint64_t now_ms, struct store_batch *b, const char *err) {
    struct peer *p = b->owner;
    in->rows_pending -= b->rows;
    if (b->error == 0) {
        commit_succeeded(in, now_ms, p, b);
        in->store_error[0] = '\0';
    } else {
        commit_failed(in, p, b, err);
    }
    free_rows(b);
    CHECK(in->free_batches < INGEST_BATCHES);
    in->free_batch[in->free_batches++] = b;
}

// ---- credit ----

void ingest_announce(struct ingest *in) {
    for (int i = 0; i < in->actors_up; i++) {
        outbox_queue(in->outbox, in->actor_up[i], PENDING_CREDIT);
    }
}

static uint64_t unused(const struct peer *p) {
    return p->credit > p->rows_accepted ? p->credit - p->rows_accepted : 0;
}

// Exploration by a policy that was taken over needs that policy.
static bool explores_at_random(const struct ingest *in) {
    const struct config *c = &in->run->config;
    bool has_policy = c->from.run[0] != '\0' && c->from.policy;
    return in->stored < config_explore_end(c) && !has_policy;
}

// Whether an actor has no credit left.
static bool is_wanted(const struct ingest *in) {
    for (int i = 0; i < in->actors_up; i++) {
        if (in->actor_up[i]->registered && unused(in->actor_up[i]) == 0) {
            return true;
        }
    }
    return false;
}

// Withdraws credit from actors that do not use it. Their rows on it are accepted nevertheless.
// Returns how much.
static uint64_t withdraw(struct ingest *in, uint64_t now_ms) {
    uint64_t withdrawn = 0;
    for (int i = 0; i < in->actors_up; i++) {
        struct peer *p = in->actor_up[i];
        if (unused(p) > 0 && now_ms - p->credit_ms > in->run->config.network.lost_after_ms) {
            withdrawn += unused(p);
            p->credit = p->rows_accepted;
            p->credit_ms = now_ms; // its turn comes again after the others'
            outbox_queue(in->outbox, p, PENDING_CREDIT);
        }
    }
    return withdrawn;
}

// Gives each actor in turn as much as it lacks of a portion.
static void share(struct ingest *in, uint64_t now_ms, uint64_t left, uint64_t portion) {
    for (int i = 0; i < in->actors_up && left > 0; i++) {
        struct peer *p = in->actor_up[(in->credit_turn + (uint64_t)i) % (uint64_t)in->actors_up];
        uint64_t has = unused(p);
        if (!p->registered || has >= portion) {
            continue;
        }
        uint64_t more = portion - has < left ? portion - has : left;
        p->credit_ms = has == 0 ? now_ms : p->credit_ms;
        p->credit = p->rows_accepted + has + more;
        p->credit_max = p->credit > p->credit_max ? p->credit : p->credit_max;
        left -= more;
        if (explores_at_random(in)) {
            p->random_credit = p->credit; // the limit ends with exploration
        }
        outbox_queue(in->outbox, p, PENDING_CREDIT);
    }
    in->credit_turn++;
}

// pacing.mode free: more than any actor can use, so that it may also be cut off for long.
static void give_all(struct ingest *in) {
    bool explores = explores_at_random(in), ends = in->explores && !explores;
    in->explores = explores;
    for (int i = 0; i < in->actors_up; i++) {
        struct peer *p = in->actor_up[i];
        if (p->registered && (p->credit != FREE_CREDIT || ends)) {
            p->credit = p->credit_max = FREE_CREDIT;
            outbox_queue(in->outbox, p, PENDING_CREDIT);
        }
    }
}

void ingest_come_to(struct ingest *in, uint64_t limit) {
    limit = limit < in->stored ? limit : in->stored;
    in->steps = limit > in->steps ? limit : in->steps;
}

void ingest_credit(struct ingest *in, uint64_t now_ms, uint64_t limit) {
    if (in->actors_up == 0) {
        return;
    }
    in->steps_granted = limit > in->steps_granted ? limit : in->steps_granted;
    if (in->run->pacing.mode == PACING_FREE) {
        give_all(in);
        return;
    }
    uint64_t accepted = in->stored + in->rows_pending, promised = 0;
    for (int i = 0; i < in->actors_up; i++) {
        promised += unused(in->actor_up[i]);
    }
    if (promised > 0 && accepted + promised >= limit && is_wanted(in)) {
        promised -= withdraw(in, now_ms);
    }
    if (accepted + promised >= limit) {
        return;
    }
    uint64_t portion = (limit - accepted) / (uint64_t)in->actors_up;
    uint64_t portion_max = 2 * (uint64_t)in->run->config.network.batch_rows_max;
    portion = portion < 1 ? 1 : portion < portion_max ? portion : portion_max;
    share(in, now_ms, limit - accepted - promised, portion);
}

const struct peer *ingest_has_credit(const struct ingest *in, uint64_t *rows) {
    const struct peer *found = NULL;
    *rows = 0;
    for (int i = 0; i < in->actors_up; i++) {
        if (unused(in->actor_up[i]) > *rows) {
            found = in->actor_up[i];
            *rows = unused(found);
        }
    }
    uint64_t left = in->steps_granted > in->stored ? in->steps_granted - in->stored : 0;
    *rows = *rows < left ? *rows : left;
    return *rows > 0 ? found : NULL;
}

void ingest_fill_credit(const struct ingest *in, const struct peer *p, uint64_t newest,
                        struct wire_credit *out) {
    bool explores = explores_at_random(in), free = in->run->pacing.mode == PACING_FREE;
    bool exact = in->run->pacing.mode == PACING_LOCKSTEP || in->run->pacing.phases;
    uint64_t left = explores ? config_explore_end(&in->run->config) - in->stored : 0;
    *out = (struct wire_credit){.steps_allowed = free ? FREE_CREDIT : p->credit,
                                .random_steps = free ? (explores ? p->rows_accepted + left : 0)
                                                     : p->random_credit,
                                .newest_policy_version = newest,
                                .min_policy_version = explores || free ? 0
                                                      : exact          ? newest
                                                              : epoch_version(epoch_of(newest), 1)};
}
