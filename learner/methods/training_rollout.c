// SPDX-License-Identifier: MIT
// One tile after the other, step by step; backpropagation through time on tapes.
#include "learner/methods/training_rollout.h"

#include <math.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/nn/normalizer.h"
#include "common/nn/rng_bulk.h"

#define TILE TRAINING_ROLLOUT_TILE
#define DRAWS_PER_STEP 32 // steps of a draw in the numbers of streams

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

// ---- memory ----

static void lay_out_step(struct training_rollout_step *s, struct parts *parts, size_t B, size_t O,
                         size_t A, size_t T) {
    s->obs = parts_take(parts, B * O);
    s->x = parts_take(parts, B * O);
    s->noise = parts_take(parts, B * A + 1); // normals come in pairs
    s->act = parts_take(parts, B * A);
    s->log_prob = parts_take(parts, B);
    s->alive = parts_take(parts, B);
    s->target_noise = parts_take(parts, B * T + 1);
    s->end = parts_take(parts, B);
    s->kept = parts_take(parts, B * T);
    s->reward = parts_take(parts, B);
    s->passes = parts_take(parts, B * O);
}

static void lay_out_worker(struct training_rollout *r, int w, struct parts *parts) {
    const struct training_rollout_config *c = &r->config;
    size_t O = (size_t)c->policy.obs_dim, A = (size_t)c->policy.act_dim, T = O + 1;
    size_t scratch = larger(tape_scratch(&r->policy_shape), tape_scratch(&r->member_shape));
    scratch = larger(scratch, ensemble_sample_scratch(&c->ensemble, TILE));
    scratch =
        c->heads.members > 0 ? larger(scratch, termination_scratch(&c->heads, TILE)) : scratch;
    struct training_rollout_worker *own = &r->worker[w];
    own->scratch = parts_take(parts, scratch);
    own->out = parts_take(parts, TILE * 2 * larger(A, T));
    own->in = parts_take(parts, TILE * (O + A));
    own->target = parts_take(parts, TILE * T);
    own->d_obs = parts_take(parts, TILE * O);
    own->d_x = parts_take(parts, TILE * O);
    own->d_act = parts_take(parts, TILE * A);
    own->d_log_prob = parts_take(parts, TILE);
    own->end = parts_take(parts, TILE);
    own->done = (uint8_t *)parts_take(parts, TILE);
}

void training_rollout_lay_out(struct training_rollout *r, struct parts *parts,
                              const struct training_rollout_config *config) {
    const struct training_rollout_config *c = config;
    CHECK(c->horizon > 0 && c->horizon <= TRAINING_ROLLOUT_STEPS_MAX);
    CHECK(c->batch > 0 && c->batch % TILE == 0 && c->batch / TILE <= TRAINING_ROLLOUT_TILES_MAX);
    r->config = *c;
    r->tiles = c->batch / TILE;
    r->policy_shape = (struct tape_shape){
        .net = c->policy.net, .strips = r->tiles * (c->horizon + 1), .weights = true};
    r->member_shape = (struct tape_shape){
        .net = c->ensemble.net, .strips = r->tiles * c->horizon, .weights = false};
    r->sample_floats = policy_sample_scratch(&c->policy, TILE);
    r->policy_tape = parts_take(parts, tape_floats(&r->policy_shape));
    r->member_tape = parts_take(parts, tape_floats(&r->member_shape));
    r->sample = parts_take(parts, (size_t)r->policy_shape.strips * r->sample_floats);
    size_t O = (size_t)c->policy.obs_dim;
    for (int t = 0; t <= c->horizon; t++) {
        lay_out_step(&r->step[t], parts, (size_t)c->batch, O, (size_t)c->policy.act_dim, O + 1);
    }
    for (int w = 0; w < c->workers; w++) {
        lay_out_worker(r, w, parts);
    }
}

// ---- random numbers ----

static struct rng stream(const struct training_rollout *r, enum rng_use use, uint64_t draw, int t) {
    return rng_make(r->config.seed, use, draw * DRAWS_PER_STEP + (uint64_t)t);
}

