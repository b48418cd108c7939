// SPDX-License-Identifier: MIT
// Requests for the evaluator, its reports, and the conditions that end a run.
#include "modelserver/core/evaluation.h"

#include <math.h>
#include <stdio.h>

#include "common/base/log.h"
#include "common/base/stats.h"
#include "common/nn/policy.h"
#include "proto/epoch.h"

#define FINAL_MS 30000 // how long the end waits for an evaluator to connect

void evaluation_init(struct evaluation *e, const struct run_context *run, struct outbox *outbox,
                     const struct ms_jobs *jobs, struct counters *counters,
                     const struct learning_curve_history *history) {
    *e = (struct evaluation){.run = run,
                             .outbox = outbox,
                             .jobs = jobs,
                             .counters = counters,
                             .history = *history,
                             .alone_ms = run->started_ms,
                             .awaited = true,
                             .boundary = history->env_steps / run->config.eval.every_steps,
                             .first_due = run->config.from.run[0] != '\0' &&
                                          run->config.from.policy && history->evaluations == 0,
                             .final_requested =
                                 history->evaluations > 0 &&
                                 history->env_steps >= config_steps_max(&run->config)};
}

void evaluation_hello(struct evaluation *e, struct peer *p) {
    e->evaluator = p;
    evaluation_returned(e, p);
}

void evaluation_returned(struct evaluation *e, struct peer *p) {
    e->sent_ms = 0;
    outbox_queue(e->outbox, p, e->current.policy ? PENDING_EVAL : 0);
}

static bool evaluator_is_up(const struct evaluation *e) {
    return e->evaluator && peer_is_up(e->evaluator);
}

static bool is_pending(const struct evaluation *e) {
    return e->current.policy || e->waiting.policy;
}

static void request(struct evaluation *e, uint64_t env_steps, struct policy_version *policy) {
    struct eval_request *w = &e->waiting;
    if (w->policy) {
        counters_add(e->counters, MS_eval_requests_replaced, 1);
        policy_drop(&w->policy);
    }
    *w = (struct eval_request){.env_steps = env_steps, .policy = policy_ref(policy)};
}

static void send_waiting(struct evaluation *e) {
    if (e->current.policy || !e->waiting.policy || !evaluator_is_up(e)) {
        return;
    }
    e->current = e->waiting;
    e->current.id = ++e->last_id;
    e->waiting = (struct eval_request){0};
    e->sent_ms = 0;
    outbox_queue(e->outbox, e->evaluator, PENDING_EVAL);
}

// The request or its report was lost on the way, if the evaluator has nothing to do.
static void send_again(struct evaluation *e, uint64_t now_ms) {
    if (!e->current.policy || !evaluator_is_up(e) || !e->evaluator->waiting[0] || e->sent_ms == 0) {
        e->sent_ms = now_ms;
    } else if (now_ms - e->sent_ms > e->run->config.network.lost_after_ms) {
        e->sent_ms = now_ms;
        counters_add(e->counters, MS_eval_requests_resent, 1);
        outbox_queue(e->outbox, e->evaluator, PENDING_EVAL);
    }
}

static bool is_due(const struct evaluation *e, uint64_t steps) {
    return is_pending(e) || e->first_due || steps / e->run->config.eval.every_steps > e->boundary;
}

uint64_t evaluation_steps_max(const struct evaluation *e, uint64_t steps) {
    if (e->run->config.pacing.mode != PACING_LOCKSTEP || !e->awaited) {
        return UINT64_MAX;
    }
    return is_due(e, steps) ? steps : (e->boundary + 1) * e->run->config.eval.every_steps;
}

bool evaluation_is_settled(const struct evaluation *e, uint64_t steps) {
    bool final = steps >= e->run->pacing.steps_max;
    return final ? e->final_requested && !is_pending(e) : !is_due(e, steps);
}

static void note_evaluator(struct evaluation *e, uint64_t now_ms, uint64_t steps) {
    if (evaluator_is_up(e) || !is_due(e, steps)) {
        e->alone_ms = now_ms;
    }
    e->awaited = now_ms - e->alone_ms < FINAL_MS;
}

static bool is_solved(const struct evaluation *e) {
    return e->run->config.run.stop_when_solved &&
           e->history.solved_in_row >= (uint32_t)e->run->config.eval.solved_evaluations;
}

// The end waits for the final evaluation, but at most FINAL_MS for an evaluator.
static bool final_is_done(struct evaluation *e, uint64_t now_ms, bool has_policy) {
    if (e->final_requested && !is_pending(e)) {
        return true;
    }
    if ((evaluator_is_up(e) && has_policy) || e->budget_spent_ms == 0) {
        e->budget_spent_ms = now_ms;
    }
    if (now_ms - e->budget_spent_ms < FINAL_MS) {
        return false;
    }
    log_warn("no evaluator connected for the final evaluation");
    return true;
}

