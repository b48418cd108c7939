// SPDX-License-Identifier: MIT
// The actor's states (joining, acting, leaving, finished), its messages and its steps.
#include "actor/actor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "actor/action_noise.h"
#include "actor/policy_controller.h"
#include "actor/vec_env.h"
#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/stats.h"
#include "proto/epoch.h"
#include "proto/status_counters.h"

enum phase { PHASE_JOINING, PHASE_ACTING, PHASE_LEAVING, PHASE_FINISHED };

struct actor {
    struct client server, learner;
    const struct client_identity *who;
    enum phase phase;
    int exit_code;
    char why[512];
    uint64_t leave_by_ms, started_ms;
    // Set by the first Welcome.
    const struct task *task; // &run_task; NULL before the Welcome
    struct task run_task;
    struct vec_env *envs;
    struct env_wait wait;    // for creations, and for an environment in another process
    uint64_t waited_ms;      // time of its last call
    uint64_t waits_since_ms; // begin of the call that it waits for
    struct spool *spool;     // before, if an earlier start left it
    struct spool_home home;
    struct policy_controller controller;
    uint64_t seed;
    uint32_t index;

    struct wire_credit credit;
    uint64_t policy_asked_ms; // time of the last request to the learner
    bool policy_awaited;      // credit has come after a pause: its answer is awaited before a step
    bool policy_unchanged;    // its answer contained no newer policy
    uint64_t policy_late_ms;  // since when answers lack a policy that was announced; 0: they do not
    uint64_t policy_broken;   // version that produced a non-finite action
    uint64_t rewound_ms;      // when messages were last queued again
    uint64_t acked_ms;        // last new acknowledgement, or last time with nothing in flight

    uint64_t steps;                      // rows that the server has or will get from it
    uint64_t bad;                        // a bad step adds ACTOR_BAD_WEIGHT, a good one subtracts 1
    uint64_t last_row[VEC_ENV_ENVS_MAX]; // of each environment, by the spool's numbers; 0: none
    double last_return;
    struct rate rate;
    struct {
        uint64_t steps_bad, messages_resent, messages_malformed, messages_unexpected;
        uint64_t policies_refused, policies_stale, policies_broken, rows_refused, episodes_unsent;
    } count;
};

static bool on_wait(void *arg, uint64_t now_ms, uint64_t since_ms);
static void on_abandon(void *arg);

struct actor *actor_create(const struct client_identity *who, const struct port *port,
                           uint64_t now_ms) {
    struct actor *a = xcalloc(1, sizeof(*a));
    a->who = who;
    a->started_ms = now_ms;
    a->last_return = NAN;
    a->wait = (struct env_wait){.arg = a, .fn = on_wait, .abandon = on_abandon};
    client_init(&a->server, PORT_MODELSERVER, WIRE_ROLE_ACTOR, who, port, now_ms);
    client_init(&a->learner, PORT_LEARNER, WIRE_ROLE_ACTOR, who, port, now_ms);
    return a;
}

void actor_destroy(struct actor **actor) {
    struct actor *a = *actor;
    if (!a) {
        return;
    }
    vec_env_destroy(&a->envs);
    spool_destroy(&a->spool);
    policy_controller_deinit(&a->controller);
    free(a);
    *actor = NULL;
}

static void finish(struct actor *a, int exit_code) {
    a->phase = PHASE_FINISHED;
    a->exit_code = exit_code;
}

void actor_use_spool(struct actor *a, const struct spool_home *home) {
    a->home = *home;
    if (spool_home_continue(&a->spool, home, a->who->id, a->why, sizeof(a->why)) < 0) {
        finish(a, EXIT_CODE_CONFIG);
    } else if (a->spool) {
        const struct spool_owner *owner = spool_owner(a->spool);
        a->server.session.run_id = a->learner.session.run_id = owner->run_id;
        a->server.session.incarnation = owner->incarnation;
    }
}

// ---- conditions for stepping ----

static bool next_is_random(const struct actor *a) {
    return a->steps < a->credit.random_steps;
}

static bool policy_suffices(const struct actor *a) {
    return a->controller.version >= a->credit.min_policy_version &&
           (next_is_random(a) ||
            (a->controller.version > 0 && a->controller.version != a->policy_broken));
}

