// SPDX-License-Identifier: MIT
#include "modelserver/core/core.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/nn/normalizer.h"

// Refusal codes and their counters come in one order.
_Static_assert(MS_refused_format - MS_refused_schema == WIRE_REFUSED_FORMAT - WIRE_REFUSED_SCHEMA,
               "a counter for each refusal");

#define BLOCK_ROWS_MAX 131072 // rows that one block of rollouts may make

// ---- life ----

struct ensemble ms_ensemble(const struct config *config, const struct task *task) {
    return ensemble_make(config->model.members, task->obs_dim, task->act_dim,
                         config->model.hidden_width, config->model.hidden_layers);
}

struct policy ms_policy(const struct config *config, const struct task *task) {
    return policy_make(task->obs_dim, task->act_dim, config->sac.hidden_width,
                       config->sac.hidden_layers);
}

static uint32_t block_rollouts(const struct config *config) {
    uint32_t n = BLOCK_ROWS_MAX / (uint32_t)config_rollout_length_max(config);
    n = n < 1 ? 1 : n;
    return n < ROLLOUT_BLOCK ? n : ROLLOUT_BLOCK;
}

static uint32_t block_rows(const struct config *config) {
    return block_rollouts(config) * (uint32_t)config_rollout_length_max(config);
}

static void make_buffers(struct modelserver *ms) {
    uint32_t o = (uint32_t)ms->run.task->obs_dim, a = (uint32_t)ms->run.task->act_dim;
    ms->peers = peers_create();
    ms->ingest.batches = xcalloc(INGEST_BATCHES, sizeof(*ms->ingest.batches));
    for (int i = 0; i < INGEST_BATCHES; i++) {
        ms->ingest.free_batch[i] = &ms->ingest.batches[i];
    }
    ms->ingest.free_batches = INGEST_BATCHES;
    model_slots_init(&ms->training.models, &ms->training.ensemble, ms->run.task->termination);
    policy_slots_init(&ms->feed.policies, &ms->feed.policy_shape);
    experience_queue_init(&ms->feed.queue, o, a);
    for (int i = 0; i < ROLLOUT_BLOCKS; i++) {
        rollout_rows_init(&ms->rollouts.blocks[i].out, block_rows(&ms->run.config), o, a);
    }
    ms->rollouts.block_rollouts = block_rollouts(&ms->run.config);
    ms->status.actors = xcalloc(PEERS_MAX, sizeof(*ms->status.actors));
}

uint64_t ms_memory_bytes(const struct config *config, const struct task *task) {
    struct ensemble e = ms_ensemble(config, task);
    struct policy p = ms_policy(config, task);
    struct termination heads = model_heads(&e, task->termination);
    uint64_t row = (uint64_t)(2 * task->obs_dim + task->act_dim + 1) * sizeof(float) + 1;
    // What the run's own actors may have on its way; others that join add theirs, up to kept_max.
    uint64_t kept = (uint64_t)config->run.actors * (uint64_t)config->network.unacked_rows_max;
    uint64_t kept_max = INGEST_BATCHES * (uint64_t)config->network.batch_rows_max;
    return sizeof(struct modelserver) + INGEST_BATCHES * sizeof(struct store_batch) +
           (kept < kept_max ? kept : kept_max) * row +
           VERSION_SLOTS * (ensemble_params(&e) + policy_params(&p) + termination_params(&heads)) *
               sizeof(float) +
           ROLLOUT_BLOCKS * block_rows(config) * row;
}

// The actors of earlier processes are peers that nothing was heard of yet.
static void recall_actors(struct modelserver *ms, const struct ms_setup *setup, uint64_t now_ms) {
    for (uint64_t i = 0; i < setup->actor_count; i++) {
        const struct store_actor *a = &setup->actors[i];
        struct peer *p = peers_add(ms->peers, a->id);
        CHECK(p);
        p->role = WIRE_ROLE_ACTOR;
        p->state = WIRE_PEER_LOST;
        p->incarnation = a->incarnation;
        p->heard_ms = now_ms;
        p->registered = true;
        p->index = a->index;
        p->seq_in = p->seq_stored = a->seq;
        p->rows_in = p->rows_stored = p->credit = a->steps_incarnation;
        // What the process before allowed is not known, but no more than this
        // can be on its way.
        p->credit_told = p->rows_in + (uint64_t)ms->run.config.network.unacked_rows_max;
        p->steps = a->steps;
        p->episodes = a->episodes;
    }
}

