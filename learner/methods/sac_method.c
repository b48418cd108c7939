// SPDX-License-Identifier: MIT
// Creates, updates and saves the state; method: sac itself is at the end.
#include "learner/methods/sac_method.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/config/thread_plan.h"
#include "common/nn/hidden.h"
#include "common/nn/parts.h"
#include "learner/methods/value_bounds.h"

// auto: the one rate of all.
static double rate_of(const struct config *c, double rate) {
    return isnan(rate) ? c->sac.learning_rate : rate;
}

struct sac_config sac_method_config(const struct config *c, const struct task *task) {
    return (struct sac_config){
        .obs_dim = task->obs_dim,
        .act_dim = task->act_dim,
        .hidden = hidden_of_sac(c),
        .layer_norm = c->sac.layer_norm,
        .critics = c->sac.critics,
        .batch_size = c->sac.batch_size,
        .learning_rate = rate_of(c, c->sac.policy_learning_rate),
        .critic_learning_rate = rate_of(c, c->sac.critic_learning_rate),
        .temperature_learning_rate = rate_of(c, c->sac.temperature_learning_rate),
        .gradient_norm_max = isnan(c->sac.gradient_norm_max) ? 0 : c->sac.gradient_norm_max,
        .discount = c->sac.discount,
        .tau = c->sac.tau,
        // Haarnoja et al. 2018, "Algorithms and Applications", table 1: minus the number of
        // actions.
        .target_entropy = isnan(c->sac.target_entropy) ? -task->act_dim : c->sac.target_entropy,
        .initial_temperature = c->sac.initial_temperature,
        .seed = c->run.seed,
        .threads = c->compute.learner_threads,
    };
}

_Static_assert(THREAD_PLAN_LEARNER_MAX == SAC_THREADS_MAX,
               "the thread plan knows how many threads an update uses");

static struct scaling_config scaling_of(const struct config *c, const struct task *task) {
    return (struct scaling_config){.obs_dim = task->obs_dim,
                                   .observations = c->sac.scale_observations,
                                   .rewards = c->sac.scale_rewards};
}

// Sets every pointer into m->memory; while that is NULL, only sums up the sizes. Returns how many
// floats.
static size_t lay_out(struct sac_method *m, const struct sac_config *sac,
                      const struct scaling_config *scaling) {
    struct parts parts = {.memory = m->memory};
    struct policy policy = policy_make_hidden(sac->obs_dim, sac->act_dim, &sac->hidden);
    size_t n = scaling_memory(scaling);
    float *units = parts_take(&parts, n), *next = parts_take(&parts, n);
    m->identity = parts_take(&parts, n);
    m->policy = parts_take(&parts, policy_params(&policy));
    m->bounds = parts_take(&parts, VALUE_BOUNDS);
    m->rewards = parts_take(&parts, (size_t)sac->batch_size);
    if (m->memory) {
        scaling_init(&m->scaling, scaling, units);
        scaling_init(&m->next, scaling, next);
        scaling_identity(m->identity, scaling);
    }
    return parts.used;
}

uint64_t sac_method_memory(const struct config *config, const struct task *task) {
    struct sac_config sac = sac_method_config(config, task);
    struct scaling_config scaling = scaling_of(config, task);
    struct sac_method sizes = {0};
    return sac_bytes(&sac) + lay_out(&sizes, &sac, &scaling) * sizeof(float);
}

void *sac_method_create(const struct config *config, const struct task *task) {
    struct sac_method *m = xcalloc(1, sizeof(*m));
    m->config = *config;
    struct sac_config sac = sac_method_config(config, task);
    sac_init(&m->sac, &sac);
    replay_batch_init(&m->batch, sac.batch_size, task->obs_dim, task->act_dim);
    struct scaling_config scaling = scaling_of(config, task);
    m->memory = xfloats(lay_out(m, &sac, &scaling));
    lay_out(m, &sac, &scaling);
    m->sac.bounds = config->sac.bound_values ? m->bounds : NULL;
    return m;
}

void sac_method_destroy(void *self) {
    struct sac_method *m = self;
    replay_batch_deinit(&m->batch);
    sac_deinit(&m->sac);
    free(m->memory);
    free(m);
}

struct method_policy sac_method_policy(const void *self) {
    const struct sac_method *m = self;
    sac_fold_policy(m->policy, &m->sac, scaling_observations(&m->scaling));
    return (struct method_policy){.shape = &m->sac.policy, .params = m->policy};
}

