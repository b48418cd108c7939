// SPDX-License-Identifier: MIT
// Rules between keys, which a range of one key cannot express, and the schedules of rollout
// length and discount.
#include <math.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/config/config.h"

enum { K_MAX = 1000, MODEL_ROWS_MAX = 1000000000, TILE_ROWS = 32, STATES_MAX = 16384 };

// Of run.explore_steps: what a first training of the model needs; what the MBPO paper takes.
enum { EXPLORE_STEPS_MIN = 2, EXPLORE_STEPS_MAX = 5000 };

static int check_schedule(const struct config *c, char *err, size_t err_len) {
    const struct config_list *s = &c->rollout.schedule;
    if (s->n != 4) {
        return error_set(
            err, err_len, -1,
            "rollout.schedule has %d values; 4 are needed: first epoch, last epoch, k at "
            "the first, k at the last",
            s->n);
    }
    for (int i = 0; i < 4; i++) {
        if (s->v[i] != floor(s->v[i])) {
            return error_set(err, err_len, -1, "rollout.schedule: %g is not a whole number",
                             s->v[i]);
        }
    }
    if (s->v[0] > s->v[1]) {
        return error_set(err, err_len, -1,
                         "rollout.schedule: the first epoch %.0f is after the last, %.0f", s->v[0],
                         s->v[1]);
    }
    if (s->v[2] < 1 || s->v[3] < 1 || s->v[2] > K_MAX || s->v[3] > K_MAX) {
        return error_set(err, err_len, -1, "rollout.schedule: k must be between 1 and %d", K_MAX);
    }
    double rows = (double)c->rollout.retain_epochs * (double)c->rollout.epoch_steps *
                  (double)c->rollout.per_step * config_rollout_length_max(c);
    if (rows > MODEL_ROWS_MAX) {
        return error_set(
            err, err_len, -1,
            "D_model would have %.3g rows, more than %.3g: lower rollout.retain_epochs * "
            "rollout.epoch_steps * rollout.per_step * k",
            rows, (double)MODEL_ROWS_MAX);
    }
    return 0;
}

static int check_discount_rise(const struct config *c, char *err, size_t err_len) {
    const struct config_list *l = &c->sac.discount_rise;
    if (l->n != 0 && l->n != 3) {
        return error_set(
            err, err_len, -1,
            "sac.discount_rise has %d values; 3 are needed: first epoch, last epoch, gamma "
            "up to the first; or none",
            l->n);
    }
    if (l->n == 3 && l->v[0] > l->v[1]) {
        return error_set(err, err_len, -1,
                         "sac.discount_rise: the first epoch %g is after the last, %g", l->v[0],
                         l->v[1]);
    }
    if (l->n == 3 && l->v[2] > 1) {
        return error_set(err, err_len, -1, "sac.discount_rise: gamma %g must be between 0 and 1",
                         l->v[2]);
    }
    return 0;
}

static int check_layer_norm(const struct config *c, char *err, size_t err_len) {
    if (c->dhmbpo.critic_dropout > 0 && c->sac.activation != SAC_ACTIVATION_SILU) {
        return error_set(err, err_len, -1,
                         "dhmbpo.critic_dropout is not 0, but sac.activation is relu: set it to "
                         "silu");
    }
    if (c->sac.layer_norm && c->sac.activation != SAC_ACTIVATION_SILU) {
        return error_set(err, err_len, -1,
                         "sac.layer_norm is true, but sac.activation is relu: set it to silu");
    }
    return 0;
}

static int check_bounds(const struct config *c, char *err, size_t err_len) {
    if (config_has_states(c) && !c->sac.bound_values) {
        return error_set(err, err_len, -1,
                         "sac.bound_values is false; the critics of method dhmbpo always learn in "
                         "units of their bounds: set it to true");
    }
    const struct config_list *rise = &c->sac.discount_rise;
    double discount = fmax(c->sac.discount, rise->n == 3 ? rise->v[2] : 0);
    if (c->sac.bound_values && discount >= 1) {
        return error_set(err, err_len, -1,
                         "the discount is %g; sac.bound_values needs less than 1, since it bounds "
                         "values by rewards / (1 - discount)",
                         discount);
    }
    return 0;
}