static bool has_credit(const struct actor *a) {
    return a->steps < a->credit.steps_allowed;
}

// A disconnected actor continues too, while its credit and the spool permit it.
bool actor_may_step(const struct actor *a) {
    return a->phase == PHASE_ACTING && has_credit(a) && policy_suffices(a) && !a->policy_awaited &&
           (a->home.drops || !spool_full(a->spool));
}

static void describe_waiting(const struct actor *a, uint64_t now_ms, char *out, size_t out_len) {
    char link[WIRE_STRING_MAX] = "";
    out[0] = '\0';
    if (!client_up(&a->server)) {
        session_waiting(&a->server.session, now_ms, out, out_len);
    } else if (a->phase == PHASE_JOINING) {
        snprintf(out, out_len, "the environment: it is being started");
    } else if (a->phase == PHASE_LEAVING) {
        snprintf(out, out_len, "leaving: %llu rows are not yet acknowledged",
                 (unsigned long long)spool_rows(a->spool));
    } else if (actor_may_step(a)) {
        client_describe_env_wait(now_ms == a->waited_ms ? now_ms - a->waits_since_ms : 0, out,
                                 out_len);
    } else if (spool_full(a->spool) && !a->home.drops) {
        snprintf(out, out_len,
                 "acknowledgements: %llu rows are outstanding, the maximum "
                 "(network.unacked_rows_max)",
                 (unsigned long long)spool_rows(a->spool));
    } else if (!has_credit(a)) {
        snprintf(out, out_len, "credit: %.200s",
                 a->credit.reason[0] ? a->credit.reason
                                     : "none received from the model server yet");
    } else if (a->controller.version > 0 && a->controller.version == a->policy_broken) {
        snprintf(out, out_len, "a policy newer than %llu, which produced non-finite actions",
                 (unsigned long long)epoch_number(a->controller.version));
    } else if (!client_has_address(&a->learner)) {
        snprintf(out, out_len,
                 "a policy: the model server has no learner yet; or start this actor "
                 "with --learner ENDPOINT");
    } else {
        uint64_t wanted = a->policy_awaited                  ? a->credit.newest_policy_version
                          : a->credit.min_policy_version > 0 ? a->credit.min_policy_version
                                                             : 1;
        session_waiting(&a->learner.session, now_ms, link, sizeof(link));
        char versions[2][EPOCH_TEXT_MAX];
        snprintf(out, out_len, "policy %s, has %s%s%.140s", epoch_text(versions[0], wanted),
                 epoch_text(versions[1], a->controller.version), link[0] ? "; " : "", link);
    }
}

// ---- sending ----

// Sends sealed messages until the socket is full.
static void send_rows(struct actor *a, uint64_t now_ms) {
    struct wire_msg msg = {.type = WIRE_TRANSITIONS};
    if (!client_up(&a->server)) {
        return;
    }
    while (spool_next(a->spool, &msg.transitions)) {
        if (spool_in_flight(a->spool) == 0) {
            a->acked_ms = now_ms;
        }
        if (client_send(&a->server, now_ms, &msg)) {
            return; // retried on the next tick
        }
        spool_sent(a->spool);
    }
}

static void resend_rows(struct actor *a, uint64_t now_ms) {
    a->count.messages_resent += spool_rewind(a->spool);
    a->rewound_ms = now_ms;
    a->acked_ms = now_ms;
    send_rows(a, now_ms);
}

static void send_heartbeat(struct actor *a, uint64_t now_ms) {
    struct wire_msg msg = {.type = WIRE_HEARTBEAT};
    msg.heartbeat.steps = a->envs ? vec_env_steps(a->envs) : 0;
    msg.heartbeat.policy_version = a->controller.version;
    msg.heartbeat.unacked_rows = a->spool ? spool_rows(a->spool) : 0;
    msg.heartbeat.steps_bad = a->count.steps_bad;
    describe_waiting(a, now_ms, msg.heartbeat.waiting, sizeof(msg.heartbeat.waiting));
    client_send(&a->server, now_ms, &msg); // a failure is harmless: another one follows
}

