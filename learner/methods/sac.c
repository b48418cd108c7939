// SPDX-License-Identifier: MIT
// One update: Bellman targets, critics, policy, temperature. Two threads take one critic each.
#include "learner/methods/sac.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/stats.h"
#include "common/nn/normalizer.h"
#include "common/nn/parts.h"
#include "common/nn/reparam.h"
#include "common/nn/rng_bulk.h"
#include "common/task/task.h"
#include "learner/methods/value_bounds.h"

// Sets every pointer into s->memory; while that is NULL, only sums up the sizes in
// memory_floats.
static void lay_out(struct sac *s) {
    struct parts parts = {.memory = s->memory};
    s->policy_params = parts_take(&parts, s->policy_n);
    s->policy_m = parts_take(&parts, s->policy_n);
    s->policy_v = parts_take(&parts, s->policy_n);
    s->critic_params = parts_take(&parts, s->critic_n);
    s->critic_target = parts_take(&parts, s->critic_n);
    s->critic_m = parts_take(&parts, s->critic_n);
    s->critic_v = parts_take(&parts, s->critic_n);
    s->alpha = parts_take(&parts, 3);
    int threads = s->config.threads > 1 ? SAC_THREADS_MAX : 1;
    size_t layer = mlp_adam_floats(&s->policy.net), other = mlp_adam_floats(&s->critic.net);
    for (int i = 0; i < threads; i++) {
        s->gradient[i] = parts_take(&parts, layer > other ? layer : other);
    }
    bool clips = s->config.gradient_norm_max > 0;
    s->policy_gradient = clips ? parts_take(&parts, s->policy_n) : NULL;
    s->critic_gradient = clips ? parts_take(&parts, s->critic_n) : NULL;
    size_t B = (size_t)s->config.batch_size, A = (size_t)s->config.act_dim;
    for (int i = 0; i < 2; i++) {
        struct sac_actions *actions = &s->actions[i];
        actions->policy_scratch =
            parts_take(&parts, policy_scratch(&s->policy, s->config.batch_size));
        actions->noise = parts_take(&parts, B * A);
        actions->act = parts_take(&parts, B * A);
        actions->log_prob = parts_take(&parts, B);
        actions->x = parts_take(&parts, B * (size_t)s->critic.net.dims[0]);
    }
    size_t C = (size_t)s->critic.count;
    for (size_t k = 0; k < C; k++) {
        s->critic_scratch[k] = parts_take(&parts, critic_scratch(&s->critic, s->config.batch_size));
    }
    s->x = parts_take(&parts, B * (size_t)s->critic.net.dims[0]);
    s->next_q = parts_take(&parts, C * B);
    s->q = parts_take(&parts, C * B);
    s->target = parts_take(&parts, B);
    s->actor_q = parts_take(&parts, C * B);
    s->d_act = parts_take(&parts, B * A);
    s->d_log_prob = parts_take(&parts, B);
    s->memory_floats = parts.used;
}

