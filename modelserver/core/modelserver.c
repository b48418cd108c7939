// SPDX-License-Identifier: MIT
//
// The dispatcher: gives each message, tick and result to the subject that it
// concerns, carries out what the subject returns, and advances the run.
//
// In lockstep the order of advance_learner is the order of the run: train when a
// training point is reached, make the pending rollouts, send real rows, then
// rollouts, raise the grant.
#include "modelserver/core/modelserver.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "modelserver/core/core.h"
#include "modelserver/core/join.h"
#include "modelserver/core/pair.h"
#include "modelserver/core/status_report.h"
#include "modelserver/core/stuck.h"

#define STATES_AHEAD 2 // distribution rollouts before their updates begin; pacing.mode ratio

static void advance(struct modelserver *ms, uint64_t now_ms);

// ---- life ----

struct modelserver *ms_create(const struct ms_setup *setup, uint64_t now_ms) {
    struct modelserver *ms = xcalloc(1, sizeof(*ms));
    core_init(ms, setup, now_ms);
    return ms;
}

void ms_destroy(struct modelserver **pointer) {
    if (*pointer) {
        core_deinit(*pointer);
        free(*pointer);
        *pointer = NULL;
    }
}

uint64_t ms_memory_bytes(const struct config *config, const struct task *task) {
    return core_memory_bytes(config, task);
}

void ms_stop(struct modelserver *ms, uint64_t now_ms, bool done, const char *text) {
    if (ms->run.pacing.mode == PACING_LOCKSTEP) {
        pair_begin_end(ms, now_ms, done, text);
    } else {
        shutdown_begin(&ms->shutdown, now_ms, done, text);
    }
}

bool ms_starts_again(const struct modelserver *ms, uint64_t *learner_step) {
    *learner_step = ms->pair.learner_step;
    return ms->pair.starts_again;
}

enum ms_phase ms_phase(const struct modelserver *ms) {
    return ms->shutdown.phase;
}

bool ms_failed(const struct modelserver *ms) {
    return ms->shutdown.failed;
}

bool ms_untrained(const struct modelserver *ms) {
    char text[WIRE_STRING_MAX];
    return ms->shutdown.message.done && training_is_broken(&ms->training, text, sizeof(text));
}

bool ms_unsaved(const struct modelserver *ms) {
    return ms->saving.failed || ms->ingest.store_error[0] != '\0';
}

const char *ms_end_text(const struct modelserver *ms) {
    return ms->shutdown.message.text;
}

void ms_status(struct modelserver *ms, uint64_t now_ms, struct wire_status *out) {
    status_report_fill(ms, now_ms, ms->actor_status, out);
}

static bool is_running(const struct modelserver *ms) {
    return ms->shutdown.phase == MS_RUNNING;
}

// ---- peers come and go ----

// Pending messages of a peer that said Hello, or returned, while the run ends.
static void queue_shutdown(struct modelserver *ms, struct peer *p) {
    outbox_queue(&ms->outbox, p, ms->shutdown.announced ? PENDING_SHUTDOWN : 0);
}

static void peer_gone(struct modelserver *ms, struct peer *p, enum wire_peer_state state) {
    bool was_up = p->state == WIRE_PEER_CONNECTED || p->state == WIRE_PEER_WAITING;
    p->pending = 0;
    if (!was_up && state == WIRE_PEER_LOST) {
        return;
    }
    p->state = state;
    if (!was_up) {
        return;
    }
    if (state == WIRE_PEER_LOST) {
        counters_add(&ms->counters, MS_peers_lost, 1);
        log_peer(LOG_WARN, "%s is lost: no message for a while", p->id);
    } else {
        log_peer(LOG_INFO, "%s left", p->id);
    }
    if (p->role == WIRE_ROLE_ACTOR) {
        ingest_gone(&ms->ingest, p);
    }
}

