// SPDX-License-Identifier: MIT
// Bounds of the figures, and the figures' own past.
#include "modelserver/core/divergence.h"

#include <math.h>
#include <stdio.h>

#include "common/base/log.h"
#include "proto/wire.h"

#define EARNED_FACTOR 3.0   // predicted value over the earned one
#define RANGE_SHARE 0.25    // and the share of the range of values that may be added to it
#define GRADIENT_FACTOR 100 // over the mean
#define MODEL_FACTOR 10     // over the largest of the trainings before
#define MODEL_ERROR_MIN 0.1 // below it an error does no harm
#define NORMS_MIN 100       // reports before their mean counts
#define TRAININGS_MIN 3

// ---- the causes ----

struct range {
    double low, high;
};

// Of values that rewards and entropy allow. An episode may end at any time, so 0 is one of them.
static struct range value_range(const struct divergence_figures *f) {
    double steps = 1 / (1 - f->discount);
    double entropy = isfinite(f->entropy_reward) ? fabs(f->entropy_reward) : 0;
    double low = f->reward_low - entropy, high = f->reward_high + entropy;
    if (!isfinite(low) || !isfinite(high)) {
        return (struct range){(double)NAN, (double)NAN};
    }
    return (struct range){(low < 0 ? low : 0) * steps, (high > 0 ? high : 0) * steps};
}

// Comparisons with NaN are false: a figure that is not known is no cause.
static bool values_diverge(const struct divergence_figures *f, struct range r) {
    double width = r.high - r.low;
    return f->q_mean > r.high + width || f->q_mean < r.low - width;
}

static bool exploits(const struct divergence_figures *f, struct range r) {
    double entropy = f->entropy_reward > 0 ? f->entropy_reward / (1 - f->discount) : 0;
    double excess = f->q_mean - entropy - RANGE_SHARE * (r.high - r.low);
    return excess > f->earned + (EARNED_FACTOR - 1) * fabs(f->earned);
}

static bool model_worsens(const struct divergence_figures *f) {
    return f->model_error > MODEL_FACTOR * f->model_error_before &&
           f->model_error > MODEL_ERROR_MIN;
}

enum divergence_cause divergence_find(char *out, size_t out_len,
                                      const struct divergence_figures *f) {
    struct range r = value_range(f);
    out[0] = '\0';
    if (values_diverge(f, r)) {
        snprintf(out, out_len,
                 "the critics' mean value is %.4g; rewards allow %.4g to %.4g at discount %g: "
                 "lower sac.critic_learning_rate or pacing.updates_per_step, or raise sac.critics",
                 f->q_mean, r.low, r.high, f->discount);
        return DIVERGENCE_VALUES;
    }
    if (exploits(f, r)) {
        snprintf(out, out_len,
                 "the critics predict a value of %.4g, and the policy earns %.4g: it exploits "
                 "their errors%s, or raise sac.critics or lower pacing.updates_per_step",
                 f->q_mean, f->earned,
                 f->has_model ? " and the model's: shorten rollout.schedule, raise model.steps_max"
                              : ": lower sac.critic_learning_rate");
        return DIVERGENCE_EXPLOITS;
    }
    if (f->gradient_norm > GRADIENT_FACTOR * f->gradient_norm_mean) {
        snprintf(out, out_len,
                 "the policy's gradient has norm %.4g, %.3g times the mean before: lower "
                 "sac.policy_learning_rate, or set sac.gradient_norm_max",
                 f->gradient_norm, f->gradient_norm / f->gradient_norm_mean);
        return DIVERGENCE_GRADIENT;
    }
    if (model_worsens(f)) {
        snprintf(out, out_len,
                 "the model's holdout error is %.4g, %.3g times the largest of the trainings "
                 "before: look for unlike rows (spur check), raise model.steps_max, or shorten "
                 "rollout.schedule",
                 f->model_error, f->model_error / f->model_error_before);
        return DIVERGENCE_MODEL;
    }
    return DIVERGENCE_NONE;
}

