// SPDX-License-Identifier: MIT
// Requests for the model server's status, and what follows from the answers.
#include "learner/standby.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "proto/session.h"
#include "proto/status_counters.h"

struct standby {
    struct learner_identity who;
    struct port port;
    struct session session; // for requests
    uint64_t started_ms, asked_ms, answered_ms;
    bool answered;    // at least once
    bool seen;        // the model server knows a learner
    bool away;        // but none is connected
    uint64_t away_ms; // since when; with away
    bool finished;
    enum exit_code exit_code;
};

struct standby *standby_create(const struct learner_identity *who, const struct port *port,
                               uint64_t now_ms) {
    struct standby *s = xcalloc(1, sizeof(*s));
    s->who = *who;
    s->port = *port;
    s->started_ms = now_ms;
    session_init(&s->session, "spur-modelserver", who->modelserver, true, now_ms);
    return s;
}

void standby_destroy(struct standby **s) {
    free(*s);
    *s = NULL;
}

static void leave(struct standby *s, enum exit_code code) {
    s->finished = true;
    s->exit_code = code;
}

void standby_stop(struct standby *s, const char *why) {
    log_info("stopping: %s", why);
    leave(s, EXIT_CODE_OK);
}

bool standby_finished(const struct standby *s, enum exit_code *exit_code) {
    *exit_code = s->exit_code;
    return s->finished;
}

// ---- the status of the run ----

// Whether the run is the one of the configuration. False: why is in the log.
static bool is_own_run(const struct standby *s, const struct wire_status *status) {
    const struct config *config = s->who.config;
    const char *task = s->who.task->name, *method = method_info(config->method)->name;
    if (strcmp(status->daemon, "modelserver") != 0) {
        log_error("%s is no model server but a process of the name %s", s->who.modelserver,
                  status->daemon);
        return false;
    }
    if (strcmp(status->task, task) != 0 || strcmp(status->method, method) != 0 ||
        status->seed != config->run.seed) {
        log_error("%s runs task %s by %s with seed %" PRIu64
                  ", but the configuration says %s by %s with %" PRIu64
                  "; start the learner with the configuration of the run",
                  s->who.modelserver, status->task, status->method, status->seed, task, method,
                  (uint64_t)config->run.seed);
        return false;
    }
    return true;
}

static void take_status(struct standby *s, uint64_t now_ms, const struct wire_status *status) {
    bool connected = status->has_learner && (status->learner_state == WIRE_PEER_CONNECTED ||
                                             status->learner_state == WIRE_PEER_WAITING);
    bool gap = now_ms - s->answered_ms > s->session.lost_after_ms;
    if (!is_own_run(s, status)) {
        leave(s, EXIT_CODE_PROTOCOL);
        return;
    }
    if (status->ending) {
        log_info("the run ends (%s)", status->state);
        leave(s, EXIT_CODE_OK);
        return;
    }
    if (!s->answered) {
        log_info("standing by for the learner of the run at %s", s->who.modelserver);
    }
    if (!s->away || gap) {
        s->away_ms = now_ms;
    }
    if (!connected && !s->away) {
        log_warn("the run has no learner: its %s",
                 !status->has_learner                      ? "model server has seen none"
                 : status->learner_state == WIRE_PEER_LOST ? "learner is lost"
                                                           : "learner has left");
    }
    s->away = !connected;
    s->seen = status->has_learner;
    s->answered = true;
    s->answered_ms = now_ms;
}

