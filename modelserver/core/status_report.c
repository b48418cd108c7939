// SPDX-License-Identifier: MIT
// One function per part of the status message.
#include "modelserver/core/status_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "modelserver/core/stuck.h"

_Static_assert(MS_COUNTER_COUNT <= WIRE_COUNTERS_MAX, "all counters fit into a Status");

static double seconds(uint64_t now_ms, uint64_t then_ms) {
    return now_ms > then_ms ? (double)(now_ms - then_ms) * 1e-3 : 0;
}

static double policy_age_s(const struct modelserver *ms, uint64_t version, uint64_t now_ms) {
    uint64_t then = learner_feed_policy_ms(&ms->feed, version);
    return then > 0 ? seconds(now_ms, then) : (double)NAN;
}

static void actor_status(const struct modelserver *ms, const struct peer *p, uint64_t now_ms,
                         struct wire_actor_status *out) {
    *out = (struct wire_actor_status){.role = p->role,
                                      .state = p->state,
                                      .pid = p->pid,
                                      .index = p->index,
                                      .steps = p->steps,
                                      .episodes = p->episodes,
                                      .steps_per_s = rate_per_s(&p->steps_rate, now_ms),
                                      .policy_version = p->policy_version,
                                      .policy_age_s = policy_age_s(ms, p->policy_version, now_ms),
                                      .heard_s = seconds(now_ms, p->heard_ms),
                                      .unacked_rows = p->unacked_rows,
                                      .steps_bad = p->steps_bad,
                                      .environments = p->environments,
                                      .last_return = p->last_return};
    memcpy(out->id, p->id, sizeof(out->id));
    memcpy(out->host, p->host, sizeof(out->host));
    memcpy(out->waiting, p->waiting, sizeof(out->waiting));
}

static void peers(const struct modelserver *ms, uint64_t now_ms, struct wire_actor_status *actors,
                  struct wire_status *out) {
    for (int i = 0; i < peers_count(ms->peers); i++) {
        const struct peer *p = peers_at(ms->peers, i);
        if (p->role != WIRE_ROLE_LEARNER) {
            actor_status(ms, p, now_ms, &actors[out->actor_count++]);
            out->episodes += p->role == WIRE_ROLE_ACTOR ? p->episodes : 0;
        }
    }
    out->actors = actors;
}

static void learner(const struct modelserver *ms, uint64_t now_ms, struct wire_status *out) {
    out->updates = ms->feed.updates;
    out->policy_version = learner_feed_policy_version(&ms->feed);
    out->model_rows = ms->feed.progress.model_rows;
    out->model_capacity = run_model_capacity(&ms->run, ms->ingest.steps);
    out->has_learner = ms->feed.learner != NULL;
    if (!ms->feed.learner) {
        return;
    }
    out->learner_state = ms->feed.learner->state;
    out->updates_per_s = rate_per_s(&ms->feed.updates_rate, now_ms);
    out->metrics = ms->feed.progress.metrics;
    memcpy(out->learner_waiting, ms->feed.progress.waiting, sizeof(out->learner_waiting));
}

static void pacing(const struct modelserver *ms, struct wire_status *out) {
    struct pacing_view view = core_pacing_view(ms);
    double learnt = pacing_steps_of(&ms->run.pacing, ms->feed.updates);
    uint64_t explore = ms->run.pacing.explore;
    out->has_pacing = true;
    snprintf(out->pacing_mode, sizeof(out->pacing_mode), "%s", config_pacing_name(&ms->run.config));
    out->updates_per_step = ms->run.pacing.updates_per_step;
    out->updates_per_step_achieved =
        ms->ingest.steps > explore
            ? learnt * ms->run.pacing.updates_per_step / (double)(ms->ingest.steps - explore)
            : (double)NAN;
    out->updates_allowed = pacing_updates_allowed(&ms->run.pacing, &view, NULL, 0);
    out->steps_allowed = core_steps_allowed(ms, NULL, 0);
}