// While an environment is created, or computes in another process: sends a heartbeat if one is due.
static bool on_wait(void *arg, uint64_t now_ms, uint64_t since_ms) {
    struct actor *a = arg;
    a->waited_ms = now_ms;
    a->waits_since_ms = since_ms;
    if (client_up(&a->server) && client_silent(&a->server, now_ms)) {
        send_heartbeat(a, now_ms);
    }
    session_busy(&a->server.session, now_ms);
    return !client_stop_requested(&a->server);
}

static void on_abandon(void *arg) {
    client_abandon(&((struct actor *)arg)->server);
}

// Requests a policy for the next steps: at once if one is required, at intervals if a newer one
// exists. Without credit none: it would be old when its turn comes. True: a request was sent.
static bool ask_policy(struct actor *a, uint64_t now_ms) {
    bool newer = a->credit.newest_policy_version > a->controller.version ||
                 a->credit.min_policy_version > a->controller.version;
    bool acts = has_credit(a) && !next_is_random(a);
    bool needed = has_credit(a) && !policy_suffices(a);
    if (!client_has_address(&a->learner) || a->phase != PHASE_ACTING ||
        !((newer && acts) || needed)) {
        return false;
    }
    // No delay for a policy that is required and exists, a short one for a newer policy, a
    // longer one after an answer without a policy.
    uint64_t gap_ms = a->policy_unchanged ? ACTOR_POLICY_RETRY_MS
                      : needed && newer   ? 0
                                          : ACTOR_POLICY_GAP_MS;
    bool recently = a->policy_asked_ms != 0 && now_ms - a->policy_asked_ms < gap_ms;
    if (recently || a->learner.session.state != SESSION_UP) {
        return false;
    }
    a->policy_asked_ms = now_ms ? now_ms : 1;
    a->learner.have_version = a->controller.version;
    session_request(&a->learner.session, now_ms);
    client_on_tick(&a->learner, now_ms);
    return true;
}

static void send_goodbye(struct actor *a, uint64_t now_ms) {
    struct wire_msg msg = {.type = WIRE_GOODBYE};
    if (client_up(&a->server)) {
        client_send(&a->server, now_ms, &msg); // if it is lost, the server's time-out replaces it
    }
    finish(a, EXIT_CODE_OK);
}

// Finishes when all rows are acknowledged or the time limit is reached.
static void check_leaving(struct actor *a, uint64_t now_ms) {
    if (a->phase != PHASE_LEAVING) {
        return;
    }
    if (spool_rows(a->spool) == 0) {
        send_goodbye(a, now_ms);
    } else if (now_ms >= a->leave_by_ms) {
        log_warn("leaving with %llu unacknowledged rows%s%s",
                 (unsigned long long)spool_rows(a->spool),
                 a->home.block ? "; the next start sends them from " : "",
                 a->home.block ? a->home.path : "");
        send_goodbye(a, now_ms);
    }
}

void actor_leave(struct actor *a, uint64_t now_ms, const char *why) {
    if (a->phase >= PHASE_LEAVING) {
        return;
    }
    snprintf(a->why, sizeof(a->why), "%s", why);
    if (a->phase == PHASE_JOINING) {
        send_goodbye(a, now_ms);
        return;
    }
    a->phase = PHASE_LEAVING;
    a->leave_by_ms = now_ms + ACTOR_LEAVE_MS;
    spool_seal(a->spool);
    send_rows(a, now_ms);
    check_leaving(a, now_ms);
}

// ---- incoming messages ----

// Takes or creates the spool. False: the actor is finished.
static bool prepare_spool(struct actor *a, const struct wire_welcome *w) {
    struct spool_owner owner = {a->server.session.run_id, a->server.session.incarnation, ""};
    snprintf(owner.id, sizeof(owner.id), "%s", a->who->id);
    if (!a->spool) {
        a->spool = spool_home_make(&a->home, w, &owner, a->why, sizeof(a->why));
    } else if (!spool_fits(a->spool, w->obs_dim, w->act_dim)) {
        error_set(a->why, sizeof(a->why), -1,
                  "%.200s holds rows of other dimensions than the run's", a->home.path);
        spool_destroy(&a->spool);
    }
    if (!a->spool) {
        finish(a, EXIT_CODE_CONFIG);
        return false;
    }
    a->steps = spool_made(a->spool) - spool_dropped(a->spool);
    return true;
}

