// SPDX-License-Identifier: MIT
// Validation of messages as our structs. Incoming and outgoing messages have the same rules; a
// violation by an outgoing message is a programmer error.
//
// Form (limits, enums, dimensions, lengths) and values (finite numbers, actions within their
// bounds) are separate: the sender's program determines the form, but numbers come from
// environments. A message with valid form and invalid values is refused by its receiver, which
// can still identify the sender.
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/stats.h"
#include "proto/wire_parts.h"

#define ACTION_MAX 1.000001f // tolerates rounding of other languages outside [-1, 1]

// Destination of the sentence.
struct verdict {
    char *err;
    size_t err_len;
};

static int form(struct verdict v, const char *field, uint64_t value, uint64_t min, uint64_t max) {
    if (value >= min && value <= max) {
        return 0;
    }
    return error_set(v.err, v.err_len, -WIRE_REFUSED_FORMAT, "%s: %llu is outside %llu to %llu",
                     field, (unsigned long long)value, (unsigned long long)min,
                     (unsigned long long)max);
}

static int text(struct verdict v, const char *field, const char *value, bool may_be_empty) {
    if (!memchr(value, '\0', WIRE_STRING_MAX)) {
        return error_set(v.err, v.err_len, -WIRE_REFUSED_FORMAT, "%s: longer than %d bytes", field,
                         WIRE_STRING_MAX - 1);
    }
    if (!may_be_empty && !value[0]) {
        return error_set(v.err, v.err_len, -WIRE_REFUSED_FORMAT, "%s: must not be empty", field);
    }
    return 0;
}

static int present(struct verdict v, const char *field, const void *pointer) {
    return pointer ? 0 : error_set(v.err, v.err_len, -WIRE_REFUSED_FORMAT, "%s: missing", field);
}

// ---- form ----

// Returns at the first rule that fails.
#define RULE(call)                                                                                 \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ != 0) {                                                                            \
            return rc_;                                                                            \
        }                                                                                          \
    } while (0)

static int form_rows(struct verdict v, const struct wire_rows *r) {
    RULE(form(v, "rows.rows", r->rows, 1, WIRE_ROWS_MAX));
    RULE(form(v, "rows.obs_dim", r->obs_dim, 1, WIRE_DIM_MAX));
    RULE(form(v, "rows.act_dim", r->act_dim, 1, WIRE_DIM_MAX));
    RULE(present(v, "rows.obs", r->obs));
    RULE(present(v, "rows.act", r->act));
    RULE(present(v, "rows.reward", r->reward));
    RULE(present(v, "rows.next_obs", r->next_obs));
    RULE(present(v, "rows.flags", r->flags));
    for (uint32_t i = 0; i < r->rows; i++) {
        // Never both: termination takes precedence.
        if (r->flags[i] > WIRE_TRUNCATED) {
            return error_set(v.err, v.err_len, -WIRE_REFUSED_FORMAT,
                             "rows.flags[%u]: %u is not 0, 1 (terminated) or 2 (truncated)", i,
                             r->flags[i]);
        }
    }
    return 0;
}

static int form_policy(struct verdict v, const struct wire_policy *p) {
    // Without weights it means "you have the newest"; the shape is then arbitrary.
    uint64_t least = p->params_len > 0;
    RULE(form(v, "policy.params_len", p->params_len, 0, WIRE_PARAMS_MAX));
    RULE(form(v, "policy.version", p->version, least, UINT64_MAX));
    RULE(form(v, "policy.obs_dim", p->obs_dim, least, WIRE_DIM_MAX));
    RULE(form(v, "policy.act_dim", p->act_dim, least, WIRE_DIM_MAX));
    if (!least) {
        return 0;
    }
    RULE(form(v, "policy.hidden_layers", p->hidden_layers, 1, WIRE_LAYERS_MAX));
    RULE(form(v, "policy.activation", p->activation, WIRE_ACTIVATION_RELU, WIRE_ACTIVATION_SILU));
    for (uint32_t l = 0; l < p->hidden_layers; l++) {
        RULE(form(v, "policy.hidden", p->hidden[l], 1, WIRE_DIM_MAX));
    }
    return present(v, "policy.params", p->params);
}