// The Welcome follows when the store knows the start of p. Rows refer to it, and a number that
// was handed out must never be handed out again.
static void welcome(struct modelserver *ms, struct peer *p, const struct joined *joined) {
    bool stored = p->role == WIRE_ROLE_ACTOR || joined->handed_out;
    if (joined->new_incarnation) {
        p->registered = !stored;
        p->registering = false;
    }
    if (p->registered) {
        outbox_queue(&ms->outbox, p, PENDING_WELCOME);
    } else if (!p->registering) {
        ingest_start(&ms->ingest, p, p->incarnation == ms->starts[p->role]);
    }
}

// There is one place for the role of p. Lost peers that had it must say Hello when they return.
static void take_place(struct modelserver *ms, const struct peer *p) {
    for (int i = 0; i < peers_count(ms->peers); i++) {
        struct peer *other = peers_at(ms->peers, i);
        if (other != p && other->role == p->role) {
            peer_gone(ms, other, WIRE_PEER_LEFT);
        }
    }
}

static void on_hello(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                     const struct wire_hello *hello, uint64_t run_id) {
    bool lockstep = ms->run.config.pacing.mode == PACING_LOCKSTEP;
    const struct join_view view = {
        .run = &ms->run,
        .steps = ms->ingest.stored,
        .learner = ms->feed.learner,
        .evaluator = ms->evaluation.evaluator,
        .actor = lockstep && ms->ingest.actors_up > 0 ? ms->ingest.actor_up[0] : NULL,
        .run_id = run_id,
        .starts = ms->starts};
    struct joined joined = join_hello(ms->peers, &ms->outbox, &view, now_ms, from, hello);
    struct peer *p = joined.peer;
    if (!p) {
        return;
    }
    if (joined.displaced) {
        peer_gone(ms, joined.displaced, WIRE_PEER_LOST);
    }
    if (p->role == WIRE_ROLE_LEARNER && !pair_hello(ms, p, hello)) {
        p->state = WIRE_PEER_LOST;
        return;
    }
    if (joined.handed_out) {
        ms->starts[p->role] = p->incarnation;
    }
    if (p->role != WIRE_ROLE_ACTOR || lockstep) {
        take_place(ms, p);
    }
    welcome(ms, p, &joined);
    if (p->role == WIRE_ROLE_ACTOR) {
        ingest_hello(&ms->ingest, p, joined.new_incarnation);
    } else if (p->role == WIRE_ROLE_LEARNER) {
        bool first = learner_feed_hello(&ms->feed, p, hello);
        ingest_announce(&ms->ingest);
        rollouts_hello(&ms->rollouts, hello->states);
        if (hello->model_rows == 0) {
            rollouts_empty_fill(&ms->rollouts);
        }
        if (first) {
            rollouts_skip_learnt(&ms->rollouts, hello->updates, ms->ingest.steps);
        }
    } else {
        evaluation_hello(&ms->evaluation, p);
    }
    queue_shutdown(ms, p);
}

static void peer_heard(struct modelserver *ms, struct peer *p, uint64_t now_ms) {
    p->heard_ms = now_ms;
    if (p->state != WIRE_PEER_LOST) {
        return;
    }
    p->state = WIRE_PEER_CONNECTED;
    counters_add(&ms->counters, MS_peers_returned, 1);
    log_peer(LOG_INFO, "%s returned", p->id);
    if (p->role == WIRE_ROLE_ACTOR) {
        ingest_connected(&ms->ingest, p);
    } else if (p->role == WIRE_ROLE_LEARNER) {
        outbox_queue(&ms->outbox, p, PENDING_GRANT);
    } else {
        evaluation_returned(&ms->evaluation, p);
    }
    queue_shutdown(ms, p);
}

// ---- sending ----

static int send_to_peer(struct modelserver *ms, struct peer *p, uint64_t now_ms,
                        struct wire_msg *msg) {
    int rc = outbox_send(&ms->outbox, p, now_ms, msg);
    if (rc != 0 && rc != -EAGAIN) {
        // The connection is gone, but its last messages may still be received: they
        // are recognised by the route, which therefore stays.
        peer_gone(ms, p, WIRE_PEER_LOST);
    }
    return rc;
}

