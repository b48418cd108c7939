// SPDX-License-Identifier: MIT
#include "modelserver/rollout.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/nn/normalizer.h"
#include "common/nn/termination.h"
#include "common/rng.h"
#include "proto/wire.h"

#define PASS_ROWS 512 // rows through a network at once: activations stay in the cache
#define WORDS 4       // of one Philox block: draws begin at block borders

struct rollout {
    struct ensemble e;
    struct policy p;
    struct termination heads;
    const struct task *task;
    uint64_t seed;
    // Of the rollouts still running, in their order: place in the batch, state.
    uint64_t place[ROLLOUT_BLOCK];
    float *obs; // (ROLLOUT_BLOCK, obs_dim)
    // One step.
    float *act, *act_noise; // (.., act_dim)
    float *x;               // (.., in_dim) standardised, grouped by member; for heads (.., obs_dim)
    float *mean, *logvar;   // (.., target_dim) grouped by member
    float *next, *reward;   // (.., obs_dim), (..)
    float *noise;           // (target_dim rounded up to WORDS)
    float *end;             // (..) probability that it ends, grouped by member; heads only
    uint8_t done[ROLLOUT_BLOCK], finite[ROLLOUT_BLOCK];
    int member[ROLLOUT_BLOCK];
    uint32_t slot[ROLLOUT_BLOCK]; // where a row stands in the grouped arrays
    uint32_t group_first[ENSEMBLE_MEMBERS_MAX + 1];
    float *scratch;
};

static size_t round_up(size_t n) {
    return (n + WORDS - 1) / WORDS * WORDS;
}

static size_t pass_floats(const struct ensemble *e, const struct policy *p,
                          const struct termination *heads) {
    size_t a = ensemble_scratch(e, PASS_ROWS), b = policy_scratch(p, PASS_ROWS);
    size_t c = heads->members > 0 ? termination_scratch(heads, PASS_ROWS) : 0;
    a = a > b ? a : b;
    return a > c ? a : c;
}

struct rollout *rollout_create(const struct ensemble *e, const struct policy *p,
                               const struct task *task, uint64_t seed) {
    struct rollout *r = xmalloc(sizeof(*r));
    r->e = *e;
    r->p = *p;
    r->heads = model_heads(e, task->termination);
    r->task = task;
    r->seed = seed;
    size_t n = ROLLOUT_BLOCK, o = (size_t)e->obs_dim, t = (size_t)e->target_dim;
    r->obs = xfloats(n * o);
    r->act = xfloats(n * (size_t)e->act_dim);
    r->act_noise = xfloats(n * (size_t)e->act_dim + WORDS);
    r->x = xfloats(n * (size_t)e->in_dim);
    r->mean = xfloats(n * t);
    r->logvar = xfloats(n * t);
    r->next = xfloats(n * o);
    r->reward = xfloats(n);
    r->noise = xfloats(round_up(t));
    r->end = xfloats(n);
    r->scratch = xfloats(pass_floats(e, p, &r->heads));
    return r;
}

void rollout_destroy(struct rollout **rollout) {
    struct rollout *r = *rollout;
    if (!r) {
        return;
    }
    float *blocks[] = {r->obs,  r->act,    r->act_noise, r->x,   r->mean,   r->logvar,
                       r->next, r->reward, r->noise,     r->end, r->scratch};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        free(blocks[i]);
    }
    free(r);
    *rollout = NULL;
}

uint64_t rollout_memory_bytes(const struct ensemble *e, const struct policy *p,
                              enum task_termination termination) {
    struct termination heads = model_heads(e, termination);
    uint64_t row = (uint64_t)(3 * e->obs_dim + 3 * e->act_dim + 2 * e->target_dim + 2);
    return (ROLLOUT_BLOCK * row + pass_floats(e, p, &heads)) * sizeof(float) +
           sizeof(struct rollout);
}