static int form_hello(struct verdict v, const struct wire_hello *h) {
    RULE(form(v, "hello.role", h->role, WIRE_ROLE_ACTOR, WIRE_ROLE_LEARNER));
    RULE(text(v, "hello.id", h->id, false));
    RULE(text(v, "hello.host", h->host, true));
    RULE(text(v, "hello.version", h->version, true));
    RULE(text(v, "hello.task", h->task, true));
    RULE(text(v, "hello.endpoint", h->endpoint, true));
    RULE(form(v, "hello.obs_dim", h->obs_dim, 0, WIRE_DIM_MAX));
    return form(v, "hello.act_dim", h->act_dim, 0, WIRE_DIM_MAX);
}

static int form_welcome(struct verdict v, const struct wire_welcome *w) {
    RULE(text(v, "welcome.task", w->task, false));
    RULE(form(v, "welcome.obs_dim", w->obs_dim, 1, WIRE_DIM_MAX));
    RULE(form(v, "welcome.act_dim", w->act_dim, 1, WIRE_DIM_MAX));
    RULE(form(v, "welcome.noise", w->noise, WIRE_NOISE_DEFAULT, WIRE_NOISE_OU));
    if (w->noise == WIRE_NOISE_OU && !(w->noise_ou_theta > 0 && w->noise_ou_theta <= 1)) {
        return error_set(v.err, v.err_len, -WIRE_REFUSED_FORMAT,
                         "welcome.noise_ou_theta: %g is not in (0, 1]", w->noise_ou_theta);
    }
    return w->episode.rows > 0 ? form_rows(v, &w->episode) : 0;
}

static int form_refuse(struct verdict v, const struct wire_refuse *r) {
    RULE(form(v, "refuse.code", r->code, WIRE_REFUSED_SCHEMA, WIRE_REFUSED_KEY));
    return text(v, "refuse.text", r->text, true);
}

static int form_experience(struct verdict v, const struct wire_experience *e) {
    RULE(form(v, "experience.seq", e->seq, 1, UINT64_MAX));
    RULE(form(v, "experience.kind", e->kind, WIRE_REAL, WIRE_MODEL));
    return form_rows(v, &e->rows);
}

static int form_model(struct verdict v, const struct wire_model *m) {
    RULE(form(v, "model.seq", m->seq, 1, UINT64_MAX));
    RULE(form(v, "model.version", m->version, 1, UINT64_MAX));
    RULE(form(v, "model.params", m->params_len, 1, WIRE_PARAMS_MAX));
    RULE(form(v, "model.normalizer", m->normalizer_len, 1, WIRE_PARAMS_MAX));
    RULE(form(v, "model.termination", m->termination_len, 0, WIRE_PARAMS_MAX));
    RULE(present(v, "model.params", m->params));
    RULE(present(v, "model.normalizer", m->normalizer));
    RULE(form(v, "model.elites", m->elites, 1, WIRE_MEMBERS_MAX));
    for (uint32_t i = 0; i < m->elites; i++) {
        RULE(form(v, "model.elite", m->elite[i], 0, WIRE_MEMBERS_MAX - 1));
    }
    return 0;
}

static int form_states(struct verdict v, const struct wire_states *s) {
    RULE(form(v, "states.seq", s->seq, 1, UINT64_MAX));
    RULE(form(v, "states.rows", s->rows, 1, WIRE_ROWS_MAX));
    RULE(form(v, "states.obs_dim", s->obs_dim, 1, WIRE_DIM_MAX));
    return present(v, "states.obs", s->obs);
}

static int form_eval_request(struct verdict v, const struct wire_eval_request *e) {
    RULE(text(v, "eval_request.task", e->task, false));
    RULE(form(v, "eval_request.episodes", e->episodes, 1, WIRE_EPISODES_MAX));
    RULE(form_policy(v, &e->policy));
    return form(v, "eval_request.policy.params_len", e->policy.params_len, 1, WIRE_PARAMS_MAX);
}

