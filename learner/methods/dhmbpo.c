// SPDX-License-Identifier: MIT
// One update: training rollout, bounds and targets, critics, backward pass, policy, temperature.
#include "learner/methods/dhmbpo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/normalizer.h"
#include "common/nn/reparam.h"

// ---- memory ----

static void lay_out_state(struct dhmbpo *d, struct parts *parts) {
    d->policy_params = parts_take(parts, d->policy_n);
    d->policy_average = parts_take(parts, d->policy_n);
    d->policy_m = parts_take(parts, d->policy_n);
    d->policy_v = parts_take(parts, d->policy_n);
    d->critic_params = parts_take(parts, d->critic_n);
    d->critic_target = parts_take(parts, d->critic_n);
    d->critic_m = parts_take(parts, d->critic_n);
    d->critic_v = parts_take(parts, d->critic_n);
    d->alpha = parts_take(parts, 3);
    d->numbers = parts_take(parts, DHMBPO_NUMBERS);
}

static void lay_out(struct dhmbpo *d) {
    struct parts parts = {.memory = d->memory};
    const struct training_rollout_config *c = &d->config.rollout;
    size_t B = (size_t)c->batch, O = (size_t)c->policy.obs_dim, A = (size_t)c->policy.act_dim;
    size_t C = (size_t)d->critic.count;
    lay_out_state(d, &parts);
    training_rollout_lay_out(&d->rollout, &parts, c);
    for (int i = 0; i < c->workers; i++) {
        d->critic_gradient[i] = parts_take(&parts, mlp_adam_floats(&d->critic.net));
    }
    for (size_t k = 0; k < C; k++) {
        d->critic_scratch[k] = parts_take(&parts, critic_scratch(&d->critic, c->batch));
    }
    d->policy_gradient = parts_take(&parts, DHMBPO_PARTS * d->policy_n);
    d->first_x = parts_take(&parts, B * (O + A));
    d->last_x = parts_take(&parts, B * (O + A));
    d->q = parts_take(&parts, C * B);
    d->last_q = parts_take(&parts, C * B);
    d->d_q = parts_take(&parts, B);
    d->d_last = parts_take(&parts, C * B * (O + A));
    d->d_x = parts_take(&parts, B * O);
    d->d_act = parts_take(&parts, B * A);
    d->target = parts_take(&parts, B);
    d->rewards = parts_take(&parts, (size_t)c->horizon * B);
    d->memory_floats = parts.used;
}

static void set_shape(struct dhmbpo *d, const struct dhmbpo_config *config) {
    CHECK(config->critics >= 2 && config->critics <= DHMBPO_CRITICS_MAX);
    CHECK(config->rollout.workers >= 1 && config->rollout.workers <= DHMBPO_THREADS_MAX);
    const struct policy *p = &config->rollout.policy;
    *d = (struct dhmbpo){.config = *config,
                         .policy_adam = adam_make(config->learning_rate),
                         .critic_adam = adam_make(config->critic_learning_rate),
                         .temperature_adam = adam_make(config->temperature_learning_rate)};
    d->critic = critic_make_hidden(p->obs_dim, p->act_dim, &config->critic_hidden, config->critics);
    d->policy_n = policy_params(p);
    d->critic_n = critic_params(&d->critic);
    lay_out(d);
}

uint64_t dhmbpo_bytes(const struct dhmbpo_config *config) {
    struct dhmbpo d;
    set_shape(&d, config);
    return d.memory_floats * sizeof(float);
}

// Critics start at the centre of the bounds.
static void zero_last_layer(float *params, const struct critic *c) {
    size_t at = mlp_weight_offset(&c->net, c->net.layers - 1);
    for (int k = 0; k < c->count; k++) {
        memset(params + critic_offset(c, k) + at, 0, (mlp_params(&c->net) - at) * sizeof(float));
    }
}