static void model(const struct modelserver *ms, uint64_t now_ms, struct wire_status *out) {
    out->has_model = ms->run.has_model;
    if (!out->has_model) {
        return;
    }
    out->model_trainings = ms->training.trainings;
    out->model_training_now = ms->training.running;
    out->rollout_length =
        rollouts_length(&ms->run.config, ms->ingest.steps, training_supplied(&ms->training));
    out->rollout_rows = ms->rollouts.rows;
    out->rollout_rows_per_s = rate_per_s(&ms->rollouts.rows_rate, now_ms);
    out->rollout_length_mean = ms->rollouts.last_count > 0 ? (double)ms->rollouts.last_rows /
                                                                 (double)ms->rollouts.last_count
                                                           : (double)NAN;
    out->model_age_s = NAN;
    const struct model *m = ms->training.model;
    if (!m) {
        return;
    }
    out->model_version = m->version;
    out->model_epochs = m->epochs;
    out->model_age_s = seconds(now_ms, ms->training.model_ms);
    out->model_age_steps = ms->ingest.steps - m->env_rows;
    out->members = (uint32_t)m->members;
    out->elites = (uint32_t)m->elites;
    for (int i = 0; i < m->members; i++) {
        out->holdout_mse[i] = (double)m->holdout_mse[i];
    }
    for (int i = 0; i < m->elites; i++) {
        out->elite[i] = (uint32_t)m->elite[i];
    }
    if (m->termination) {
        struct termination_score s = model_termination_score(m);
        out->has_termination = true;
        out->termination_ended = (uint64_t)s.ended;
        out->termination_log_loss = (double)s.log_loss;
        out->termination_missed = (double)s.missed;
        out->termination_wrong = (double)s.wrong;
    }
}

static void ends(const struct modelserver *ms, struct wire_status *out) {
    const struct ends *e = &ms->ingest.ends;
    out->has_ends = true;
    out->ends_terminated = e->terminated;
    out->ends_unexplained = e->unexplained;
    out->ends_contradicted = e->contradicted;
    ends_advice(e, out->ends_advice, sizeof(out->ends_advice));
}

static void evaluations(const struct modelserver *ms, struct wire_status *out) {
    out->has_eval = true;
    out->evaluations = ms->evaluation.history.evaluations;
    out->eval_env_steps = ms->evaluation.history.env_steps;
    out->eval_return_last = ms->evaluation.history.return_mean;
    out->eval_return_std = ms->evaluation.history.return_std;
    out->eval_return_best = ms->evaluation.history.return_best;
    out->eval_target = ms->run.config.eval.target;
    out->eval_solved_in_row = ms->evaluation.history.solved_in_row;
    out->eval_episodes_cut = ms->evaluation.episodes_cut;
}

static const char *state_name(const struct modelserver *ms) {
    if (ms->shutdown.phase != MS_RUNNING) {
        return ms->shutdown.message.done ? ms->shutdown.message.text : "stopping";
    }
    if (ms->ingest.steps < ms->run.pacing.explore) {
        return "exploring";
    }
    if (!ms->run.has_model) {
        return "learning";
    }
    if (!ms->training.model) {
        return "training the first model";
    }
    char broken[WIRE_STRING_MAX];
    if (training_is_broken(&ms->training, broken, sizeof(broken))) {
        return "learning without training the model";
    }
    bool fills = !config_has_states(&ms->run.config) && !ms->rollouts.filled;
    return fills ? "filling D_model" : "learning";
}

// If all connected actors wait for their environments: the reason of one of them; else NULL.
static const char *silent_environment(const struct modelserver *ms) {
    static const char start[] = "the environment";
    const char *reason = NULL;
    for (int i = 0; i < peers_count(ms->peers); i++) {
        const struct peer *p = peers_at(ms->peers, i);
        if (p->role == WIRE_ROLE_ACTOR && peer_is_up(p)) {
            if (strncmp(p->waiting, start, sizeof(start) - 1) != 0) {
                return NULL;
            }
            reason = p->waiting;
        }
    }
    return reason;
}

