// SPDX-License-Identifier: MIT
// Requests at the learner's own endpoint: policies and status. Other messages are
// refused with a reason.
#include "learner/core.h"

#include <stdio.h>

#include "common/base/log.h"
#include "proto/status_counters.h"

static void answer(struct learner *l, const struct net_peer *to, const struct wire_msg *msg) {
    if (l->port.send(l->port.arg, PORT_OWN, to, msg) != 0) {
        l->counters.replies_dropped++; // the peer asks again
    }
}

static void refuse(struct learner *l, const struct net_peer *to, enum wire_refusal code,
                   const char *text) {
    struct wire_msg msg = {.type = WIRE_REFUSE, .run_id = l->session.run_id};
    msg.refuse.code = code;
    msg.refuse.fatal = code == WIRE_REFUSED_SCHEMA || code == WIRE_REFUSED_KEY;
    snprintf(msg.refuse.text, sizeof(msg.refuse.text), "%s", text);
    answer(l, to, &msg);
}

static void fill_status(const struct learner *l, uint64_t now_ms, struct wire_status *s) {
    static const char *const stages[] = {"learning", "stopping", "stopping", "stopping"};
    const struct config *c = l->who.config;
    const struct trainer_report *r = &l->report;
    snprintf(s->daemon, sizeof(s->daemon), "learner");
    snprintf(s->version, sizeof(s->version), "%s", SPUR_VERSION);
    snprintf(s->task, sizeof(s->task), "%s", l->who.task->name);
    snprintf(s->method, sizeof(s->method), "%s", method_info(c->method)->name);
    s->run_id = l->session.run_id;
    s->seed = c->run.seed;
    s->pid = l->who.pid;
    s->uptime_s = (double)(now_ms - l->started_ms) / 1000;
    core_waiting(l, now_ms, s->waiting, sizeof(s->waiting));
    bool is_waiting = s->waiting[0] && l->stage == STAGE_RUNNING;
    snprintf(s->state, sizeof(s->state), "%s", is_waiting ? "waiting" : stages[l->stage]);
    s->env_steps = l->grant.env_steps;
    s->env_steps_budget = config_steps_max(c);
    s->explore_steps = config_explore_end(c);
    s->env_rows = r->real_rows;
    s->model_rows = r->model_rows;
    s->model_capacity = r->model_capacity;
    s->updates_per_step = c->pacing.updates_per_step;
    s->updates_allowed = r->updates_allowed;
    s->has_learner = true;
    s->learner_state = is_waiting ? WIRE_PEER_WAITING : WIRE_PEER_CONNECTED;
    s->updates = r->updates;
    s->policy_version = policy_store_version(&l->policies);
    s->updates_per_s = rate_per_s(&l->update_rate, now_ms);
    s->metrics = l->mean;
    snprintf(s->learner_waiting, sizeof(s->learner_waiting), "%s", s->waiting);
#define COUNT(name) status_counter_add(s, #name, l->counters.name);
    LEARNER_COUNTERS(COUNT)
#undef COUNT
    status_counter_add(s, "checkpoints", r->checkpoints);
    status_counter_add(s, "checkpoint_failures", r->checkpoint_failures);
    status_counters_session(s, &l->session);
}

void learner_on_peer(struct learner *l, uint64_t now_ms, const struct net_peer *from,
                     const struct wire_msg *msg) {
    struct wire_msg out = {.run_id = l->session.run_id};
    if (msg->type == WIRE_STATUS_REQUEST) {
        out.type = WIRE_STATUS;
        fill_status(l, now_ms, &out.status);
        answer(l, from, &out);
    } else if (msg->type != WIRE_POLICY_GET) {
        l->counters.messages_unexpected++;
        if (msg->type != WIRE_REFUSE) { // answering a refusal could loop for ever
            refuse(l, from, WIRE_REFUSED_MODE,
                   "this is a learner: it answers PolicyGet and StatusRequest only");
        }
    } else if (l->session.run_id == 0) {
        refuse(l, from, WIRE_REFUSED_UNKNOWN, "the learner has not joined its run yet");
    } else if (msg->run_id != l->session.run_id) {
        refuse(l, from, WIRE_REFUSED_RUN, "this learner belongs to another run");
    } else {
        l->counters.policy_requests++;
        out.type = WIRE_POLICY;
        out.policy = policy_store_answer(&l->policies, msg->policy_get.have_version);
        answer(l, from, &out);
    }
}

void learner_on_garbage(struct learner *l, const struct net_peer *from, enum wire_refusal code,
                        const char *text) {
    l->counters.messages_refused_format++;
    log_peer(LOG_WARN, "refused a message of %s: %s", from ? "a peer" : l->who.modelserver, text);
    if (from) {
        refuse(l, from, code, text);
    }
}