static void recall_model(struct modelserver *ms, const struct model *from, uint64_t now_ms) {
    struct model *m = model_take(&ms->training.models);
    memcpy(m->params, from->params, ms->training.models.params * sizeof(float));
    memcpy(m->normalizer, from->normalizer, ms->training.models.normalizer * sizeof(float));
    if (ms->training.models.termination > 0) {
        memcpy(m->termination, from->termination, ms->training.models.termination * sizeof(float));
        memcpy(m->termination_score, from->termination_score, sizeof(m->termination_score));
    }
    memcpy(m->elite, from->elite, sizeof(m->elite));
    memcpy(m->holdout_mse, from->holdout_mse, sizeof(m->holdout_mse));
    m->version = from->version;
    m->env_rows = from->env_rows;
    m->epochs = from->epochs;
    m->members = from->members;
    m->elites = from->elites;
    ms->training.model = m;
    ms->training.model_ms = now_ms;
}

static void restore_state(struct modelserver *ms, const struct ms_state *s) {
    ms->training.trainings = s->trainings;
    ms->training.trained_for = s->trained_for;
    ms->rollouts.steps = s->rollout_steps;
    ms->rollouts.filled = s->filled;
    ms->rollouts.fill_number = s->fill_number;
    ms->rollouts.fill_total = s->fill_total;
    ms->rollouts.fill_done = s->fill_done;
    ms->rollouts.count = s->rollouts;
    ms->rollouts.rows = s->rollout_rows;
    ms->saving.checkpoint_id = s->checkpoint_id;
    memcpy(ms->counters.n, s->counters, sizeof(ms->counters.n));
    if (s->wall_ms > ms->run.wall_ms_before) {
        ms->run.wall_ms_before = s->wall_ms;
    }
}

struct ms_state ms_state(const struct modelserver *ms) {
    struct ms_state s = {.trainings = ms->training.trainings,
                         .trained_for = ms->training.trained_for,
                         .rollout_steps = ms->rollouts.steps,
                         .filled = ms->rollouts.filled,
                         .fill_number = ms->rollouts.fill_number,
                         .fill_total = ms->rollouts.fill_total,
                         .fill_done = ms->rollouts.fill_done,
                         .rollouts = ms->rollouts.count,
                         .rollout_rows = ms->rollouts.rows,
                         .wall_ms = ms->saving.wall_ms,
                         .checkpoint_id = ms->saving.checkpoint_id};
    memcpy(s.counters, ms->counters.n, sizeof(s.counters));
    return s;
}

struct modelserver *ms_create(const struct ms_setup *setup, uint64_t now_ms) {
    struct modelserver *ms = xcalloc(1, sizeof(*ms));
    ms->run.config = *setup->config;
    ms->run.task = setup->task;
    ms->run.id = setup->run_id;
    ms->run.pid = setup->pid;
    ms->run.started_ms = ms->saving.requested_ms = now_ms;
    ms->port = setup->port;
    ms->jobs = setup->jobs;
    ms->run.pacing = pacing_make(&ms->run.config);
    ms->training.ensemble = ms_ensemble(&ms->run.config, ms->run.task);
    ms->feed.policy_shape = ms_policy(&ms->run.config, ms->run.task);
    make_buffers(ms);
    ms->feed.env = setup->env;
    ms->ingest.steps = ms->ingest.steps_granted = setup->env_rows;
    ms->evaluation.history = setup->history;
    ms->evaluation.boundary = ms->evaluation.history.env_steps / ms->run.config.eval.every_steps;
    ms->evaluation.final_requested = ms->evaluation.history.evaluations > 0 &&
                                     ms->evaluation.history.env_steps >= ms->run.config.run.steps;
    ms->run.wall_ms_before = (uint64_t)(ms->evaluation.history.wall_seconds * 1e3);
    recall_actors(ms, setup, now_ms);
    if (setup->state) {
        restore_state(ms, setup->state);
    }
    if (ms->rollouts.steps < ms->run.config.run.explore_steps) {
        ms->rollouts.steps = ms->run.config.run.explore_steps;
    }
    ms->rollouts.requested_steps = ms->rollouts.steps;
    ms->rollouts.fill_requested = ms->rollouts.fill_done;
    if (setup->model) {
        recall_model(ms, setup->model, now_ms);
    }
    return ms;
}