// A permutation of the elites over the tiles; with more tiles than elites it repeats.
static void draw_members(struct training_rollout *r, const struct dynamics *dynamics, uint64_t draw,
                         int t) {
    uint32_t order[ENSEMBLE_MEMBERS_MAX];
    struct rng rng = stream(r, RNG_TRAINING_MEMBER, draw, t);
    rng_permutation(&rng, order, (uint32_t)dynamics->elites);
    for (int j = 0; j < r->tiles; j++) {
        r->step[t].member[j] = dynamics->elite[order[j % dynamics->elites]];
    }
}

void training_rollout_draw(struct training_rollout *r, const struct dynamics *dynamics,
                           uint64_t draw, int t) {
    struct training_rollout_step *s = &r->step[t];
    size_t B = (size_t)r->config.batch, T = (size_t)r->config.ensemble.target_dim;
    struct rng rng = stream(r, RNG_TRAINING_ACT, draw, t);
    rng_bulk_stream_normals(s->noise, &rng, B * (size_t)r->config.policy.act_dim);
    if (t == r->config.horizon) {
        return;
    }
    rng = stream(r, RNG_TRAINING_NEXT, draw, t);
    rng_bulk_stream_normals(s->target_noise, &rng, B * T);
    for (size_t i = 0; i < B; i++) {
        s->target_noise[i * T] = 0;
    }
    rng = stream(r, RNG_TRAINING_END, draw, t);
    for (size_t i = 0; i < B && r->config.heads.members > 0; i++) {
        s->end[i] = (float)rng_uniform(&rng);
    }
    draw_members(r, dynamics, draw, t);
}

// ---- forward ----

static int strip_of(const struct training_rollout *r, int t, int tile) {
    return t * r->tiles + tile;
}

static float *sample_of(const struct training_rollout *r, int t, int tile) {
    return r->sample + (size_t)strip_of(r, t, tile) * r->sample_floats;
}

static void act(struct training_rollout *r, const struct training_rollout_view *v, int t, int tile,
                struct training_rollout_worker *w) {
    const struct policy *p = &r->config.policy;
    struct training_rollout_step *s = &r->step[t];
    size_t row = (size_t)tile * TILE, O = (size_t)p->obs_dim, A = (size_t)p->act_dim;
    normalizer_apply(s->x + row * O, v->observations, s->obs + row * O, TILE, p->obs_dim,
                     NORMALIZER_INPUT_LIMIT);
    tape_forward(w->out, r->policy_tape, w->scratch, &r->policy_shape, strip_of(r, t, tile),
                 v->policy, s->x + row * O);
    policy_sample_forward(s->act + row * A, s->log_prob + row, sample_of(r, t, tile), p, w->out,
                          s->noise + row * A, TILE);
}

// w->target = the member's sampled targets, standardised.
static void predict(struct training_rollout *r, const struct training_rollout_view *v, int t,
                    int tile, struct training_rollout_worker *w) {
    const struct ensemble *e = &r->config.ensemble;
    const struct training_rollout_step *s = &r->step[t];
    size_t row = (size_t)tile * TILE, O = (size_t)e->obs_dim, A = (size_t)e->act_dim;
    for (size_t i = 0; i < TILE; i++) {
        memcpy(w->in + i * (O + A), s->obs + (row + i) * O, O * sizeof(float));
        memcpy(w->in + i * (O + A) + O, s->act + (row + i) * A, A * sizeof(float));
    }
    normalizer_apply(w->in, v->dynamics->normalizer, w->in, TILE, e->in_dim,
                     NORMALIZER_INPUT_LIMIT);
    tape_forward(w->out, r->member_tape, w->scratch, &r->member_shape, strip_of(r, t, tile),
                 v->dynamics->params + ensemble_member_offset(e, s->member[tile]), w->in);
    size_t T = (size_t)e->target_dim;
    ensemble_sample_forward(w->target, s->kept + row * T, w->scratch, e, v->dynamics->params,
                            s->member[tile], w->out, s->target_noise + row * T, TILE);
}

