// SPDX-License-Identifier: MIT
// Messages to the model server, commands for the trainer, ticks, and the end.
#include "learner/learner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "learner/core.h"
#include "proto/hello.h"

// Progress is due after so many Experience messages, long before the limit.
#define PROGRESS_EVERY_EXPERIENCE 16

struct learner *learner_create(const struct learner_identity *who, const struct port *port,
                               const struct learner_jobs *jobs, const struct policy *policy,
                               uint64_t now_ms) {
    struct learner *l = xcalloc(1, sizeof(*l));
    l->who = *who;
    l->port = *port;
    l->jobs = *jobs;
    l->started_ms = l->checkpoint_ms = now_ms;
    policy_store_init(&l->policies, policy);
    session_init(&l->session, "spur-modelserver", who->modelserver, false, now_ms);
    return l;
}

void learner_destroy(struct learner **l) {
    if (!*l) {
        return;
    }
    policy_store_deinit(&(*l)->policies);
    free(*l);
    *l = NULL;
}

// ---- sending ----

static int send_message(struct learner *l, uint64_t now_ms, struct wire_msg *msg) {
    msg->run_id = l->session.run_id;
    int rc = l->port.send(l->port.arg, PORT_MODELSERVER, NULL, msg);
    if (rc == 0) {
        session_sent(&l->session, now_ms, msg->type == WIRE_HELLO);
    }
    return rc;
}

static void send_hello(struct learner *l, uint64_t now_ms) {
    const struct hello_sender sender = {
        .role = WIRE_ROLE_LEARNER,
        .id = l->who.id,
        .host = l->who.host,
        .version = SPUR_VERSION,
        .endpoint = l->who.endpoint,
        .incarnation = l->session.incarnation,
        .pid = l->who.pid,
        .task = l->who.task->name,
        .obs_dim = l->who.task->obs_dim,
        .act_dim = l->who.task->act_dim,
    };
    struct wire_msg msg = {.type = WIRE_HELLO};
    struct wire_hello *hello = &msg.hello;
    hello_fill(hello, &sender);
    hello->updates = l->report.updates;
    hello->policy_version = policy_store_version(&l->policies);
    hello->real_rows = l->real_rows;
    hello->model_rows = l->model_rows;
    hello->states = l->states;
    hello->checkpoint = l->report.checkpoint_step;
    send_message(l, now_ms, &msg);
}

void core_waiting(const struct learner *l, uint64_t now_ms, char *out, size_t out_len) {
    session_waiting(&l->session, now_ms, out, out_len);
    if (out[0]) {
        return;
    }
    const struct trainer_report *r = &l->report;
    if (l->stage != STAGE_RUNNING) {
        snprintf(out, out_len, "leaving");
    } else if (r->idle && r->updates >= r->updates_allowed) {
        snprintf(out, out_len, "%" PRIu64 " updates made, %" PRIu64 " granted: %.180s", r->updates,
                 r->updates_allowed,
                 l->grant.reason[0] ? l->grant.reason : "waiting for the model server");
    } else if (r->idle) {
        snprintf(out, out_len, "waiting for %s from the model server",
                 r->real_rows > 0 ? "the ensemble and its states" : "real rows");
    }
}

static uint64_t checkpoints_ended(const struct trainer_report *r) {
    return r->checkpoints + r->checkpoint_failures;
}

static void send_progress(struct learner *l, uint64_t now_ms) {
    const struct trainer_report *r = &l->report;
    if (l->sum.n > 0 || l->mean.count == 0) { // the names are valid before the first update
        l->mean = metrics_mean(&l->sum);
    }
    struct wire_msg msg = {.type = WIRE_PROGRESS};
    msg.progress = (struct wire_progress){
        .experience_seq = r->session == l->conversation ? r->experience_seq : 0,
        .updates = r->updates,
        .policy_version = policy_store_version(&l->policies),
        .real_rows = r->real_rows,
        .model_rows = r->model_rows,
        .model_capacity = r->model_capacity,
        .updates_per_s = rate_per_s(&l->update_rate, now_ms),
        .metrics = l->mean,
        .checkpoint_id = checkpoints_ended(r) >= l->checkpoints_requested ? l->checkpoint_id : 0,
        .checkpoint = r->checkpoint_step,
    };
    core_waiting(l, now_ms, msg.progress.waiting, sizeof(msg.progress.waiting));
    if (send_message(l, now_ms, &msg) == 0) {
        l->progress_pending = false;
        l->progress_seq = msg.progress.experience_seq;
        l->progress_updates = r->updates;
        metrics_sum_clear(&l->sum);
    }
}

// Progress names the newest policy, so the policy is sent before it.
void core_send_pending(struct learner *l, uint64_t now_ms) {
    if (l->session.state != SESSION_UP) {
        return;
    }
    if (l->policy_pending) {
        struct wire_msg msg = {.type = WIRE_POLICY, .policy = policy_store_answer(&l->policies, 0)};
        if (send_message(l, now_ms, &msg) != 0) {
            return;
        }
        l->policy_pending = false;
        l->policy_sent_ms = now_ms;
    }
    if (l->progress_pending) {
        send_progress(l, now_ms);
    }
}

// ---- commands for the trainer ----

bool core_submit(struct learner *l, struct trainer_command *command) {
    if (l->jobs.submit(l->jobs.arg, command)) {
        return true;
    }
    trainer_command_destroy(&command);
    return false;
}

void core_submit_grant(struct learner *l) {
    struct trainer_command *command = trainer_command_create(TRAINER_GRANT);
    command->updates_allowed = l->grant.updates_allowed;
    command->model_capacity = l->model_capacity;
    l->grant_pending = !core_submit(l, command);
}

