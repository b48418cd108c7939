// SPDX-License-Identifier: MIT
// Balanced batches, one head per worker, then calibration on the held-out rows.
#include "modelserver/model/termination_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/nn/adam.h"
#include "common/nn/normalizer.h"
#include "common/nn/reparam.h"
#include "proto/wire.h"

struct termination_fit {
    struct termination t;
    struct adam adam;
    double holdout_ratio;
    uint64_t seed;
    size_t params, trained;

    // Parameters and moments between trainings, and the copies being trained.
    float *weights, *m, *v;
    float *new_weights, *new_m, *new_v;
    uint64_t adam_steps, new_adam_steps;

    // The current training: held-out rows first, then training rows.
    float *x, *y;    // (rows_max, obs_dim) standardised, (rows_max)
    uint32_t *ended; // (rows_max) training rows that ended their episode
    uint32_t ended_count, rows, holdout;
    uint64_t steps;
    uint64_t number;
    const atomic_bool *stop;
    float *z; // (members, rows_max) logits of held-out rows, then probabilities
    struct termination_score score[ENSEMBLE_MEMBERS_MAX];
    struct termination_worker {
        float *scratch, *grad, *xb, *yb;
    } worker[THREAD_TEAM_SIZE_MAX];
};

struct termination_fit *termination_fit_create(const struct termination *t,
                                               const struct config *config, uint64_t rows_max,
                                               int threads) {
    CHECK(t->members > 0);
    struct termination_fit *f = xmalloc(sizeof(*f));
    f->t = *t;
    f->adam = adam_make(config->model.learning_rate);
    f->holdout_ratio = config->model.holdout_ratio;
    f->seed = config->run.seed;
    f->params = termination_params(t);
    f->trained = termination_trained(t);
    f->weights = xfloats(f->params);
    f->new_weights = xfloats(f->params);
    float **moments[] = {&f->m, &f->v, &f->new_m, &f->new_v};
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        *moments[i] = xfloats(f->trained);
    }
    termination_init(f->weights, t, f->seed);
    f->x = xcalloc(rows_max * (size_t)t->obs_dim, sizeof(float));
    f->y = xcalloc(rows_max, sizeof(float));
    f->ended = xcalloc(rows_max, sizeof(uint32_t));
    f->z = xcalloc(rows_max * (size_t)t->members, sizeof(float));
    for (int i = 0; i < threads; i++) {
        f->worker[i] = (struct termination_worker){
            .scratch = xfloats(termination_scratch(t, TERMINATION_BATCH)),
            .grad = xfloats(mlp_params(&t->net)),
            .xb = xfloats(TERMINATION_BATCH * (size_t)t->obs_dim),
            .yb = xfloats(TERMINATION_BATCH),
        };
    }
    return f;
}

void termination_fit_destroy(struct termination_fit **fit) {
    struct termination_fit *f = *fit;
    if (!f) {
        return;
    }
    for (int i = 0; i < THREAD_TEAM_SIZE_MAX; i++) {
        free(f->worker[i].scratch);
        free(f->worker[i].grad);
        free(f->worker[i].xb);
        free(f->worker[i].yb);
    }
    float *blocks[] = {f->weights, f->m, f->v, f->new_weights, f->new_m, f->new_v,
                       f->x,       f->y, f->z};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        free(blocks[i]);
    }
    free(f->ended);
    free(f);
    *fit = NULL;
}

uint64_t termination_fit_memory_bytes(const struct termination *t, uint64_t rows_max, int threads) {
    uint64_t row = (uint64_t)t->obs_dim + 1;
    uint64_t worker =
        termination_scratch(t, TERMINATION_BATCH) + mlp_params(&t->net) + TERMINATION_BATCH * row;
    return sizeof(float) *
           (2 * termination_params(t) + 4 * termination_trained(t) +
            rows_max * (row + 1 + (uint64_t)t->members) + (uint64_t)threads * worker);
}

// ---- one training ----