// next_seq may be ahead of the acknowledgements received, never behind. False: actor finished.
static bool take_next_seq(struct actor *a, uint64_t next_seq) {
    if (spool_welcome(a->spool, next_seq)) {
        return true;
    }
    finish(a, error_set(a->why, sizeof(a->why), EXIT_CODE_TEMPFAIL,
                        "the model server expects message %llu, but %llu are acknowledged: its "
                        "store was replaced, or two actors use the same id; restart the actor%s",
                        (unsigned long long)next_seq, (unsigned long long)spool_acked(a->spool),
                        a->home.block ? " with another --spool file" : ""));
    return false;
}

// Creates the environments from the Welcome. False: the actor is finished.
static bool prepare(struct actor *a, const struct wire_welcome *w) {
    char err[512];
    const struct task *task = &a->run_task;
    if (client_task(&a->run_task, &a->server, w->task, w->horizon, err, sizeof(err)) < 0) {
        finish(a, error_set(a->why, sizeof(a->why), EXIT_CODE_PROTOCOL, "%s", err));
        return false;
    }
    if (w->obs_dim != (uint32_t)task->obs_dim || w->act_dim != (uint32_t)task->act_dim) {
        finish(a,
               error_set(a->why, sizeof(a->why), EXIT_CODE_PROTOCOL,
                         "%s has %u observations and %u actions in the run, but %d and %d here; %s",
                         task->name, w->obs_dim, w->act_dim, task->obs_dim, task->act_dim,
                         task->env ? "use the environment that the run was started with"
                                   : "build all programs from the same source"));
        return false;
    }
    // Rows that the server does not have yet have used up random numbers, too.
    uint64_t pending = spool_rows(a->spool);
    struct vec_env_streams from = {w->seed, w->actor_index,
                                   w->actor_steps + pending + spool_dropped(a->spool),
                                   w->actor_episodes + spool_ends(a->spool) + (pending > 0)};
    struct action_noise noise =
        action_noise_make(w->noise, (uint64_t)task->horizon, w->noise_ou_theta);
    a->envs = vec_env_create(task, a->who->envs, &from, &noise, &a->wait, err, sizeof(err));
    if (!a->envs) {
        int code = client_stop_requested(&a->server) ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
        finish(a, error_set(a->why, sizeof(a->why), code, "%.500s", err));
        return false;
    }
    a->task = task;
    vec_env_go_on(a->envs, &w->episode);
    a->seed = w->seed;
    a->index = w->actor_index;
    return true;
}

static void on_welcome(struct actor *a, uint64_t now_ms, const struct wire_msg *msg) {
    const struct wire_welcome *w = &msg->welcome;
    bool joins = a->phase == PHASE_JOINING;
    if ((joins && !prepare_spool(a, w)) || !take_next_seq(a, w->next_seq) ||
        (joins && !prepare(a, w))) {
        return;
    }
    if (joins) {
        a->learner.session.run_id = msg->run_id;
        a->phase = PHASE_ACTING;
        log_info("joined run %016llx at %s: task %s, seed %llu, actor number %u, %llu steps so far",
                 (unsigned long long)msg->run_id, a->who->modelserver, a->task->name,
                 (unsigned long long)a->seed, a->index, (unsigned long long)w->actor_steps);
    } else {
        log_info("reconnected to %s", a->who->modelserver);
    }
    a->learner.session.heartbeat_ms = a->server.session.heartbeat_ms;
    a->learner.session.lost_after_ms = a->server.session.lost_after_ms;
    resend_rows(a, now_ms);
    check_leaving(a, now_ms);
}

static void on_ack(struct actor *a, uint64_t now_ms, uint64_t seq) {
    uint64_t acked = spool_acked(a->spool);
    if (!spool_ack(a->spool, seq)) {
        a->count.messages_unexpected++;
        return;
    }
    if (spool_acked(a->spool) > acked) {
        a->acked_ms = now_ms;
    } else if (seq == acked && spool_in_flight(a->spool) > 0 &&
               now_ms - a->rewound_ms >= a->server.session.heartbeat_ms) {
        if (spool_has_gap(a->spool)) {
            session_restart(&a->server.session, now_ms); // what it expects was dropped
        } else {
            resend_rows(a, now_ms); // messages after seq were lost
        }
    }
    check_leaving(a, now_ms);
}