static int check_dhmbpo(const struct config *c, char *err, size_t err_len) {
    if (!config_has_states(c)) {
        return 0;
    }
    if (c->sac.batch_size % TILE_ROWS != 0 || c->sac.batch_size > 64 * TILE_ROWS) {
        return error_set(err, err_len, -1,
                         "sac.batch_size is %d; method dhmbpo needs a multiple of %d, at most %d",
                         c->sac.batch_size, TILE_ROWS, 64 * TILE_ROWS);
    }
    if (c->dhmbpo.error_sum > 0 && c->model.targets != MODEL_TARGETS_NORMALIZED) {
        return error_set(err, err_len, -1,
                         "dhmbpo.error_sum is %g, a share of the targets' variance: it needs "
                         "model.targets: normalized",
                         c->dhmbpo.error_sum);
    }
    if (config_states_max(c) > STATES_MAX) {
        return error_set(err, err_len, -1,
                         "a distribution rollout may have %llu states, more than %d: lower "
                         "dhmbpo.states, or dhmbpo.starts * k of rollout.schedule",
                         (unsigned long long)config_states_max(c), STATES_MAX);
    }
    return 0;
}

static int check_clipped(const struct config_list *l, int obs_dim, char *err, size_t err_len) {
    if (l->n % 4 != 0) {
        return error_set(
            err, err_len, -1,
            "task.clipped has %d values; each span needs 4: index of the first observation, "
            "index of the last, lower bound, upper bound",
            l->n);
    }
    for (int i = 0; i < l->n; i += 4) {
        const double *v = l->v + i;
        if (v[0] != floor(v[0]) || v[1] != floor(v[1]) || v[0] < 0 || v[0] > v[1] ||
            v[1] >= obs_dim) {
            return error_set(
                err, err_len, -1,
                "task.clipped: observations %g to %g do not exist; the indices are 0 to %d", v[0],
                v[1], obs_dim - 1);
        }
        if (v[2] >= v[3]) {
            return error_set(
                err, err_len, -1,
                "task.clipped: of observations %g to %g the lower bound %g is not below "
                "the upper bound %g",
                v[0], v[1], v[2], v[3]);
        }
    }
    return 0;
}

// The keys of an environment of the user must be complete.
static int check_task(const struct config *c, char *err, size_t err_len) {
    const struct config_list *h = &c->task.healthy, *clipped = &c->task.clipped;
    bool own = c->task.env[0] != '\0';
    if (!own && (c->task.obs_dim > 0 || c->task.act_dim > 0 || h->n > 0 || clipped->n > 0)) {
        return error_set(
            err, err_len, -1,
            "task.obs_dim, task.act_dim, task.healthy and task.clipped need task.env; a "
            "built-in task has values of its own");
    }
    if (own && (c->task.obs_dim < 1 || c->task.act_dim < 1 || c->task.horizon < 1)) {
        return error_set(
            err, err_len, -1,
            "task.env is \"%.60s\", but task.obs_dim, task.act_dim or task.horizon is 0: "
            "an environment of your own needs all three; `spur run` reads them from it",
            c->task.env);
    }
    if (h->n % 3 != 0) {
        return error_set(
            err, err_len, -1,
            "task.healthy has %d values; each range needs 3: index of the observation, "
            "lower bound, upper bound",
            h->n);
    }
    for (int i = 0; i < h->n; i += 3) {
        if (h->v[i] != floor(h->v[i]) || h->v[i] < 0 || h->v[i] >= c->task.obs_dim) {
            return error_set(err, err_len, -1,
                             "task.healthy: observation %g does not exist; the indices are 0 to %d",
                             h->v[i], c->task.obs_dim - 1);
        }
        if (h->v[i + 1] >= h->v[i + 2]) {
            return error_set(
                err, err_len, -1,
                "task.healthy: of observation %g the lower bound %g is not below the upper bound "
                "%g",
                h->v[i], h->v[i + 1], h->v[i + 2]);
        }
    }
    return check_clipped(clipped, c->task.obs_dim, err, err_len);
}

enum task_termination config_termination(const struct config *c) {
    bool has_rule = c->task.env[0] == '\0' || c->task.healthy.n > 0;
    enum task_termination automatic = has_rule ? TASK_TERMINATION_RULE : TASK_TERMINATION_LEARNED;
    return c->task.termination == TASK_TERMINATION_AUTO ? automatic : c->task.termination;
}

void config_choose(struct config *c) {
    if (c->run.explore_steps == 0) {
        uint64_t tenth = c->run.steps / 10;
        c->run.explore_steps = tenth < EXPLORE_STEPS_MIN   ? EXPLORE_STEPS_MIN
                               : tenth > EXPLORE_STEPS_MAX ? EXPLORE_STEPS_MAX
                                                           : tenth;
    }
    c->task.termination = config_termination(c);
}

