// SPDX-License-Identifier: MIT
// The evaluator's requests (current, next), its report and its steps.
#include "actor/evaluator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/evaluation.h"
#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/stats.h"
#include "proto/status_counters.h"

// A request and a copy of its policy's parameters.
struct request {
    struct wire_eval_request head; // head.policy.params points to params
    float *params;
    size_t params_max;
};

struct evaluator {
    struct client server;
    const struct client_identity *who;
    bool finished;
    int exit_code;
    char why[WIRE_STRING_MAX];
    uint64_t started_ms;

    uint32_t horizon;              // of the run, from its Welcome
    struct task task;              // of the last request
    struct evaluation *evaluation; // of that task
    struct env_wait wait;          // for creations and environments in another process
    uint64_t waited_ms;            // time of its last call
    uint64_t waits_since_ms;       // begin of the call that it waits for
    bool running, waiting;
    struct wire_eval_request current; // without parameters, which the evaluation has copied
    struct request next;              // while `waiting`

    bool report_ready, report_sent;
    struct wire_eval_report report; // of the last evaluation; arrays are the evaluation's

    struct rate rate;
    struct {
        uint64_t evaluations, requests_refused, requests_replaced, reports_unsent;
        uint64_t messages_malformed, messages_unexpected;
    } count;
};

static bool on_wait(void *arg, uint64_t now_ms, uint64_t since_ms);
static void on_abandon(void *arg);

struct evaluator *evaluator_create(const struct client_identity *who, const struct port *port,
                                   uint64_t now_ms) {
    struct evaluator *e = xcalloc(1, sizeof(*e));
    e->who = who;
    e->started_ms = now_ms;
    e->wait = (struct env_wait){.arg = e, .fn = on_wait, .abandon = on_abandon};
    client_init(&e->server, PORT_MODELSERVER, WIRE_ROLE_EVALUATOR, who, port, now_ms);
    return e;
}

void evaluator_destroy(struct evaluator **evaluator) {
    struct evaluator *e = *evaluator;
    if (!e) {
        return;
    }
    evaluation_destroy(&e->evaluation);
    free(e->next.params);
    free(e);
    *evaluator = NULL;
}

static void finish(struct evaluator *e, int exit_code) {
    e->finished = true;
    e->exit_code = exit_code;
}

void evaluator_leave(struct evaluator *e, uint64_t now_ms, const char *why) {
    struct wire_msg msg = {.type = WIRE_GOODBYE};
    if (e->finished) {
        return;
    }
    if (client_up(&e->server)) {
        client_send(&e->server, now_ms, &msg);
    }
    finish(e, error_set(e->why, sizeof(e->why), EXIT_CODE_OK, "%s", why));
}

static void send_report(struct evaluator *e, uint64_t now_ms) {
    struct wire_msg msg = {.type = WIRE_EVAL_REPORT, .eval_report = e->report};
    if (!e->report_ready || e->report_sent || !client_up(&e->server)) {
        return;
    }
    e->report_sent = client_send(&e->server, now_ms, &msg) == 0;
}

static void describe_waiting(const struct evaluator *e, uint64_t now_ms, char *out,
                             size_t out_len) {
    if (!client_up(&e->server)) {
        session_waiting(&e->server.session, now_ms, out, out_len);
    } else if (e->running) {
        client_describe_env_wait(now_ms == e->waited_ms ? now_ms - e->waits_since_ms : 0, out,
                                 out_len);
    } else {
        snprintf(out, out_len, "the next evaluation");
    }
}

// ---- requests ----

static void keep_waiting(struct evaluator *e, const struct wire_eval_request *request) {
    struct request *next = &e->next;
    e->count.requests_replaced += e->waiting;
    if (next->params_max < request->policy.params_len) {
        free(next->params);
        next->params_max = request->policy.params_len;
        next->params = xfloats(next->params_max);
    }
    next->head = *request;
    next->head.policy.params = next->params;
    memcpy(next->params, request->policy.params, request->policy.params_len * sizeof(float));
    e->waiting = true;
}

// Creates environments of the request's task, unless they exist. False: the reason is in err.
static bool prepare(struct evaluator *e, const char *task_name, char *err, size_t err_len) {
    if (e->evaluation && strcmp(e->task.name, task_name) == 0) {
        return true;
    }
    evaluation_destroy(&e->evaluation);
    e->report_ready = false;
    if (client_task(&e->task, &e->server, task_name, e->horizon, err, err_len) < 0) {
        return false;
    }
    e->evaluation = evaluation_create(&e->task, &e->wait, err, err_len);
    if (!e->evaluation) { // a new process may have more memory, or a repaired environment
        int code = client_stop_requested(&e->server) ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
        finish(e, error_set(e->why, sizeof(e->why), code, "%.500s", err));
    }
    return e->evaluation != NULL;
}

