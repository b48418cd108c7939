// SPDX-License-Identifier: MIT
// Messages of the model server: Welcome, experience in order, grants, Shutdown.
#include "learner/core.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/log.h"

static void rejoin(struct learner *l, uint64_t now_ms, const char *why) {
    log_warn("%s; joining again from real row %" PRIu64, why, l->real_rows);
    session_restart(&l->session, now_ms);
}

static void on_welcome(struct learner *l, uint64_t now_ms, const struct wire_welcome *w) {
    const struct task *task = l->who.task;
    if (strcmp(w->task, task->name) != 0 || w->obs_dim != (uint32_t)task->obs_dim ||
        w->act_dim != (uint32_t)task->act_dim) {
        log_error(
            "%s runs task %s (%u observations, %u actions), but the configuration says %s (%d, "
            "%d); start the learner with the configuration of the run",
            l->who.modelserver, w->task, w->obs_dim, w->act_dim, task->name, task->obs_dim,
            task->act_dim);
        core_leave(l, EXIT_CODE_PROTOCOL);
        return;
    }
    if (w->seed != l->who.config->run.seed) {
        log_error("%s runs with seed %" PRIu64 ", but the configuration says %" PRIu64
                  "; start the learner with the configuration of the run",
                  l->who.modelserver, w->seed, l->who.config->run.seed);
        core_leave(l, EXIT_CODE_PROTOCOL);
        return;
    }
    log_info("joined the run at %s with %" PRIu64 " updates and policy %" PRIu64
             " of epoch %" PRIu64,
             l->who.modelserver, l->report.updates, l->policies.version, l->session.incarnation);
    l->conversation++;
    l->policies.epoch = l->session.incarnation;
    l->experience_seq = l->ensemble = 0;
    l->experience_late_ms = 0;
    l->progress_seq = 0;
    l->policy_pending = l->progress_pending = true;
    core_send_pending(l, now_ms);
}

// Whether message seq is the next one of Experience, Model and States.
static bool is_next(struct learner *l, uint64_t now_ms, uint64_t seq) {
    l->counters.experience_messages++;
    if (seq > l->experience_seq + 1) {
        l->counters.experience_missing++;
        rejoin(l, now_ms, "a message with experience is missing");
    }
    return seq == l->experience_seq + 1; // a repetition is harmless
}

// Submits the content of message seq, after a grant that makes room for it.
static bool submit(struct learner *l, uint64_t now_ms, struct trainer_command *command,
                   uint64_t seq) {
    command->session = l->conversation;
    command->seq = seq;
    if (l->grant_pending) {
        core_submit_grant(l);
    }
    if (!core_submit(l, command)) {
        l->counters.experience_refused_full++;
        rejoin(l, now_ms, "more unconfirmed experience than the protocol allows");
        return false;
    }
    l->experience_seq = seq;
    return true;
}

static void on_experience(struct learner *l, uint64_t now_ms, const struct wire_experience *e) {
    const struct task *task = l->who.task;
    if (!is_next(l, now_ms, e->seq)) {
        return;
    }
    if (e->rows.obs_dim != (uint32_t)task->obs_dim || e->rows.act_dim != (uint32_t)task->act_dim) {
        l->counters.experience_refused_shape++;
        rejoin(l, now_ms, "experience has rows of another shape");
        return;
    }
    if (e->kind == WIRE_MODEL && trainer_model_rows_max(l->who.config) == 0) {
        log_error("%s sends model rollouts, but method %s uses none; start the learner with the "
                  "configuration of the run",
                  l->who.modelserver, method_info(l->who.config->method)->name);
        core_leave(l, EXIT_CODE_PROTOCOL);
        return;
    }
    uint32_t skip = 0;
    if (e->kind == WIRE_REAL) {
        if (e->first_index > l->real_rows) {
            l->counters.experience_missing++;
            rejoin(l, now_ms, "real rows are missing");
            return;
        }
        uint64_t known = l->real_rows - e->first_index;
        skip = known < e->rows.rows ? (uint32_t)known : e->rows.rows;
        l->counters.real_rows_repeated += skip;
    }
    struct trainer_command *command = trainer_command_experience(&e->rows, skip);
    command->model = e->kind == WIRE_MODEL;
    if (!submit(l, now_ms, command, e->seq)) {
        return;
    }
    if (e->kind == WIRE_REAL) {
        l->real_rows += e->rows.rows - skip;
    } else {
        uint64_t held = l->model_rows + e->rows.rows;
        l->model_rows = held < l->model_capacity ? held : l->model_capacity;
    }
}

static void on_model(struct learner *l, uint64_t now_ms, const struct wire_model *m) {
    if (!is_next(l, now_ms, m->seq)) {
        return;
    }
    char err[WIRE_STRING_MAX] = "an ensemble, which this method does not take";
    if (!config_has_states(l->who.config) ||
        dynamics_check(l->who.config, l->who.task, m, err, sizeof(err)) < 0) {
        log_error("%s sends %s; start the learner with the configuration of the run",
                  l->who.modelserver, err);
        core_leave(l, EXIT_CODE_PROTOCOL);
        return;
    }
    if (submit(l, now_ms, trainer_command_model(m), m->seq)) {
        l->ensemble = m->version;
    }
}