// w->done = which rows end at next (32, O), which is clipped.
static void find_ends(struct training_rollout *r, const struct training_rollout_view *v, int t,
                      int tile, struct training_rollout_worker *w, const float *next) {
    const struct termination *heads = &r->config.heads;
    const struct training_rollout_step *s = &r->step[t];
    int member = s->member[tile];
    const float *params = v->dynamics->termination;
    if (heads->members == 0 || termination_is_never(heads, params, member)) {
        memset(w->done, 0, TILE);
        return;
    }
    normalizer_apply(w->d_x, params + termination_normalizer_offset(heads), next, TILE,
                     heads->obs_dim, NORMALIZER_INPUT_LIMIT);
    termination_probability(w->end, w->scratch, heads, params, member, w->d_x, TILE);
    for (int i = 0; i < TILE; i++) {
        w->done[i] = !(s->end[tile * TILE + i] >= w->end[i]); // a NaN ends
    }
}

// Reward, next state, what was clipped, and who lives on, from w->target.
static void step_on(struct training_rollout *r, const struct training_rollout_view *v, int t,
                    int tile, struct training_rollout_worker *w) {
    const struct ensemble *e = &r->config.ensemble;
    struct training_rollout_step *s = &r->step[t], *n = &r->step[t + 1];
    size_t row = (size_t)tile * TILE, O = (size_t)e->obs_dim, T = (size_t)e->target_dim;
    const float *normalizer = v->dynamics->normalizer;
    const float *mean = normalizer + ensemble_target_normalizer(e), *std = mean + T;
    float *next = n->obs + row * O, *passes = s->passes + row * O;
    for (size_t i = 0; i < TILE; i++) {
        const float *y = w->target + i * T;
        s->reward[row + i] =
            (float)(((double)(mean[0] + std[0] * y[0]) - v->reward_offset) / v->reward_scale);
        for (size_t j = 0; j < O; j++) {
            next[i * O + j] = s->obs[(row + i) * O + j] + (mean[1 + j] + std[1 + j] * y[1 + j]);
        }
    }
    if (r->config.heads.members == 0) {
        task_terminated(r->config.task, w->done, next, TILE);
    }
    memcpy(passes, next, TILE * O * sizeof(float));
    task_clip(r->config.task, next, TILE);
    for (size_t k = 0; k < TILE * O; k++) {
        passes[k] = passes[k] == next[k] ? 1.0f : 0.0f;
    }
    if (r->config.heads.members > 0) {
        find_ends(r, v, t, tile, w, next);
    }
    for (size_t i = 0; i < TILE; i++) {
        bool usable =
            isfinite(s->reward[row + i]) && stats_all_finite(next + i * O, O) &&
            normalizer_covers(normalizer, normalizer + e->in_dim, next + i * O, e->obs_dim);
        n->alive[row + i] = usable && !w->done[i] ? s->alive[row + i] : 0.0f;
        if (!usable) {
            s->reward[row + i] = 0;
            memcpy(next + i * O, s->obs + (row + i) * O, O * sizeof(float));
            memset(passes + i * O, 0, O * sizeof(float));
        }
    }
}

void training_rollout_forward(struct training_rollout *r, const struct training_rollout_view *view,
                              int tile, int worker) {
    struct training_rollout_worker *w = &r->worker[worker];
    for (int i = 0; i < TILE; i++) {
        r->step[0].alive[tile * TILE + i] = 1;
    }
    for (int t = 0; t < r->config.horizon; t++) {
        act(r, view, t, tile, w);
        predict(r, view, t, tile, w);
        step_on(r, view, t, tile, w);
    }
    act(r, view, r->config.horizon, tile, w);
}

// ---- the backward pass ----

float training_rollout_weight(const struct training_rollout *r, double discount, int t) {
    return (float)(pow(discount, t) / r->config.batch);
}

// The derivative of a standardised and bounded number by the number itself.
static float input_slope(const float *normalizer, int dim, int j, float x) {
    float std = normalizer[dim + j];
    return std != 0 && fabsf(x - normalizer[j]) < NORMALIZER_INPUT_LIMIT * std ? 1 / std : 0;
}