static void begin(struct evaluator *e, const struct wire_eval_request *request) {
    char err[512];
    const struct evaluation_plan plan = {.seed = request->seed,
                                         .episodes = request->episodes,
                                         .steps_max = request->steps_max,
                                         .discount = 1,
                                         .policy = &request->policy};
    e->count.reports_unsent += e->report_ready && !e->report_sent;
    e->report_ready = false;
    if (!prepare(e, request->task, err, sizeof(err)) ||
        evaluation_begin(e->evaluation, &plan, err, sizeof(err)) < 0) {
        e->count.requests_refused++;
        log_error("evaluation %llu failed: %s", (unsigned long long)request->id, err);
        return;
    }
    e->current = *request;
    e->current.policy.params = NULL;
    e->running = true;
}

// Whether r repeats the request of (id, env_steps, version). A model server that was restarted
// counts ids anew.
static bool is_same(const struct wire_eval_request *r, uint64_t id, uint64_t env_steps,
                    uint64_t version) {
    return r->id == id && r->env_steps == env_steps && r->policy.version == version;
}

static void on_request(struct evaluator *e, uint64_t now_ms,
                       const struct wire_eval_request *request) {
    const struct wire_eval_report *last = &e->report;
    const struct wire_eval_request *now = &e->current;
    if (e->report_ready && is_same(request, last->id, last->env_steps, last->policy_version)) {
        e->report_sent = false;
        send_report(e, now_ms);
    } else if (e->running && is_same(request, now->id, now->env_steps, now->policy.version)) {
        return; // already running
    } else if (request->episodes == 0 || request->episodes > WIRE_EPISODES_MAX) {
        e->count.requests_refused++;
        log_error("evaluation %llu requests %u episodes, not 1 to %d",
                  (unsigned long long)request->id, request->episodes, WIRE_EPISODES_MAX);
    } else if (e->running) {
        keep_waiting(e, request);
    } else {
        begin(e, request);
    }
}

// ---- messages, ticks and steps ----

void evaluator_on_message(struct evaluator *e, uint64_t now_ms, const struct wire_msg *msg) {
    if (e->finished) {
        return;
    }
    switch (session_on_message(&e->server.session, now_ms, msg)) {
    case SESSION_STOP:
        finish(e, error_set(e->why, sizeof(e->why), client_stop_code(&e->server), "%s",
                            e->server.session.text));
        break;
    case SESSION_WELCOMED:
        e->horizon = msg->welcome.horizon;
        log_info("evaluating for run %016llx at %s: task %s", (unsigned long long)msg->run_id,
                 e->who->modelserver, msg->welcome.task);
        break;
    case SESSION_FOR_OWNER:
        if (msg->type == WIRE_EVAL_REQUEST) {
            on_request(e, now_ms, &msg->eval_request);
        } else if (msg->type == WIRE_SHUTDOWN) {
            log_info("the model server ended the run: %s", msg->shutdown.text);
            evaluator_leave(e, now_ms, msg->shutdown.text);
        } else if (msg->type != WIRE_HEARTBEAT) {
            e->count.messages_unexpected++;
        }
        break;
    case SESSION_HANDLED:
        break;
    }
}

void evaluator_on_garbage(struct evaluator *e) {
    e->count.messages_malformed++;
}

static void send_heartbeat(struct evaluator *e, uint64_t now_ms) {
    struct wire_msg msg = {.type = WIRE_HEARTBEAT};
    msg.heartbeat.steps = e->evaluation ? evaluation_steps(e->evaluation) : 0;
    msg.heartbeat.policy_version = e->current.policy.version;
    describe_waiting(e, now_ms, msg.heartbeat.waiting, sizeof(msg.heartbeat.waiting));
    client_send(&e->server, now_ms, &msg);
}

// Called while an environment is created, or computes in another process.
static bool on_wait(void *arg, uint64_t now_ms, uint64_t since_ms) {
    struct evaluator *e = arg;
    e->waited_ms = now_ms;
    e->waits_since_ms = since_ms;
    if (client_up(&e->server) && client_silent(&e->server, now_ms)) {
        send_heartbeat(e, now_ms);
    }
    session_busy(&e->server.session, now_ms);
    return !client_stop_requested(&e->server);
}

