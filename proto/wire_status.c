// SPDX-License-Identifier: MIT
// Conversion of Status: one flat struct here, nested parts on the wire, where parts that do not
// apply to a daemon are absent.
#include <stdbool.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "proto/wire_parts.h"
#include "spur.pb-c.h"

_Static_assert((int)SPUR__PEER_STATE__PEER_LEFT == WIRE_PEER_LEFT, "enums are spur.proto's");

// clang-format off
#define STATUS_FIELDS(NUM, ENUM, TEXT) \
    TEXT(daemon) \
    TEXT(version) \
    TEXT(task) \
    TEXT(method) \
    NUM(run_id) \
    NUM(seed) \
    NUM(pid) \
    NUM(uptime_s) \
    NUM(wall_s) \
    TEXT(state) \
    TEXT(waiting) \
    TEXT(stuck) \
    TEXT(warning) \
    NUM(ending) \
    NUM(env_steps) \
    NUM(env_steps_budget) \
    NUM(explore_steps) \
    NUM(episodes) \
    NUM(env_steps_per_s) \
    NUM(env_rows) \
    NUM(model_rows) \
    NUM(model_capacity)
#define PACING_FIELDS(NUM, ENUM, TEXT) \
    TEXT(pacing_mode) \
    NUM(updates_per_step) \
    NUM(updates_per_step_achieved) \
    NUM(updates_allowed) \
    NUM(steps_allowed)
#define LEARNER_FIELDS(NUM, ENUM, TEXT) \
    ENUM(learner_state) \
    NUM(updates) \
    NUM(policy_version) \
    NUM(updates_per_s) \
    TEXT(learner_waiting)
#define MODEL_FIELDS(NUM, ENUM, TEXT) \
    NUM(model_version) \
    NUM(model_trainings) \
    NUM(model_epochs) \
    NUM(model_training_now) \
    NUM(model_age_s) \
    NUM(model_age_steps) \
    NUM(rollout_length) \
    NUM(rollout_rows) \
    NUM(rollout_rows_per_s) \
    NUM(rollout_length_mean)
#define TERMINATION_FIELDS(NUM, ENUM, TEXT) \
    NUM(termination_ended) \
    NUM(termination_log_loss) \
    NUM(termination_missed) \
    NUM(termination_wrong)
#define END_FIELDS(NUM, ENUM, TEXT) \
    NUM(ends_terminated) \
    NUM(ends_unexplained) \
    NUM(ends_contradicted) \
    TEXT(ends_advice)
#define EVAL_FIELDS(NUM, ENUM, TEXT) \
    NUM(evaluations) \
    NUM(eval_env_steps) \
    NUM(eval_return_last) \
    NUM(eval_return_std) \
    NUM(eval_return_best) \
    NUM(eval_target) \
    NUM(eval_solved_in_row) \
    NUM(eval_episodes_cut)
#define ACTOR_FIELDS(NUM, ENUM, TEXT) \
    TEXT(id) \
    TEXT(host) \
    ENUM(role) \
    ENUM(state) \
    NUM(pid) \
    NUM(index) \
    NUM(steps) \
    NUM(episodes) \
    NUM(steps_per_s) \
    NUM(policy_version) \
    NUM(policy_age_s) \
    NUM(heard_s) \
    NUM(unacked_rows) \
    NUM(last_return) \
    NUM(steps_bad) \
    NUM(environments) \
    TEXT(waiting)
#define COUNTER_FIELDS(NUM, ENUM, TEXT) \
    TEXT(name) \
    NUM(value)
// clang-format on

// Defines the conversion between a part (Pb) and our struct with its fields.
#define BOTH(name, init, Pb, Ours, FIELDS)                                                         \
    static void *pack_##name(struct arena *a, const struct Ours *m) {                              \
        Spur__##Pb *p = arena_alloc(a, sizeof(*p));                                                \
        CHECK(p);                                                                                  \
        spur__##init##__init(p);                                                                   \
        FIELDS(WIRE_PACK_NUM, WIRE_PACK_ENUM, WIRE_PACK_TEXT)                                      \
        return p;                                                                                  \
    }                                                                                              \
    static void unpack_##name(struct Ours *m, const Spur__##Pb *p) {                               \
        FIELDS(WIRE_UNPACK_NUM, WIRE_UNPACK_ENUM, WIRE_UNPACK_TEXT)                                \
    }

BOTH(head, status, Status, wire_status, STATUS_FIELDS)
BOTH(pacing, pacing_status, PacingStatus, wire_status, PACING_FIELDS)
BOTH(learner, learner_status, LearnerStatus, wire_status, LEARNER_FIELDS)
BOTH(model, model_status, ModelStatus, wire_status, MODEL_FIELDS)
BOTH(termination, termination_status, TerminationStatus, wire_status, TERMINATION_FIELDS)
BOTH(ends, end_status, EndStatus, wire_status, END_FIELDS)
BOTH(eval, eval_status, EvalStatus, wire_status, EVAL_FIELDS)
BOTH(actor, actor_status, ActorStatus, wire_actor_status, ACTOR_FIELDS)
BOTH(counter, counter, Counter, wire_counter, COUNTER_FIELDS)

