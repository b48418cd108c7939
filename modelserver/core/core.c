// SPDX-License-Identifier: MIT
// Creation of the state from store and checkpoint, and figures that need several subjects.
#include "modelserver/core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

// ---- life ----

// Actors of earlier processes are lost peers until they are heard of again.
static void restore_actors(struct modelserver *ms, const struct ms_setup *setup, uint64_t now_ms) {
    for (uint64_t i = 0; i < setup->actor_count; i++) {
        const struct store_actor *a = &setup->actors[i];
        const struct peer *const keep[] = {NULL, NULL};
        struct peer *p = peers_add(ms->peers, WIRE_ROLE_ACTOR, a->id, now_ms, keep);
        CHECK(p);
        p->state = WIRE_PEER_LOST;
        p->incarnation = a->incarnation;
        p->heard_ms = now_ms;
        p->registered = true;
        p->has_index = true;
        p->index = a->index;
        p->seq_accepted = p->seq_stored = a->seq;
        p->rows_accepted = p->rows_stored = p->credit = a->steps_incarnation;
        // The credit that the process before gave is unknown; an actor cannot have
        // more rows than these unacknowledged.
        p->credit_max = p->rows_accepted + (uint64_t)ms->run.config.network.unacked_rows_max;
        p->steps = a->steps;
        p->episodes = a->episodes;
    }
}

struct ms_state core_state(const struct modelserver *ms, uint64_t now_ms) {
    struct ms_state s = {.wall_ms = run_wall_ms(&ms->run, now_ms)};
    training_state(&ms->training, &s);
    rollouts_state(&ms->rollouts, &s);
    saving_state(&ms->saving, &s);
    memcpy(s.counters, ms->counters.n, sizeof(s.counters));
    return s;
}

// state: of the checkpoint, or zeros.
static void restore_state(struct modelserver *ms, const struct ms_state *state) {
    training_restore(&ms->training, state);
    rollouts_restore(&ms->rollouts, state);
    saving_restore(&ms->saving, state);
    memcpy(ms->counters.n, state->counters, sizeof(ms->counters.n));
    if (state->wall_ms > ms->run.wall_ms_before) {
        ms->run.wall_ms_before = state->wall_ms;
    }
}

void core_init(struct modelserver *ms, const struct ms_setup *setup, uint64_t now_ms) {
    struct run_context *run = &ms->run;
    *run = (struct run_context){.config = *setup->config,
                                .task = setup->task,
                                .pacing = pacing_make(setup->config),
                                .has_model = config_has_model(setup->config),
                                .id = setup->run_id,
                                .pid = setup->pid,
                                .started_ms = now_ms,
                                .wall_ms_before = (uint64_t)(setup->history.wall_seconds * 1e3)};
    ms->jobs = setup->jobs;
    ms->peers = peers_create();
    memcpy(ms->starts, setup->starts, sizeof(ms->starts));
    outbox_init(&ms->outbox, &setup->port, run->id, &ms->counters);
    ms->pair.matches = run->pacing.mode == PACING_LOCKSTEP;
    uint64_t steps = setup->state ? setup->state->checkpoint_id : 0;
    ingest_init(&ms->ingest, run, &ms->outbox, &ms->jobs, &ms->counters, setup->env,
                setup->env_rows,
                ms->pair.matches && steps < setup->env_rows ? steps : setup->env_rows);
    training_init(&ms->training, run, &ms->jobs, &ms->counters);
    rollouts_init(&ms->rollouts, run, &ms->jobs, &ms->counters);
    learner_feed_init(&ms->feed, run, &ms->outbox, &ms->counters, setup->env);
    evaluation_init(&ms->evaluation, run, &ms->outbox, &ms->jobs, &ms->counters, &setup->history);
    divergence_init(&ms->divergence, run->has_model);
    saving_init(&ms->saving, run, &ms->jobs, &ms->counters);
    watchdog_init(&ms->watchdog, now_ms, run->config.run.stuck_after_s,
                  run->config.run.stuck_stop_s);
    ms->actor_status = xcalloc(PEERS_MAX, sizeof(*ms->actor_status));

    restore_actors(ms, setup, now_ms);
    const struct ms_state none = {0};
    restore_state(ms, setup->state ? setup->state : &none);
    ms->saving.previous_step = setup->previous_step;
    if (setup->model) {
        training_restore_model(&ms->training, now_ms, setup->model);
    }
}

void core_deinit(struct modelserver *ms) {
    peers_destroy(&ms->peers);
    ingest_deinit(&ms->ingest);
    training_deinit(&ms->training);
    rollouts_deinit(&ms->rollouts);
    learner_feed_deinit(&ms->feed);
    free(ms->actor_status);
}