void dhmbpo_init(struct dhmbpo *d, const struct dhmbpo_config *config) {
    CHECK(config->initial_temperature > 0);
    set_shape(d, config);
    d->team = config->rollout.workers > 1 ? thread_team_create(config->rollout.workers) : NULL;
    d->memory = xfloats(d->memory_floats);
    lay_out(d);
    struct rng rng = rng_make(config->rollout.seed, RNG_POLICY_INIT, 0);
    if (config->orthogonal) {
        mlp_init_orthogonal(d->policy_params, &config->rollout.policy.net, &rng);
    } else {
        policy_init(d->policy_params, &config->rollout.policy, &rng);
    }
    memcpy(d->policy_average, d->policy_params, d->policy_n * sizeof(float));
    rng = rng_make(config->rollout.seed, RNG_CRITIC_INIT, 0);
    critic_init(d->critic_params, &d->critic, &rng);
    zero_last_layer(d->critic_params, &d->critic);
    memcpy(d->critic_target, d->critic_params, d->critic_n * sizeof(float));
    d->alpha[0] = logf((float)config->initial_temperature);
}

void dhmbpo_deinit(struct dhmbpo *d) {
    thread_team_destroy(&d->team);
    free(d->memory);
    *d = (struct dhmbpo){0};
}

// ---- one update ----

struct round {
    struct dhmbpo *d;
    const struct dhmbpo_source *source;
    struct training_rollout_view view;
    uint64_t t;          // number of the policy's update, since Adam started
    uint64_t critic_t;   // of the critics' update, likewise
    uint64_t draw;       // of the random numbers
    const int *pair;     // target critics
    bool critics_only;   // no gradient at (s_H, a_H)
    float centre, width; // Q = centre + width f
};

static struct round round_of(struct dhmbpo *d, const struct dhmbpo_source *source, uint64_t t) {
    uint64_t critics = (uint64_t)d->numbers[DHMBPO_CRITIC_UPDATES];
    return (struct round){.d = d,
                          .source = source,
                          .view = {.policy = d->policy_params,
                                   .observations = source->observations,
                                   .dynamics = source->dynamics,
                                   .reward_offset = source->reward_offset,
                                   .reward_scale = source->reward_scale,
                                   .discount = source->discount,
                                   .alpha = exp((double)d->alpha[0])},
                          .t = t - (uint64_t)d->numbers[DHMBPO_POLICY_START],
                          .critic_t = t + critics - (uint64_t)d->numbers[DHMBPO_CRITIC_START]};
}

static void draw_step(void *arg, int t, int worker) {
    (void)worker;
    const struct round *round = arg;
    training_rollout_draw(&round->d->rollout, round->source->dynamics, round->draw, t);
}

static void forward_tile(void *arg, int tile, int worker) {
    const struct round *round = arg;
    training_rollout_forward(&round->d->rollout, &round->view, tile, worker);
}

static void concat(float *x, const struct dhmbpo *d, int t) {
    const struct training_rollout_step *s = &d->rollout.step[t];
    critic_concat(x, &d->critic, s->x, s->act, d->config.rollout.batch);
}

// ---- bounds and targets ----

static void update_bounds(struct round *round) {
    struct dhmbpo *d = round->d;
    const struct training_rollout *r = &d->rollout;
    size_t n = 0;
    for (int t = 0; t < r->config.horizon; t++) {
        for (int i = 0; i < r->config.batch; i++) {
            d->rewards[n] = r->step[t].reward[i];
            n += r->step[t].alive[i] > 0;
        }
    }
    double entropy = round->view.alpha * fmax(0, -d->config.target_entropy);
    value_bounds_update(d->numbers, d->rewards, n, round->view.discount, entropy);
    round->centre = (d->numbers[VALUE_UPPER] + d->numbers[VALUE_LOWER]) / 2;
    round->width = (d->numbers[VALUE_UPPER] - d->numbers[VALUE_LOWER]) / 2;
}

static void last_values(void *arg, int item, int worker) {
    (void)worker;
    const struct round *round = arg;
    struct dhmbpo *d = round->d;
    int B = d->config.rollout.batch, k = round->pair[item];
    critic_infer(d->last_q + item * B, d->critic_scratch[item], &d->critic, d->critic_target, k,
                 d->last_x, B);
}