static Spur__LearnerStatus *pack_whole_learner(struct arena *a, const struct wire_status *m) {
    Spur__LearnerStatus *p = pack_learner(a, m);
    p->n_metrics = m->metrics.count;
    p->metrics = wire_pack_metrics(a, &m->metrics);
    return p;
}

static int unpack_whole_learner(struct wire_status *m, const Spur__LearnerStatus *p, char *err,
                                size_t err_len) {
    unpack_learner(m, p);
    return wire_unpack_metrics(&m->metrics, p->n_metrics, p->metrics, "status.learner.metrics", err,
                               err_len);
}

static Spur__ModelStatus *pack_whole_model(struct arena *a, const struct wire_status *m) {
    Spur__ModelStatus *p = pack_model(a, m);
    p->n_holdout_mse = m->members;
    p->holdout_mse = (double *)(uintptr_t)m->holdout_mse;
    p->n_elite = m->elites;
    p->elite = (uint32_t *)(uintptr_t)m->elite;
    p->termination = m->has_termination ? pack_termination(a, m) : NULL;
    return p;
}

static int unpack_whole_model(struct wire_status *m, const Spur__ModelStatus *p, char *err,
                              size_t err_len) {
    unpack_model(m, p);
    if (p->n_holdout_mse > WIRE_MEMBERS_MAX || p->n_elite > WIRE_MEMBERS_MAX) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                         "status.model: %zu members and %zu elites; %d at most", p->n_holdout_mse,
                         p->n_elite, WIRE_MEMBERS_MAX);
    }
    m->members = (uint32_t)p->n_holdout_mse;
    m->elites = (uint32_t)p->n_elite;
    m->has_termination = p->termination != NULL;
    if (m->has_termination) {
        unpack_termination(m, p->termination);
    }
    for (uint32_t i = 0; i < m->members; i++) {
        m->holdout_mse[i] = p->holdout_mse[i];
    }
    for (uint32_t i = 0; i < m->elites; i++) {
        m->elite[i] = p->elite[i];
    }
    return 0;
}

// Memory for n pointers or structs, at least one.
static void *alloc_array(struct arena *a, size_t n, size_t size) {
    return arena_alloc(a, (n ? n : 1) * size);
}

struct Spur__Status *wire_pack_status(struct arena *a, const struct wire_status *m) {
    Spur__Status *p = pack_head(a, m);
    p->pacing = m->has_pacing ? pack_pacing(a, m) : NULL;
    p->learner = m->has_learner ? pack_whole_learner(a, m) : NULL;
    p->model = m->has_model ? pack_whole_model(a, m) : NULL;
    p->ends = m->has_ends ? pack_ends(a, m) : NULL;
    p->eval = m->has_eval ? pack_eval(a, m) : NULL;

    p->n_actors = m->actor_count;
    p->actors = alloc_array(a, p->n_actors, sizeof(*p->actors));
    CHECK(p->actors);
    for (size_t i = 0; i < p->n_actors; i++) {
        p->actors[i] = pack_actor(a, &m->actors[i]);
    }
    p->n_counters = m->counter_count;
    p->counters = alloc_array(a, p->n_counters, sizeof(*p->counters));
    CHECK(p->counters);
    for (size_t i = 0; i < p->n_counters; i++) {
        p->counters[i] = pack_counter(a, &m->counters[i]);
    }
    return p;
}

int wire_unpack_status(struct arena *a, struct wire_status *m, const struct Spur__Status *p,
                       char *err, size_t err_len) {
    unpack_head(m, p);
    m->has_pacing = p->pacing != NULL;
    m->has_learner = p->learner != NULL;
    m->has_model = p->model != NULL;
    m->has_ends = p->ends != NULL;
    m->has_eval = p->eval != NULL;
    if (m->has_pacing) {
        unpack_pacing(m, p->pacing);
    }
    if (m->has_ends) {
        unpack_ends(m, p->ends);
    }
    if (m->has_eval) {
        unpack_eval(m, p->eval);
    }
    int rc = m->has_learner ? unpack_whole_learner(m, p->learner, err, err_len) : 0;
    rc = rc == 0 && m->has_model ? unpack_whole_model(m, p->model, err, err_len) : rc;
    if (rc != 0) {
        return rc;
    }

    if (p->n_actors > WIRE_ACTORS_MAX || p->n_counters > WIRE_COUNTERS_MAX) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                         "status: %zu actors and %zu counters; %d and %d at most", p->n_actors,
                         p->n_counters, WIRE_ACTORS_MAX, WIRE_COUNTERS_MAX);
    }
    struct wire_actor_status *actors = alloc_array(a, p->n_actors, sizeof(*actors));
    if (!actors) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "status.actors: no memory for %zu",
                         p->n_actors);
    }
    memset(actors, 0, p->n_actors * sizeof(*actors));
    for (size_t i = 0; i < p->n_actors; i++) {
        unpack_actor(&actors[i], p->actors[i]);
    }
    m->actors = actors;
    m->actor_count = (uint32_t)p->n_actors;
    for (size_t i = 0; i < p->n_counters; i++) {
        unpack_counter(&m->counters[i], p->counters[i]);
    }
    m->counter_count = (uint32_t)p->n_counters;
    return 0;
}