int sac_method_blocks(const void *self, struct method_block blocks[METHOD_BLOCKS_MAX]) {
    _Static_assert(SAC_BLOCKS + 2 <= METHOD_BLOCKS_MAX, "the blocks fit");
    static const float never_set[VALUE_BOUNDS]; // of earlier builds
    const struct sac_method *m = self;
    struct sac_block sac[SAC_BLOCKS];
    sac_blocks(sac, &m->sac);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        bool critics = strncmp(sac[i].name, "critic", 6) == 0;
        blocks[i] = (struct method_block){
            .name = sac[i].name,
            .data = sac[i].data,
            .n = sac[i].n,
            .parts = critics ? METHOD_PART_CRITICS : METHOD_PART_POLICY,
            .weights = sac[i].weights,
        };
    }
    blocks[SAC_BLOCKS] = (struct method_block){.name = "scaling",
                                               .data = m->scaling.state,
                                               .n = scaling_floats(&m->scaling.config),
                                               .parts = METHOD_PART_POLICY | METHOD_PART_CRITICS,
                                               .weights = scaling_kept(&m->scaling.config),
                                               .absent = m->identity};
    blocks[SAC_BLOCKS + 1] = (struct method_block){.name = "value_bounds",
                                                   .data = m->bounds,
                                                   .n = VALUE_BOUNDS,
                                                   .parts = METHOD_PART_CRITICS,
                                                   .weights = VALUE_BOUNDS,
                                                   .absent = never_set};
    return SAC_BLOCKS + 2;
}

const char *const sac_method_metrics[] = {"critic_loss", "actor_loss", "temperature", "entropy",
                                          "q_mean",      "discount",   NULL};

static struct sac_units units_of(const struct scaling *s, double discount) {
    return (struct sac_units){
        .observations = scaling_observations(s),
        .values = {(float)scaling_value_offset(s, discount), (float)scaling_reward_scale(s)}};
}

// Units of a larger D_env. Random networks have no function to keep.
static void refresh_scaling(struct sac_method *m, const struct replay *d_env) {
    if (!scaling_due(&m->scaling, d_env)) {
        return;
    }
    scaling_fit(&m->next, d_env);
    double discount = m->sac.config.discount;
    struct sac_units from = units_of(&m->scaling, discount), to = units_of(&m->next, discount);
    if (scaling_in_use(&m->scaling)) {
        sac_change_units(&m->sac, &from, &to);
        const double of[2] = {(double)from.values[0], (double)from.values[1]};
        const double in[2] = {(double)to.values[0], (double)to.values[1]};
        value_bounds_change_units(m->bounds, of, in);
    } else {
        sac_start_units(&m->sac, &to);
    }
    memcpy(m->scaling.state, m->next.state, scaling_floats(&m->next.config) * sizeof(float));
}

static void update_bounds(struct sac_method *m, double discount) {
    double alpha = exp((double)m->sac.alpha[0]);
    memcpy(m->rewards, m->batch.reward, (size_t)m->batch.rows * sizeof(float));
    value_bounds_update(m->bounds, m->rewards, (size_t)m->batch.rows, discount,
                        alpha * fmax(0, -m->sac.config.target_entropy));
}

void sac_method_update_from_batch(struct sac_method *m, uint64_t t, const struct replay *d_env,
                                  struct metrics *metrics) {
    struct sac_metrics of;
    double discount = config_discount(&m->config, config_step_of_update(&m->config, t));
    m->sac.config.discount = discount;
    m->sac.updates = t - 1;
    refresh_scaling(m, d_env);
    scaling_apply(&m->batch, &m->scaling, discount);
    if (m->sac.bounds) {
        update_bounds(m, discount);
    }
    sac_update(&of, &m->sac, &m->batch);
    // In the environment's units.
    double scale = scaling_reward_scale(&m->scaling);
    double offset = scaling_value_offset(&m->scaling, discount);
    metrics_set(metrics, "critic_loss", scale * scale * of.critic_loss);
    metrics_set(metrics, "actor_loss", scale * of.actor_loss - offset);
    metrics_set(metrics, "temperature", scale * of.temperature);
    metrics_set(metrics, "entropy", of.entropy);
    metrics_set(metrics, "q_mean", scale * of.q_mean + offset);
    metrics_set(metrics, "discount", discount);
}

// ---- method: sac ----

static void update(void *self, uint64_t t, const struct method_source *source,
                   struct metrics *metrics) {
    struct sac_method *m = self;
    struct rng rng = rng_make(m->config.run.seed, RNG_REPLAY_REAL, t);
    replay_sample(&m->batch, 0, m->batch.rows, source->d_env, &rng);
    sac_method_update_from_batch(m, t, source->d_env, metrics);
}

const struct method method_sac = {
    .name = "sac",
    .shape_keys = SAC_METHOD_SHAPE_KEYS,
    .metrics = sac_method_metrics,
    .memory = sac_method_memory,
    .create = sac_method_create,
    .destroy = sac_method_destroy,
    .update = update,
    .policy = sac_method_policy,
    .blocks = sac_method_blocks,
};
