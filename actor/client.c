// SPDX-License-Identifier: MIT
// A connection's Hello and PolicyGet, the task by name, and the common part of a status.
#include "actor/client.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "proto/hello.h"
#include "proto/status_counters.h"

void client_init(struct client *c, enum port_socket socket, enum wire_role role,
                 const struct client_identity *who, const struct port *port, uint64_t now_ms) {
    *c = (struct client){.socket = socket, .port = port, .who = who, .role = role};
    if (socket == PORT_MODELSERVER) {
        session_init(&c->session, "spur-modelserver", who->modelserver, false, now_ms);
    } else {
        session_init(&c->session, "spur-learner", who->learner ? who->learner : "", true, now_ms);
    }
}

static int send_hello(struct client *c) {
    const struct client_identity *who = c->who;
    const struct hello_sender sender = {
        .role = c->role,
        .id = who->id,
        .host = who->host,
        .version = who->version,
        .endpoint = who->endpoint,
        .incarnation = c->session.incarnation,
        .pid = who->pid,
        .task = who->task ? who->task->name : NULL,
        .obs_dim = who->task ? who->task->obs_dim : 0,
        .act_dim = who->task ? who->task->act_dim : 0,
        .environments = who->envs,
    };
    struct wire_msg msg = {.type = WIRE_HELLO, .run_id = c->session.run_id};
    hello_fill(&msg.hello, &sender);
    return c->port->send(c->port->arg, c->socket, NULL, &msg);
}

static int send_policy_get(struct client *c) {
    struct wire_msg msg = {.type = WIRE_POLICY_GET, .run_id = c->session.run_id};
    msg.policy_get.have_version = c->have_version;
    return c->port->send(c->port->arg, c->socket, NULL, &msg);
}

// ---- the address ----

// The one that is not in use; the same if there is no other.
static const char *other_address(const struct client *c) {
    const char *given = c->socket == PORT_LEARNER ? c->who->learner : NULL;
    if (!c->told[0] || !given || strcmp(c->told, given) == 0) {
        return c->session.endpoint;
    }
    return c->session.endpoint == given ? c->told : given;
}

static void go_to(struct client *c, uint64_t now_ms, const char *endpoint) {
    c->session.endpoint = endpoint;
    session_resend(&c->session, now_ms);
    c->port->reopen(c->port->arg, c->socket, endpoint);
}

void client_tell(struct client *c, uint64_t now_ms, const char *endpoint) {
    if (!endpoint[0] || strcmp(endpoint, c->told) == 0) {
        return;
    }
    bool moved = c->told[0] != '\0' || !client_has_address(c);
    snprintf(c->told, sizeof(c->told), "%s", endpoint);
    if (moved) {
        log_info("the learner is at %s", endpoint);
        go_to(c, now_ms, c->told);
    }
}

void client_try_other(struct client *c, uint64_t now_ms) {
    const char *endpoint = other_address(c);
    if (endpoint != c->session.endpoint) {
        go_to(c, now_ms, endpoint);
    }
}

bool client_has_address(const struct client *c) {
    return c->session.endpoint[0] != '\0';
}

// ---- messages ----

bool client_on_tick(struct client *c, uint64_t now_ms) {
    unsigned duties = session_on_tick(&c->session, now_ms);
    if (duties & SESSION_WARN) {
        log_warn("%s", c->session.line);
    }
    if (duties & SESSION_REOPEN) {
        c->session.endpoint = other_address(c);
        c->port->reopen(c->port->arg, c->socket, c->session.endpoint);
    }
    if (duties & SESSION_HELLO) {
        int rc = c->session.request_only ? send_policy_get(c) : send_hello(c);
        if (rc == 0) {
            session_sent(&c->session, now_ms, true);
        }
    }
    return (duties & SESSION_HEARTBEAT) != 0;
}

int client_send(struct client *c, uint64_t now_ms, struct wire_msg *msg) {
    msg->run_id = c->session.run_id;
    int rc = c->port->send(c->port->arg, c->socket, NULL, msg);
    if (rc == 0) {
        session_sent(&c->session, now_ms, false);
    }
    return rc;
}

bool client_up(const struct client *c) {
    return c->session.state == SESSION_UP;
}

bool client_stop_requested(const struct client *c) {
    return c->who->stop_requested && c->who->stop_requested(c->who->stop_arg);
}

enum exit_code client_stop_code(const struct client *c) {
    return c->session.outdated ? EXIT_CODE_TEMPFAIL : EXIT_CODE_PROTOCOL;
}

int client_exit_code(const struct client *c, int code) {
    bool again = code == EXIT_CODE_OK && c->who->supervised && c->session.stopped;
    return again ? EXIT_CODE_TEMPFAIL : code;
}

void client_describe_env_wait(uint64_t waited_ms, char *out, size_t out_len) {
    out[0] = '\0';
    if (waited_ms >= 1000) {
        snprintf(out, out_len, "the environment: no answer for %llu s",
                 (unsigned long long)waited_ms / 1000);
    }
}

void client_abandon(struct client *c) {
    struct wire_msg msg = {.type = WIRE_GOODBYE};
    if (!c->who->exit_now) {
        return;
    }
    log_info("leaving: stopped while the environment was being created");
    if (client_up(c)) {
        msg.run_id = c->session.run_id;
        c->port->send(c->port->arg, c->socket, NULL, &msg);
    }
    c->who->exit_now(c->who->stop_arg);
}

bool client_silent(const struct client *c, uint64_t now_ms) {
    return now_ms >= c->session.sent_ms + c->session.heartbeat_ms;
}

int client_task(struct task *task, const struct client *c, const char *name, uint32_t horizon,
                char *err, size_t err_len) {
    const struct task *own = c->who->task;
    const struct task *found = task_find(name);
    if (own && own->env && strcmp(own->name, name) == 0) {
        found = own;
    }
    if (!found) {
        snprintf(
            err, err_len,
            "the run's task is %.60s, which is not built in: start this process with --env "
            "ENV, the environment of the run (task.env in its config.yaml); or, if it should be "
            "built in (nearest: %s), build all programs from the same source",
            name, task_nearest(name));
        return -1;
    }
    *task = *found;
    task->horizon = horizon > 0 && horizon <= INT_MAX ? (int)horizon : task->horizon;
    return 0;
}

void client_status(const struct client *c, uint64_t now_ms, struct wire_status *status,
                   struct wire_actor_status *line) {
    const struct client_identity *who = c->who;
    snprintf(status->daemon, sizeof(status->daemon), "%s", who->id);
    snprintf(status->version, sizeof(status->version), "%s", who->version);
    status->run_id = c->session.run_id;
    status->pid = who->pid;
    status->actor_count = 1;
    status->actors = line;

    snprintf(line->id, sizeof(line->id), "%s", who->id);
    snprintf(line->host, sizeof(line->host), "%s", who->host);
    line->role = c->role;
    line->pid = who->pid;
    line->heard_s = (double)session_silence_ms(&c->session, now_ms) / 1000;
    status_counters_session(status, &c->session);
}