static void on_credit(struct actor *a, uint64_t now_ms, const struct wire_credit *credit) {
    if (credit->newest_policy_version != a->credit.newest_policy_version ||
        credit->min_policy_version != a->credit.min_policy_version) {
        a->policy_unchanged = false;
    }
    bool paused = !has_credit(a);
    a->credit = *credit;
    client_tell(&a->learner, now_ms, credit->learner);
    bool asked = ask_policy(a, now_ms);
    // After a pause the policy at hand may be old; the newest is a round trip away.
    a->policy_awaited = a->policy_awaited || (paused && asked);
}

// A learner that was replaced may still answer, without the policies of the one that is announced.
static void check_learner(struct actor *a, uint64_t now_ms) {
    if (a->credit.newest_policy_version <= a->controller.version) {
        a->policy_late_ms = 0;
    } else if (a->policy_late_ms == 0) {
        a->policy_late_ms = now_ms;
    } else if (now_ms - a->policy_late_ms >= a->learner.session.lost_after_ms) {
        a->policy_late_ms = now_ms;
        client_try_other(&a->learner, now_ms);
    }
}

static void on_policy(struct actor *a, uint64_t now_ms, const struct wire_policy *policy) {
    char err[512];
    a->policy_unchanged = true;
    a->policy_awaited = false;
    if (!epoch_is_announced(policy->version, a->credit.newest_policy_version)) {
        return;
    }
    switch (policy_controller_load(&a->controller, policy, a->task, a->who->envs, now_ms, err,
                                   sizeof(err))) {
    case POLICY_CONTROLLER_LOADED:
        a->policy_unchanged = false;
        break;
    case POLICY_CONTROLLER_KEPT:
        break;
    case POLICY_CONTROLLER_OLDER:
        a->count.policies_stale++;
        break;
    case POLICY_CONTROLLER_REFUSED:
        a->count.policies_refused++;
        log_error("policy from %s refused: %s", a->learner.session.endpoint, err);
        break;
    }
    check_learner(a, now_ms);
    ask_policy(a, now_ms);
}

static void on_server_message(struct actor *a, uint64_t now_ms, const struct wire_msg *msg) {
    switch (msg->type) {
    case WIRE_ACK:
        on_ack(a, now_ms, msg->ack.seq);
        break;
    case WIRE_CREDIT:
        on_credit(a, now_ms, &msg->credit);
        break;
    case WIRE_SHUTDOWN:
        log_info("the model server ended the run: %s", msg->shutdown.text);
        actor_leave(a, now_ms, msg->shutdown.text);
        break;
    case WIRE_REFUSE:
        a->count.rows_refused++;
        log_error("the model server refused a message: %s", msg->refuse.text);
        break;
    case WIRE_HEARTBEAT:
        break;
    default:
        a->count.messages_unexpected++;
        break;
    }
}

void actor_on_message(struct actor *a, enum port_socket from, uint64_t now_ms,
                      const struct wire_msg *msg) {
    struct client *client = from == PORT_LEARNER ? &a->learner : &a->server;
    if (a->phase == PHASE_FINISHED) {
        return;
    }
    switch (session_on_message(&client->session, now_ms, msg)) {
    case SESSION_STOP:
        finish(a, error_set(a->why, sizeof(a->why), client_stop_code(client), "%s",
                            client->session.text));
        break;
    case SESSION_WELCOMED:
        on_welcome(a, now_ms, msg);
        break;
    case SESSION_FOR_OWNER:
        if (from == PORT_MODELSERVER) {
            on_server_message(a, now_ms, msg);
        } else if (msg->type == WIRE_POLICY) {
            on_policy(a, now_ms, &msg->policy);
        } else if (msg->type != WIRE_SHUTDOWN) {
            // The learner's Shutdown is ignored: only the model server ends an actor.
            a->count.messages_unexpected++;
        }
        break;
    case SESSION_HANDLED:
        if (from == PORT_LEARNER && msg->type == WIRE_REFUSE) {
            client_try_other(&a->learner, now_ms); // of another run, or not yet in this one
        }
        break;
    }
}

void actor_on_garbage(struct actor *a) {
    a->count.messages_malformed++;
}