bool config_has_target(const struct config *c) {
    return !isnan(c->eval.target);
}

int config_hidden_layers(const struct config_list *list, int layers) {
    return list->n > 0 ? list->n : layers;
}

static int check_hidden(const struct config_list *list, const char *key, char *err,
                        size_t err_len) {
    if (list->n > CONFIG_HIDDEN_MAX) {
        return error_set(err, err_len, -1, "%s has %d layers; at most %d are possible", key,
                         list->n, CONFIG_HIDDEN_MAX);
    }
    for (int i = 0; i < list->n; i++) {
        if (list->v[i] != floor(list->v[i])) {
            return error_set(err, err_len, -1, "%s: %g is not a whole number", key, list->v[i]);
        }
    }
    return 0;
}

int config_check(const struct config *c, char *err, size_t err_len) {
    if (c->run.task[0] == '\0') {
        return error_set(err, err_len, -1,
                         "run.task is empty: name a task (`spur tasks` lists them) or an "
                         "environment of your own (task.env)");
    }
    if (c->run.explore_steps < EXPLORE_STEPS_MIN) {
        return error_set(err, err_len, -1,
                         "run.explore_steps is %llu; a model needs at least %d steps before it",
                         (unsigned long long)c->run.explore_steps, EXPLORE_STEPS_MIN);
    }
    if (!isnan(c->from.rows) && c->from.rows != floor(c->from.rows)) {
        return error_set(err, err_len, -1, "from.rows is %g; it must be a whole number or auto",
                         c->from.rows);
    }
    // While from.rows is auto, the steps that replace exploration are not known.
    bool known = c->from.run[0] == '\0' || !isnan(c->from.rows);
    if (known && config_explore_end(c) > config_steps_max(c)) {
        return error_set(
            err, err_len, -1, "run.explore_steps is %llu, more than the budget run.steps, %llu",
            (unsigned long long)c->run.explore_steps, (unsigned long long)c->run.steps);
    }
    if (c->pacing.mode == PACING_LOCKSTEP && c->run.actors > 1) {
        return error_set(
            err, err_len, -1,
            "run.actors is %d, but pacing.mode lockstep allows one actor: set run.actors "
            "to 1, or pacing.mode to ratio",
            c->run.actors);
    }
    if (c->pacing.mode == PACING_LOCKSTEP && c->run.envs_per_actor > 1) {
        return error_set(
            err, err_len, -1,
            "run.envs_per_actor is %d, but pacing.mode lockstep allows one environment: set "
            "run.envs_per_actor to 1, or pacing.mode to ratio",
            c->run.envs_per_actor);
    }
    if (c->pacing.mode == PACING_LOCKSTEP &&
        (c->model.lag_trainings > 0 || c->rollout.policy_lag_updates > 0)) {
        return error_set(err, err_len, -1,
                         "model.lag_trainings and rollout.policy_lag_updates keep versions that a "
                         "resumed run has not: set them to 0, or pacing.mode to ratio");
    }
    if (c->model.elites > c->model.members) {
        return error_set(err, err_len, -1, "model.elites is %d, more than model.members, %d",
                         c->model.elites, c->model.members);
    }
    if (check_hidden(&c->sac.hidden, "sac.hidden", err, err_len) < 0 ||
        check_hidden(&c->model.hidden, "model.hidden", err, err_len) < 0) {
        return -1;
    }
    int decays = config_hidden_layers(&c->model.hidden, c->model.hidden_layers) + 1;
    if (c->model.weight_decay.n != decays) {
        return error_set(err, err_len, -1,
                         "model.weight_decay has %d values; it needs one per layer of weights: "
                         "the hidden layers (model.hidden, or model.hidden_layers) + 1 = %d",
                         c->model.weight_decay.n, decays);
    }
    if (c->model.dropout.n >= decays) {
        return error_set(err, err_len, -1, "model.dropout has %d values for %d hidden layers",
                         c->model.dropout.n, decays - 1);
    }
    if (c->model.layer_norm_epsilon.n >= decays) {
        return error_set(err, err_len, -1,
                         "model.layer_norm_epsilon has %d values for %d hidden layers",
                         c->model.layer_norm_epsilon.n, decays - 1);
    }
    if (c->network.lost_after_ms < 2 * c->network.heartbeat_ms) {
        return error_set(err, err_len, -1,
                         "network.lost_after_ms is %llu; it must be at least twice "
                         "network.heartbeat_ms, %llu, so that live peers do not count as lost",
                         (unsigned long long)c->network.lost_after_ms,
                         (unsigned long long)c->network.heartbeat_ms);
    }
    if (c->network.unacked_rows_max < c->network.batch_rows_max) {
        return error_set(err, err_len, -1,
                         "network.unacked_rows_max is %d, less than one message of "
                         "network.batch_rows_max, %d rows",
                         c->network.unacked_rows_max, c->network.batch_rows_max);
    }
    if (check_task(c, err, err_len) < 0 || check_schedule(c, err, err_len) < 0 ||
        check_layer_norm(c, err, err_len) < 0 || check_bounds(c, err, err_len) < 0 ||
        check_dhmbpo(c, err, err_len) < 0) {
        return -1;
    }
    return check_discount_rise(c, err, err_len);
}