static int form_eval_report(struct verdict v, const struct wire_eval_report *e) {
    RULE(form(v, "eval_report.episodes", e->episodes, 1, WIRE_EPISODES_MAX));
    RULE(form(v, "eval_report.episodes_cut", e->episodes_cut, 0, e->episodes));
    RULE(present(v, "eval_report.returns", e->returns));
    return present(v, "eval_report.lengths", e->lengths);
}

static int form_actor_status(struct verdict v, const struct wire_actor_status *a) {
    RULE(text(v, "status.actors.id", a->id, true));
    RULE(text(v, "status.actors.host", a->host, true));
    RULE(text(v, "status.actors.waiting", a->waiting, true));
    RULE(form(v, "status.actors.role", a->role, WIRE_ROLE_ACTOR, WIRE_ROLE_LEARNER));
    return form(v, "status.actors.state", a->state, WIRE_PEER_CONNECTED, WIRE_PEER_LEFT);
}

static int form_status(struct verdict v, const struct wire_status *s) {
    RULE(text(v, "status.daemon", s->daemon, true));
    RULE(text(v, "status.version", s->version, true));
    RULE(text(v, "status.task", s->task, true));
    RULE(text(v, "status.state", s->state, true));
    RULE(text(v, "status.waiting", s->waiting, true));
    RULE(text(v, "status.stuck", s->stuck, true));
    RULE(text(v, "status.warning", s->warning, true));
    RULE(text(v, "status.pacing_mode", s->pacing_mode, true));
    RULE(text(v, "status.learner_waiting", s->learner_waiting, true));
    if (s->has_learner) {
        RULE(
            form(v, "status.learner_state", s->learner_state, WIRE_PEER_CONNECTED, WIRE_PEER_LEFT));
    }
    if (s->has_model) {
        RULE(form(v, "status.members", s->members, 0, WIRE_MEMBERS_MAX));
        RULE(form(v, "status.elites", s->elites, 0, s->members));
        for (uint32_t i = 0; i < s->elites; i++) {
            RULE(form(v, "status.elite", s->elite[i], 0, s->members - 1));
        }
    }
    RULE(form(v, "status.actor_count", s->actor_count, 0, WIRE_ACTORS_MAX));
    RULE(form(v, "status.counter_count", s->counter_count, 0, WIRE_COUNTERS_MAX));
    RULE(s->actor_count ? present(v, "status.actors", s->actors) : 0);
    for (uint32_t i = 0; i < s->actor_count; i++) {
        RULE(form_actor_status(v, &s->actors[i]));
    }
    for (uint32_t i = 0; i < s->counter_count; i++) {
        RULE(text(v, "status.counters.name", s->counters[i].name, false));
    }
    return 0;
}

int wire_check_form(const struct wire_msg *msg, char *err, size_t err_len) {
    struct verdict v = {.err = err, .err_len = err_len};
    switch (msg->type) {
    case WIRE_HELLO:
        return form_hello(v, &msg->hello);
    case WIRE_WELCOME:
        return form_welcome(v, &msg->welcome);
    case WIRE_REFUSE:
        return form_refuse(v, &msg->refuse);
    case WIRE_TRANSITIONS:
        RULE(form(v, "transitions.seq", msg->transitions.seq, 1, UINT64_MAX));
        return form_rows(v, &msg->transitions.rows);
    case WIRE_CREDIT:
        RULE(text(v, "credit.learner", msg->credit.learner, true));
        return text(v, "credit.reason", msg->credit.reason, true);
    case WIRE_HEARTBEAT:
        return text(v, "heartbeat.waiting", msg->heartbeat.waiting, true);
    case WIRE_SHUTDOWN:
        return text(v, "shutdown.text", msg->shutdown.text, true);
    case WIRE_EVAL_REQUEST:
        return form_eval_request(v, &msg->eval_request);
    case WIRE_EVAL_REPORT:
        return form_eval_report(v, &msg->eval_report);
    case WIRE_EXPERIENCE:
        return form_experience(v, &msg->experience);
    case WIRE_ENSEMBLE:
        return form_model(v, &msg->model);
    case WIRE_STATES:
        return form_states(v, &msg->states);
    case WIRE_GRANT:
        return text(v, "grant.reason", msg->grant.reason, true);
    case WIRE_PROGRESS:
        return text(v, "progress.waiting", msg->progress.waiting, true);
    case WIRE_POLICY:
        return form_policy(v, &msg->policy);
    case WIRE_STATUS:
        return form_status(v, &msg->status);
    case WIRE_ACK:
    case WIRE_EPISODE:
    case WIRE_GOODBYE:
    case WIRE_POLICY_GET:
    case WIRE_STATUS_REQUEST:
        return 0;
    }
    return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "type: %d is unknown", (int)msg->type);
}