// r_0 + ... of row i without the value of s_H, whose weight is returned in *last.
static double rewards_of(const struct round *round, int i, double *last) {
    const struct training_rollout *r = &round->d->rollout;
    int H = r->config.horizon;
    double sum = (double)r->step[0].reward[i], discount = round->view.discount, weight = discount;
    for (int t = 1; t <= H; t++, weight *= discount) {
        const struct training_rollout_step *s = &r->step[t];
        double alive = (double)s->alive[i], ended = (double)r->step[t - 1].alive[i] - alive;
        double entropy = -round->view.alpha * (double)s->log_prob[i];
        double reward = t < H ? (double)s->reward[i] : 0;
        sum += weight * (alive * (reward + entropy) + ended * round->source->end_value);
        *last = weight * alive;
    }
    return sum;
}

static void find_targets(const struct round *round) {
    struct dhmbpo *d = round->d;
    int B = d->config.rollout.batch;
    concat(d->last_x, d, d->config.rollout.horizon);
    thread_team_run(d->team, last_values, (void *)round, 2);
    critic_min(d->target, d->last_q, 2, B);
    double centre = (double)round->centre, width = (double)round->width;
    for (int i = 0; i < B; i++) {
        double last = 0, sum = rewards_of(round, i, &last);
        double q = centre + width * fmax(-1, fmin((double)d->target[i], 1));
        // fmax and fmin drop a NaN, which must not be masked.
        q = isnan(d->target[i]) ? (double)NAN : q;
        d->target[i] = (float)((sum + last * q - centre) / width);
    }
    concat(d->first_x, d, 0);
}

// ---- critics ----

static struct mlp_dropout critic_dropout(float rate[MLP_LAYERS_MAX], const struct round *round,
                                         int k) {
    const struct dhmbpo *d = round->d;
    uint64_t sub = round->draw * DHMBPO_CRITICS_MAX + (uint64_t)k;
    for (int l = 0; l < MLP_LAYERS_MAX; l++) {
        rate[l] = (float)d->config.critic_dropout;
    }
    return (struct mlp_dropout){.rate = rate,
                                .rng = rng_make(d->config.rollout.seed, RNG_CRITIC_DROPOUT, sub)};
}

static void critic_step(void *arg, int k, int worker) {
    const struct round *round = arg;
    struct dhmbpo *d = round->d;
    const struct critic *c = &d->critic;
    int B = d->config.rollout.batch;
    float *q = d->q + k * B, *scratch = d->critic_scratch[k];
    const struct mlp_adam step = {.adam = d->critic_adam,
                                  .t = round->critic_t,
                                  .m = d->critic_m,
                                  .v = d->critic_v,
                                  .target = d->critic_target,
                                  .tau = (float)d->config.tau,
                                  .gradient = d->critic_gradient[worker]};
    float rate[MLP_LAYERS_MAX];
    const struct mlp_dropout dropout = critic_dropout(rate, round, k);
    critic_forward_dropout(q, scratch, c, d->critic_params, k, d->first_x, B,
                           d->config.critic_dropout > 0 ? &dropout : NULL);
    d->critic_loss[k] =
        (double)critic_backward_adam(&step, d->critic_params, scratch, c, k, q, d->target, B);
    if (round->critics_only) {
        return;
    }
    critic_forward(d->last_q + k * B, scratch, c, d->critic_params, k, d->last_x, B);
    critic_input_gradient(d->d_last + (size_t)k * (size_t)(B * c->net.dims[0]), scratch, c,
                          d->critic_params, k, d->d_q, B);
}

// dL/df of one critic at (s_H, a_H).
static void value_gradient(const struct round *round) {
    struct dhmbpo *d = round->d;
    int H = d->config.rollout.horizon;
    float weight = training_rollout_weight(&d->rollout, round->view.discount, H);
    weight *= round->width / (float)d->critic.count;
    for (int i = 0; i < d->config.rollout.batch; i++) {
        d->d_q[i] = -weight * d->rollout.step[H].alive[i];
    }
}

// d_x, d_act = the sums over the critics.
static void sum_value_gradients(struct dhmbpo *d) {
    size_t O = (size_t)d->critic.obs_dim, A = (size_t)d->critic.act_dim;
    size_t B = (size_t)d->config.rollout.batch, row = O + A;
    for (size_t i = 0; i < B * row; i++) {
        float sum = 0;
        for (int k = 0; k < d->critic.count; k++) {
            sum += d->d_last[(size_t)k * B * row + i];
        }
        size_t j = i % row;
        *(j < O ? &d->d_x[i / row * O + j] : &d->d_act[i / row * A + j - O]) = sum;
    }
}

