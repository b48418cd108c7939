// SPDX-License-Identifier: MIT
// One pass per step over the running rollouts, grouped by sampled member; random numbers
// are positions in streams, so rows do not depend on blocks.
#include "modelserver/model/rollout.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/nn/elementwise.h"
#include "common/nn/normalizer.h"
#include "common/nn/rng_bulk.h"
#include "common/nn/termination.h"
#include "proto/wire.h"

#define PASS_ROWS MLP_INFER_ROWS // rows per pass through a network: activations stay in the cache
#define WORDS 4                  // of one Philox block; each use starts at a block boundary

// One step of all running rollouts. Their rows are already at their final position
// in `out`: the previous step (or the start) wrote obs, the policy writes act, the
// members write reward and next_obs.
struct rollout {
    struct ensemble e;
    struct policy p;
    struct termination heads;
    const struct task *task;
    uint64_t seed;
    // Of the running rollouts, in order.
    uint64_t place[ROLLOUT_BLOCK]; // position in the batch
    uint8_t member[ROLLOUT_BLOCK];
    uint8_t done[ROLLOUT_BLOCK];
    uint32_t by_member[ROLLOUT_BLOCK]; // rows 0, 1, ... of the step, grouped by member
    uint32_t group_first[ENSEMBLE_MEMBERS_MAX + 1];
    // One pass.
    uint32_t row[PASS_ROWS]; // indices among the rows of the step
    bool covered[PASS_ROWS]; // whether the state is near the data
    uint64_t *block;         // (PASS_ROWS * blocks of a row)
    uint32_t *words;         // (PASS_ROWS, words of a row)
    float *noise;            // likewise
    float *x;                // (PASS_ROWS, in_dim) standardised; for heads (PASS_ROWS, obs_dim)
    float *mean, *logvar;    // (PASS_ROWS, target_dim)
    float *std;              // likewise
    float end[PASS_ROWS];    // probability of termination; heads only
    float *scratch;
};

static size_t pass_floats(const struct ensemble *e, const struct policy *p,
                          const struct termination *heads) {
    size_t a = ensemble_scratch(e, PASS_ROWS), b = policy_scratch(p, PASS_ROWS);
    size_t c = heads->members > 0 ? termination_scratch(heads, PASS_ROWS) : 0;
    a = a > b ? a : b;
    return a > c ? a : c;
}

// Blocks of random words for n numbers of one row.
static size_t blocks_of(int n) {
    return ((size_t)n + WORDS - 1) / WORDS;
}

static size_t row_blocks(const struct ensemble *e) {
    return blocks_of(e->target_dim > e->act_dim ? e->target_dim : e->act_dim);
}

struct rollout *rollout_create(const struct ensemble *e, const struct policy *p,
                               const struct task *task, uint64_t seed) {
    struct rollout *r = xmalloc(sizeof(*r));
    r->e = *e;
    r->p = *p;
    r->heads = model_heads(e, task->termination);
    r->task = task;
    r->seed = seed;
    size_t blocks = PASS_ROWS * row_blocks(e);
    r->block = xcalloc(blocks, sizeof(r->block[0]));
    r->words = xcalloc(blocks * WORDS, sizeof(r->words[0]));
    r->noise = xfloats(blocks * WORDS);
    r->x = xfloats(PASS_ROWS * (size_t)e->in_dim);
    r->mean = xfloats(PASS_ROWS * (size_t)e->target_dim);
    r->logvar = xfloats(PASS_ROWS * (size_t)e->target_dim);
    r->std = xfloats(PASS_ROWS * (size_t)e->target_dim);
    r->scratch = xfloats(pass_floats(e, p, &r->heads));
    return r;
}

void rollout_destroy(struct rollout **rollout) {
    struct rollout *r = *rollout;
    if (!r) {
        return;
    }
    free(r->block);
    free(r->words);
    float *floats[] = {r->noise, r->x, r->mean, r->logvar, r->std, r->scratch};
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
        free(floats[i]);
    }
    free(r);
    *rollout = NULL;
}