void core_submit_checkpoint(struct learner *l, uint64_t now_ms) {
    struct trainer_command *command = trainer_command_create(TRAINER_CHECKPOINT);
    command->step = l->checkpoint_id;
    if (core_submit(l, command)) {
        l->checkpoints_requested++;
        l->checkpoint_ms = now_ms;
        l->checkpoint_updates = l->report.updates;
    }
}

static void submit_finish(struct learner *l) {
    l->finish_pending = !core_submit(l, trainer_command_create(TRAINER_FINISH));
}

// ---- ticks and reports ----

void core_leave(struct learner *l, enum exit_code code) {
    l->stage = STAGE_LEFT;
    l->exit_code = code;
}

static void tick_session(struct learner *l, uint64_t now_ms) {
    unsigned duties = session_on_tick(&l->session, now_ms);
    if (duties & SESSION_WARN) {
        log_warn("%s", l->session.line);
    }
    if (duties & SESSION_REOPEN) {
        l->port.reopen(l->port.arg, PORT_MODELSERVER, l->who.modelserver);
    }
    if (duties & SESSION_HELLO) {
        send_hello(l, now_ms);
    }
    if (duties & SESSION_HEARTBEAT) {
        l->progress_pending = true;
    }
}

static void tick_running(struct learner *l, uint64_t now_ms) {
    if (l->grant_pending) {
        core_submit_grant(l);
    }
    if (l->who.config->pacing.mode != PACING_LOCKSTEP && // there the model server asks for them
        now_ms - l->checkpoint_ms >= l->who.config->checkpoint.every_s * 1000 &&
        checkpoints_ended(&l->report) >= l->checkpoints_requested &&
        l->report.updates > l->checkpoint_updates) {
        core_submit_checkpoint(l, now_ms);
    }
}

// Goodbye is optional: it is tried for one second.
static void tick_goodbye(struct learner *l, uint64_t now_ms) {
    struct wire_msg msg = {.type = WIRE_GOODBYE};
    if (l->session.run_id == 0 || send_message(l, now_ms, &msg) == 0 ||
        now_ms - l->goodbye_ms > 1000) {
        core_leave(l, l->exit_code);
    }
}

void learner_on_tick(struct learner *l, uint64_t now_ms) {
    if (l->stage == STAGE_LEFT) {
        return;
    }
    tick_session(l, now_ms);
    core_send_pending(l, now_ms);
    if (l->stage == STAGE_RUNNING) {
        tick_running(l, now_ms);
    } else if (l->stage == STAGE_FINISHING && l->finish_pending) {
        submit_finish(l);
    } else if (l->stage == STAGE_GOODBYE) {
        tick_goodbye(l, now_ms);
    }
}

static void begin_goodbye(struct learner *l, uint64_t now_ms, enum exit_code code) {
    l->stage = STAGE_GOODBYE;
    l->goodbye_ms = now_ms;
    l->exit_code = code;
}

void learner_on_report(struct learner *l, uint64_t now_ms, const struct trainer_report *report,
                       const float *params, uint64_t version, uint64_t updates) {
    uint64_t before = l->report.updates;
    if (l->conversation == 0) { // before any Welcome: the state of the checkpoint
        before = report->updates;
        l->model_rows = report->model_rows;
        l->states = report->states;
        l->model_capacity = report->model_capacity;
        l->checkpoint_updates = report->updates;
        l->checkpoint_id = report->checkpoint_step;
    }
    if (l->who.config->pacing.mode == PACING_LOCKSTEP) { // the model server waits for its end
        l->progress_pending |= checkpoints_ended(report) > checkpoints_ended(&l->report);
    }
    l->report = *report;
    rate_add(&l->update_rate, now_ms, report->updates - before);
    metrics_sum_merge(&l->sum, &report->sum);
    if (params) {
        l->counters.policies_published += version > l->policies.version;
        policy_store_take(&l->policies, version, updates, params);
        l->policy_pending = l->progress_pending = true;
    }
    uint64_t seq = report->session == l->conversation ? report->experience_seq : 0;
    if (seq >= l->progress_seq + PROGRESS_EVERY_EXPERIENCE ||
        (report->idle && report->updates != l->progress_updates)) {
        l->progress_pending = true;
    }
    if (report->replaced && l->stage < STAGE_GOODBYE) {
        log_error("%s", report->text);
        begin_goodbye(l, now_ms, EXIT_CODE_PROTOCOL);
    } else if (report->failed && l->stage < STAGE_GOODBYE) {
        log_error("%s", report->text);
        begin_goodbye(l, now_ms, EXIT_CODE_FAILURE);
    } else if (report->finished && l->stage < STAGE_GOODBYE) {
        begin_goodbye(l, now_ms, report->saved ? EXIT_CODE_OK : EXIT_CODE_IO);
    }
    core_send_pending(l, now_ms);
    if (l->stage == STAGE_GOODBYE) {
        tick_goodbye(l, now_ms);
    }
}

void learner_stop(struct learner *l, const char *why) {
    if (l->stage != STAGE_RUNNING) {
        return;
    }
    log_info("stopping: %s", why);
    l->stage = STAGE_FINISHING;
    submit_finish(l);
}

bool learner_starts_again(const struct learner *l) {
    return l->again;
}

bool learner_finished(const struct learner *l, enum exit_code *exit_code) {
    *exit_code = l->exit_code;
    return l->stage == STAGE_LEFT;
}