// From dL/da_t and the weights of step t: leaves the policy's gradient on the tape and, unless t is
// 0, adds to dL/ds_t.
static void act_back(struct training_rollout *r, const struct training_rollout_view *v, int t,
                     int tile, struct training_rollout_worker *w) {
    const struct policy *p = &r->config.policy;
    const struct training_rollout_step *s = &r->step[t];
    size_t row = (size_t)tile * TILE, O = (size_t)p->obs_dim, A = (size_t)p->act_dim;
    float weight = (float)v->alpha * training_rollout_weight(r, v->discount, t);
    for (size_t i = 0; i < TILE; i++) {
        w->d_log_prob[i] = weight * s->alive[row + i];
    }
    policy_sample_backward(w->out, sample_of(r, t, tile), p, s->noise + row * A, w->d_act,
                           w->d_log_prob, TILE);
    tape_backward(t > 0 ? w->d_x : NULL, r->policy_tape, w->scratch, &r->policy_shape,
                  strip_of(r, t, tile), v->policy, w->out);
    for (size_t k = 0; k < TILE * O && t > 0; k++) {
        w->d_obs[k] +=
            w->d_x[k] * input_slope(v->observations, p->obs_dim, (int)(k % O), s->obs[row * O + k]);
    }
}

// From dL/ds_{t+1}: dL/ds_t and dL/da_t by way of the member.
static void predict_back(struct training_rollout *r, const struct training_rollout_view *v, int t,
                         int tile, struct training_rollout_worker *w) {
    const struct ensemble *e = &r->config.ensemble;
    const struct training_rollout_step *s = &r->step[t];
    size_t row = (size_t)tile * TILE, O = (size_t)e->obs_dim, A = (size_t)e->act_dim;
    size_t T = (size_t)e->target_dim;
    const float *inputs = v->dynamics->normalizer;
    const float *std = inputs + ensemble_target_normalizer(e) + T;
    float weight = training_rollout_weight(r, v->discount, t) * std[0] / (float)v->reward_scale;
    for (size_t i = 0; i < TILE; i++) {
        w->target[i * T] = -weight * s->alive[row + i];
        for (size_t j = 0; j < O; j++) {
            w->d_obs[i * O + j] *= s->passes[(row + i) * O + j];
            w->target[i * T + 1 + j] = w->d_obs[i * O + j] * std[1 + j];
        }
    }
    ensemble_sample_backward(w->out, s->kept + row * T, e, w->target, TILE);
    tape_backward(w->in, r->member_tape, w->scratch, &r->member_shape, strip_of(r, t, tile),
                  v->dynamics->params + ensemble_member_offset(e, s->member[tile]), w->out);
    for (size_t i = 0; i < TILE; i++) {
        const float *obs = s->obs + (row + i) * O, *act = s->act + (row + i) * A;
        const float *d_in = w->in + i * (O + A);
        for (size_t j = 0; j < O; j++) {
            w->d_obs[i * O + j] += d_in[j] * input_slope(inputs, e->in_dim, (int)j, obs[j]);
        }
        for (size_t j = 0; j < A; j++) {
            w->d_act[i * A + j] =
                d_in[O + j] * input_slope(inputs, e->in_dim, (int)(O + j), act[j]);
        }
    }
}

void training_rollout_backward(struct training_rollout *r, const struct training_rollout_view *view,
                               int tile, int worker, const float *d_x, const float *d_act) {
    struct training_rollout_worker *w = &r->worker[worker];
    int H = r->config.horizon, obs_dim = r->config.policy.obs_dim;
    size_t row = (size_t)tile * TILE, O = (size_t)obs_dim, A = (size_t)r->config.policy.act_dim;
    const float *last = r->step[H].obs + row * O;
    for (size_t k = 0; k < TILE * O; k++) {
        w->d_obs[k] =
            d_x[row * O + k] * input_slope(view->observations, obs_dim, (int)(k % O), last[k]);
    }
    memcpy(w->d_act, d_act + row * A, TILE * A * sizeof(float));
    act_back(r, view, H, tile, w);
    for (int t = H - 1; t >= 0; t--) {
        predict_back(r, view, t, tile, w);
        act_back(r, view, t, tile, w);
    }
}

void training_rollout_gradient(float *dparams, const struct training_rollout *r, int p, int parts) {
    int strips = r->policy_shape.strips, first = strips * p / parts;
    tape_gradient(dparams, r->policy_tape, &r->policy_shape, first,
                  strips * (p + 1) / parts - first);
}