void ms_destroy(struct modelserver **pointer) {
    struct modelserver *ms = *pointer;
    if (!ms) {
        return;
    }
    peers_destroy(&ms->peers);
    for (int i = 0; i < INGEST_BATCHES; i++) {
        ingest_drop_rows(&ms->ingest.batches[i]);
    }
    free(ms->ingest.batches);
    model_slots_deinit(&ms->training.models);
    policy_slots_deinit(&ms->feed.policies);
    for (int i = 0; i < ROLLOUT_BLOCKS; i++) {
        rollout_rows_deinit(&ms->rollouts.blocks[i].out);
    }
    free(ms->status.actors);
    free(ms);
    *pointer = NULL;
}

void ms_count(struct modelserver *ms, enum ms_counter counter, uint64_t n) {
    ms->counters.n[counter] += n;
}

uint64_t ms_wall_ms(const struct modelserver *ms, uint64_t now_ms) {
    return ms->run.wall_ms_before + (now_ms - ms->run.started_ms);
}

// ---- sending ----

void ms_queue(struct modelserver *ms, struct peer *p, unsigned due) {
    p->due |= due;
    if (!p->owed && p->due) {
        p->owed = true;
        ms->outbox.queued[ms->outbox.queued_count++] = p;
    }
}

int ms_send(struct modelserver *ms, struct peer *p, uint64_t now_ms, struct wire_msg *msg) {
    msg->run_id = ms->run.id;
    int rc = ms->port.send(ms->port.arg, PORT_OWN, &p->route, msg);
    if (rc == 0) {
        p->sent_ms = now_ms;
    } else if (rc == -EAGAIN) {
        ms_count(ms, MS_sends_delayed, 1);
    } else {
        // The connection is gone, but its last words may still be queued here: they
        // are known by the route, which therefore stays.
        ms_count(ms, MS_sends_failed, 1);
        ms_peer_gone(ms, p, WIRE_PEER_LOST);
    }
    return rc;
}

void ms_refuse(struct modelserver *ms, const struct net_peer *to, enum wire_refusal code,
               bool fatal, const char *fmt, ...) {
    struct wire_msg msg = {
        .type = WIRE_REFUSE, .run_id = ms->run.id, .refuse = {.code = code, .fatal = fatal}};
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg.refuse.text, sizeof(msg.refuse.text), fmt, args);
    va_end(args);
    ms_count(ms, MS_refused_schema + (code - WIRE_REFUSED_SCHEMA), 1);
    if (log_due(&ms->outbox.refusal_logged_ms, ms->outbox.now_ms, 1000)) {
        log_warn("refused a message (%s)", msg.refuse.text);
    }
    if (ms->port.send(ms->port.arg, PORT_OWN, to, &msg) != 0) {
        ms_count(ms, MS_sends_failed, 1); // it will ask again
    }
}

// Builds the message that one bit of enum pending stands for.
static void fill_message(struct modelserver *ms, struct peer *p, enum pending due,
                         struct wire_msg *msg) {
    switch (due) {
    case PENDING_WELCOME:
        msg->type = WIRE_WELCOME;
        ingest_fill_welcome(ms, p, &msg->welcome);
        break;
    case PENDING_CREDIT:
        msg->type = WIRE_CREDIT;
        ingest_fill_credit(ms, p, &msg->credit);
        p->policy_told = msg->credit.newest_policy_version;
        break;
    case PENDING_ACK:
        msg->type = WIRE_ACK;
        msg->ack.seq = p->seq_stored;
        break;
    case PENDING_GRANT:
        msg->type = WIRE_GRANT;
        learner_feed_fill_grant(ms, &msg->grant);
        break;
    case PENDING_EVAL:
        msg->type = WIRE_EVAL_REQUEST;
        evaluation_fill_request(ms, &msg->eval_request);
        break;
    case PENDING_HEARTBEAT:
        msg->type = WIRE_HEARTBEAT;
        break;
    case PENDING_SHUTDOWN:
        msg->type = WIRE_SHUTDOWN;
        msg->shutdown = ms->shutdown.message;
        break;
    }
}

void ms_flush(struct modelserver *ms, struct peer *p, uint64_t now_ms) {
    for (unsigned bit = PENDING_WELCOME; bit <= PENDING_SHUTDOWN && peer_is_up(p); bit <<= 1) {
        if (!(p->due & bit)) {
            continue;
        }
        struct wire_msg msg = {0};
        fill_message(ms, p, (enum pending)bit, &msg);
        if (ms_send(ms, p, now_ms, &msg) != 0) {
            return;
        }
        p->due &= ~bit;
    }
}

