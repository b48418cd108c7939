// SPDX-License-Identifier: MIT
#include "learner/sac.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

// Hands out the parts of one block of memory; without a block it only measures.
struct layout {
    float *memory;
    size_t used;
};

static float *take(struct layout *l, size_t n) {
    float *part = l->memory ? l->memory + l->used : NULL;
    l->used += (n + 15) / 16 * 16; // parts start on a cache line
    return part;
}

// Sets every pointer into s->memory, or, while that is NULL, only adds the sizes
// up into memory_floats.
static void lay_out(struct sac *s) {
    struct layout l = {.memory = s->memory};
    s->policy_params = take(&l, s->policy_n);
    s->policy_m = take(&l, s->policy_n);
    s->policy_v = take(&l, s->policy_n);
    s->critic_params = take(&l, s->critic_n);
    s->critic_target = take(&l, s->critic_n);
    s->critic_m = take(&l, s->critic_n);
    s->critic_v = take(&l, s->critic_n);
    s->alpha = take(&l, 3);
    for (int i = 0; i < SAC_SHARDS; i++) {
        struct sac_shard *shard = &s->shard[i];
        size_t B = (size_t)shard->rows, A = (size_t)s->config.act_dim;
        shard->policy_grad = take(&l, s->policy_n);
        shard->critic_grad = take(&l, s->critic_n);
        shard->policy_scratch = take(&l, policy_scratch(&s->policy, shard->rows));
        shard->critic_scratch = take(&l, critic_scratch(&s->critic, shard->rows));
        shard->noise = take(&l, B * A + 2);
        shard->act = take(&l, B * A);
        shard->d_act = take(&l, B * A);
        shard->log_prob = take(&l, B);
        shard->d_log_prob = take(&l, B);
        shard->q = take(&l, 2 * B);
        shard->target = take(&l, B);
    }
    s->memory_floats = l.used;
}

// Shapes and sizes; no memory yet.
static void set_shape(struct sac *s, const struct sac_config *config) {
    *s = (struct sac){.config = *config, .adam = adam_make(config->learning_rate)};
    s->policy =
        policy_make(config->obs_dim, config->act_dim, config->hidden_width, config->hidden_layers);
    s->critic =
        critic_make(config->obs_dim, config->act_dim, config->hidden_width, config->hidden_layers);
    s->policy_n = policy_params(&s->policy);
    s->critic_n = critic_params(&s->critic);
    for (int i = 0; i < SAC_SHARDS; i++) {
        int end = config->batch_size * (i + 1) / SAC_SHARDS;
        s->shard[i].first = config->batch_size * i / SAC_SHARDS;
        s->shard[i].rows = end - s->shard[i].first;
    }
    lay_out(s);
}

uint64_t sac_bytes(const struct sac_config *config) {
    struct sac s;
    set_shape(&s, config);
    return s.memory_floats * sizeof(float);
}

void sac_init(struct sac *s, const struct sac_config *config) {
    CHECK(config->batch_size >= SAC_SHARDS && config->initial_temperature > 0);
    set_shape(s, config);
    if (config->threads > 1) {
        s->crew = crew_create(config->threads < SAC_SHARDS ? config->threads : SAC_SHARDS);
    }
    s->memory = xfloats(s->memory_floats);
    lay_out(s);

    struct rng rng = rng_make(config->seed, RNG_POLICY_INIT, 0);
    policy_init(s->policy_params, &s->policy, &rng);
    rng = rng_make(config->seed, RNG_CRITIC_INIT, 0);
    critic_init(s->critic_params, &s->critic, &rng);
    memcpy(s->critic_target, s->critic_params, s->critic_n * sizeof(float));
    s->alpha[0] = logf((float)config->initial_temperature);
}

void sac_deinit(struct sac *s) {
    crew_destroy(&s->crew);
    free(s->memory);
    *s = (struct sac){0};
}

// ---- one update ----
//
// Four rounds of the crew: the critics' gradients, a part of the batch each; the
// critics' steps, a part of the parameters each; and the same for the policy.

// What a round works on.
struct round {
    struct sac *sac;
    const struct replay_batch *batch;
    float alpha;
    uint64_t t; // number of this update
};

static void run_round(crew_fn *fn, struct round *round) {
    if (round->sac->crew) {
        crew_run(round->sac->crew, fn, round, SAC_SHARDS);
        return;
    }
    for (int i = 0; i < SAC_SHARDS; i++) {
        fn(round, i, 0);
    }
}