uint64_t core_memory_bytes(const struct config *config, const struct task *task) {
    struct ensemble e = ms_ensemble(config, task);
    struct policy p = ms_policy(config, task);
    struct termination heads = model_heads(&e, task->termination);
    uint64_t floats = VERSION_SLOTS * policy_params(&p), model = 0;
    if (config_has_model(config)) {
        uint64_t models = (uint64_t)(VERSION_SLOTS + config->model.lag_trainings);
        floats += (uint64_t)learner_feed_older_policies(config) * policy_params(&p) +
                  models * (ensemble_params(&e) + termination_params(&heads));
        model = rollouts_memory_bytes(config, task);
    }
    return sizeof(struct modelserver) + ingest_memory_bytes(config, task) + model +
           floats * sizeof(float);
}

// ---- pacing ----

struct pacing_view core_pacing_view(const struct modelserver *ms) {
    // A training is over when the learner has its model, if the method takes it.
    uint64_t point = training_point(&ms->training, ms->ingest.steps);
    if (point == 0 && learner_feed_owes_model(&ms->feed, training_supplied(&ms->training))) {
        point = ms->training.trained_for;
    }
    // A method without a model waits for none: all its rollouts count as made.
    bool none = !ms->run.has_model, has_model = none || ms->training.model;
    bool states = config_has_states(&ms->run.config);
    bool filled = states ? ms->rollouts.states > 0 : none || ms->rollouts.filled;
    return (struct pacing_view){.steps = ms->ingest.steps,
                                .updates = ms->feed.updates,
                                .rollout_steps =
                                    none || states ? ms->ingest.steps : ms->rollouts.steps,
                                .updates_supplied = rollouts_updates_supplied(&ms->rollouts),
                                .has_model = has_model,
                                .ready = has_model && filled,
                                .has_policy = learner_feed_has_newest_policy(&ms->feed),
                                .training_point = point};
}

uint64_t core_steps_allowed(const struct modelserver *ms, char *why, size_t why_len) {
    uint64_t steps = ms->ingest.steps, evaluated = evaluation_steps_max(&ms->evaluation, steps);
    bool lockstep = ms->run.pacing.mode == PACING_LOCKSTEP;
    if (lockstep && (ms->closing.begun || ms->saving.running)) {
        if (why) {
            snprintf(why, why_len, "a checkpoint");
        }
        return steps;
    }
    if (evaluated <= steps && steps < ms->run.pacing.steps_max) {
        if (why) {
            snprintf(why, why_len, "the evaluation at step %llu", (unsigned long long)steps);
        }
        return steps;
    }
    struct pacing_view view = core_pacing_view(ms);
    uint64_t allowed = pacing_steps_allowed(&ms->run.pacing, &view, why, why_len);
    return allowed < evaluated ? allowed : evaluated;
}

bool core_is_quiet(const struct modelserver *ms) {
    struct pacing_view v = core_pacing_view(ms);
    return v.steps >= ms->run.pacing.explore && learner_feed_is_up(&ms->feed) && v.ready &&
           v.training_point == 0 && !ms->rollouts.running && v.rollout_steps >= v.steps &&
           learner_feed_is_drained(&ms->feed, v.steps) && v.has_policy &&
           v.updates >= pacing_updates_due(&ms->run.pacing, v.steps) &&
           evaluation_is_settled(&ms->evaluation, v.steps) &&
           ms->feed.progress.checkpoint_id >= ms->saving.checkpoint_id;
}

struct wire_grant core_grant(const struct modelserver *ms) {
    struct pacing_view view = core_pacing_view(ms);
    uint64_t sent = learner_feed_rows_sent(&ms->feed);
    if (ms->run.pacing.mode == PACING_LOCKSTEP && sent < view.steps) {
        view.steps = sent; // updates must not begin before the rows that they may sample
    }
    uint64_t allowed = pacing_updates_allowed(&ms->run.pacing, &view, NULL, 0);
    if (ms->shutdown.phase != MS_RUNNING && allowed > ms->feed.grant.updates_allowed) {
        allowed = ms->feed.grant.updates_allowed;
    }
    return (struct wire_grant){.updates_allowed = allowed,
                               .model_capacity = run_model_capacity(&ms->run, ms->ingest.steps),
                               .env_steps = ms->ingest.steps,
                               .checkpoint_id = ms->saving.checkpoint_id,
                               .experience_seq = ms->feed.queue.sent,
                               .policy_version = learner_feed_policy_version(&ms->feed)};
}

void core_grant_reason(const struct modelserver *ms, char *why, size_t why_len) {
    if (ms->shutdown.phase != MS_RUNNING) {
        snprintf(why, why_len, "nothing: the run ends");
        return;
    }
    struct pacing_view view = core_pacing_view(ms);
    pacing_updates_allowed(&ms->run.pacing, &view, why, why_len);
}
