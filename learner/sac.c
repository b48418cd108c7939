// SPDX-License-Identifier: MIT
#include "learner/sac.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

// Parts start on a cache line.
static size_t padded(size_t n) {
    return (n + 15) / 16 * 16;
}

// Sets every pointer into s->memory, or, while that is NULL, only adds the sizes
// up into memory_floats.
static void lay_out(struct sac *s) {
    size_t B = (size_t)s->config.batch_size, A = (size_t)s->config.act_dim;
    size_t P = s->policy_n, Q = s->critic_n;
    struct {
        float **part;
        size_t n;
    } parts[] = {
        {&s->policy_params, P},
        {&s->policy_m, P},
        {&s->policy_v, P},
        {&s->critic_params, Q},
        {&s->critic_target, Q},
        {&s->critic_m, Q},
        {&s->critic_v, Q},
        {&s->alpha, 3},
        {&s->policy_grad, P},
        {&s->critic_grad, Q},
        {&s->policy_scratch, policy_scratch(&s->policy, s->config.batch_size)},
        {&s->critic_scratch, critic_scratch(&s->critic, s->config.batch_size)},
        {&s->noise, B * A},
        {&s->act, B * A},
        {&s->d_act, B * A},
        {&s->log_prob, B},
        {&s->d_log_prob, B},
        {&s->q, 2 * B},
        {&s->target, B},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (s->memory) {
            *parts[i].part = s->memory + used;
        }
        used += padded(parts[i].n);
    }
    s->memory_floats = used;
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
    lay_out(s);
}

uint64_t sac_bytes(const struct sac_config *config) {
    struct sac s;
    set_shape(&s, config);
    return s.memory_floats * sizeof(float);
}

void sac_init(struct sac *s, const struct sac_config *config) {
    CHECK(config->batch_size > 0 && config->initial_temperature > 0);
    set_shape(s, config);
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
    free(s->memory);
    *s = (struct sac){0};
}

// Noise for one use in the update under way.
static void draw_noise(struct sac *s, enum rng_use use) {
    struct rng rng = rng_make(s->config.seed, use, s->updates + 1);
    rng_fill_normal(&rng, s->noise, (size_t)s->config.batch_size * (size_t)s->config.act_dim);
}

// target (B) = r + discount (1 - terminated) (min Q'(s', a') - alpha log pi(a'|s')).
static void bellman_target(struct sac *s, const struct replay_batch *batch, float alpha) {
    int B = s->config.batch_size;
    float discount = (float)s->config.discount;
    draw_noise(s, RNG_SAC_TARGET);
    policy_sample(s->act, s->log_prob, s->policy_scratch, &s->policy, s->policy_params,
                  batch->next_obs, s->noise, B);
    critic_forward(s->q, s->critic_scratch, &s->critic, s->critic_target, batch->next_obs, s->act,
                   B);
    for (int i = 0; i < B; i++) {
        float value = fminf(s->q[i], s->q[B + i]) - alpha * s->log_prob[i];
        s->target[i] = batch->reward[i] + discount * (1.0f - batch->terminated[i]) * value;
    }
}

static void update_critics(struct sac_metrics *metrics, struct sac *s,
                           const struct replay_batch *batch, float alpha, uint64_t t) {
    int B = s->config.batch_size;
    bellman_target(s, batch, alpha);
    memset(s->critic_grad, 0, s->critic_n * sizeof(float));
    metrics->critic_loss =
        (double)critic_loss(s->q, s->critic_grad, s->critic_scratch, &s->critic, s->critic_params,
                            batch->obs, batch->act, s->target, B);
    double sum = 0;
    for (int i = 0; i < 2 * B; i++) {
        sum += (double)s->q[i];
    }
    metrics->q_mean = sum / (2 * B);
    adam_step(s->critic_params, s->critic_m, s->critic_v, s->critic_grad, s->critic_n, &s->adam, 0,
              t);
}

// Leaves log_prob (B) of the batch's states for the temperature.
static void update_policy(struct sac_metrics *metrics, struct sac *s,
                          const struct replay_batch *batch, float alpha, uint64_t t) {
    int B = s->config.batch_size;
    size_t n_act = (size_t)B * (size_t)s->config.act_dim;
    float *q_min = s->q;
    draw_noise(s, RNG_SAC_ACTOR);
    policy_sample(s->act, s->log_prob, s->policy_scratch, &s->policy, s->policy_params, batch->obs,
                  s->noise, B);
    critic_min_gradient(q_min, s->d_act, s->critic_scratch, &s->critic, s->critic_params,
                        batch->obs, s->act, B);

    double loss = 0, log_prob_sum = 0;
    for (int i = 0; i < B; i++) {
        loss += (double)(alpha * s->log_prob[i] - q_min[i]);
        log_prob_sum += (double)s->log_prob[i];
        s->d_log_prob[i] = alpha / (float)B;
    }
    for (size_t i = 0; i < n_act; i++) {
        s->d_act[i] *= -1.0f / (float)B;
    }
    metrics->actor_loss = loss / B;
    metrics->entropy = -log_prob_sum / B;

    memset(s->policy_grad, 0, s->policy_n * sizeof(float));
    policy_backward(s->policy_grad, s->policy_scratch, &s->policy, s->policy_params, batch->obs,
                    s->noise, s->d_act, s->d_log_prob, B);
    adam_step(s->policy_params, s->policy_m, s->policy_v, s->policy_grad, s->policy_n, &s->adam, 0,
              t);
}

// d/d log_alpha of -log_alpha mean(log pi + target_entropy).
static void update_temperature(struct sac *s, double entropy, uint64_t t) {
    float gradient = (float)(entropy - s->config.target_entropy);
    adam_step(&s->alpha[0], &s->alpha[1], &s->alpha[2], &gradient, 1, &s->adam, 0, t);
}

void sac_update(struct sac_metrics *metrics, struct sac *s, const struct replay_batch *batch) {
    CHECK(batch->rows == s->config.batch_size);
    CHECK(batch->obs_dim == s->config.obs_dim && batch->act_dim == s->config.act_dim);
    uint64_t t = s->updates + 1;
    float alpha = expf(s->alpha[0]);
    metrics->temperature = (double)alpha;
    update_critics(metrics, s, batch, alpha, t);
    update_policy(metrics, s, batch, alpha, t);
    update_temperature(s, metrics->entropy, t);
    polyak(s->critic_target, s->critic_params, s->critic_n, (float)s->config.tau);
    s->updates = t;
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