enum evaluation_verdict evaluation_advance(struct evaluation *e, uint64_t now_ms,
                                           const struct evaluation_view *v) {
    note_evaluator(e, now_ms, v->steps);
    if (is_solved(e) && v->steps >= e->history.env_steps) {
        return EVALUATION_SOLVED;
    }
    uint64_t every = e->run->config.eval.every_steps, boundary = v->steps / every;
    bool ready = v->policy && v->step_is_complete;
    if (e->first_due && ready) {
        e->first_due = false;
        e->boundary = boundary;
        request(e, v->steps, v->policy);
        e->waiting.is_first = true;
    }
    // Later ones do not replace the first while it waits for an evaluator.
    ready = ready && !e->waiting.is_first;
    if (boundary > e->boundary && v->steps < e->run->pacing.steps_max && ready) {
        e->boundary = boundary;
        request(e, boundary * every, v->policy);
    }
    if (v->budget_is_spent) {
        if (!e->final_requested && ready) {
            e->final_requested = true;
            request(e, v->steps, v->policy);
        }
        if (final_is_done(e, now_ms, v->policy != NULL)) {
            return EVALUATION_BUDGET_SPENT;
        }
    }
    send_again(e, now_ms);
    send_waiting(e);
    return EVALUATION_CONTINUE;
}

bool evaluation_is_last(const struct evaluation *e, uint64_t now_ms, char *out, size_t out_len) {
    if (!e->final_requested || !is_pending(e)) {
        return false;
    }
    if (evaluator_is_up(e)) {
        uint64_t horizon = (uint64_t)e->run->task->horizon, max = e->run->config.eval.steps_max;
        snprintf(out, out_len, "for the last evaluation: %d episodes of at most %llu steps",
                 e->run->config.eval.episodes, (unsigned long long)(horizon < max ? horizon : max));
    } else {
        uint64_t since_ms = e->budget_spent_ms > 0 ? now_ms - e->budget_spent_ms : 0;
        snprintf(out, out_len,
                 "for an evaluator: none is connected; the run ends without its last evaluation "
                 "in %llu s",
                 (unsigned long long)(since_ms < FINAL_MS ? (FINAL_MS - since_ms) / 1000 : 0));
    }
    return true;
}

void evaluation_fill_request(const struct evaluation *e, struct wire_eval_request *out) {
    const struct eval_request *r = &e->current;
    const struct config *config = &e->run->config;
    const struct task *task = e->run->task;
    struct policy shape = ms_policy(config, task);
    *out = (struct wire_eval_request){.id = r->id,
                                      .env_steps = r->env_steps,
                                      .seed = config->run.seed,
                                      .episodes = (uint32_t)config->eval.episodes,
                                      .steps_max = config->eval.steps_max,
                                      .policy = {.version = r->policy->version,
                                                 .updates = r->policy->updates,
                                                 .obs_dim = (uint32_t)task->obs_dim,
                                                 .act_dim = (uint32_t)task->act_dim,
                                                 .params_len = policy_params(&shape),
                                                 .params = r->policy->params}};
    run_describe_policy(e->run, &out->policy);
    snprintf(out->task, sizeof(out->task), "%s", task->name);
}

void evaluation_report(struct evaluation *e, const struct wire_eval_report *r,
                       const struct learning_curve_row *figures) {
    struct eval_request *request = &e->current;
    if (!request->policy || r->id != request->id || r->policy_version != request->policy->version) {
        counters_add(e->counters, MS_eval_reports_stale, 1);
        return;
    }
    if (r->episodes != (uint32_t)e->run->config.eval.episodes) {
        counters_add(e->counters, MS_eval_reports_wrong, 1);
        outbox_refuse(e->outbox, &e->evaluator->route, WIRE_REFUSED_FORMAT, true,
                      "EvalReport of %u episodes, but %d were asked for", r->episodes,
                      e->run->config.eval.episodes);
        return;
    }
    const struct config *config = &e->run->config;
    struct learning_curve_row row = *figures;
    row.env_steps = request->env_steps;
    row.return_mean = stats_mean(r->returns, (int)r->episodes);
    row.return_std = stats_std(r->returns, (int)r->episodes);
    row.updates = request->policy->updates;
    bool best = e->history.evaluations == 0 || row.return_mean > e->history.return_best;
    learning_curve_count(&e->history, &row, config);
    char cut[128] = "";
    e->episodes_cut = r->episodes_cut;
    if (r->episodes_cut > 0) {
        snprintf(cut, sizeof(cut), "; %u of %u episodes were cut at eval.steps_max, %llu steps",
                 r->episodes_cut, r->episodes, (unsigned long long)config->eval.steps_max);
    }
    log_info("step %llu: return %.1f +- %.1f%s", (unsigned long long)row.env_steps, row.return_mean,
             row.return_std, cut);
    struct ms_evaluation record = {.row = row,
                                   .best = best ? request->policy : NULL,
                                   .best_number = epoch_number(request->policy->version)};
    e->jobs->evaluated(e->jobs->arg, &record);
    policy_drop(&request->policy);
    if (e->evaluator) { // its return had queued the request again
        e->evaluator->pending &= ~(unsigned)PENDING_EVAL;
    }
}