static void flush_owed(struct modelserver *ms, uint64_t now_ms) {
    int kept = 0;
    for (int i = 0; i < ms->outbox.queued_count; i++) {
        struct peer *p = ms->outbox.queued[i];
        ms_flush(ms, p, now_ms);
        p->owed = p->due != 0;
        if (p->owed) {
            ms->outbox.queued[kept++] = p;
        }
    }
    ms->outbox.queued_count = kept;
}

// ---- peers come and go ----

void ms_peer_gone(struct modelserver *ms, struct peer *p, enum wire_peer_state state) {
    bool was_up = p->state == WIRE_PEER_CONNECTED || p->state == WIRE_PEER_WAITING;
    p->state = state;
    p->due = 0;
    if (!was_up) {
        return;
    }
    if (state == WIRE_PEER_LOST) {
        ms_count(ms, MS_peers_lost, 1);
        log_warn("%s is lost: nothing heard of it for a while", p->id);
    } else {
        log_info("%s has left", p->id);
    }
    if (p->role == WIRE_ROLE_ACTOR) {
        ingest_gone(ms, p);
    }
}

static void peer_heard(struct modelserver *ms, struct peer *p, uint64_t now_ms) {
    p->heard_ms = now_ms;
    if (p->state != WIRE_PEER_LOST) {
        return;
    }
    p->state = WIRE_PEER_CONNECTED;
    ms_count(ms, MS_peers_returned, 1);
    log_info("%s is back", p->id);
    if (p->role == WIRE_ROLE_ACTOR) {
        ingest_back(ms, p);
    } else if (p->role == WIRE_ROLE_LEARNER) {
        ms_queue(ms, p, PENDING_GRANT);
    } else if (ms->evaluation.current.policy) {
        ms_queue(ms, p, PENDING_EVAL);
    }
    ms_queue(ms, p, ms->shutdown.announced ? PENDING_SHUTDOWN : 0);
}

// ---- messages ----

static void on_heartbeat(struct peer *p, const struct wire_msg *msg) {
    bool waits = msg->heartbeat.waiting[0] != '\0';
    p->state = waits ? WIRE_PEER_WAITING : WIRE_PEER_CONNECTED;
    memcpy(p->waiting, msg->heartbeat.waiting, sizeof(p->waiting));
    if (p->role == WIRE_ROLE_ACTOR) {
        p->policy_version = msg->heartbeat.policy_version;
        p->unacked_rows = msg->heartbeat.unacked_rows;
        p->steps_bad = msg->heartbeat.steps_bad;
    }
}

// A message of a peer that is known, by kind and role. False: not for a server,
// or not from such a peer.
static bool on_peer_message(struct modelserver *ms, uint64_t now_ms, struct peer *p,
                            const struct wire_msg *msg) {
    bool actor = p->role == WIRE_ROLE_ACTOR;
    bool learner = p == ms->feed.learner, evaluator = p == ms->evaluation.evaluator;
    if (msg->type == WIRE_HEARTBEAT) {
        on_heartbeat(p, msg);
    } else if (msg->type == WIRE_GOODBYE) {
        ms_peer_gone(ms, p, WIRE_PEER_LEFT);
    } else if (msg->type == WIRE_REFUSE) {
        ms_count(ms, MS_refusals_received, 1);
        log_warn("%s refused a message: %s", p->id, msg->refuse.text);
    } else if (msg->type == WIRE_TRANSITIONS && actor) {
        ingest_transitions(ms, p, &msg->transitions);
    } else if (msg->type == WIRE_EPISODE && actor) {
        p->last_return = msg->episode.episode_return;
    } else if (msg->type == WIRE_POLICY && learner) {
        learner_feed_policy(ms, now_ms, &msg->policy);
    } else if (msg->type == WIRE_PROGRESS && learner) {
        learner_feed_progress(ms, now_ms, &msg->progress);
    } else if (msg->type == WIRE_EVAL_REPORT && evaluator) {
        evaluation_report(ms, now_ms, &msg->eval_report);
    } else {
        return false;
    }
    return true;
}

