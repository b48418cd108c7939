// SPDX-License-Identifier: MIT
// method: dhmbpo. Creates, updates and saves the state of dhmbpo.h; keeps the units in which it
// learns, which are fitted again with every new ensemble.
#include "learner/methods/dhmbpo_method.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/config/thread_plan.h"
#include "common/nn/hidden.h"
#include "common/nn/reparam.h"
#include "learner/methods/method.h"
#include "learner/methods/sac_method.h"
#include "learner/methods/scaling.h"

_Static_assert(THREAD_PLAN_TILES_MAX == DHMBPO_THREADS_MAX,
               "the thread plan knows how many threads an update uses");

struct dhmbpo_method {
    struct config config; // a copy
    struct dhmbpo dhmbpo;
    struct scaling scaling, next; // units; scratch of a new fit
    float *memory;                // of both and of the following
    float *policy;                // (policy_params) in the units of the environment
};

struct dhmbpo_config dhmbpo_method_config(const struct config *c, const struct task *task) {
    struct sac_config sac = sac_method_config(c, task);
    struct ensemble ensemble = ensemble_of_config(c, task->obs_dim, task->act_dim);
    struct mlp_hidden critic_hidden = sac.hidden;
    critic_hidden.layer_norm = sac.layer_norm;
    int threads = c->compute.learner_threads;
    threads = threads < 1 ? 1 : threads < DHMBPO_THREADS_MAX ? threads : DHMBPO_THREADS_MAX;
    return (struct dhmbpo_config){
        .rollout = {.horizon = c->dhmbpo.horizon,
                    .batch = c->sac.batch_size,
                    .policy = policy_make_hidden(task->obs_dim, task->act_dim, &sac.hidden),
                    .ensemble = ensemble,
                    .heads = heads_of_ensemble(&ensemble, task->termination),
                    .task = task,
                    .seed = c->run.seed,
                    .workers = threads},
        .critic_hidden = critic_hidden,
        .critics = c->sac.critics,
        .learning_rate = sac.learning_rate,
        .critic_learning_rate = sac.critic_learning_rate,
        .temperature_learning_rate = sac.temperature_learning_rate,
        .gradient_norm_max = sac.gradient_norm_max,
        .tau = sac.tau,
        .policy_tau = c->dhmbpo.policy_tau,
        .critic_dropout = c->dhmbpo.critic_dropout,
        .orthogonal = c->dhmbpo.policy_init == DHMBPO_POLICY_INIT_ORTHOGONAL,
        .target_entropy = sac.target_entropy,
        .initial_temperature = sac.initial_temperature,
    };
}

// Observations of any spread are divided by it: the gradient flows through them, and a policy must
// be as steep in a running gait as in the states of exploration.
static struct scaling_config scaling_of(const struct config *c, const struct task *task) {
    return (struct scaling_config){.obs_dim = task->obs_dim,
                                   .observations = c->sac.scale_observations,
                                   .rewards = c->sac.scale_rewards,
                                   .standardise = true};
}

static uint64_t memory(const struct config *config, const struct task *task) {
    struct dhmbpo_config dhmbpo = dhmbpo_method_config(config, task);
    struct scaling_config scaling = scaling_of(config, task);
    return dhmbpo_bytes(&dhmbpo) +
           (2 * scaling_memory(&scaling) + policy_params(&dhmbpo.rollout.policy)) * sizeof(float);
}

static void *create(const struct config *config, const struct task *task) {
    struct dhmbpo_method *m = xcalloc(1, sizeof(*m));
    m->config = *config;
    struct dhmbpo_config dhmbpo = dhmbpo_method_config(config, task);
    dhmbpo_init(&m->dhmbpo, &dhmbpo);
    struct scaling_config scaling = scaling_of(config, task);
    size_t n = scaling_memory(&scaling);
    m->memory = xfloats(2 * n + m->dhmbpo.policy_n);
    scaling_init(&m->scaling, &scaling, m->memory);
    scaling_init(&m->next, &scaling, m->memory + n);
    m->policy = m->memory + 2 * n;
    return m;
}

static void destroy(void *self) {
    struct dhmbpo_method *m = self;
    dhmbpo_deinit(&m->dhmbpo);
    free(m->memory);
    free(m);
}

static struct method_policy policy(const void *self) {
    const struct dhmbpo_method *m = self;
    const struct policy *p = &m->dhmbpo.config.rollout.policy;
    reparam_fold_policy(m->policy, p, m->dhmbpo.policy_average, scaling_observations(&m->scaling));
    return (struct method_policy){.shape = p, .params = m->policy};
}