static void on_server(struct standby *s, uint64_t now_ms, const struct wire_msg *msg) {
    if (msg->type == WIRE_STATUS && s->session.run_id == 0) {
        s->session.run_id = msg->run_id;
    }
    if (msg->type == WIRE_STATUS && msg->run_id != s->session.run_id) {
        log_error("%s now serves another run; restart this learner", s->who.modelserver);
        leave(s, EXIT_CODE_PROTOCOL);
        return;
    }
    switch (session_on_message(&s->session, now_ms, msg)) {
    case SESSION_FOR_OWNER:
    case SESSION_WELCOMED:
        if (msg->type == WIRE_STATUS) {
            take_status(s, now_ms, &msg->status);
        }
        break;
    case SESSION_HANDLED:
        break;
    case SESSION_STOP:
        log_error("%s refuses this learner: %s", s->who.modelserver, s->session.text);
        leave(s, EXIT_CODE_PROTOCOL);
        break;
    }
}

bool standby_on_tick(struct standby *s, uint64_t now_ms) {
    if (s->session.state == SESSION_UP && now_ms - s->asked_ms >= STANDBY_ASK_MS) {
        session_request(&s->session, now_ms);
        s->asked_ms = now_ms;
    }
    unsigned duties = session_on_tick(&s->session, now_ms);
    if (duties & SESSION_WARN) {
        log_warn("%s", s->session.line);
    }
    if (duties & SESSION_REOPEN) {
        s->port.reopen(s->port.arg, PORT_MODELSERVER, s->who.modelserver);
    }
    if (duties & SESSION_HELLO) {
        const struct wire_msg msg = {.type = WIRE_STATUS_REQUEST, .status_request.standby = true};
        if (s->port.send(s->port.arg, PORT_MODELSERVER, NULL, &msg) == 0) {
            session_sent(&s->session, now_ms, true);
        }
    }
    uint64_t patience = s->seen ? STANDBY_PATIENCE_MS : STANDBY_FIRST_MS;
    bool free_now = s->away && !s->finished && s->session.state == SESSION_UP &&
                    now_ms - s->away_ms >= patience;
    if (free_now) {
        log_info("taking over from the newest checkpoint");
    }
    return free_now;
}

// ---- requests at the own endpoint ----

static void fill_status(const struct standby *s, uint64_t now_ms, struct wire_status *out) {
    snprintf(out->daemon, sizeof(out->daemon), "learner");
    snprintf(out->version, sizeof(out->version), "%s", SPUR_VERSION);
    snprintf(out->task, sizeof(out->task), "%s", s->who.task->name);
    snprintf(out->method, sizeof(out->method), "%s", method_info(s->who.config->method)->name);
    snprintf(out->state, sizeof(out->state), "standby");
    out->run_id = s->session.run_id;
    out->seed = s->who.config->run.seed;
    out->pid = s->who.pid;
    out->uptime_s = (double)(now_ms - s->started_ms) / 1000;
    session_waiting(&s->session, now_ms, out->waiting, sizeof(out->waiting));
    if (!out->waiting[0] || s->answered) {
        snprintf(out->waiting, sizeof(out->waiting), "%s",
                 s->away ? "the run has no learner: taking over soon"
                         : "the run has a learner: standing by");
    }
    status_counters_session(out, &s->session);
}

static void on_peer(struct standby *s, uint64_t now_ms, const struct net_peer *from,
                    const struct wire_msg *msg) {
    struct wire_msg out = {.run_id = s->session.run_id};
    if (msg->type == WIRE_STATUS_REQUEST) {
        out.type = WIRE_STATUS;
        fill_status(s, now_ms, &out.status);
    } else if (msg->type != WIRE_REFUSE) {
        out.type = WIRE_REFUSE;
        out.refuse.code = WIRE_REFUSED_UNKNOWN;
        snprintf(out.refuse.text, sizeof(out.refuse.text),
                 "the learner stands by: it has no "
                 "policies");
    } else {
        return;
    }
    s->port.send(s->port.arg, PORT_OWN, from, &out); // else the peer asks again
}

void standby_on_message(struct standby *s, uint64_t now_ms, enum port_socket socket,
                        const struct net_peer *from, const struct wire_msg *msg) {
    if (socket == PORT_MODELSERVER) {
        on_server(s, now_ms, msg);
    } else {
        on_peer(s, now_ms, from, msg);
    }
}