uint64_t rollout_memory_bytes(const struct ensemble *e, const struct policy *p,
                              enum task_termination termination) {
    struct termination heads = model_heads(e, termination);
    uint64_t random =
        row_blocks(e) * (sizeof(uint64_t) + WORDS * (sizeof(uint32_t) + sizeof(float)));
    uint64_t floats = (uint64_t)(e->in_dim + 3 * e->target_dim);
    return PASS_ROWS * (random + floats * sizeof(float)) +
           pass_floats(e, p, &heads) * sizeof(float) + sizeof(struct rollout);
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

// ---- random numbers ----
//
// Each use has one stream per batch; in it each rollout has, at each step, `blocks`
// blocks of its own.

// words (n, blocks * WORDS) of one use, for the n rows of r->row.
static void draw_words(struct rollout *r, enum rng_use use, const struct rollout_job *job,
                       uint32_t n, uint32_t step, size_t blocks) {
    for (uint32_t i = 0; i < n; i++) {
        uint64_t first = (step * job->total + r->place[r->row[i]]) * blocks;
        for (size_t k = 0; k < blocks; k++) {
            r->block[i * blocks + k] = first + k;
        }
    }
    struct rng rng = rng_make(r->seed, use, job->number);
    rng_bulk_blocks(r->words, rng.seed, rng.stream, r->block, n * blocks);
}

// noise (n, blocks * WORDS) ~ N(0, 1), likewise.
static void draw_noise(struct rollout *r, enum rng_use use, const struct rollout_job *job,
                       uint32_t n, uint32_t step, size_t blocks) {
    draw_words(r, use, job, n, step, blocks);
    rng_bulk_normals(r->noise, r->words, n * blocks * WORDS);
}

// The value of rng_below for row i, from words with one block per row. In rare
// cases rng_below rejects the first word; then it is called itself.
static uint32_t below(const struct rollout *r, enum rng_use use, const struct rollout_job *job,
                      uint32_t i, uint32_t n) {
    uint64_t product = (uint64_t)r->words[i * WORDS] * n;
    if ((uint32_t)product >= n) {
        return (uint32_t)(product >> 32);
    }
    struct rng rng = rng_make(r->seed, use, job->number);
    rng.index = r->block[i] * WORDS;
    return rng_below(&rng, n);
}

// ---- one step ----

// Selects rows first, first + 1, ... of `total` for the next pass. Returns how many.
static uint32_t next_pass(struct rollout *r, uint32_t first, uint32_t total) {
    uint32_t n = total - first < PASS_ROWS ? total - first : PASS_ROWS;
    for (uint32_t i = 0; i < n; i++) {
        r->row[i] = first + i;
    }
    return n;
}

static void draw_starts(struct rollout *r, struct rollout_rows *out, const struct rollout_job *job,
                        const struct env_columns *env) {
    size_t o = (size_t)r->e.obs_dim;
    for (uint32_t i = 0; i < job->count; i++) {
        r->place[i] = job->first + i;
    }
    for (uint32_t first = 0; first < job->count; first += PASS_ROWS) {
        uint32_t n = next_pass(r, first, job->count);
        draw_words(r, RNG_ROLLOUT_START, job, n, 0, 1);
        for (uint32_t i = 0; i < n; i++) {
            size_t from = below(r, RNG_ROLLOUT_START, job, i, (uint32_t)job->env_rows);
            memcpy(out->obs + (out->rows + first + i) * o, env->obs + from * o, o * sizeof(float));
        }
    }
}

// Actions for the n rows of the step, obs (n, obs_dim).
static void act(struct rollout *r, float *actions, const float *obs, const struct rollout_job *job,
                uint32_t n, uint32_t step) {
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim;
    size_t blocks = blocks_of(r->e.act_dim);
    for (uint32_t first = 0; first < n; first += PASS_ROWS) {
        uint32_t m = next_pass(r, first, n);
        draw_noise(r, RNG_ROLLOUT_ACT, job, m, step, blocks);
        for (uint32_t i = 1; i < m; i++) { // compact
            memmove(r->noise + i * a, r->noise + i * blocks * WORDS, a * sizeof(float));
        }
        policy_infer(actions + first * a, NULL, r->scratch, &r->p, job->policy->params,
                     obs + first * o, r->noise, (int)m);
    }
}

// Samples a member for each row and groups the rows by member.
static void group(struct rollout *r, const struct rollout_job *job, uint32_t n, uint32_t step) {
    const struct model *model = job->model;
    uint32_t count[ENSEMBLE_MEMBERS_MAX] = {0}, next[ENSEMBLE_MEMBERS_MAX];
    for (uint32_t first = 0; first < n; first += PASS_ROWS) {
        uint32_t m = next_pass(r, first, n);
        draw_words(r, RNG_ROLLOUT_MEMBER, job, m, step, 1);
        for (uint32_t i = 0; i < m; i++) {
            uint32_t k = below(r, RNG_ROLLOUT_MEMBER, job, i, (uint32_t)model->elites);
            r->member[first + i] = (uint8_t)model->elite[k];
            count[model->elite[k]]++;
        }
    }
    r->group_first[0] = 0;
    for (int m = 0; m < r->e.members; m++) {
        next[m] = r->group_first[m];
        r->group_first[m + 1] = r->group_first[m] + count[m];
    }
    for (uint32_t i = 0; i < n; i++) {
        r->by_member[next[r->member[i]]++] = i;
    }
}

// Samples one member's prediction for the n rows of r->row. obs, actions, reward
// and next are columns of the step. A state far outside the data
// has no prediction: its reward is NaN.
static void predict(struct rollout *r, float *reward, float *next, const float *obs,
                    const float *actions, const struct rollout_job *job, int member, uint32_t n,
                    uint32_t step) {
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim, t = (size_t)r->e.target_dim;
    const float *normalizer = job->model->normalizer;
    for (uint32_t i = 0; i < n; i++) {
        float *x = r->x + i * (o + a);
        memcpy(x, obs + r->row[i] * o, o * sizeof(float));
        memcpy(x + o, actions + r->row[i] * a, a * sizeof(float));
        r->covered[i] = normalizer_covers(normalizer, normalizer + r->e.in_dim, x, r->e.in_dim);
    }
    const float *target_mean = normalizer + ensemble_target_normalizer(&r->e);
    const float *target_std = target_mean + t;
    normalizer_apply(r->x, normalizer, r->x, n, r->e.in_dim, NORMALIZER_INPUT_LIMIT);
    ensemble_predict(r->mean, r->logvar, r->scratch, &r->e, job->model->params, member, r->x,
                     (int)n);
    for (size_t k = 0; k < n * t; k++) {
        r->logvar[k] *= 0.5f;
    }
    elementwise_exp(r->std, r->logvar, n * t);
    size_t blocks = blocks_of(r->e.target_dim);
    draw_noise(r, RNG_ROLLOUT_NEXT, job, n, step, blocks);
    for (uint32_t i = 0; i < n; i++) {
        const float *mean = r->mean + i * t, *std = r->std + i * t;
        const float *noise = r->noise + i * blocks * WORDS;
        const float *from = obs + r->row[i] * o;
        float *to = next + r->row[i] * o;
        reward[r->row[i]] =
            r->covered[i] ? target_mean[0] + target_std[0] * (mean[0] + std[0] * noise[0]) : NAN;
        for (size_t j = 0, k = 1; j < o; j++, k++) {
            to[j] = from[j] + (target_mean[k] + target_std[k] * (mean[k] + std[k] * noise[k]));
        }
    }
}

// Samples which of a member's rows terminate, with the probability that its head
// predicts for the next state. The comparison is such that a NaN terminates.
static void sample_termination(struct rollout *r, const float *next, const struct rollout_job *job,
                               int member, uint32_t n, uint32_t step) {
    const float *params = job->model->termination;
    size_t o = (size_t)r->e.obs_dim;
    if (termination_is_never(&r->heads, params, member)) {
        for (uint32_t i = 0; i < n; i++) {
            r->done[r->row[i]] = 0;
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        memcpy(r->x + i * o, next + r->row[i] * o, o * sizeof(float));
    }
    task_clip(r->task, r->x, (int)n);
    normalizer_apply(r->x, params + termination_normalizer_offset(&r->heads), r->x, n, (int)o,
                     NORMALIZER_INPUT_LIMIT);
    termination_probability(r->end, r->scratch, &r->heads, params, member, r->x, (int)n);
    for (uint32_t i = 0; i < n; i++) {
        struct rng rng = rng_make(r->seed, RNG_ROLLOUT_END, job->number);
        rng.index = (step * job->total + r->place[r->row[i]]) * WORDS;
        r->done[r->row[i]] = !(rng_uniform(&rng) >= (double)r->end[i]);
    }
}

// Keeps the finite rows among the n rows after out->rows, and copies the next
// states of the rollouts that continue to the observations of the next step.
// Returns how many continue.
static uint32_t keep(struct rollout *r, struct rollout_rows *out, uint32_t n, bool last) {
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim;
    size_t begin = out->rows, to = begin;
    uint32_t on = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t from = begin + i;
        if (!isfinite(out->reward[from]) || !stats_all_finite(out->next_obs + from * o, o)) {
            out->not_finite++;
            continue;
        }
        if (to != from) {
            memcpy(out->obs + to * o, out->obs + from * o, o * sizeof(float));
            memcpy(out->act + to * a, out->act + from * a, a * sizeof(float));
            memcpy(out->next_obs + to * o, out->next_obs + from * o, o * sizeof(float));
            out->reward[to] = out->reward[from];
        }
        out->flags[to] = r->done[i] ? WIRE_TERMINATED : 0;
        out->terminated += r->done[i];
        if (!r->done[i]) {
            r->by_member[on] = (uint32_t)(to - begin);
            r->place[on++] = r->place[i];
        }
        to++;
    }
    out->rows = (uint32_t)to;
    for (uint32_t i = 0; i < on && !last; i++) {
        memcpy(out->obs + (to + i) * o, out->next_obs + (begin + r->by_member[i]) * o,
               o * sizeof(float));
    }
    return on;
}

// One step of the n running rollouts; their states are the obs after out->rows.
static uint32_t advance(struct rollout *r, struct rollout_rows *out, const struct rollout_job *job,
                        uint32_t n, uint32_t step) {
    size_t o = (size_t)r->e.obs_dim, a = (size_t)r->e.act_dim;
    const float *obs = out->obs + out->rows * o;
    float *actions = out->act + out->rows * a, *reward = out->reward + out->rows;
    float *next = out->next_obs + out->rows * o;
    act(r, actions, obs, job, n, step);
    group(r, job, n, step);
    for (int m = 0; m < r->e.members; m++) {
        uint32_t end = r->group_first[m + 1];
        for (uint32_t first = r->group_first[m]; first < end; first += PASS_ROWS) {
            uint32_t rows = end - first < PASS_ROWS ? end - first : PASS_ROWS;
            memcpy(r->row, r->by_member + first, rows * sizeof(r->row[0]));
            predict(r, reward, next, obs, actions, job, m, rows, step);
            if (r->heads.members > 0) {
                sample_termination(r, next, job, m, rows, step);
            }
        }
    }
    if (r->heads.members == 0) {
        task_terminated(r->task, r->done, next, (int)n);
    }
    // After the rule, which applies to the unclipped state; heads are trained on clipped ones.
    task_clip(r->task, next, (int)n);
    return keep(r, out, n, step + 1 == job->length);
}

// Appends the rows of the job's rollouts to out.
static void run_once(struct rollout *r, struct rollout_rows *out, const struct rollout_job *job,
                     const struct env_columns *env) {
    CHECK(job->count <= ROLLOUT_BLOCK);
    CHECK(out->rows + (uint64_t)job->count * job->length <= out->rows_max);
    draw_starts(r, out, job, env);
    uint32_t n = job->count;
    for (uint32_t step = 0; step < job->length && n > 0; step++) {
        n = advance(r, out, job, n, step);
    }
}

void rollout_run(struct rollout *r, struct rollout_rows *out, const struct rollout_job *job,
                 const struct env_columns *env) {
    CHECK(job->env_rows > 0);
    CHECK(job->env_rows < UINT32_MAX);
    out->rows = 0;
    out->terminated = out->not_finite = 0;
    struct rollout_job part = *job;
    int repeats = 0;
    do {
        run_once(r, out, &part, env);
        part.first += part.count;
    } while (out->rows < job->rows_min && ++repeats < ROLLOUT_REPEATS);
    if (job->rows_min > 0 && out->rows == 0) {
        // Nothing could be predicted: the start states, which are real, are states nevertheless.
        draw_starts(r, out, job, env);
        out->rows = job->count;
    }
}