// ---- the figures ----

void divergence_init(struct divergence *d, bool has_model) {
    const double unknown = (double)NAN;
    *d = (struct divergence){.figures = {.has_model = has_model,
                                         .reward_low = unknown,
                                         .reward_high = unknown,
                                         .q_mean = unknown,
                                         .entropy_reward = unknown,
                                         .discount = unknown,
                                         .earned = unknown,
                                         .gradient_norm = unknown,
                                         .gradient_norm_mean = unknown,
                                         .model_error = unknown,
                                         .model_error_before = unknown}};
}

// Each cause is logged once.
static void log_cause(struct divergence *d) {
    char text[WIRE_STRING_MAX];
    enum divergence_cause cause = divergence_find(text, sizeof(text), &d->figures);
    if (cause != DIVERGENCE_NONE && !(d->logged & 1u << cause)) {
        d->logged |= 1u << cause;
        log_warn("%s", text);
    }
}

static double largest(const double *x, uint64_t n) {
    double max = x[0];
    for (uint64_t i = 1; i < n; i++) {
        max = fmax(max, x[i]);
    }
    return max;
}

// Discounted sum of the mean reward over the length, or without end.
static double value_of_episode(double episode_return, double length, double horizon, double gamma) {
    double steps = length >= horizon ? 1 / (1 - gamma) : (1 - pow(gamma, length)) / (1 - gamma);
    return episode_return / length * steps;
}

void divergence_evaluated(struct divergence *d, const double *returns, const double *lengths,
                          uint32_t episodes, uint64_t horizon) {
    double sum = 0;
    for (uint32_t i = 0; i < episodes; i++) {
        sum += value_of_episode(returns[i], lengths[i], (double)horizon, d->figures.discount);
    }
    if (!isfinite(sum) || episodes == 0) {
        return; // the discount is not known yet
    }
    d->earned[d->evaluations++ % DIVERGENCE_EVALUATIONS] = sum / episodes;
    if (d->evaluations >= DIVERGENCE_EVALUATIONS) {
        d->figures.earned = largest(d->earned, DIVERGENCE_EVALUATIONS);
    }
    log_cause(d);
}

void divergence_trained(struct divergence *d, double holdout_error) {
    if (d->trainings >= TRAININGS_MIN) {
        uint64_t n = d->trainings;
        d->figures.model_error_before =
            largest(d->errors, n < DIVERGENCE_TRAININGS ? n : DIVERGENCE_TRAININGS);
    }
    d->figures.model_error = holdout_error;
    d->errors[d->trainings++ % DIVERGENCE_TRAININGS] = holdout_error;
    log_cause(d);
}

static void add_norm(struct divergence *d, double norm) {
    if (!(norm > 0 && isfinite(norm))) {
        return;
    }
    d->figures.gradient_norm = norm;
    d->figures.gradient_norm_mean = d->norms >= NORMS_MIN ? exp(d->norm_log) : (double)NAN;
    double share = d->norms < NORMS_MIN ? 1.0 / (double)(d->norms + 1) : 1.0 / NORMS_MIN;
    d->norm_log += share * (log(norm) - d->norm_log);
    d->norms++;
}

static double find(const struct metrics *m, const char *name) {
    const double *value = metrics_find(m, name);
    return value ? *value : (double)NAN;
}

void divergence_learnt(struct divergence *d, const struct metrics *metrics, double reward_low,
                       double reward_high) {
    struct divergence_figures *f = &d->figures;
    f->reward_low = reward_low;
    f->reward_high = reward_high;
    f->q_mean = find(metrics, "q_mean");
    f->entropy_reward = find(metrics, "temperature") * find(metrics, "entropy");
    f->discount = find(metrics, "discount");
    add_norm(d, find(metrics, "gradient_norm"));
    log_cause(d);
}