// ---- values ----

static int bad_value(struct verdict v, const char *field, size_t row, size_t column, double value) {
    return error_set(v.err, v.err_len, -WIRE_REFUSED_VALUE, "%s, row %zu, column %zu: %g is %s",
                     field, row, column, value,
                     isfinite(value) ? "outside [-1, 1]" : "not a finite number");
}

static int column(struct verdict v, const char *field, const float *x, size_t rows, size_t dim,
                  float limit) {
    if (stats_all_within(x, rows * dim, limit)) {
        return 0;
    }
    size_t i = 0;
    while (fabsf(x[i]) <= limit) {
        i++;
    }
    return bad_value(v, field, i / dim, i % dim, (double)x[i]);
}

static int value_rows(struct verdict v, const struct wire_rows *r) {
    RULE(column(v, "rows.obs", r->obs, r->rows, r->obs_dim, FLT_MAX));
    RULE(column(v, "rows.act", r->act, r->rows, r->act_dim, ACTION_MAX));
    RULE(column(v, "rows.reward", r->reward, r->rows, 1, FLT_MAX));
    return column(v, "rows.next_obs", r->next_obs, r->rows, r->obs_dim, FLT_MAX);
}

static int value_policy(struct verdict v, const struct wire_policy *p) {
    return column(v, "policy.params", p->params, p->params_len, 1, FLT_MAX);
}

static int value_model(struct verdict v, const struct wire_model *m) {
    RULE(column(v, "model.params", m->params, m->params_len, 1, FLT_MAX));
    RULE(column(v, "model.normalizer", m->normalizer, m->normalizer_len, 1, FLT_MAX));
    for (uint64_t i = 0; i < m->termination_len; i++) { // -infinity: never (nn/termination.h)
        RULE(isnan(m->termination[i]) ? bad_value(v, "model.termination", i, 0, (double)NAN) : 0);
    }
    return 0;
}

static int value_eval_report(struct verdict v, const struct wire_eval_report *e) {
    for (uint32_t i = 0; i < e->episodes; i++) {
        RULE(isfinite(e->returns[i]) ? 0
                                     : bad_value(v, "eval_report.returns", i, 0, e->returns[i]));
        RULE(isfinite(e->lengths[i]) ? 0
                                     : bad_value(v, "eval_report.lengths", i, 0, e->lengths[i]));
    }
    return 0;
}

int wire_check_values(const struct wire_msg *msg, char *err, size_t err_len) {
    struct verdict v = {.err = err, .err_len = err_len};
    switch (msg->type) {
    case WIRE_WELCOME:
        return value_rows(v, &msg->welcome.episode);
    case WIRE_TRANSITIONS:
        return value_rows(v, &msg->transitions.rows);
    case WIRE_EXPERIENCE:
        return value_rows(v, &msg->experience.rows);
    case WIRE_ENSEMBLE:
        return value_model(v, &msg->model);
    case WIRE_STATES:
        return column(v, "states.obs", msg->states.obs, msg->states.rows, msg->states.obs_dim,
                      FLT_MAX);
    case WIRE_POLICY:
        return value_policy(v, &msg->policy);
    case WIRE_EVAL_REQUEST:
        return value_policy(v, &msg->eval_request.policy);
    case WIRE_EVAL_REPORT:
        return value_eval_report(v, &msg->eval_report);
    case WIRE_EPISODE:
        return isfinite(msg->episode.episode_return)
                   ? 0
                   : bad_value(v, "episode.episode_return", 0, 0, msg->episode.episode_return);
    default: // measurements in Progress and Status may be NaN: a diverging run reports them
        return 0;
    }
}