// How many of the first n rows are held out. 0 of the first row, so there is
// always a training row.
static uint32_t held_out(const struct termination_fit *f, uint32_t n) {
    return (uint32_t)((double)n * f->holdout_ratio);
}

// The labels, and the indices of terminal training rows.
static void gather_labels(struct termination_fit *f, const struct env_columns *d) {
    uint32_t next_held = 0, next = f->holdout;
    f->ended_count = 0;
    for (uint32_t from = 0; from < f->rows; from++) {
        bool held = held_out(f, from + 1) > held_out(f, from);
        bool ended = (d->flags[from] & WIRE_TERMINATED) != 0;
        uint32_t r = held ? next_held++ : next++;
        f->y[r] = ended ? 1.0f : 0.0f;
        if (ended && !held) {
            f->ended[f->ended_count++] = r;
        }
    }
}

static void gather_inputs(struct termination_fit *f, const struct env_columns *d) {
    size_t o = (size_t)f->t.obs_dim;
    float *normalizer = f->new_weights + termination_normalizer_offset(&f->t);
    uint32_t next_held = 0, next = f->holdout;
    for (uint32_t from = 0; from < f->rows; from++) {
        bool held = held_out(f, from + 1) > held_out(f, from);
        uint32_t r = held ? next_held++ : next++;
        memcpy(f->x + r * o, d->next_obs + from * o, o * sizeof(float));
    }
    normalizer_fit(normalizer, f->x + f->holdout * o, f->rows - f->holdout, f->t.obs_dim, NULL);
    normalizer_apply(f->x, normalizer, f->x, f->rows, f->t.obs_dim, NORMALIZER_INPUT_LIMIT);
    const float *before = f->weights + termination_normalizer_offset(&f->t);
    for (int i = 0; i < f->t.members && f->adam_steps > 0; i++) {
        reparam_inputs(f->new_weights + termination_member_offset(&f->t, i), &f->t.net, before,
                       normalizer, f->t.obs_dim, NORMALIZER_INPUT_LIMIT);
    }
}

// Half sampled from all training rows, half from terminal ones.
static void draw_batch(struct termination_fit *f, struct termination_worker *w, struct rng *rng) {
    size_t o = (size_t)f->t.obs_dim;
    for (size_t i = 0; i < TERMINATION_BATCH; i++) {
        uint32_t row = i % 2 == 0 ? f->holdout + rng_below(rng, f->rows - f->holdout)
                                  : f->ended[rng_below(rng, f->ended_count)];
        memcpy(w->xb + i * o, f->x + row * o, o * sizeof(float));
        w->yb[i] = f->y[row];
    }
}

static void calibrate(struct termination_fit *f, struct termination_worker *w, int member) {
    float *z = f->z + (size_t)member * f->holdout;
    float *calibration = f->new_weights + termination_calibration_offset(&f->t, member);
    for (uint32_t first = 0; first < f->holdout; first += TERMINATION_BATCH) {
        uint32_t left = f->holdout - first;
        termination_logits(z + first, w->scratch, &f->t, f->new_weights, member,
                           f->x + first * (size_t)f->t.obs_dim,
                           (int)(left < TERMINATION_BATCH ? left : TERMINATION_BATCH));
    }
    double share = (double)f->ended_count / (double)(f->rows - f->holdout);
    termination_calibrate(&calibration[0], &calibration[1], z, f->y, f->holdout,
                          log(share / (1 + share)));
    for (uint32_t r = 0; r < f->holdout; r++) {
        z[r] = 1.0f / (1.0f + expf(-(calibration[0] * z[r] + calibration[1])));
    }
    termination_measure(&f->score[member], z, f->y, f->holdout);
}