void rollout_rows_init(struct rollout_rows *r, uint32_t rows_max, uint32_t obs_dim,
                       uint32_t act_dim) {
    *r = (struct rollout_rows){.rows_max = rows_max,
                               .obs = xcalloc((size_t)rows_max * obs_dim, sizeof(float)),
                               .act = xcalloc((size_t)rows_max * act_dim, sizeof(float)),
                               .reward = xcalloc(rows_max, sizeof(float)),
                               .next_obs = xcalloc((size_t)rows_max * obs_dim, sizeof(float)),
                               .flags = xcalloc(rows_max, 1)};
}

void rollout_rows_deinit(struct rollout_rows *r) {
    free(r->obs);
    free(r->act);
    free(r->reward);
    free(r->next_obs);
    free(r->flags);
    *r = (struct rollout_rows){0};
}

// The stream of one use, at the numbers that belong to one rollout at one step.
static struct rng stream_at(const struct rollout *r, enum rng_use use,
                            const struct rollout_job *job, uint64_t place, uint32_t step,
                            size_t words) {
    struct rng rng = rng_make(r->seed, use, job->number);
    rng.index = (step * job->total + place) * words;
    return rng;
}

static void draw_starts(struct rollout *r, const struct rollout_job *job,
                        const struct store_columns *env) {
    size_t o = (size_t)r->e.obs_dim;
    for (uint32_t i = 0; i < job->count; i++) {
        r->place[i] = job->first + i;
        struct rng rng = stream_at(r, RNG_ROLLOUT_START, job, r->place[i], 0, WORDS);
        size_t from = rng_below(&rng, (uint32_t)job->env_rows);
        memcpy(r->obs + i * o, env->obs + from * o, o * sizeof(float));
    }
}

static void act(struct rollout *r, const struct rollout_job *job, uint32_t n, uint32_t step) {
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim;
    for (uint32_t i = 0; i < n; i++) {
        struct rng rng = stream_at(r, RNG_ROLLOUT_ACT, job, r->place[i], step, round_up(a));
        rng_fill_normal(&rng, r->act_noise + i * a, a);
    }
    for (uint32_t first = 0; first < n; first += PASS_ROWS) {
        uint32_t m = n - first < PASS_ROWS ? n - first : PASS_ROWS;
        policy_sample(r->act + first * a, NULL, r->scratch, &r->p, job->policy->params,
                      r->obs + first * o, r->act_noise + first * a, (int)m);
    }
}

// Draws each row's member and gathers the inputs member by member.
static void group(struct rollout *r, const struct rollout_job *job, uint32_t n, uint32_t step) {
    const struct model *model = job->model;
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim;
    uint32_t count[ENSEMBLE_MEMBERS_MAX] = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct rng rng = stream_at(r, RNG_ROLLOUT_MEMBER, job, r->place[i], step, WORDS);
        r->member[i] = model->elite[rng_below(&rng, (uint32_t)model->elites)];
        count[r->member[i]]++;
    }
    uint32_t next[ENSEMBLE_MEMBERS_MAX];
    r->group_first[0] = 0;
    for (int m = 0; m < r->e.members; m++) {
        next[m] = r->group_first[m];
        r->group_first[m + 1] = r->group_first[m] + count[m];
    }
    for (uint32_t i = 0; i < n; i++) {
        r->slot[i] = next[r->member[i]]++;
        float *x = r->x + r->slot[i] * (o + a);
        memcpy(x, r->obs + i * o, o * sizeof(float));
        memcpy(x + o, r->act + i * a, a * sizeof(float));
    }
    normalizer_apply(r->x, model->normalizer, r->x, n, r->e.in_dim);
}

static void predict(struct rollout *r, const struct model *model) {
    size_t in = (size_t)r->e.in_dim, t = (size_t)r->e.target_dim;
    for (int m = 0; m < r->e.members; m++) {
        uint32_t end = r->group_first[m + 1];
        for (uint32_t first = r->group_first[m]; first < end; first += PASS_ROWS) {
            uint32_t rows = end - first < PASS_ROWS ? end - first : PASS_ROWS;
            ensemble_predict(r->mean + first * t, r->logvar + first * t, r->scratch, &r->e,
                             model->params, m, r->x + first * in, (int)rows);
        }
    }
}

