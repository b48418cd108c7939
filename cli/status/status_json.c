// SPDX-License-Identifier: MIT
// The JSON of `spur status --json`, specified by docs/status.md. Names are stable, and new ones may
// be added; sections unknown to the daemon are null.
#include <math.h>

#include <jansson.h>

#include "cli/status/status.h"
#include "common/base/check.h"
#include "proto/epoch.h"

enum { JSON_SCHEMA = 2 };

static void put(json_t *object, const char *name, json_t *value) {
    CHECK_RESOURCES(value);
    CHECK_RESOURCES(json_object_set_new(object, name, value) == 0);
}

// jansson's integers are signed: saturates, which no counter reaches.
static json_t *count(uint64_t n) {
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static void put_count(json_t *object, const char *name, uint64_t n) {
    put(object, name, count(n));
}

static json_t *number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

// A count that does not exist yet is null.
static void put_count_if(json_t *object, const char *name, bool known, uint64_t n) {
    put(object, name, known ? count(n) : json_null());
}

static void put_number(json_t *object, const char *name, double x) {
    put(object, name, number(x));
}

// Strings come from peers and may be invalid UTF-8: then every non-ASCII byte becomes '?'.
static const char *utf8(char safe[WIRE_STRING_MAX], const char *text) {
    json_t *value = json_string(text);
    if (value) {
        json_decref(value);
        return text;
    }
    size_t n = 0;
    for (; text[n] && n + 1 < WIRE_STRING_MAX; n++) {
        safe[n] = (unsigned char)text[n] < 128 ? text[n] : '?';
    }
    safe[n] = '\0';
    return safe;
}

static void put_text(json_t *object, const char *name, const char *text) {
    char safe[WIRE_STRING_MAX];
    put(object, name, json_string(utf8(safe, text)));
}

// As hexadecimal text: many JSON parsers keep only 53 bits of an integer.
static void put_id(json_t *object, const char *name, uint64_t id) {
    char text[17];
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
    put_text(object, name, text);
}

static json_t *pacing(const struct wire_status *s) {
    json_t *o = json_object();
    put_text(o, "mode", s->pacing_mode);
    put_number(o, "updates_per_step", s->updates_per_step);
    put_number(o, "updates_per_step_achieved", s->updates_per_step_achieved);
    put_count(o, "updates_allowed", s->updates_allowed);
    put_count(o, "steps_allowed", s->steps_allowed);
    return o;
}

static json_t *learner(const struct wire_status *s) {
    json_t *o = json_object();
    put_text(o, "state", status_peer_state(s->learner_state));
    put_count(o, "updates", s->updates);
    put_number(o, "updates_per_s", s->updates_per_s);
    put_count(o, "policy_epoch", epoch_of(s->policy_version));
    put_count(o, "policy_version", epoch_number(s->policy_version));
    json_t *metrics = json_object();
    for (uint32_t i = 0; i < s->metrics.count; i++) {
        put_number(metrics, s->metrics.list[i].name, s->metrics.list[i].value);
    }
    put(o, "metrics", metrics);
    put_text(o, "waiting", s->learner_waiting);
    return o;
}

static json_t *termination(const struct wire_status *s) {
    if (!s->has_termination) {
        return json_null();
    }
    json_t *o = json_object();
    put_count(o, "ended", s->termination_ended);
    put_number(o, "log_loss", s->termination_log_loss);
    put_number(o, "missed", s->termination_missed);
    put_number(o, "wrong", s->termination_wrong);
    return o;
}

static json_t *model(const struct wire_status *s) {
    json_t *o = json_object(), *errors = json_array(), *elites = json_array();
    for (uint32_t i = 0; i < s->members && i < WIRE_MEMBERS_MAX; i++) {
        json_array_append_new(errors, number(s->holdout_mse[i]));
    }
    for (uint32_t i = 0; i < s->elites && i < WIRE_MEMBERS_MAX; i++) {
        json_array_append_new(elites, json_integer(s->elite[i]));
    }
    put_count(o, "version", s->model_version);
    put_count(o, "trainings", s->model_trainings);
    bool any = s->model_version > 0;
    put_count_if(o, "epochs_last", any, s->model_epochs);
    put(o, "training_now", json_boolean(s->model_training_now));
    put_number(o, "age_s", any ? s->model_age_s : (double)NAN);
    put_count_if(o, "age_steps", any, s->model_age_steps);
    put(o, "holdout_mse", errors);
    put(o, "elites", elites);
    put(o, "termination", termination(s));
    put_count(o, "rollout_length", s->rollout_length);
    put_number(o, "rollout_length_mean", s->rollout_length_mean);
    put_count(o, "rollout_rows", s->rollout_rows);
    put_number(o, "rollout_rows_per_s", s->rollout_rows_per_s);
    return o;
}

static json_t *ends(const struct wire_status *s) {
    json_t *o = json_object();
    put_count(o, "terminated", s->ends_terminated);
    put_count(o, "unexplained", s->ends_unexplained);
    put_count(o, "contradicted", s->ends_contradicted);
    put_text(o, "advice", s->ends_advice);
    return o;
}

static json_t *evaluation(const struct wire_status *s) {
    json_t *o = json_object();
    bool any = s->evaluations > 0;
    put_count(o, "count", s->evaluations);
    put_count_if(o, "env_steps", any, s->eval_env_steps);
    put_number(o, "return_last", any ? s->eval_return_last : NAN);
    put_number(o, "return_std", any ? s->eval_return_std : NAN);
    put_number(o, "return_best", any ? s->eval_return_best : NAN);
    put_number(o, "target", s->eval_target);
    put(o, "solved_in_row", isnan(s->eval_target) ? json_null() : count(s->eval_solved_in_row));
    put_count(o, "episodes_cut", s->eval_episodes_cut);
    return o;
}

static json_t *actor(const struct wire_actor_status *a) {
    json_t *o = json_object();
    put_text(o, "id", a->id);
    put_text(o, "host", a->host);
    put_text(o, "role", status_role(a->role));
    put_text(o, "state", status_peer_state(a->state));
    put_count(o, "pid", a->pid);
    put_count_if(o, "index", a->role == WIRE_ROLE_ACTOR, a->index);
    put_count(o, "steps", a->steps);
    put_count(o, "episodes", a->episodes);
    put_number(o, "steps_per_s", a->steps_per_s);
    put_count(o, "policy_epoch", epoch_of(a->policy_version));
    put_count(o, "policy_version", epoch_number(a->policy_version));
    put_number(o, "policy_age_s", a->policy_age_s);
    put_number(o, "heard_s", a->heard_s);
    put_count(o, "unacked_rows", a->unacked_rows);
    put_count(o, "steps_bad", a->steps_bad);
    put_count(o, "environments", a->environments);
    put_number(o, "last_return", a->last_return);
    put_text(o, "waiting", a->waiting);
    return o;
}

static json_t *whole(const struct wire_status *s) {
    json_t *o = json_object(), *actors = json_array(), *counters = json_object();
    put_count(o, "schema", JSON_SCHEMA);
    put_text(o, "daemon", s->daemon);
    put_text(o, "version", s->version);
    put_text(o, "task", s->task);
    put_text(o, "method", s->method);
    put_id(o, "run_id", s->run_id);
    put_count(o, "seed", s->seed);
    put_count(o, "pid", s->pid);
    put_number(o, "uptime_s", s->uptime_s);
    put_number(o, "wall_s", s->wall_s > 0 ? s->wall_s : (double)NAN);
    put_text(o, "state", s->state);
    put_text(o, "waiting", s->waiting);
    put_text(o, "stuck", s->stuck);
    put_text(o, "warning", s->warning);
    put_count(o, "env_steps", s->env_steps);
    put_count(o, "env_steps_budget", s->env_steps_budget);
    put_count(o, "explore_steps", s->explore_steps);
    put_count(o, "episodes", s->episodes);
    put_number(o, "env_steps_per_s", s->env_steps_per_s);
    put_count(o, "env_rows", s->env_rows);
    put(o, "model_rows", s->model_capacity > 0 ? count(s->model_rows) : json_null());
    put(o, "model_capacity", s->model_capacity > 0 ? count(s->model_capacity) : json_null());
    put(o, "pacing", s->has_pacing ? pacing(s) : json_null());
    put(o, "learner", s->has_learner ? learner(s) : json_null());
    put(o, "model", s->has_model ? model(s) : json_null());
    put(o, "ends", s->has_ends ? ends(s) : json_null());
    put(o, "evaluation", s->has_eval ? evaluation(s) : json_null());
    for (uint32_t i = 0; i < s->actor_count; i++) {
        json_array_append_new(actors, actor(&s->actors[i]));
    }
    put(o, "actors", actors);
    for (uint32_t i = 0; i < s->counter_count && i < WIRE_COUNTERS_MAX; i++) {
        char safe[WIRE_STRING_MAX];
        put_count(counters, utf8(safe, s->counters[i].name), s->counters[i].value);
    }
    put(o, "counters", counters);
    return o;
}

void status_print_json(const struct wire_status *s, FILE *out) {
    json_t *o = whole(s);
    json_dumpf(o, out, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    fputc('\n', out);
    json_decref(o);
}