// The shard's rows of the noise that the whole batch uses.
static void draw_noise(struct sac_shard *shard, const struct round *round, enum rng_use use) {
    size_t A = (size_t)round->sac->config.act_dim, from = (size_t)shard->first * A;
    struct rng rng = rng_make(round->sac->config.seed, use, round->t);
    rng.index = from + from % 2; // normals come in pairs
    rng_fill_normal(&rng, shard->noise, (size_t)shard->rows * A);
}

// target (rows) = r + discount (1 - terminated) (min Q'(s', a') - alpha log pi(a'|s')).
static void bellman_target(struct sac_shard *shard, const struct round *round) {
    const struct sac *s = round->sac;
    const struct replay_batch *batch = round->batch;
    const float *next_obs = batch->next_obs + (size_t)shard->first * (size_t)batch->obs_dim;
    float discount = (float)s->config.discount;
    int B = shard->rows;
    draw_noise(shard, round, RNG_SAC_TARGET);
    policy_sample(shard->act, shard->log_prob, shard->policy_scratch, &s->policy, s->policy_params,
                  next_obs, shard->noise, B);
    critic_forward(shard->q, shard->critic_scratch, &s->critic, s->critic_target, next_obs,
                   shard->act, B);
    for (int i = 0; i < B; i++) {
        int row = shard->first + i;
        float value = fminf(shard->q[i], shard->q[B + i]) - round->alpha * shard->log_prob[i];
        shard->target[i] = batch->reward[row] + discount * (1.0f - batch->terminated[row]) * value;
    }
}

static void critic_gradient(void *arg, int item, int worker) {
    (void)worker;
    const struct round *round = arg;
    const struct sac *s = round->sac;
    const struct replay_batch *batch = round->batch;
    struct sac_shard *shard = &round->sac->shard[item];
    size_t first = (size_t)shard->first;
    bellman_target(shard, round);
    memset(shard->critic_grad, 0, s->critic_n * sizeof(float));
    shard->critic_loss = (double)critic_loss(
        shard->q, shard->critic_grad, shard->critic_scratch, &s->critic, s->critic_params,
        batch->obs + first * (size_t)batch->obs_dim, batch->act + first * (size_t)batch->act_dim,
        shard->target, shard->rows);
    shard->q_sum = 0;
    for (int i = 0; i < 2 * shard->rows; i++) {
        shard->q_sum += (double)shard->q[i];
    }
}

// Leaves log pi of the batch's states for the temperature.
static void policy_gradient(void *arg, int item, int worker) {
    (void)worker;
    const struct round *round = arg;
    const struct sac *s = round->sac;
    struct sac_shard *shard = &round->sac->shard[item];
    const float *obs = round->batch->obs + (size_t)shard->first * (size_t)s->config.obs_dim;
    const float share = 1.0f / (float)s->config.batch_size;
    int B = shard->rows;
    float *q_min = shard->q;
    draw_noise(shard, round, RNG_SAC_ACTOR);
    policy_sample(shard->act, shard->log_prob, shard->policy_scratch, &s->policy, s->policy_params,
                  obs, shard->noise, B);
    critic_min_gradient(q_min, shard->d_act, shard->critic_scratch, &s->critic, s->critic_params,
                        obs, shard->act, B);
    shard->actor_loss_sum = shard->log_prob_sum = 0;
    for (int i = 0; i < B; i++) {
        shard->actor_loss_sum += (double)(round->alpha * shard->log_prob[i] - q_min[i]);
        shard->log_prob_sum += (double)shard->log_prob[i];
        shard->d_log_prob[i] = round->alpha * share;
    }
    for (int i = 0; i < B * s->config.act_dim; i++) {
        shard->d_act[i] *= -share;
    }
    memset(shard->policy_grad, 0, s->policy_n * sizeof(float));
    policy_backward(shard->policy_grad, shard->policy_scratch, &s->policy, s->policy_params, obs,
                    shard->noise, shard->d_act, shard->d_log_prob, B);
}

// The item's range of n parameters.
static void range(size_t *first, size_t *count, size_t n, int item) {
    size_t step = (n / SAC_SHARDS + 15) / 16 * 16;
    *first = (size_t)item * step < n ? (size_t)item * step : n;
    *count = item == SAC_SHARDS - 1 || n - *first < step ? n - *first : step;
}