static void on_states(struct learner *l, uint64_t now_ms, const struct wire_states *s) {
    if (!is_next(l, now_ms, s->seq)) {
        return;
    }
    bool fits = config_has_states(l->who.config) && s->obs_dim == (uint32_t)l->who.task->obs_dim &&
                s->rows <= config_states_max(l->who.config) && s->number == l->states;
    if (!fits) {
        l->counters.states_unexpected++;
        rejoin(l, now_ms, "states of a distribution rollout have another shape or number");
        return;
    }
    if (s->model_version > l->ensemble) {
        // It came under a number that a message of an earlier connection had taken.
        l->counters.experience_missing++;
        rejoin(l, now_ms, "the ensemble of a distribution rollout is missing");
        return;
    }
    if (submit(l, now_ms, trainer_command_states(s), s->seq)) {
        l->states++;
    }
}

// What a Grant says of messages that were lost although the connection lives.
static bool is_complete(struct learner *l, uint64_t now_ms, const struct wire_grant *g) {
    if (g->experience_seq > l->experience_seq) {
        l->counters.experience_missing++;
        rejoin(l, now_ms, "the last messages with experience are missing");
        return false;
    }
    // Experience of before the Hello that arrived after the Welcome took numbers of later messages.
    // A Grant alone may be the one that is late.
    if (g->experience_seq == l->experience_seq) {
        l->experience_late_ms = 0;
    } else if (l->experience_late_ms == 0) {
        l->experience_late_ms = now_ms;
    } else if (now_ms - l->experience_late_ms > l->session.lost_after_ms) {
        l->experience_late_ms = 0;
        rejoin(l, now_ms, "experience of an earlier connection has arrived");
        return false;
    }
    if (g->policy_version < policy_store_version(&l->policies) &&
        now_ms - l->policy_sent_ms > l->session.lost_after_ms) {
        l->policy_pending = true;
    }
    return true;
}

static void on_grant(struct learner *l, uint64_t now_ms, const struct wire_grant *g) {
    if (!is_complete(l, now_ms, g)) {
        return; // its updates might begin without the rows
    }
    uint64_t capacity = g->model_capacity, rows_max = trainer_model_rows_max(l->who.config);
    uint64_t rows_min = rows_max > 0 ? 1 : 0;
    if (capacity < rows_min || capacity > rows_max) {
        l->counters.model_capacity_clamped++;
        capacity = capacity < rows_min ? rows_min : rows_max;
    }
    bool news = g->updates_allowed != l->grant.updates_allowed || capacity != l->model_capacity;
    l->grant = *g;
    l->model_capacity = capacity;
    l->model_rows = l->model_rows < capacity ? l->model_rows : capacity;
    if (news) {
        core_submit_grant(l);
    }
    if (g->checkpoint_id > l->checkpoint_id) {
        l->checkpoint_id = g->checkpoint_id;
        core_submit_checkpoint(l, now_ms);
    }
}

static void on_session_message(struct learner *l, uint64_t now_ms, const struct wire_msg *msg) {
    switch (msg->type) {
    case WIRE_WELCOME:
        on_welcome(l, now_ms, &msg->welcome);
        break;
    case WIRE_EXPERIENCE:
        if (l->stage == STAGE_RUNNING) {
            on_experience(l, now_ms, &msg->experience);
        }
        break;
    case WIRE_ENSEMBLE:
        if (l->stage == STAGE_RUNNING) {
            on_model(l, now_ms, &msg->model);
        }
        break;
    case WIRE_STATES:
        if (l->stage == STAGE_RUNNING) {
            on_states(l, now_ms, &msg->states);
        }
        break;
    case WIRE_GRANT:
        if (l->stage == STAGE_RUNNING) {
            on_grant(l, now_ms, &msg->grant);
        }
        break;
    case WIRE_SHUTDOWN:
        learner_stop(l, msg->shutdown.text);
        break;
    case WIRE_HEARTBEAT:
        break;
    case WIRE_REFUSE:
        log_warn("%s refused a message: %s", l->who.modelserver, msg->refuse.text);
        break;
    default:
        l->counters.messages_unexpected++;
    }
}

void learner_on_server(struct learner *l, uint64_t now_ms, const struct wire_msg *msg) {
    switch (session_on_message(&l->session, now_ms, msg)) {
    case SESSION_FOR_OWNER:
    case SESSION_WELCOMED:
        on_session_message(l, now_ms, msg);
        break;
    case SESSION_HANDLED:
        break;
    case SESSION_STOP:
        // No checkpoint: the files may belong to a newer learner now.
        l->again = msg->type == WIRE_REFUSE && msg->refuse.code == WIRE_REFUSED_UNKNOWN;
        log_line(l->again ? LOG_INFO : LOG_ERROR, "%s refuses this learner: %s", l->who.modelserver,
                 l->session.text);
        core_leave(l, EXIT_CODE_PROTOCOL);
        break;
    }
}