void actor_on_tick(struct actor *a, uint64_t now_ms) {
    if (a->phase == PHASE_FINISHED) {
        return;
    }
    bool heartbeat_due = client_on_tick(&a->server, now_ms);
    if (a->phase == PHASE_JOINING) {
        return;
    }
    if (now_ms - a->policy_asked_ms >= ACTOR_POLICY_WAIT_MS) {
        a->policy_awaited = false;
    }
    ask_policy(a, now_ms);
    client_on_tick(&a->learner, now_ms);
    if (!actor_may_step(a)) {
        spool_seal(a->spool);
    }
    if (client_up(&a->server)) {
        if (spool_in_flight(a->spool) > 0 &&
            now_ms - a->acked_ms >= a->server.session.lost_after_ms) {
            log_warn("no acknowledgement from %s for %llu ms: resending %llu messages",
                     a->who->modelserver, (unsigned long long)(now_ms - a->acked_ms),
                     (unsigned long long)spool_in_flight(a->spool));
            resend_rows(a, now_ms);
        }
        send_rows(a, now_ms);
        if (heartbeat_due) {
            send_heartbeat(a, now_ms);
        }
    }
    check_leaving(a, now_ms);
}

// ---- stepping ----

static void report_episode(struct actor *a, uint64_t now_ms, const struct vec_env_row *last) {
    struct wire_msg msg = {.type = WIRE_EPISODE};
    msg.episode.length = last->episode_length;
    msg.episode.episode_return = last->episode_return;
    msg.episode.terminated = last->flags & WIRE_TERMINATED;
    msg.episode.policy_version = last->policy_version;
    a->last_return = last->episode_return;
    // For display, not for training: an episode that cannot be sent is counted, not kept.
    if (!client_up(&a->server) || client_send(&a->server, now_ms, &msg)) {
        a->count.episodes_unsent++;
    }
}

// The environment is broken. Rows from before are sent once, without waiting for an Ack.
static void leave_broken(struct actor *a, uint64_t now_ms) {
    spool_seal(a->spool);
    send_rows(a, now_ms);
    send_goodbye(a, now_ms);
    finish(a, error_set(a->why, sizeof(a->why), EXIT_CODE_CONFIG,
                        "the environment %.60s is broken: %llu of its steps were bad, too many in "
                        "a row; see the log lines above for the reasons",
                        a->task->name, (unsigned long long)a->count.steps_bad));
}

// Decides for as many environments as the credit permits, if needed. False: the policy is broken.
static bool decide(struct actor *a) {
    if (vec_env_decided(a->envs) > 0 && vec_env_version(a->envs) >= a->credit.min_policy_version) {
        return true;
    }
    bool random = next_is_random(a);
    uint64_t end = random && a->credit.random_steps < a->credit.steps_allowed
                       ? a->credit.random_steps
                       : a->credit.steps_allowed;
    uint64_t n = end - a->steps;
    if (vec_env_decide(a->envs, random ? NULL : &a->controller,
                       n < VEC_ENV_ENVS_MAX ? (int)n : VEC_ENV_ENVS_MAX)) {
        return true;
    }
    a->count.policies_broken++;
    a->policy_broken = a->controller.version;
    log_error("policy %llu produced a non-finite action: waiting for a newer one",
              (unsigned long long)epoch_number(a->controller.version));
    return false;
}

// A step returned no row.
static void on_bad_step(struct actor *a, uint64_t now_ms, bool broken) {
    a->count.steps_bad++;
    log_warn("the simulator of %s returned a bad step (number %llu of this actor): dropped, a "
             "new episode begins",
             a->task->name, (unsigned long long)a->count.steps_bad);
    if (client_up(&a->server)) { // carries steps_bad; a busy actor is never silent long enough
        send_heartbeat(a, now_ms);
    }
    a->bad += ACTOR_BAD_WEIGHT;
    if (broken || a->bad >= ACTOR_BAD_MAX) {
        leave_broken(a, now_ms);
    }
}

