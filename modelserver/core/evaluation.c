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
    struct eval_request *w = &ms->eval_waiting;
    if (w->policy) {
        ms_count(ms, MS_eval_requests_replaced, 1);
        policy_drop(&w->policy);
    }
    *w = (struct eval_request){.env_steps = env_steps, .policy = policy_ref(ms->policy)};
}

static void hand_out(struct modelserver *ms) {
    if (ms->eval_out.policy || !ms->eval_waiting.policy || !ms->evaluator ||
        !peer_is_up(ms->evaluator)) {
        return;
    }
    ms->eval_out = ms->eval_waiting;
    ms->eval_out.id = ++ms->eval_next_id;
    ms->eval_waiting = (struct eval_request){0};
    ms_queue(ms, ms->evaluator, PENDING_EVAL);
}

void evaluation_fill_request(const struct modelserver *ms, struct wire_eval_request *out) {
    const struct eval_request *r = &ms->eval_out;
    *out = (struct wire_eval_request){
        .id = r->id,
        .env_steps = r->env_steps,
        .seed = ms->config.run.seed,
        .episodes = (uint32_t)ms->config.eval.episodes,
        .policy = {.version = r->policy->version,
                   .updates = r->policy->updates,
                   .obs_dim = (uint32_t)ms->task->obs_dim,
                   .act_dim = (uint32_t)ms->task->act_dim,
                   .hidden_width = (uint32_t)ms->config.sac.hidden_width,
                   .hidden_layers = (uint32_t)ms->config.sac.hidden_layers,
                   .params_len = ms->policies.params,
                   .params = r->policy->params}};
    snprintf(out->task, sizeof(out->task), "%s", ms->task->name);
}

// Lockstep: all that the stored steps ask for is done, so the newest policy is
// the one that step S is to be judged by.
static bool step_is_complete(const struct modelserver *ms) {
    struct pacing_view v = learner_feed_view(ms);
    return ms->config.pacing.mode == PACING_RATIO || ms->steps <= ms->pacing.explore ||
           (v.has_policy && v.rollout_steps >= v.steps &&
            v.updates >= pacing_updates_due(&ms->pacing, v.steps));
}

static bool budget_is_spent(const struct modelserver *ms) {
    return ms->steps >= ms->pacing.steps_max && ms->updates >= pacing_updates_total(&ms->pacing);
}

bool evaluation_holds_steps(const struct modelserver *ms) {
    return ms->config.pacing.mode == PACING_LOCKSTEP && ms->config.run.stop_when_solved &&
           ms->steps > ms->pacing.explore && ms->evaluator && peer_is_up(ms->evaluator) &&
           (ms->eval_out.policy || ms->eval_waiting.policy);
}

static bool is_solved(const struct modelserver *ms) {
    return ms->config.run.stop_when_solved &&
           ms->history.solved_in_row >= (uint32_t)ms->config.eval.solved_evaluations;
}

// The last evaluation is waited for, but an evaluator that does not appear at
// all cannot hold the end up for ever.
static bool last_evaluation_is_in(struct modelserver *ms, uint64_t now_ms) {
    if (ms->eval_last_asked && !ms->eval_out.policy && !ms->eval_waiting.policy) {
        return true;
    }
    bool there = ms->evaluator && peer_is_up(ms->evaluator) && ms->policy;
    if (there || ms->budget_spent_ms == 0) {
        ms->budget_spent_ms = now_ms;
    }
    if (now_ms - ms->budget_spent_ms < MS_LAST_EVAL_MS) {
        return false;
    }
    log_warn("no evaluator came for the last evaluation");
    return true;
}

void evaluation_advance(struct modelserver *ms, uint64_t now_ms) {
    if (ms->phase != MS_RUNNING) {
        return;
    }
    if (is_solved(ms)) {
        ms_stop(ms, now_ms, true, "solved");
        return;
    }
    uint64_t every = ms->config.eval.every_steps, boundary = ms->steps / every;
    if (boundary > ms->eval_marked && ms->steps < ms->pacing.steps_max && ms->policy &&
        step_is_complete(ms)) {
        ms->eval_marked = boundary;
        ask(ms, boundary * every);
    }
    if (budget_is_spent(ms)) {
        if (!ms->eval_last_asked && ms->policy && step_is_complete(ms)) {
            ms->eval_last_asked = true;
            ask(ms, ms->steps);
        }
        if (last_evaluation_is_in(ms, now_ms)) {
            ms_stop(ms, now_ms, true, "step budget spent");
            return;
        }
    }
    hand_out(ms);
}

void evaluation_report(struct modelserver *ms, uint64_t now_ms, const struct wire_eval_report *r) {
    struct eval_request *out = &ms->eval_out;
    if (!out->policy || r->id != out->id || r->policy_version != out->policy->version ||
        r->episodes == 0) {
        ms_count(ms, MS_eval_reports_stale, 1);
        return;
    }
    uint64_t learnt = ms->steps > ms->pacing.explore ? ms->steps - ms->pacing.explore : 0;
    struct learning_curve_row row = {
        .env_steps = out->env_steps,
        .wall_seconds = (double)ms_wall_ms(ms, now_ms) * 1e-3,
        .return_mean = stats_mean(r->returns, (int)r->episodes),
        .return_std = stats_std(r->returns, (int)r->episodes),
        .model_holdout_mse = ms->model ? model_holdout_mse(ms->model) : 0,
        .critic_loss = ms->progress.critic_loss,
        .actor_loss = ms->progress.actor_loss,
        .temperature = ms->progress.temperature,
        .entropy = ms->progress.entropy,
        .updates = out->policy->updates,
        .updates_per_step = learnt > 0 ? (double)ms->updates / (double)learnt : 0,
        .rollout_length = (uint64_t)config_rollout_length(&ms->config, out->env_steps),
        .model_epochs = ms->model ? ms->model->epochs : 0,
    };
    bool best = ms->history.evaluations == 0 || row.return_mean > ms->history.return_best;
    learning_curve_count(&ms->history, &row, &ms->config);
    log_info("step %llu: return %.1f +- %.1f", (unsigned long long)row.env_steps, row.return_mean,
             row.return_std);
    struct ms_evaluation e = {.row = row, .best = best ? out->policy : NULL};
    ms->port.evaluated(ms->port.arg, &e);
    policy_drop(&out->policy);
}