// ---- policy and temperature ----

static void backward_tile(void *arg, int tile, int worker) {
    const struct round *round = arg;
    struct dhmbpo *d = round->d;
    training_rollout_backward(&d->rollout, &round->view, tile, worker, d->d_x, d->d_act);
}

static void gradient_part(void *arg, int part, int worker) {
    (void)worker;
    const struct round *round = arg;
    struct dhmbpo *d = round->d;
    training_rollout_gradient(d->policy_gradient + (size_t)part * d->policy_n, &d->rollout, part,
                              DHMBPO_PARTS);
}

// Returns the norm of the gradient, which is left in the first part, within the limit.
static double sum_gradient(struct dhmbpo *d) {
    float *sum = d->policy_gradient;
    double squares = 0;
    for (size_t i = 0; i < d->policy_n; i++) {
        for (size_t part = 1; part < DHMBPO_PARTS; part++) {
            sum[i] += sum[part * d->policy_n + i];
        }
        squares += (double)sum[i] * (double)sum[i];
    }
    double norm = sqrt(squares), most = d->config.gradient_norm_max;
    if (most > 0 && norm > most) {
        for (size_t i = 0; i < d->policy_n; i++) {
            sum[i] *= (float)(most / norm);
        }
    }
    return norm;
}

static void gather_metrics(struct dhmbpo_metrics *m, const struct round *round, double norm) {
    const struct dhmbpo *d = round->d;
    const struct training_rollout *r = &d->rollout;
    int B = r->config.batch, C = d->critic.count;
    const struct training_rollout_step *first = &r->step[0];
    double loss = 0, q = 0, log_prob = 0, alive = 0, value = 0;
    for (int k = 0; k < C; k++) {
        loss += d->critic_loss[k];
    }
    for (int i = 0; i < B; i++) {
        double last = 0, sum = rewards_of(round, i, &last), f = 0;
        for (int k = 0; k < C; k++) {
            q += (double)d->q[k * B + i];
            f += (double)d->last_q[k * B + i];
        }
        value += sum + last * ((double)round->centre + (double)round->width * f / C) -
                 round->view.alpha * (double)first->log_prob[i];
        log_prob += (double)first->log_prob[i];
        alive += (double)r->step[r->config.horizon].alive[i];
    }
    double width = (double)round->width;
    *m = (struct dhmbpo_metrics){.critic_loss = loss * width * width,
                                 .actor_loss = -value / B,
                                 .temperature = round->view.alpha,
                                 .entropy = -log_prob / B,
                                 .q_mean = (double)round->centre + width * q / (C * B),
                                 .gradient_norm = norm,
                                 .alive = alive / B};
}

static void update_critics(struct round *round) {
    struct dhmbpo *d = round->d;
    thread_team_run(d->team, forward_tile, round, d->rollout.tiles);
    update_bounds(round);
    find_targets(round);
    value_gradient(round);
    thread_team_run(d->team, critic_step, round, d->critic.count);
}

static void update_policy(struct dhmbpo_metrics *metrics, struct round *round) {
    struct dhmbpo *d = round->d;
    sum_value_gradients(d);
    thread_team_run(d->team, backward_tile, round, d->rollout.tiles);
    thread_team_run(d->team, gradient_part, round, DHMBPO_PARTS);
    double norm = sum_gradient(d);
    gather_metrics(metrics, round, norm);
    adam_polyak_step(d->policy_params, d->policy_m, d->policy_v, d->policy_average,
                     d->policy_gradient, d->policy_n, &d->policy_adam, 0,
                     (float)d->config.policy_tau, round->t);
    float gradient = (float)(metrics->entropy - d->config.target_entropy);
    adam_step(&d->alpha[0], &d->alpha[1], &d->alpha[2], &gradient, 1, &d->temperature_adam, 0,
              round->t);
}