// False: no further step now.
static bool step_once(struct actor *a, uint64_t now_ms) {
    struct vec_env_row row;
    if (!decide(a)) {
        return true;
    }
    if (!vec_env_step(a->envs, &row)) {
        spool_truncate(a->spool, a->last_row[row.env]);
        if (client_stop_requested(&a->server)) {
            return false; // the wait was given up for it
        }
        on_bad_step(a, now_ms, row.broken);
        return true;
    }
    a->steps++;
    a->bad -= a->bad > 0;
    rate_add(&a->rate, now_ms, 1);
    a->steps -= spool_home_make_room(&a->home, a->spool, now_ms);
    a->last_row[row.env] = spool_push(a->spool, &row, now_ms);
    if (row.flags) {
        report_episode(a, now_ms, &row);
    }
    return true;
}

void actor_step(struct actor *a, uint64_t now_ms) {
    for (int i = 0; i < ACTOR_STEPS_PER_CALL && actor_may_step(a) && step_once(a, now_ms); i++) {
    }
    if (a->phase != PHASE_ACTING) {
        return;
    }
    if (a->waited_ms > now_ms) {
        now_ms = a->waited_ms; // acknowledgements are expected from here on
    }
    bool flush = client_up(&a->server) && spool_open_ms(a->spool, now_ms) >= ACTOR_FLUSH_MS;
    if (!actor_may_step(a) || flush) { // while it is cut off, messages fill up
        spool_seal(a->spool);
    }
    send_rows(a, now_ms);
    ask_policy(a, now_ms);
}

// ---- reporting ----

const struct client *actor_server(const struct actor *a) {
    return &a->server;
}

bool actor_finished(const struct actor *a, int *exit_code, const char **why) {
    *exit_code = a->exit_code;
    *why = a->why;
    return a->phase == PHASE_FINISHED;
}

void actor_status(const struct actor *a, uint64_t now_ms, struct wire_status *status,
                  struct wire_actor_status *line) {
    static const char *const phases[] = {"joining", "acting", "leaving", "finished"};
    *status = (struct wire_status){0};
    *line = (struct wire_actor_status){0};
    client_status(&a->server, now_ms, status, line);
    snprintf(status->state, sizeof(status->state), "%s", phases[a->phase]);
    snprintf(status->task, sizeof(status->task), "%s", a->task ? a->task->name : "");
    describe_waiting(a, now_ms, status->waiting, sizeof(status->waiting));
    status->seed = a->seed;
    status->uptime_s = (double)(now_ms - a->started_ms) / 1000;
    status->env_steps = a->envs ? vec_env_steps(a->envs) : 0;
    status->episodes = a->envs ? vec_env_episodes(a->envs) : 0;
    status->env_steps_per_s = rate_per_s(&a->rate, now_ms);
    status->steps_allowed = a->credit.steps_allowed;
    status->policy_version = a->controller.version;

    line->state = !client_up(&a->server) && a->phase != PHASE_JOINING ? WIRE_PEER_LOST
                  : status->waiting[0]                                ? WIRE_PEER_WAITING
                                                                      : WIRE_PEER_CONNECTED;
    line->index = a->index;
    line->steps = status->env_steps;
    line->episodes = status->episodes;
    line->steps_per_s = status->env_steps_per_s;
    line->policy_version = a->controller.version;
    line->policy_age_s =
        a->controller.version ? (double)(now_ms - a->controller.since_ms) / 1000 : (double)NAN;
    line->unacked_rows = a->spool ? spool_rows(a->spool) : 0;
    line->steps_bad = a->count.steps_bad;
    line->environments = (uint32_t)a->who->envs;
    line->last_return = a->last_return;
    snprintf(line->waiting, sizeof(line->waiting), "%s", status->waiting);

    status_counter_add(status, "steps_bad", a->count.steps_bad);
    status_counter_add(status, "messages_resent", a->count.messages_resent);
    status_counter_add(status, "messages_malformed", a->count.messages_malformed);
    status_counter_add(status, "messages_unexpected", a->count.messages_unexpected);
    status_counter_add(status, "rows_refused", a->count.rows_refused);
    status_counter_add(status, "rows_dropped", a->spool ? spool_dropped(a->spool) : 0);
    status_counter_add(status, "episodes_unsent", a->count.episodes_unsent);
    status_counter_add(status, "policies_refused", a->count.policies_refused);
    status_counter_add(status, "policies_stale", a->count.policies_stale);
    status_counter_add(status, "policies_broken", a->count.policies_broken);
}