static void answer_status(struct modelserver *ms, uint64_t now_ms, const struct net_peer *to) {
    struct wire_msg msg = {.type = WIRE_STATUS, .run_id = ms->run.id};
    ms_status(ms, now_ms, &msg.status);
    if (ms->port.send(ms->port.arg, PORT_OWN, to, &msg) != 0) {
        ms_count(ms, MS_sends_failed, 1); // who asks, asks again
    }
}

// The peer behind a message of this run, or NULL and a refusal.
static struct peer *known_sender(struct modelserver *ms, uint64_t now_ms,
                                 const struct net_peer *from, const struct wire_msg *msg) {
    struct peer *p = peers_by_route(ms->peers, from);
    if (!p || p->state == WIRE_PEER_LEFT) {
        if (msg->type == WIRE_REFUSE || msg->type == WIRE_GOODBYE) {
            ms_count(ms, MS_messages_ignored, 1);
        } else {
            ms_refuse(ms, from, WIRE_REFUSED_UNKNOWN, false, "%s from a stranger: say Hello first",
                      wire_type_name(msg->type));
        }
        return NULL;
    }
    if (msg->type != WIRE_REFUSE && msg->run_id != ms->run.id) {
        ms_refuse(ms, from, WIRE_REFUSED_RUN, false, "%s of run %016llx; this is run %016llx",
                  wire_type_name(msg->type), (unsigned long long)msg->run_id,
                  (unsigned long long)ms->run.id);
        return NULL;
    }
    if (msg->type != WIRE_GOODBYE) {
        peer_heard(ms, p, now_ms);
    }
    return p;
}

void ms_on_message(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                   const struct wire_msg *msg) {
    ms->outbox.now_ms = now_ms;
    if (msg->type == WIRE_STATUS_REQUEST) {
        answer_status(ms, now_ms, from);
        return;
    }
    if (msg->type == WIRE_HELLO) {
        join_hello(ms, now_ms, from, &msg->hello);
    } else {
        struct peer *p = known_sender(ms, now_ms, from, msg);
        if (p && !on_peer_message(ms, now_ms, p, msg)) {
            ms_refuse(ms, from, WIRE_REFUSED_FORMAT, false, "%s sent %s, which is not its to send",
                      p->id, wire_type_name(msg->type));
        }
    }
    ms_advance(ms, now_ms);
}

void ms_on_unparsable(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                      enum wire_refusal code, const char *text, const struct wire_msg *msg) {
    ms->outbox.now_ms = now_ms;
    ms_refuse(ms, from, code, code == WIRE_REFUSED_SCHEMA, "%s", text);
    struct peer *p = peers_by_route(ms->peers, from);
    if (code == WIRE_REFUSED_VALUE && msg->type == WIRE_TRANSITIONS && p &&
        p->role == WIRE_ROLE_ACTOR && msg->run_id == ms->run.id) {
        peer_heard(ms, p, now_ms);
        ingest_refused_rows(ms, p, msg->transitions.seq, msg->transitions.rows.rows);
        ms_advance(ms, now_ms);
    }
}

// ---- time ----

static void watch_peer(struct modelserver *ms, struct peer *p, uint64_t now_ms) {
    if (!peer_is_up(p)) {
        return;
    }
    if (now_ms - p->heard_ms > ms->run.config.network.lost_after_ms) {
        ms_peer_gone(ms, p, WIRE_PEER_LOST);
        return;
    }
    bool beat = now_ms - p->sent_ms >= ms->run.config.network.heartbeat_ms;
    bool newer = ms->feed.policy && p->policy_told != ms->feed.policy->version;
    if (p->role == WIRE_ROLE_ACTOR && p->registered && (beat || newer)) {
        ms_queue(ms, p, PENDING_CREDIT);
    } else if (beat) {
        ms_queue(ms, p, p->role == WIRE_ROLE_LEARNER ? PENDING_GRANT : PENDING_HEARTBEAT);
    }
}

void ms_on_tick(struct modelserver *ms, uint64_t now_ms) {
    for (int i = 0; i < peers_count(ms->peers); i++) {
        watch_peer(ms, peers_at(ms->peers, i), now_ms);
    }
    ms_advance(ms, now_ms);
}

void ms_advance(struct modelserver *ms, uint64_t now_ms) {
    saving_advance(ms, now_ms); // first: it must not wait behind one training after the other
    learner_feed_advance(ms, now_ms);
    evaluation_advance(ms, now_ms);
    ingest_credit(ms);
    shutdown_advance(ms, now_ms);
    flush_owed(ms, now_ms);
}