void dhmbpo_update_drawn(struct dhmbpo_metrics *metrics, struct dhmbpo *d,
                         const struct dhmbpo_source *source, uint64_t t, const int pair[2]) {
    struct round round = round_of(d, source, t);
    round.pair = pair;
    update_critics(&round);
    update_policy(metrics, &round);
}

// Start states, noise and the pair of target critics.
static void draw(struct round *round, int pair[2]) {
    struct dhmbpo *d = round->d;
    const struct training_rollout_config *c = &d->config.rollout;
    struct rng rng = rng_make(c->seed, RNG_TRAINING_STATE, round->draw);
    states_sample(d->rollout.step[0].obs, c->batch, round->source->states, &rng);
    pair[0] = (int)rng_below(&rng, (uint32_t)d->critic.count);
    pair[1] = (int)rng_below(&rng, (uint32_t)d->critic.count - 1);
    pair[1] += pair[1] >= pair[0];
    thread_team_run(d->team, draw_step, round, c->horizon + 1);
}

void dhmbpo_update(struct dhmbpo_metrics *metrics, struct dhmbpo *d,
                   const struct dhmbpo_source *source, uint64_t t) {
    struct round round = round_of(d, source, t);
    int pair[2];
    round.draw = 2 * t;
    draw(&round, pair);
    dhmbpo_update_drawn(metrics, d, source, t, pair);
}

void dhmbpo_update_critics(struct dhmbpo *d, const struct dhmbpo_source *source, uint64_t t) {
    struct round round = round_of(d, source, t);
    int pair[2];
    round.draw = 2 * (uint64_t)d->numbers[DHMBPO_CRITIC_UPDATES] + 1;
    round.pair = pair;
    round.critics_only = true;
    draw(&round, pair);
    update_critics(&round);
    d->numbers[DHMBPO_CRITIC_UPDATES]++;
}

void dhmbpo_reset_optimizers(struct dhmbpo *d, uint64_t t) {
    memset(d->policy_m, 0, d->policy_n * sizeof(float));
    memset(d->policy_v, 0, d->policy_n * sizeof(float));
    memset(d->critic_m, 0, d->critic_n * sizeof(float));
    memset(d->critic_v, 0, d->critic_n * sizeof(float));
    d->alpha[1] = d->alpha[2] = 0;
    d->numbers[DHMBPO_POLICY_START] = (float)(t - 1);
    d->numbers[DHMBPO_CRITIC_START] = (float)(t - 1) + d->numbers[DHMBPO_CRITIC_UPDATES];
}

// ---- units ----

static void change_inputs(float *params, const struct mlp *net, const float *from, const float *to,
                          int dim) {
    reparam_inputs(params, net, from, to, dim, NORMALIZER_INPUT_LIMIT);
}

void dhmbpo_change_units(struct dhmbpo *d, const float *from, const float *to,
                         const double from_values[2], const double to_values[2]) {
    const struct policy *p = &d->config.rollout.policy;
    const struct critic *c = &d->critic;
    change_inputs(d->policy_params, &p->net, from, to, p->obs_dim);
    change_inputs(d->policy_average, &p->net, from, to, p->obs_dim);
    for (int k = 0; k < c->count; k++) {
        change_inputs(d->critic_params + critic_offset(c, k), &c->net, from, to, p->obs_dim);
        change_inputs(d->critic_target + critic_offset(c, k), &c->net, from, to, p->obs_dim);
    }
    value_bounds_change_units(d->numbers, from_values, to_values);
    d->alpha[0] += (float)log(from_values[1] / to_values[1]);
}

void dhmbpo_start_units(struct dhmbpo *d, const float *observations) {
    const struct policy *p = &d->config.rollout.policy;
    int constant = p->obs_dim - reparam_moving(observations, p->obs_dim);
    reparam_fresh_inputs(d->policy_params, &p->net, constant);
    memcpy(d->policy_average, d->policy_params, d->policy_n * sizeof(float));
    for (int k = 0; k < d->critic.count; k++) {
        reparam_fresh_inputs(d->critic_params + critic_offset(&d->critic, k), &d->critic.net,
                             constant);
        reparam_fresh_inputs(d->critic_target + critic_offset(&d->critic, k), &d->critic.net,
                             constant);
    }
}
