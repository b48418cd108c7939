// SPDX-License-Identifier: MIT
//
// When the policy is evaluated, and when the run is over.
//
// One request is with the evaluator at a time, one may wait behind it, and a
// newer one takes the place of the one that waits. A request holds its own
// policy, so what is evaluated is the policy of that step whenever it is done.
#include "modelserver/core/core.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/stats.h"

static void ask(struct modelserver *ms, uint64_t env_steps) {
    struct eval_request *w = &ms->evaluation.waiting;
    if (w->policy) {
        ms_count(ms, MS_eval_requests_replaced, 1);
        policy_drop(&w->policy);
    }
    *w = (struct eval_request){.env_steps = env_steps, .policy = policy_ref(ms->feed.policy)};
}

static void hand_out(struct modelserver *ms) {
    if (ms->evaluation.current.policy || !ms->evaluation.waiting.policy ||
        !ms->evaluation.evaluator || !peer_is_up(ms->evaluation.evaluator)) {
        return;
    }
    ms->evaluation.current = ms->evaluation.waiting;
    ms->evaluation.current.id = ++ms->evaluation.last_id;
    ms->evaluation.waiting = (struct eval_request){0};
    ms_queue(ms, ms->evaluation.evaluator, PENDING_EVAL);
}

void evaluation_fill_request(const struct modelserver *ms, struct wire_eval_request *out) {
    const struct eval_request *r = &ms->evaluation.current;
    *out = (struct wire_eval_request){
        .id = r->id,
        .env_steps = r->env_steps,
        .seed = ms->run.config.run.seed,
        .episodes = (uint32_t)ms->run.config.eval.episodes,
        .policy = {.version = r->policy->version,
                   .updates = r->policy->updates,
                   .obs_dim = (uint32_t)ms->run.task->obs_dim,
                   .act_dim = (uint32_t)ms->run.task->act_dim,
                   .hidden_width = (uint32_t)ms->run.config.sac.hidden_width,
                   .hidden_layers = (uint32_t)ms->run.config.sac.hidden_layers,
                   .params_len = ms->feed.policies.params,
                   .params = r->policy->params}};
    snprintf(out->task, sizeof(out->task), "%s", ms->run.task->name);
}

// Lockstep: all that the stored steps ask for is done, so the newest policy is
// the one that step S is to be judged by.
static bool step_is_complete(const struct modelserver *ms) {
    struct pacing_view v = learner_feed_view(ms);
    return ms->run.config.pacing.mode == PACING_RATIO ||
           ms->ingest.steps <= ms->run.pacing.explore ||
           (v.has_policy && v.rollout_steps >= v.steps &&
            v.updates >= pacing_updates_due(&ms->run.pacing, v.steps));
}

static bool budget_is_spent(const struct modelserver *ms) {
    return ms->ingest.steps >= ms->run.pacing.steps_max &&
           ms->feed.updates >= pacing_updates_total(&ms->run.pacing);
}

bool evaluation_holds_steps(const struct modelserver *ms) {
    return ms->run.config.pacing.mode == PACING_LOCKSTEP && ms->run.config.run.stop_when_solved &&
           ms->ingest.steps > ms->run.pacing.explore && ms->evaluation.evaluator &&
           peer_is_up(ms->evaluation.evaluator) &&
           (ms->evaluation.current.policy || ms->evaluation.waiting.policy);
}

static bool is_solved(const struct modelserver *ms) {
    return ms->run.config.run.stop_when_solved &&
           ms->evaluation.history.solved_in_row >= (uint32_t)ms->run.config.eval.solved_evaluations;
}

// The last evaluation is waited for, but an evaluator that does not appear at
// all cannot hold the end up for ever.
static bool last_evaluation_is_in(struct modelserver *ms, uint64_t now_ms) {
    if (ms->evaluation.final_requested && !ms->evaluation.current.policy &&
        !ms->evaluation.waiting.policy) {
        return true;
    }
    bool there =
        ms->evaluation.evaluator && peer_is_up(ms->evaluation.evaluator) && ms->feed.policy;
    if (there || ms->evaluation.budget_spent_ms == 0) {
        ms->evaluation.budget_spent_ms = now_ms;
    }
    if (now_ms - ms->evaluation.budget_spent_ms < MS_LAST_EVAL_MS) {
        return false;
    }
    log_warn("no evaluator came for the last evaluation");
    return true;
}

void evaluation_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->shutdown.phase != MS_RUNNING) {
        return;
    }
    if (is_solved(ms)) {
        ms_stop(ms, now_ms, true, "solved");
        return;
    }
    uint64_t every = ms->run.config.eval.every_steps, boundary = ms->ingest.steps / every;
    if (boundary > ms->evaluation.boundary && ms->ingest.steps < ms->run.pacing.steps_max &&
        ms->feed.policy && step_is_complete(ms)) {
        ms->evaluation.boundary = boundary;
        ask(ms, boundary * every);
    }
    if (budget_is_spent(ms)) {
        if (!ms->evaluation.final_requested && ms->feed.policy && step_is_complete(ms)) {
            ms->evaluation.final_requested = true;
            ask(ms, ms->ingest.steps);
        }
        if (last_evaluation_is_in(ms, now_ms)) {
            ms_stop(ms, now_ms, true, "step budget spent");
            return;
        }
    }
    hand_out(ms);
}

void evaluation_report(struct modelserver *ms, uint64_t now_ms, const struct wire_eval_report *r) {
    struct eval_request *out = &ms->evaluation.current;
    if (!out->policy || r->id != out->id || r->policy_version != out->policy->version ||
        r->episodes == 0) {
        ms_count(ms, MS_eval_reports_stale, 1);
        return;
    }
    uint64_t learnt =
        ms->ingest.steps > ms->run.pacing.explore ? ms->ingest.steps - ms->run.pacing.explore : 0;
    struct learning_curve_row row = {
        .env_steps = out->env_steps,
        .wall_seconds = (double)ms_wall_ms(ms, now_ms) * 1e-3,
        .return_mean = stats_mean(r->returns, (int)r->episodes),
        .return_std = stats_std(r->returns, (int)r->episodes),
        .model_holdout_mse = ms->training.model ? model_holdout_mse(ms->training.model) : 0,
        .critic_loss = ms->feed.progress.critic_loss,
        .actor_loss = ms->feed.progress.actor_loss,
        .temperature = ms->feed.progress.temperature,
        .entropy = ms->feed.progress.entropy,
        .updates = out->policy->updates,
        .updates_per_step = learnt > 0 ? (double)ms->feed.updates / (double)learnt : 0,
        .rollout_length = (uint64_t)config_rollout_length(&ms->run.config, out->env_steps),
        .model_epochs = ms->training.model ? ms->training.model->epochs : 0,
    };
    bool best = ms->evaluation.history.evaluations == 0 ||
                row.return_mean > ms->evaluation.history.return_best;
    learning_curve_count(&ms->evaluation.history, &row, &ms->run.config);
    log_info("step %llu: return %.1f +- %.1f", (unsigned long long)row.env_steps, row.return_mean,
             row.return_std);
    struct ms_evaluation e = {.row = row, .best = best ? out->policy : NULL};
    ms->jobs.evaluated(ms->jobs.arg, &e);
    policy_drop(&out->policy);
}