static void train_member(void *arg, int member, int worker) {
    struct termination_fit *f = arg;
    struct termination_worker *w = &f->worker[worker];
    size_t n = mlp_params(&f->t.net), at = termination_member_offset(&f->t, member);
    struct rng rng = rng_make(f->seed, RNG_TERMINATION_BATCH, f->number * 64 + (uint64_t)member);
    struct adam adam = f->adam;
    for (uint64_t i = 0; i < f->steps; i++) {
        if (atomic_load_explicit(f->stop, memory_order_relaxed)) {
            return;
        }
        draw_batch(f, w, &rng);
        memset(w->grad, 0, n * sizeof(float));
        termination_loss(w->grad, w->scratch, &f->t, f->new_weights, member, w->xb, w->yb,
                         TERMINATION_BATCH);
        termination_sparsity_loss(w->grad, &f->t, f->new_weights, member);
        adam.learning_rate = f->adam.learning_rate * (1 - (double)i / (double)f->steps);
        adam_step(f->new_weights + at, f->new_m + at, f->new_v + at, w->grad, n, &adam, 0,
                  f->adam_steps + i + 1);
    }
    calibrate(f, w, member);
}

static uint64_t steps_of(const struct termination_fit *f, double work) {
    double step = (double)TERMINATION_BATCH * (double)mlp_params(&f->t.net);
    uint64_t steps = (uint64_t)(TERMINATION_SHARE * work / step);
    uint64_t total = (uint64_t)TERMINATION_STEPS_PER_END * f->ended_count;
    uint64_t missing = total > f->adam_steps ? total - f->adam_steps : 0;
    steps = steps > missing ? steps : missing;
    steps = steps > 0 ? steps : 1;
    return steps < TERMINATION_STEPS_MAX ? steps : TERMINATION_STEPS_MAX;
}

// No training row ended: every head predicts probability 0, with its weights unchanged.
static void predict_never(struct termination_fit *f) {
    memset(f->z, 0, f->holdout * sizeof(float));
    for (int member = 0; member < f->t.members; member++) {
        float *calibration = f->new_weights + termination_calibration_offset(&f->t, member);
        termination_never(&calibration[0], &calibration[1]);
    }
    struct termination_score score;
    termination_measure(&score, f->z, f->y, f->holdout);
    for (int member = 0; member < f->t.members; member++) {
        f->score[member] = score;
    }
}

enum fit_result termination_fit_train(struct termination_fit *f, struct thread_team *team,
                                      const struct env_columns *d, uint32_t rows, uint64_t number,
                                      double work, const atomic_bool *stop) {
    CHECK(rows > 0);
    memcpy(f->new_weights, f->weights, f->params * sizeof(float));
    memcpy(f->new_m, f->m, f->trained * sizeof(float));
    memcpy(f->new_v, f->v, f->trained * sizeof(float));
    f->rows = rows;
    f->holdout = held_out(f, rows);
    f->number = number;
    f->stop = stop;
    f->steps = 0;
    gather_labels(f, d);
    if (f->ended_count == 0) {
        predict_never(f);
        f->new_adam_steps = f->adam_steps;
        return FIT_DONE;
    }
    gather_inputs(f, d);
    f->steps = steps_of(f, work);
    thread_team_run(team, train_member, f, f->t.members);
    if (atomic_load_explicit(stop, memory_order_relaxed)) {
        return FIT_STOPPED;
    }
    f->new_adam_steps = f->adam_steps + f->steps;
    bool finite = stats_all_finite(f->new_weights, f->trained) &&
                  stats_all_finite(f->new_m, f->trained) && stats_all_finite(f->new_v, f->trained);
    return finite ? FIT_DONE : FIT_BROKEN;
}

static void swap(float **a, float **b) {
    float *t = *a;
    *a = *b;
    *b = t;
}

void termination_fit_accept(struct termination_fit *f, struct model *out) {
    swap(&f->weights, &f->new_weights);
    swap(&f->m, &f->new_m);
    swap(&f->v, &f->new_v);
    f->adam_steps = f->new_adam_steps;
    memcpy(out->termination, f->weights, f->params * sizeof(float));
    memcpy(out->termination_score, f->score, sizeof(f->score));
}

void termination_fit_state(struct fit_state *out, struct termination_fit *f) {
    out->termination_params = f->params;
    out->termination_trained = f->trained;
    out->termination = f->weights;
    out->termination_m = f->m;
    out->termination_v = f->v;
    out->termination_steps = &f->adam_steps;
}
