// SPDX-License-Identifier: MIT
// Creates, updates and saves the state; method: sac itself is at the end.
#include "learner/methods/sac_method.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/config/thread_plan.h"

struct sac_config sac_method_config(const struct config *c, const struct task *task) {
    return (struct sac_config){
        .obs_dim = task->obs_dim,
        .act_dim = task->act_dim,
        .hidden_width = c->sac.hidden_width,
        .hidden_layers = c->sac.hidden_layers,
        .batch_size = c->sac.batch_size,
        .learning_rate = c->sac.learning_rate,
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

uint64_t sac_method_memory(const struct config *config, const struct task *task) {
    struct sac_config sac = sac_method_config(config, task);
    return sac_bytes(&sac);
}

void *sac_method_create(const struct config *config, const struct task *task) {
    struct sac_method *m = xcalloc(1, sizeof(*m));
    m->config = *config;
    struct sac_config sac = sac_method_config(config, task);
    sac_init(&m->sac, &sac);
    replay_batch_init(&m->batch, sac.batch_size, task->obs_dim, task->act_dim);
    return m;
}

void sac_method_destroy(void *self) {
    struct sac_method *m = self;
    replay_batch_deinit(&m->batch);
    sac_deinit(&m->sac);
    free(m);
}

struct method_policy sac_method_policy(const void *self) {
    const struct sac_method *m = self;
    return (struct method_policy){.shape = &m->sac.policy, .params = m->sac.policy_params};
}

int sac_method_blocks(const void *self, struct method_block blocks[METHOD_BLOCKS_MAX]) {
    _Static_assert(SAC_BLOCKS <= METHOD_BLOCKS_MAX, "SAC's blocks fit");
    const struct sac_method *m = self;
    struct sac_block sac[SAC_BLOCKS];
    sac_blocks(sac, &m->sac);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        bool critics = strncmp(sac[i].name, "critic", 6) == 0;
        blocks[i] = (struct method_block){
            .name = sac[i].name,
            .data = sac[i].data,
            .n = sac[i].n,
            .part = critics ? METHOD_PART_CRITICS : METHOD_PART_POLICY,
            .weights = sac[i].weights,
        };
    }
    return SAC_BLOCKS;
}

const char *const sac_method_metrics[] = {"critic_loss", "actor_loss", "temperature",
                                          "entropy",     "q_mean",     NULL};

// The real step that update t belongs to.
static uint64_t real_step(const struct config *c, uint64_t t) {
    double learning = (double)(t - 1) / c->pacing.updates_per_step;
    return config_explore_end(c) + (uint64_t)learning;
}

void sac_method_update_from_batch(struct sac_method *m, uint64_t t, struct metrics *metrics) {
    struct sac_metrics of_update;
    m->sac.config.discount = config_discount(&m->config, real_step(&m->config, t));
    m->sac.updates = t - 1;
    sac_update(&of_update, &m->sac, &m->batch);
    metrics_set(metrics, "critic_loss", of_update.critic_loss);
    metrics_set(metrics, "actor_loss", of_update.actor_loss);
    metrics_set(metrics, "temperature", of_update.temperature);
    metrics_set(metrics, "entropy", of_update.entropy);
    metrics_set(metrics, "q_mean", of_update.q_mean);
}

// ---- method: sac ----

static void update(void *self, uint64_t t, const struct method_source *source,
                   struct metrics *metrics) {
    struct sac_method *m = self;
    struct rng rng = rng_make(m->config.run.seed, RNG_REPLAY_REAL, t);
    replay_sample(&m->batch, 0, m->batch.rows, source->d_env, &rng);
    sac_method_update_from_batch(m, t, metrics);
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