// ---- the budget ----

uint64_t config_rows_taken(const struct config *c) {
    return isnan(c->from.rows) ? 0 : (uint64_t)c->from.rows;
}

uint64_t config_steps_max(const struct config *c) {
    return config_rows_taken(c) + c->run.steps;
}

uint64_t config_explore_end(const struct config *c) {
    uint64_t taken = config_rows_taken(c);
    return taken > c->run.explore_steps ? taken : c->run.explore_steps;
}

// ---- the schedules ----

static double epoch_at(const struct config *c, uint64_t env_steps) {
    uint64_t explore = config_explore_end(c);
    uint64_t learning = env_steps > explore ? env_steps - explore : 0;
    return (double)(learning / c->rollout.epoch_steps);
}

int config_rollout_length(const struct config *c, uint64_t env_steps) {
    const double *s = c->rollout.schedule.v;
    CHECK(c->rollout.schedule.n == 4);
    double epoch = epoch_at(c, env_steps);
    if (epoch >= s[1]) {
        return (int)s[3];
    }
    if (epoch <= s[0]) {
        return (int)s[2];
    }
    // Multiplication before division: exact if the result is an integer.
    return (int)floor(s[2] + (epoch - s[0]) * (s[3] - s[2]) / (s[1] - s[0]));
}

int config_rollout_length_max(const struct config *c) {
    const double *s = c->rollout.schedule.v;
    return (int)(s[2] > s[3] ? s[2] : s[3]);
}

double config_discount(const struct config *c, uint64_t env_steps) {
    const double *s = c->sac.discount_rise.v;
    double epoch = epoch_at(c, env_steps);
    if (c->sac.discount_rise.n == 0 || epoch >= s[1]) {
        return c->sac.discount;
    }
    return epoch <= s[0] ? s[2] : s[2] + (epoch - s[0]) * (c->sac.discount - s[2]) / (s[1] - s[0]);
}

const char *config_pacing_name(const struct config *c) {
    static const char *const names[] = {
        [PACING_LOCKSTEP] = "lockstep", [PACING_RATIO] = "ratio", [PACING_FREE] = "free"};
    return names[c->pacing.mode];
}

uint64_t config_warm_start(const struct config *c) {
    return config_has_states(c) ? c->dhmbpo.warm_start_updates : 0;
}

uint64_t config_step_of_update(const struct config *c, uint64_t t) {
    uint64_t before = t - 1, warm_start = config_warm_start(c);
    uint64_t learning = before > warm_start ? before - warm_start : 0;
    return config_explore_end(c) + (uint64_t)((double)learning / c->pacing.updates_per_step);
}

uint64_t config_publish_every(const struct config *c) {
    if (config_has_states(c)) {
        return c->dhmbpo.states_every;
    }
    double every = round(c->pacing.updates_per_step);
    return every < 1 ? 1 : (uint64_t)every;
}

uint64_t config_states_max(const struct config *c) {
    // The last repetition begins with one state less than enough.
    uint64_t more = (uint64_t)c->dhmbpo.starts * (uint64_t)config_rollout_length_max(c);
    return config_has_states(c) ? c->dhmbpo.states + more : 0;
}

uint64_t config_env_rows_max(const struct config *c) {
    return config_steps_max(c) + (uint64_t)c->network.unacked_rows_max;
}

uint64_t config_model_rows(const struct config *c, uint64_t env_steps) {
    if (!(method_info(c->method)->needs & METHOD_MODEL_ROWS)) {
        return 0;
    }
    return (uint64_t)c->rollout.retain_epochs * c->rollout.epoch_steps * c->rollout.per_step *
           (uint64_t)config_rollout_length(c, env_steps);
}