// Samples reward and next observation of every row, in the rows' own order.
static void sample(struct rollout *r, const struct rollout_job *job, uint32_t n, uint32_t step) {
    size_t o = (size_t)r->e.obs_dim, t = (size_t)r->e.target_dim;
    for (uint32_t i = 0; i < n; i++) {
        struct rng rng = stream_at(r, RNG_ROLLOUT_NEXT, job, r->place[i], step, round_up(t));
        rng_fill_normal(&rng, r->noise, t);
        const float *mean = r->mean + r->slot[i] * t, *logvar = r->logvar + r->slot[i] * t;
        const float *obs = r->obs + i * o;
        float *next = r->next + i * o;
        r->reward[i] = mean[0] + expf(0.5f * logvar[0]) * r->noise[0];
        bool finite = isfinite(r->reward[i]);
        for (size_t j = 0; j < o; j++) {
            next[j] = obs[j] + (mean[1 + j] + expf(0.5f * logvar[1 + j]) * r->noise[1 + j]);
            finite = finite && isfinite(next[j]);
        }
        r->finite[i] = finite;
    }
}

// Lets each row's own member judge where the row has got to, and draws: in the
// mean as many end as members expect. Written such that a NaN ends a rollout.
static void judge(struct rollout *r, const struct rollout_job *job, uint32_t n, uint32_t step) {
    const float *params = job->model->termination;
    size_t o = (size_t)r->e.obs_dim;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(r->x + r->slot[i] * o, r->next + i * o, o * sizeof(float));
    }
    normalizer_apply(r->x, params + termination_normalizer_offset(&r->heads), r->x, n, (int)o);
    for (int m = 0; m < r->e.members; m++) {
        uint32_t end = r->group_first[m + 1];
        for (uint32_t first = r->group_first[m]; first < end; first += PASS_ROWS) {
            uint32_t rows = end - first < PASS_ROWS ? end - first : PASS_ROWS;
            termination_probability(r->end + first, r->scratch, &r->heads, params, m,
                                    r->x + first * o, (int)rows);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        struct rng rng = stream_at(r, RNG_ROLLOUT_END, job, r->place[i], step, WORDS);
        r->done[i] = !(rng_uniform(&rng) >= (double)r->end[r->slot[i]]);
    }
}

static void end_rollouts(struct rollout *r, const struct rollout_job *job, uint32_t n,
                         uint32_t step) {
    if (r->heads.members > 0) {
        judge(r, job, n, step);
    } else {
        task_terminated(r->task, r->done, r->next, (int)n);
    }
}

// Writes the finite rows to out and moves those that go on to the front.
// Returns how many go on.
static uint32_t keep(struct rollout *r, struct rollout_rows *out, uint32_t n) {
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim;
    uint32_t on = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!r->finite[i]) {
            out->not_finite++;
            continue;
        }
        size_t to = out->rows++;
        memcpy(out->obs + to * o, r->obs + i * o, o * sizeof(float));
        memcpy(out->act + to * a, r->act + i * a, a * sizeof(float));
        memcpy(out->next_obs + to * o, r->next + i * o, o * sizeof(float));
        out->reward[to] = r->reward[i];
        out->flags[to] = r->done[i] ? WIRE_TERMINATED : 0;
        if (r->done[i]) {
            out->terminated++;
            continue;
        }
        memcpy(r->obs + on * o, r->next + i * o, o * sizeof(float));
        r->place[on++] = r->place[i];
    }
    return on;
}

void rollout_run(struct rollout *r, struct rollout_rows *out, const struct rollout_job *job,
                 const struct store_columns *env) {
    CHECK(job->count <= ROLLOUT_BLOCK);
    CHECK((uint64_t)job->count * job->length <= out->rows_max);
    CHECK(job->env_rows > 0);
    CHECK(job->env_rows < UINT32_MAX);
    out->rows = 0;
    out->terminated = out->not_finite = 0;
    draw_starts(r, job, env);
    uint32_t n = job->count;
    for (uint32_t step = 0; step < job->length && n > 0; step++) {
        act(r, job, n, step);
        group(r, job, n, step);
        predict(r, job->model);
        sample(r, job, n, step);
        end_rollouts(r, job, n, step);
        n = keep(r, out, n);
    }
}