// The reason for waiting of the whole run: the first condition that holds.
static void waiting(const struct modelserver *ms, uint64_t now_ms, char *out, size_t out_len) {
    out[0] = '\0';
    char why[WIRE_STRING_MAX - 32];
    bool explores = ms->ingest.steps < ms->run.pacing.explore;
    if (ms->shutdown.phase != MS_RUNNING) {
        snprintf(out, out_len, "for peers: the run ends, and they send their last rows");
    } else if (ms->ingest.store_error[0]) {
        snprintf(out, out_len, "%s", ms->ingest.store_error);
    } else if (ms->ingest.actors_up == 0 && ms->ingest.steps < ms->run.pacing.steps_max) {
        snprintf(out, out_len, "for an actor: none is connected");
    } else if (!explores && !learner_feed_is_up(&ms->feed)) {
        snprintf(out, out_len, "for the learner: it is not connected");
    } else if (ingest_refuses_all(&ms->ingest, why, sizeof(why))) {
        snprintf(out, out_len, "for %s", why);
    } else if (silent_environment(ms)) {
        snprintf(out, out_len, "for %.*s", WIRE_STRING_MAX - 8, silent_environment(ms));
    } else if (evaluation_is_last(&ms->evaluation, now_ms, out, out_len)) {
        return;
    } else if (!explores && core_steps_allowed(ms, why, sizeof(why)) <= ms->ingest.steps) {
        snprintf(out, out_len, "actors wait for %s", why);
    } else if (!explores && ms->feed.grant.updates_allowed <= ms->feed.updates) {
        core_grant_reason(ms, why, sizeof(why));
        snprintf(out, out_len, "the learner waits for %s", why);
    }
}

void status_report_fill(const struct modelserver *ms, uint64_t now_ms,
                        struct wire_actor_status *actors, struct wire_status *out) {
    *out = (struct wire_status){.run_id = ms->run.id,
                                .seed = ms->run.config.run.seed,
                                .pid = ms->run.pid,
                                .ending = ms->shutdown.phase != MS_RUNNING,
                                .uptime_s = seconds(now_ms, ms->run.started_ms),
                                .wall_s = (double)run_wall_ms(&ms->run, now_ms) * 1e-3,
                                .env_steps = ms->ingest.steps,
                                .env_rows = ms->ingest.steps,
                                .env_steps_budget = config_steps_max(&ms->run.config),
                                .explore_steps = config_explore_end(&ms->run.config),
                                .env_steps_per_s = rate_per_s(&ms->ingest.steps_rate, now_ms)};
    snprintf(out->daemon, sizeof(out->daemon), "modelserver");
    snprintf(out->version, sizeof(out->version), "%s", SPUR_VERSION);
    snprintf(out->task, sizeof(out->task), "%s", ms->run.task->name);
    snprintf(out->method, sizeof(out->method), "%s", method_info(ms->run.config.method)->name);
    snprintf(out->state, sizeof(out->state), "%s", state_name(ms));
    waiting(ms, now_ms, out->waiting, sizeof(out->waiting));
    stuck_describe(ms, now_ms, out->stuck, sizeof(out->stuck));
    if (!training_is_broken(&ms->training, out->warning, sizeof(out->warning))) {
        divergence_find(out->warning, sizeof(out->warning), &ms->divergence.figures);
    }
    peers(ms, now_ms, actors, out);
    learner(ms, now_ms, out);
    pacing(ms, out);
    model(ms, now_ms, out);
    ends(ms, out);
    evaluations(ms, out);
    out->counter_count = MS_COUNTER_COUNT;
    for (int i = 0; i < MS_COUNTER_COUNT; i++) {
        snprintf(out->counters[i].name, sizeof(out->counters[i].name), "%s",
                 counter_name((enum ms_counter)i));
        out->counters[i].value = ms->counters.n[i];
    }
}