static void on_abandon(void *arg) {
    client_abandon(&((struct evaluator *)arg)->server);
}

void evaluator_on_tick(struct evaluator *e, uint64_t now_ms) {
    if (e->finished) {
        return;
    }
    bool heartbeat_due = client_on_tick(&e->server, now_ms);
    send_report(e, now_ms);
    if (heartbeat_due) {
        send_heartbeat(e, now_ms);
    }
}

bool evaluator_may_step(const struct evaluator *e) {
    return e->running && !e->finished;
}

static void end(struct evaluator *e, uint64_t now_ms) {
    uint32_t episodes = evaluation_episodes(e->evaluation);
    const double *returns = evaluation_returns(e->evaluation);
    e->running = false;
    e->count.evaluations++;
    e->report = (struct wire_eval_report){
        .id = e->current.id,
        .env_steps = e->current.env_steps,
        .policy_version = e->current.policy.version,
        .episodes = episodes,
        .episodes_cut = evaluation_cut(e->evaluation),
        .returns = returns,
        .lengths = evaluation_lengths(e->evaluation),
    };
    e->report_ready = true;
    e->report_sent = false;
    log_debug("evaluation %llu at %llu steps: mean return %.2f", (unsigned long long)e->report.id,
              (unsigned long long)e->report.env_steps, stats_mean(returns, (int)episodes));
    send_report(e, now_ms);
    if (e->waiting) {
        e->waiting = false;
        begin(e, &e->next.head);
    }
}

void evaluator_step(struct evaluator *e, uint64_t now_ms) {
    for (int i = 0; i < EVALUATOR_STEPS_PER_CALL && evaluator_may_step(e); i++) {
        uint64_t before = evaluation_steps(e->evaluation);
        bool more = evaluation_step(e->evaluation);
        rate_add(&e->rate, now_ms, evaluation_steps(e->evaluation) - before);
        if (evaluation_failed(e->evaluation)) {
            finish(e, error_set(e->why, sizeof(e->why), EXIT_CODE_CONFIG,
                                "the environment %.60s is broken; see the log lines above for the "
                                "reasons",
                                e->task.name));
        } else if (!more) {
            end(e, now_ms);
        }
    }
}

const struct client *evaluator_server(const struct evaluator *e) {
    return &e->server;
}

bool evaluator_finished(const struct evaluator *e, int *exit_code, const char **why) {
    *exit_code = e->exit_code;
    *why = e->why;
    return e->finished;
}

void evaluator_status(const struct evaluator *e, uint64_t now_ms, struct wire_status *status,
                      struct wire_actor_status *line) {
    bool up = client_up(&e->server);
    *status = (struct wire_status){0};
    *line = (struct wire_actor_status){0};
    client_status(&e->server, now_ms, status, line);
    snprintf(status->state, sizeof(status->state), "%s",
             e->finished  ? "finished"
             : e->running ? "evaluating"
             : up         ? "idle"
                          : "joining");
    describe_waiting(e, now_ms, status->waiting, sizeof(status->waiting));
    status->uptime_s = (double)(now_ms - e->started_ms) / 1000;
    status->env_steps_per_s = rate_per_s(&e->rate, now_ms);
    status->policy_version = e->current.policy.version;
    if (e->evaluation) {
        snprintf(status->task, sizeof(status->task), "%s", evaluation_task(e->evaluation)->name);
        status->env_steps = evaluation_steps(e->evaluation);
        status_counter_add(status, "episodes_broken", evaluation_broken(e->evaluation));
    }
    status->evaluations = e->count.evaluations;

    line->state = !up ? WIRE_PEER_LOST : e->running ? WIRE_PEER_CONNECTED : WIRE_PEER_WAITING;
    line->steps = status->env_steps;
    line->steps_per_s = status->env_steps_per_s;
    line->policy_version = status->policy_version;
    line->policy_age_s = NAN;
    line->last_return =
        e->report_ready ? stats_mean(e->report.returns, (int)e->report.episodes) : (double)NAN;
    snprintf(line->waiting, sizeof(line->waiting), "%s", status->waiting);

    status_counter_add(status, "requests_refused", e->count.requests_refused);
    status_counter_add(status, "requests_replaced", e->count.requests_replaced);
    status_counter_add(status, "reports_unsent", e->count.reports_unsent);
    status_counter_add(status, "messages_malformed", e->count.messages_malformed);
    status_counter_add(status, "messages_unexpected", e->count.messages_unexpected);
}