// The critics' loss is a mean over the shard's rows: weighed to be the batch's.
static void critic_step(void *arg, int item, int worker) {
    (void)worker;
    const struct round *round = arg;
    struct sac *s = round->sac;
    size_t first, n;
    range(&first, &n, s->critic_n, item);
    float *sum = s->shard[0].critic_grad + first;
    float weight = (float)s->shard[0].rows / (float)s->config.batch_size;
    for (size_t j = 0; j < n; j++) {
        sum[j] *= weight;
    }
    for (int i = 1; i < SAC_SHARDS; i++) {
        const float *part = s->shard[i].critic_grad + first;
        weight = (float)s->shard[i].rows / (float)s->config.batch_size;
        for (size_t j = 0; j < n; j++) {
            sum[j] += weight * part[j];
        }
    }
    adam_step(s->critic_params + first, s->critic_m + first, s->critic_v + first, sum, n, &s->adam,
              0, round->t);
    polyak(s->critic_target + first, s->critic_params + first, n, (float)s->config.tau);
}

static void policy_step(void *arg, int item, int worker) {
    (void)worker;
    const struct round *round = arg;
    struct sac *s = round->sac;
    size_t first, n;
    range(&first, &n, s->policy_n, item);
    float *sum = s->shard[0].policy_grad + first;
    for (int i = 1; i < SAC_SHARDS; i++) {
        const float *part = s->shard[i].policy_grad + first;
        for (size_t j = 0; j < n; j++) {
            sum[j] += part[j];
        }
    }
    adam_step(s->policy_params + first, s->policy_m + first, s->policy_v + first, sum, n, &s->adam,
              0, round->t);
}

// d/d log_alpha of -log_alpha mean(log pi + target_entropy).
static void update_temperature(struct sac *s, double entropy, uint64_t t) {
    float gradient = (float)(entropy - s->config.target_entropy);
    adam_step(&s->alpha[0], &s->alpha[1], &s->alpha[2], &gradient, 1, &s->adam, 0, t);
}

static void gather_metrics(struct sac_metrics *metrics, const struct sac *s, float alpha) {
    *metrics = (struct sac_metrics){.temperature = (double)alpha};
    double B = s->config.batch_size;
    for (int i = 0; i < SAC_SHARDS; i++) {
        const struct sac_shard *shard = &s->shard[i];
        metrics->critic_loss += shard->critic_loss * shard->rows / B;
        metrics->q_mean += shard->q_sum / (2 * B);
        metrics->actor_loss += shard->actor_loss_sum / B;
        metrics->entropy -= shard->log_prob_sum / B;
    }
}

void sac_update(struct sac_metrics *metrics, struct sac *s, const struct replay_batch *batch) {
    CHECK(batch->rows == s->config.batch_size);
    CHECK(batch->obs_dim == s->config.obs_dim && batch->act_dim == s->config.act_dim);
    struct round round = {
        .sac = s, .batch = batch, .alpha = expf(s->alpha[0]), .t = s->updates + 1};
    run_round(critic_gradient, &round);
    run_round(critic_step, &round); // and the targets', which the policy does not use
    run_round(policy_gradient, &round);
    run_round(policy_step, &round);
    gather_metrics(metrics, s, round.alpha);
    update_temperature(s, metrics->entropy, round.t);
    s->updates = round.t;
}

bool sac_metrics_finite(const struct sac_metrics *m) {
    return isfinite(m->critic_loss) && isfinite(m->actor_loss) && isfinite(m->temperature) &&
           isfinite(m->entropy) && isfinite(m->q_mean);
}

void sac_blocks(struct sac_block blocks[SAC_BLOCKS], const struct sac *s) {
    const struct sac_block all[SAC_BLOCKS] = {
        {"policy", s->policy_params, s->policy_n},
        {"policy.adam_m", s->policy_m, s->policy_n},
        {"policy.adam_v", s->policy_v, s->policy_n},
        {"critic", s->critic_params, s->critic_n},
        {"critic.target", s->critic_target, s->critic_n},
        {"critic.adam_m", s->critic_m, s->critic_n},
        {"critic.adam_v", s->critic_v, s->critic_n},
        {"log_alpha", s->alpha, 3},
    };
    memcpy(blocks, all, sizeof(all));
}

bool sac_finite(const struct sac *s) {
    struct sac_block blocks[SAC_BLOCKS];
    sac_blocks(blocks, s);
    for (int b = 0; b < SAC_BLOCKS; b++) {
        for (size_t i = 0; i < blocks[b].n; i++) {
            if (!isfinite(blocks[b].data[i])) {
                return false;
            }
        }
    }
    return true;
}