// Shapes and sizes; no memory yet.
static void set_shape(struct sac *s, const struct sac_config *config) {
    double rate = config->learning_rate, critic = config->critic_learning_rate,
           temperature = config->temperature_learning_rate;
    *s = (struct sac){.config = *config,
                      .policy_adam = adam_make(rate),
                      .critic_adam = adam_make(critic > 0 ? critic : rate),
                      .temperature_adam = adam_make(temperature > 0 ? temperature : rate)};
    s->policy = policy_make_hidden(config->obs_dim, config->act_dim, &config->hidden);
    int critics = config->critics > 0 ? config->critics : 2;
    CHECK(critics <= SAC_CRITICS_MAX);
    struct mlp_hidden hidden = config->hidden;
    hidden.layer_norm = config->layer_norm;
    s->critic = critic_make_hidden(config->obs_dim, config->act_dim, &hidden, critics);
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
    if (config->threads > 1) {
        s->team = thread_team_create(SAC_THREADS_MAX);
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
    thread_team_destroy(&s->team);
    free(s->memory);
    *s = (struct sac){0};
}

// ---- one update ----
//
// Each round has two independent items, one per thread: sampling actions in the next
// states and in the states, then one critic each. Only the backward pass of the
// policy is divided layer by layer.

// Arguments of a round.
struct round {
    struct sac *sac;
    const struct replay_batch *batch;
    float alpha;
    uint64_t t; // number of this update
};

enum { IN_NEXT_STATE, IN_STATE }; // items of sample_actions

// Samples the policy's actions and prepares the critics' inputs.
static void sample_actions(void *arg, int item, int worker) {
    (void)worker;
    const struct round *round = arg;
    const struct sac *s = round->sac;
    const struct replay_batch *batch = round->batch;
    const struct sac_actions *a = &s->actions[item];
    const float *obs = item == IN_NEXT_STATE ? batch->next_obs : batch->obs;
    int B = batch->rows;
    struct rng rng =
        rng_make(s->config.seed, item == IN_NEXT_STATE ? RNG_SAC_TARGET : RNG_SAC_ACTOR, round->t);
    rng_bulk_stream_normals(a->noise, &rng, (size_t)B * (size_t)batch->act_dim);
    (item == IN_NEXT_STATE ? policy_infer : policy_forward)(
        a->act, a->log_prob, a->policy_scratch, &s->policy, s->policy_params, obs, a->noise, B);
    critic_concat(a->x, &s->critic, obs, a->act, B);
}

static void next_values(void *arg, int k, int worker) {
    (void)worker;
    const struct round *round = arg;
    const struct sac *s = round->sac;
    int B = round->batch->rows;
    critic_infer(s->next_q + k * B, s->critic_scratch[k], &s->critic, s->critic_target, k,
                 s->actions[IN_NEXT_STATE].x, B);
}

// target (B) = r + discount (1 - terminated) (min Q'(s', a') - alpha log pi(a'|s')).
static void bellman_target(const struct round *round) {
    const struct sac *s = round->sac;
    const struct replay_batch *batch = round->batch;
    const float *log_prob = s->actions[IN_NEXT_STATE].log_prob;
    float discount = (float)s->config.discount;
    critic_min(s->target, s->next_q, s->critic.count, batch->rows);
    for (int i = 0; i < batch->rows; i++) {
        float next = s->target[i];
        next = s->bounds ? value_bounds_clip(s->bounds, next) : next;
        float value = next - round->alpha * log_prob[i];
        s->target[i] = batch->reward[i] + discount * (1.0f - batch->terminated[i]) * value;
    }
    critic_concat(s->x, &s->critic, batch->obs, batch->act, batch->rows);
}

// ---- steps with a limit of the gradient's norm ----

static double sum_of_squares(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum;
}

// Scales the gradient to the largest norm, as PyTorch's clip_grad_norm_. squares: of all
// gradients that count together.
static void clip(float *gradient, size_t n, double squares, double norm_max) {
    double factor = norm_max / (sqrt(squares) + 1e-6);
    for (size_t i = 0; i < n && factor < 1; i++) {
        gradient[i] *= (float)factor;
    }
}

// The whole gradient of a critic.
static void critic_gradient(void *arg, int k, int worker) {
    (void)worker;
    const struct round *round = arg;
    struct sac *s = round->sac;
    const struct critic *c = &s->critic;
    float *scratch = s->critic_scratch[k], *q = s->q + k * round->batch->rows;
    int B = round->batch->rows;
    critic_forward(q, scratch, c, s->critic_params, k, s->x, B);
    s->critic_loss[k] =
        (double)critic_loss(s->critic_gradient, scratch, c, s->critic_params, k, q, s->target, B);
    s->critic_squares[k] =
        sum_of_squares(s->critic_gradient + critic_offset(c, k), mlp_params(&c->net));
}

// After both gradients: one step of a critic, then its values at the policy's actions.
static void critic_clipped_step(void *arg, int k, int worker) {
    (void)worker;
    const struct round *round = arg;
    struct sac *s = round->sac;
    const struct critic *c = &s->critic;
    size_t at = critic_offset(c, k), n = mlp_params(&c->net);
    int B = round->batch->rows;
    double squares = 0;
    for (int i = 0; i < c->count; i++) {
        squares += s->critic_squares[i];
    }
    clip(s->critic_gradient + at, n, squares, s->config.gradient_norm_max);
    adam_polyak_step(s->critic_params + at, s->critic_m + at, s->critic_v + at,
                     s->critic_target + at, s->critic_gradient + at, n, &s->critic_adam, 0,
                     (float)s->config.tau, round->t);
    critic_forward(s->actor_q + k * B, s->critic_scratch[k], c, s->critic_params, k,
                   s->actions[IN_STATE].x, B);
}

// ---- steps fused with the backward pass ----

// One step of a critic, then its values at the policy's actions.
static void critic_update(void *arg, int k, int worker) {
    const struct round *round = arg;
    struct sac *s = round->sac;
    const struct critic *c = &s->critic;
    float *scratch = s->critic_scratch[k], *q = s->q + k * round->batch->rows;
    int B = round->batch->rows;
    const struct mlp_adam step = {.adam = s->critic_adam,
                                  .t = round->t,
                                  .m = s->critic_m,
                                  .v = s->critic_v,
                                  .target = s->critic_target,
                                  .tau = (float)s->config.tau,
                                  .gradient = s->gradient[worker]};
    critic_forward(q, scratch, c, s->critic_params, k, s->x, B);
    s->critic_loss[k] =
        (double)critic_backward_adam(&step, s->critic_params, scratch, c, k, q, s->target, B);
    critic_forward(s->actor_q + k * B, scratch, c, s->critic_params, k, s->actions[IN_STATE].x, B);
}

static void action_gradient(void *arg, int k, int worker) {
    (void)worker;
    const struct round *round = arg;
    const struct sac *s = round->sac;
    critic_min_gradient(s->d_act, s->critic_scratch[k], &s->critic, s->critic_params, k, s->actor_q,
                        round->batch->rows);
}

static void policy_update(const struct round *round) {
    const struct sac *s = round->sac;
    const struct sac_actions *a = &s->actions[IN_STATE];
    int B = round->batch->rows;
    const float share = 1.0f / (float)B;
    for (int i = 0; i < B; i++) {
        s->d_log_prob[i] = round->alpha * share;
    }
    for (int i = 0; i < B * s->config.act_dim; i++) {
        s->d_act[i] *= -share;
    }
    if (s->policy_gradient) {
        float *g = s->policy_gradient;
        policy_backward(g, a->policy_scratch, &s->policy, s->policy_params, a->noise, s->d_act,
                        s->d_log_prob, B);
        clip(g, s->policy_n, sum_of_squares(g, s->policy_n), s->config.gradient_norm_max);
        adam_step(s->policy_params, s->policy_m, s->policy_v, g, s->policy_n, &s->policy_adam, 0,
                  round->t);
        return;
    }
    const struct mlp_adam step = {.adam = s->policy_adam,
                                  .t = round->t,
                                  .m = s->policy_m,
                                  .v = s->policy_v,
                                  .gradient = s->gradient[0]};
    policy_backward_adam(s->team, &step, s->policy_params, a->policy_scratch, &s->policy, a->noise,
                         s->d_act, s->d_log_prob, B);
}

// d/d log_alpha of -log_alpha mean(log pi + target_entropy).
static void update_temperature(struct sac *s, double entropy, uint64_t t) {
    float gradient = (float)(entropy - s->config.target_entropy);
    adam_step(&s->alpha[0], &s->alpha[1], &s->alpha[2], &gradient, 1, &s->temperature_adam, 0, t);
}

static void gather_metrics(struct sac_metrics *metrics, const struct round *round) {
    const struct sac *s = round->sac;
    int B = round->batch->rows;
    const float *log_prob = s->actions[IN_STATE].log_prob;
    float *q_min = s->target; // no longer used
    critic_min(q_min, s->actor_q, s->critic.count, B);
    double q_sum = 0, actor_sum = 0, log_prob_sum = 0;
    for (int i = 0; i < B; i++) {
        for (int k = 0; k < s->critic.count; k++) {
            q_sum += (double)s->q[k * B + i];
        }
        actor_sum += (double)(round->alpha * log_prob[i] - q_min[i]);
        log_prob_sum += (double)log_prob[i];
    }
    double critic_loss = 0;
    for (int k = 0; k < s->critic.count; k++) {
        critic_loss += s->critic_loss[k];
    }
    *metrics = (struct sac_metrics){.critic_loss = critic_loss,
                                    .actor_loss = actor_sum / B,
                                    .temperature = (double)round->alpha,
                                    .entropy = -log_prob_sum / B,
                                    .q_mean = q_sum / (s->critic.count * B)};
}

void sac_update(struct sac_metrics *metrics, struct sac *s, const struct replay_batch *batch) {
    CHECK(batch->rows == s->config.batch_size);
    CHECK(batch->obs_dim == s->config.obs_dim && batch->act_dim == s->config.act_dim);
    struct round round = {
        .sac = s, .batch = batch, .alpha = expf(s->alpha[0]), .t = s->updates + 1};
    thread_team_run(s->team, sample_actions, &round, 2);
    thread_team_run(s->team, next_values, &round, s->critic.count);
    bellman_target(&round);
    if (s->critic_gradient) {
        thread_team_run(s->team, critic_gradient, &round, s->critic.count);
        thread_team_run(s->team, critic_clipped_step, &round, s->critic.count);
    } else {
        thread_team_run(s->team, critic_update, &round, s->critic.count);
    }
    thread_team_run(s->team, action_gradient, &round, s->critic.count);
    policy_update(&round);
    gather_metrics(metrics, &round);
    update_temperature(s, metrics->entropy, round.t);
    s->updates = round.t;
}

// ---- units ----

static void change_critics(float *params, const struct critic *c, const struct sac_units *from,
                           const struct sac_units *to) {
    for (int k = 0; k < c->count; k++) {
        float *own = params + critic_offset(c, k);
        reparam_inputs(own, &c->net, from->observations, to->observations, c->obs_dim,
                       NORMALIZER_INPUT_LIMIT);
        reparam_outputs(own, &c->net, from->values, to->values, 0, 1);
    }
}

void sac_change_units(struct sac *s, const struct sac_units *from, const struct sac_units *to) {
    reparam_inputs(s->policy_params, &s->policy.net, from->observations, to->observations,
                   s->policy.obs_dim, NORMALIZER_INPUT_LIMIT);
    change_critics(s->critic_params, &s->critic, from, to);
    change_critics(s->critic_target, &s->critic, from, to);
    s->alpha[0] += logf(from->values[1] / to->values[1]);
}

void sac_start_units(struct sac *s, const struct sac_units *units) {
    int O = s->policy.obs_dim, constant = O - reparam_moving(units->observations, O);
    reparam_fresh_inputs(s->policy_params, &s->policy.net, constant);
    for (int k = 0; k < s->critic.count; k++) {
        reparam_fresh_inputs(s->critic_params + critic_offset(&s->critic, k), &s->critic.net,
                             constant);
        reparam_fresh_inputs(s->critic_target + critic_offset(&s->critic, k), &s->critic.net,
                             constant);
    }
}

void sac_fold_policy(float *params, const struct sac *s, const float *observations) {
    reparam_fold_policy(params, &s->policy, s->policy_params, observations);
}

void sac_blocks(struct sac_block blocks[SAC_BLOCKS], const struct sac *s) {
    const struct sac_block all[SAC_BLOCKS] = {
        {"policy", s->policy_params, s->policy_n, s->policy_n},
        {"policy.adam_m", s->policy_m, s->policy_n, 0},
        {"policy.adam_v", s->policy_v, s->policy_n, 0},
        {"critic", s->critic_params, s->critic_n, s->critic_n},
        {"critic.target", s->critic_target, s->critic_n, s->critic_n},
        {"critic.adam_m", s->critic_m, s->critic_n, 0},
        {"critic.adam_v", s->critic_v, s->critic_n, 0},
        {"log_alpha", s->alpha, 3, 1},
    };
    memcpy(blocks, all, sizeof(all));
}