// Builds the message of one bit of enum pending.
static void fill_message(struct modelserver *ms, struct peer *p, enum pending pending,
                         struct wire_msg *msg) {
    uint64_t newest = learner_feed_policy_version(&ms->feed);
    switch (pending) {
    case PENDING_WELCOME:
        msg->type = WIRE_WELCOME;
        join_fill_welcome(&ms->run, p, ms->feed.env, ms->ingest.stored, &msg->welcome);
        break;
    case PENDING_CREDIT:
        msg->type = WIRE_CREDIT;
        ingest_fill_credit(&ms->ingest, p, newest, &msg->credit);
        memcpy(msg->credit.learner, ms->feed.endpoint, sizeof(msg->credit.learner));
        core_steps_allowed(ms, msg->credit.reason, sizeof(msg->credit.reason));
        p->policy_announced = newest;
        break;
    case PENDING_ACK:
        msg->type = WIRE_ACK;
        msg->ack.seq = p->seq_stored;
        break;
    case PENDING_GRANT:
        msg->type = WIRE_GRANT;
        msg->grant = core_grant(ms);
        core_grant_reason(ms, msg->grant.reason, sizeof(msg->grant.reason));
        learner_feed_granted(&ms->feed, &msg->grant);
        break;
    case PENDING_EVAL:
        msg->type = WIRE_EVAL_REQUEST;
        evaluation_fill_request(&ms->evaluation, &msg->eval_request);
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

// Sends the pending messages of p, in the order of enum pending, until one fails.
static void flush(struct modelserver *ms, struct peer *p, uint64_t now_ms) {
    for (unsigned bit = PENDING_WELCOME; bit <= PENDING_SHUTDOWN && peer_is_up(p); bit <<= 1) {
        if (!(p->pending & bit) || (!p->registered && bit != PENDING_SHUTDOWN)) {
            continue;
        }
        struct wire_msg msg = {0};
        fill_message(ms, p, (enum pending)bit, &msg);
        if (send_to_peer(ms, p, now_ms, &msg) != 0) {
            return;
        }
        p->pending &= ~bit;
    }
}

static void flush_all(struct modelserver *ms, uint64_t now_ms) {
    for (int i = 0; i < ms->outbox.queued_count; i++) {
        flush(ms, ms->outbox.queued[i], now_ms);
    }
    outbox_compact(&ms->outbox);
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

static void on_eval_report(struct modelserver *ms, uint64_t now_ms,
                           const struct wire_eval_report *r) {
    const struct model *m = ms->training.model;
    uint64_t explore = ms->run.pacing.explore;
    uint64_t learnt = ms->ingest.steps > explore ? ms->ingest.steps - explore : 0;
    double updates = pacing_steps_of(&ms->run.pacing, ms->feed.updates) *
                     ms->run.pacing.updates_per_step; // after the warm start
    struct learning_curve_row figures = {
        .wall_seconds = (double)run_wall_ms(&ms->run, now_ms) * 1e-3,
        .updates_per_step = learnt > 0 ? updates / (double)learnt : (double)NAN,
        .learner = ms->feed.progress.metrics,
    };
    if (ms->run.has_model) {
        metrics_set(&figures.model, "model_holdout_mse", m ? model_holdout_mse(m) : (double)NAN);
        metrics_set(&figures.model, "rollout_length",
                    rollouts_length(&ms->run.config, ms->evaluation.current.env_steps, m));
        metrics_set(&figures.model, "model_epochs", m ? (double)m->epochs : (double)NAN);
        metrics_set(&figures.model, "ends", (double)ms->ingest.ends.terminated);
        metrics_set(&figures.model, "ends_unexplained", (double)ms->ingest.ends.unexplained);
    }
    const struct policy_version *policy = ms->evaluation.current.policy;
    bool learnt_any = policy && policy->updates > 0;
    uint64_t before = ms->evaluation.history.evaluations;
    evaluation_report(&ms->evaluation, r, &figures);
    if (learnt_any && ms->evaluation.history.evaluations > before) {
        uint64_t horizon = (uint64_t)ms->run.task->horizon, max = ms->run.config.eval.steps_max;
        divergence_evaluated(&ms->divergence, r->returns, r->lengths, r->episodes,
                             horizon < max ? horizon : max);
    }
}

static void on_progress(struct modelserver *ms, uint64_t now_ms, const struct wire_progress *p) {
    uint64_t before = ms->feed.updates;
    learner_feed_progress(&ms->feed, now_ms, p);
    if (ms->feed.updates > before) {
        divergence_learnt(&ms->divergence, &p->metrics, (double)ms->ingest.reward_low,
                          (double)ms->ingest.reward_high);
    }
}

// A message of a known peer, by type and role. False: not for a server, or not
// from a peer of that role.
static bool on_peer_message(struct modelserver *ms, uint64_t now_ms, struct peer *p,
                            const struct wire_msg *msg) {
    bool actor = p->role == WIRE_ROLE_ACTOR;
    bool learner = p == ms->feed.learner, evaluator = p == ms->evaluation.evaluator;
    if (msg->type == WIRE_HEARTBEAT) {
        on_heartbeat(p, msg);
    } else if (msg->type == WIRE_GOODBYE) {
        peer_gone(ms, p, WIRE_PEER_LEFT);
    } else if (msg->type == WIRE_REFUSE) {
        counters_add(&ms->counters, MS_refusals_received, 1);
        log_peer(LOG_WARN, "%s refused a message: %s", p->id, msg->refuse.text);
    } else if (msg->type == WIRE_TRANSITIONS && actor) {
        ingest_transitions(&ms->ingest, now_ms, p, &msg->transitions);
    } else if (msg->type == WIRE_EPISODE && actor) {
        p->last_return = msg->episode.episode_return;
    } else if (msg->type == WIRE_POLICY && learner) {
        learner_feed_policy(&ms->feed, now_ms, &msg->policy);
    } else if (msg->type == WIRE_PROGRESS && learner) {
        on_progress(ms, now_ms, &msg->progress);
    } else if (msg->type == WIRE_EVAL_REPORT && evaluator) {
        on_eval_report(ms, now_ms, &msg->eval_report);
    } else {
        return false;
    }
    return true;
}

static void answer_status(struct modelserver *ms, uint64_t now_ms, const struct net_peer *to) {
    struct wire_msg msg = {.type = WIRE_STATUS};
    ms_status(ms, now_ms, &msg.status);
    outbox_reply(&ms->outbox, to, &msg);
}

// The peer that sent a message of this run, or NULL and a refusal.
static struct peer *known_sender(struct modelserver *ms, uint64_t now_ms,
                                 const struct net_peer *from, const struct wire_msg *msg) {
    struct peer *p = peers_by_route(ms->peers, from);
    if (!p || p->state == WIRE_PEER_LEFT) {
        if (msg->type == WIRE_REFUSE || msg->type == WIRE_GOODBYE) {
            counters_add(&ms->counters, MS_messages_ignored, 1);
        } else {
            outbox_refuse(&ms->outbox, from, WIRE_REFUSED_UNKNOWN, false,
                          "%s from an unknown sender: say Hello first", wire_type_name(msg->type));
        }
        return NULL;
    }
    if (msg->type != WIRE_REFUSE && msg->run_id != ms->run.id) {
        outbox_refuse(&ms->outbox, from, WIRE_REFUSED_RUN, false,
                      "%s of run %016llx; this is run %016llx", wire_type_name(msg->type),
                      (unsigned long long)msg->run_id, (unsigned long long)ms->run.id);
        return NULL;
    }
    if (msg->type != WIRE_GOODBYE) {
        peer_heard(ms, p, now_ms);
    }
    return p;
}

void ms_on_message(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                   const struct wire_msg *msg) {
    if (msg->type == WIRE_STATUS_REQUEST) {
        if (msg->status_request.standby) {
            shutdown_note_standby(&ms->shutdown, now_ms);
        }
        answer_status(ms, now_ms, from);
        return;
    }
    if (msg->type == WIRE_HELLO) {
        on_hello(ms, now_ms, from, &msg->hello, msg->run_id);
    } else {
        struct peer *p = known_sender(ms, now_ms, from, msg);
        if (p && !on_peer_message(ms, now_ms, p, msg)) {
            outbox_refuse(&ms->outbox, from, WIRE_REFUSED_FORMAT, false,
                          "%s sent %s, which its role must not send", p->id,
                          wire_type_name(msg->type));
        }
    }
    advance(ms, now_ms);
}

void ms_on_unparsable(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                      enum wire_refusal code, const char *text, const struct wire_msg *msg) {
    outbox_refuse(&ms->outbox, from, code, code == WIRE_REFUSED_SCHEMA || code == WIRE_REFUSED_KEY,
                  "%s", text);
    struct peer *p = peers_by_route(ms->peers, from);
    if (code == WIRE_REFUSED_VALUE && msg->type == WIRE_TRANSITIONS && p &&
        p->role == WIRE_ROLE_ACTOR && msg->run_id == ms->run.id) {
        peer_heard(ms, p, now_ms);
        ingest_refused_rows(&ms->ingest, p, msg->transitions.seq, msg->transitions.rows.rows);
        advance(ms, now_ms);
    }
}

// ---- results of jobs ----

void ms_on_stored(struct modelserver *ms, uint64_t now_ms, struct store_batch *b, const char *err) {
    // b is another's after the next line.
    bool gone = b->error == -ENOENT || b->error == -ENOTRECOVERABLE;
    ingest_stored(&ms->ingest, now_ms, b, err);
    if (gone) {
        shutdown_fail(&ms->shutdown, now_ms, err);
    }
    advance(ms, now_ms);
}

void ms_on_fit(struct modelserver *ms, uint64_t now_ms, struct ms_fit_job *job) {
    switch (training_done(&ms->training, now_ms, job)) {
    case TRAINING_NEW_MODEL:
        divergence_trained(&ms->divergence, model_holdout_mse(ms->training.model));
        saving_new_model(&ms->saving, ms->training.trainings);
        break;
    case TRAINING_KEPT_MODEL:
        break;
    case TRAINING_NO_MODEL:
        shutdown_fail(&ms->shutdown, now_ms,
                      "the first training of the model did not end in finite weights; wild rows "
                      "may be why: spur data list RUN_DIR");
        break;
    }
    advance(ms, now_ms);
}

void ms_on_rollout(struct modelserver *ms, uint64_t now_ms, struct rollout_block *b) {
    rollouts_done(&ms->rollouts, now_ms, b);
    learner_feed_add(&ms->feed, b);
    advance(ms, now_ms);
}

void ms_on_save(struct modelserver *ms, uint64_t now_ms, struct ms_save_job *job) {
    saving_done(&ms->saving, job);
    advance(ms, now_ms);
}

// ---- time ----

static void watch_peer(struct modelserver *ms, struct peer *p, uint64_t now_ms) {
    if (!peer_is_up(p)) {
        return;
    }
    if (now_ms - p->heard_ms > ms->run.config.network.lost_after_ms) {
        peer_gone(ms, p, WIRE_PEER_LOST);
        return;
    }
    uint64_t newest = learner_feed_policy_version(&ms->feed);
    bool beat = now_ms - p->sent_ms >= ms->run.config.network.heartbeat_ms;
    bool newer = newest > 0 && p->policy_announced != newest;
    if (p->role == WIRE_ROLE_ACTOR && (beat || newer)) {
        outbox_queue(&ms->outbox, p, PENDING_CREDIT);
    } else if (beat) {
        outbox_queue(&ms->outbox, p,
                     p->role == WIRE_ROLE_LEARNER ? PENDING_GRANT : PENDING_HEARTBEAT);
    }
}

// Says what is stuck, and ends a run that has been for too long: it can be resumed.
static void watch_run(struct modelserver *ms, uint64_t now_ms) {
    if (!is_running(ms)) {
        return;
    }
    enum watchdog_verdict verdict = watchdog_tick(&ms->watchdog, now_ms, stuck_mark(ms));
    char text[WIRE_STRING_MAX];
    stuck_describe(ms, now_ms, text, sizeof(text));
    if (verdict == WATCHDOG_REPORT) {
        counters_add(&ms->counters, MS_standstills, 1);
        log_error("%s", text); // `spur run` prints errors
    } else if (verdict == WATCHDOG_MOVES) {
        log_info("the run moves again");
    } else if (verdict == WATCHDOG_STOP) {
        shutdown_fail(&ms->shutdown, now_ms, text);
    }
}

void ms_on_tick(struct modelserver *ms, uint64_t now_ms) {
    for (int i = 0; i < peers_count(ms->peers); i++) {
        watch_peer(ms, peers_at(ms->peers, i), now_ms);
    }
    watch_run(ms, now_ms);
    advance(ms, now_ms);
}

// ---- advancing the run ----

static void save(struct modelserver *ms, uint64_t now_ms) {
    // Not during a training: weights and state must belong together.
    if (!ms->saving.due || ms->saving.running || ms->training.running) {
        return;
    }
    struct ms_state state = core_state(ms, now_ms);
    bool keep = true;
    if (ms->run.pacing.mode == PACING_LOCKSTEP && !pair_may_save(ms, &state, &keep)) {
        return;
    }
    saving_start(&ms->saving, &state, ms->training.model, keep);
}

static void start_rollouts(struct modelserver *ms) {
    struct pacing_view view = core_pacing_view(ms);
    if (!is_running(ms) || ms->rollouts.running || !learner_feed_has_room(&ms->feed) ||
        !ms->training.model || !ms->feed.policy || !learner_feed_is_up(&ms->feed)) {
        return;
    }
    // In lockstep they wait for the model and the policy of these steps.
    bool overlaps = ms->run.pacing.mode != PACING_LOCKSTEP;
    if (overlaps || (view.has_policy && view.training_point == 0)) {
        view.ready = true;
        view.updates_supplied = 0;
        const struct rollout_progress progress = {
            .updates = ms->feed.updates,
            .due = pacing_updates_allowed(&ms->run.pacing, &view, NULL, 0),
            .ahead = overlaps ? STATES_AHEAD : 0};
        rollouts_start(&ms->rollouts, ms->ingest.steps, &progress, training_supplied(&ms->training),
                       learner_feed_rollout_policy(&ms->feed));
    }
}

static void raise_grant(struct modelserver *ms, uint64_t now_ms) {
    if (!learner_feed_is_up(&ms->feed) || !is_running(ms)) {
        return;
    }
    struct wire_grant grant = core_grant(ms);
    if (learner_feed_grant_differs(&ms->feed, &grant)) {
        outbox_queue(&ms->outbox, ms->feed.learner, PENDING_GRANT);
    }
    flush(ms, ms->feed.learner, now_ms);
}

static void send_experience(struct modelserver *ms, uint64_t now_ms) {
    struct peer *p = ms->feed.learner;
    // Rows must not overtake the Welcome, nor a Grant that makes room for them.
    while (learner_feed_is_up(&ms->feed) && !ms->shutdown.announced &&
           !(p->pending & (PENDING_WELCOME | PENDING_GRANT))) {
        struct rollout_block *delivered = learner_feed_take_delivered(&ms->feed);
        if (delivered) {
            rollouts_delivered(&ms->rollouts, delivered);
            continue;
        }
        struct wire_msg msg = {0};
        if (!learner_feed_next(&ms->feed, &msg, ms->ingest.steps,
                               training_supplied(&ms->training)) ||
            send_to_peer(ms, p, now_ms, &msg) != 0) {
            return;
        }
        learner_feed_sent(&ms->feed, &msg);
    }
}

static void advance_learner(struct modelserver *ms, uint64_t now_ms) {
    if (is_running(ms)) {
        training_start(&ms->training, ms->ingest.steps);
    }
    start_rollouts(ms);
    raise_grant(ms, now_ms);
    send_experience(ms, now_ms);
    raise_grant(ms, now_ms);
    start_rollouts(ms); // a block may have become free
}

static void advance_evaluation(struct modelserver *ms, uint64_t now_ms) {
    const struct pacing *pacing = &ms->run.pacing;
    struct pacing_view v = core_pacing_view(ms);
    const struct evaluation_view view = {
        .steps = v.steps,
        .policy = ms->feed.policy,
        .step_is_complete = pacing->mode != PACING_LOCKSTEP || v.steps < pacing->explore ||
                            (v.has_policy && v.rollout_steps >= v.steps &&
                             v.updates >= pacing_updates_due(pacing, v.steps)),
        .budget_is_spent =
            v.steps >= pacing->steps_max && v.updates >= pacing_updates_total(pacing)};
    switch (evaluation_advance(&ms->evaluation, now_ms, &view)) {
    case EVALUATION_CONTINUE:
        break;
    case EVALUATION_SOLVED:
        ms_stop(ms, now_ms, true, "solved");
        break;
    case EVALUATION_BUDGET_SPENT:
        ms_stop(ms, now_ms, true, "step budget spent");
        break;
    }
}

static bool others_up(const struct modelserver *ms) {
    for (int i = 0; i < peers_count(ms->peers); i++) {
        const struct peer *p = peers_at(ms->peers, i);
        if (peer_is_up(p) && p != ms->feed.learner) {
            return true;
        }
    }
    return false;
}

static void advance_shutdown(struct modelserver *ms, uint64_t now_ms) {
    const struct shutdown_view view = {
        .learner_up = learner_feed_is_up(&ms->feed),
        .others_up = others_up(ms),
        .learner_drained =
            !ms->rollouts.running && learner_feed_is_drained(&ms->feed, ms->ingest.steps),
        .jobs_running = ms->training.running || ms->rollouts.running || ms->ingest.rows_pending > 0,
        .saving_idle = saving_is_idle(&ms->saving)};
    switch (shutdown_advance(&ms->shutdown, now_ms, &view)) {
    case SHUTDOWN_WAIT:
        break;
    case SHUTDOWN_ANNOUNCE:
        for (int i = 0; i < peers_count(ms->peers); i++) {
            struct peer *p = peers_at(ms->peers, i);
            outbox_queue(&ms->outbox, p, peer_is_up(p) ? PENDING_SHUTDOWN : 0);
        }
        break;
    case SHUTDOWN_SAVE: // lockstep: made before, see pair_advance_end
        saving_request(&ms->saving);
        save(ms, now_ms);
        break;
    }
}

// Lockstep: stored steps, of a run that goes on or of now, are taken one at a time, and after the
// request for a checkpoint of the learner at the step before.
static void advance_steps(struct modelserver *ms, uint64_t now_ms) {
    if (ms->run.pacing.mode == PACING_LOCKSTEP && is_running(ms)) {
        raise_grant(ms, now_ms);
        ingest_come_to(&ms->ingest, core_steps_allowed(ms, NULL, 0));
    }
}

// Starts everything that has become possible. After every event.
static void advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->pair.starts_again) {
        return;
    }
    if (is_running(ms)) {
        saving_check_interval(&ms->saving, now_ms, ms->ingest.steps);
    }
    save(ms, now_ms); // first: it must not wait for one training after the other
    if (is_running(ms)) {
        pair_advance_end(ms, now_ms);
    }
    advance_steps(ms, now_ms);
    advance_learner(ms, now_ms);
    if (is_running(ms)) {
        advance_evaluation(ms, now_ms);
    }
    if (is_running(ms)) {
        ingest_credit(&ms->ingest, now_ms, core_steps_allowed(ms, NULL, 0));
    }
    if (ms->shutdown.phase == MS_STOPPING) {
        advance_shutdown(ms, now_ms);
    }
    flush_all(ms, now_ms);
}