static int blocks(const void *self, struct method_block out[METHOD_BLOCKS_MAX]) {
    const struct dhmbpo_method *m = self;
    const struct dhmbpo *d = &m->dhmbpo;
    size_t p = d->policy_n, c = d->critic_n;
    unsigned of_policy = METHOD_PART_POLICY, of_critics = METHOD_PART_CRITICS;
    static const float never_reset[DHMBPO_NUMBERS - DHMBPO_POLICY_START];
    const struct method_block all[] = {
        {"policy", d->policy_params, p, of_policy, p, NULL},
        {"policy.average", d->policy_average, p, of_policy, p, NULL},
        {"policy.adam_m", d->policy_m, p, of_policy, 0, NULL},
        {"policy.adam_v", d->policy_v, p, of_policy, 0, NULL},
        {"critic", d->critic_params, c, of_critics, c, NULL},
        {"critic.target", d->critic_target, c, of_critics, c, NULL},
        {"critic.adam_m", d->critic_m, c, of_critics, 0, NULL},
        {"critic.adam_v", d->critic_v, c, of_critics, 0, NULL},
        {"log_alpha", d->alpha, 3, of_policy, 1, NULL},
        {"dhmbpo", d->numbers, DHMBPO_POLICY_START, of_critics, VALUE_BOUNDS, NULL},
        {"dhmbpo.adam_starts", d->numbers + DHMBPO_POLICY_START,
         DHMBPO_NUMBERS - DHMBPO_POLICY_START, of_critics, 0, never_reset},
        {"scaling", m->scaling.state, scaling_floats(&m->scaling.config), of_policy | of_critics,
         scaling_kept(&m->scaling.config), NULL},
    };
    memcpy(out, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

// ---- units ----

static void values_of(double out[2], const struct scaling *s, double discount) {
    out[0] = scaling_value_offset(s, discount);
    out[1] = scaling_reward_scale(s);
}

// Units of the D_env that a new ensemble has learned from. Random networks have no function to
// keep.
static void refresh_units(struct dhmbpo_method *m, const struct replay *d_env, double discount) {
    struct dhmbpo *d = &m->dhmbpo;
    scaling_fit(&m->next, d_env);
    double from[2], to[2];
    values_of(from, &m->scaling, discount);
    values_of(to, &m->next, discount);
    const float *observations = scaling_observations(&m->next);
    if (scaling_in_use(&m->scaling)) {
        dhmbpo_change_units(d, scaling_observations(&m->scaling), observations, from, to);
    } else {
        dhmbpo_start_units(d, observations);
    }
    memcpy(m->scaling.state, m->next.state, scaling_floats(&m->next.config) * sizeof(float));
}

static struct dhmbpo_source source_of(const struct dhmbpo_method *m,
                                      const struct method_source *source, double discount) {
    double scale = scaling_reward_scale(&m->scaling);
    double offset = scaling_value_offset(&m->scaling, discount);
    return (struct dhmbpo_source){.states = source->states,
                                  .dynamics = source->dynamics,
                                  .observations = scaling_observations(&m->scaling),
                                  .reward_offset = offset * (1 - discount),
                                  .reward_scale = scale,
                                  .end_value = -offset / scale,
                                  .discount = discount};
}

// ---- updates ----

static const char *const metrics_names[] = {
    "critic_loss", "actor_loss",    "temperature", "entropy",     "q_mean",
    "discount",    "gradient_norm", "alive",       "value_upper", "value_lower",
    "model_age",   "policy_age",    NULL};

// In the environment's units.
static void set_metrics(struct metrics *out, const struct dhmbpo_method *m,
                        const struct dhmbpo_metrics *of, const struct dhmbpo_source *source,
                        double model_age, double policy_age) {
    double scale = source->reward_scale, offset = -source->end_value * scale;
    const float *numbers = m->dhmbpo.numbers;
    metrics_set(out, "critic_loss", scale * scale * of->critic_loss);
    metrics_set(out, "actor_loss", scale * of->actor_loss - offset);
    metrics_set(out, "temperature", scale * of->temperature);
    metrics_set(out, "entropy", of->entropy);
    metrics_set(out, "q_mean", scale * of->q_mean + offset);
    metrics_set(out, "discount", source->discount);
    metrics_set(out, "gradient_norm", scale * of->gradient_norm);
    metrics_set(out, "alive", of->alive);
    metrics_set(out, "value_upper", scale * (double)numbers[VALUE_UPPER] + offset);
    metrics_set(out, "value_lower", scale * (double)numbers[VALUE_LOWER] + offset);
    metrics_set(out, "model_age", model_age);
    metrics_set(out, "policy_age", policy_age);
}

static void update(void *self, uint64_t t, const struct method_source *source,
                   struct metrics *metrics) {
    struct dhmbpo_method *m = self;
    const struct dynamics *dynamics = source->dynamics;
    double discount = config_discount(&m->config, config_step_of_update(&m->config, t));
    float version = (float)dynamics->version, rows = (float)dynamics->env_rows;
    float *numbers = m->dhmbpo.numbers;
    bool new_model = numbers[DHMBPO_MODEL_VERSION] != version || numbers[DHMBPO_MODEL_ROWS] != rows;
    if (new_model) {
        refresh_units(m, source->d_env, discount);
        if (m->config.dhmbpo.reset_optimizers) {
            dhmbpo_reset_optimizers(&m->dhmbpo, t);
        }
        numbers[DHMBPO_MODEL_VERSION] = version;
        numbers[DHMBPO_MODEL_ROWS] = rows;
    }
    struct dhmbpo_source of = source_of(m, source, discount);
    for (int i = 0; i < m->config.dhmbpo.critic_updates && new_model; i++) {
        dhmbpo_update_critics(&m->dhmbpo, &of, t);
    }
    struct dhmbpo_metrics figures;
    dhmbpo_update(&figures, &m->dhmbpo, &of, t);
    double model_age = (double)source->d_env->added - (double)dynamics->env_rows;
    set_metrics(metrics, m, &figures, &of, model_age, states_age(source->states, t));
}

const struct method method_dhmbpo = {
    .name = "dhmbpo",
    .shape_keys = SAC_METHOD_SHAPE_KEYS,
    .metrics = metrics_names,
    .memory = memory,
    .create = create,
    .destroy = destroy,
    .update = update,
    .policy = policy,
    .blocks = blocks,
};
