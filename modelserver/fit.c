// SPDX-License-Identifier: MIT
#include "modelserver/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/nn/adam.h"
#include "common/nn/normalizer.h"
#include "common/rng.h"
#include "common/crew.h"
#include "modelserver/termination_fit.h"

#define HOLDOUT_BLOCK 512  // rows scored at once: activations stay in the cache
#define BEST_AT_FIRST 1e10 // any finite error improves on it

struct fit {
    struct ensemble e;
    struct adam adam;
    float decay[MLP_LAYERS_MAX];
    int elites, batch, patience, epochs_max;
    uint64_t steps_max; // UINT64_MAX: no bound
    double holdout_ratio, improvement;
    uint64_t holdout_max, rows_max, seed;
    size_t params, member_params;
    struct crew *crew;
    struct termination_fit *heads; // NULL: there are none

    // What trainings hand on (weights, moments), and the copies being trained.
    float *weights, *m, *v;
    float *new_weights, *new_m, *new_v;
    uint64_t adam_steps, new_adam_steps;

    // The training in hand. Row r of x and y is the r-th of the permutation;
    // the first `holdout` are held out.
    float *x, *y; // (rows_max, in_dim), (rows_max, target_dim)
    float *normalizer;
    uint32_t *permutation;
    uint32_t holdout, train;
    uint32_t batch_first, batch_rows; // of the step in hand, in the bootstrap order
    struct member {
        uint32_t *rows; // (rows_max) bootstrap draw, in this epoch's order
        struct rng shuffle;
        double score, best;
        bool improved;
        float *best_params; // (member_params)
        float *bounds_grad; // (2 * target_dim) this member's part
    } member[ENSEMBLE_MEMBERS_MAX];
    struct worker {
        float *scratch, *grad; // grad: laid out as the whole block
        float *xb, *yb;        // a batch, or a holdout block's predictions in yb
    } worker[CREW_SIZE_MAX];
};

static int block_rows(int batch) {
    return batch > HOLDOUT_BLOCK ? batch : HOLDOUT_BLOCK;
}

struct fit *fit_create(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                       int threads) {
    CHECK(rows_max < UINT32_MAX);
    struct fit *f = xmalloc(sizeof(*f));
    f->e = *e;
    f->adam = adam_make(config->model.learning_rate);
    CHECK(config->model.weight_decay.n == e->net.layers);
    for (int l = 0; l < e->net.layers; l++) {
        f->decay[l] = (float)config->model.weight_decay.v[l];
    }
    f->elites = config->model.elites;
    f->batch = config->model.batch_size;
    f->patience = config->model.patience_epochs;
    f->epochs_max = config->model.epochs_max;
    f->steps_max = config->model.stop == MODEL_STOP_BUDGET ? config->model.steps_max : UINT64_MAX;
    f->holdout_ratio = config->model.holdout_ratio;
    f->holdout_max = config->model.holdout_rows_max;
    f->improvement = config->model.improvement;
    f->seed = config->run.seed;
    f->rows_max = rows_max;
    f->params = ensemble_params(e);
    f->member_params = mlp_params(&e->net);

    float **blocks[] = {&f->weights, &f->m, &f->v, &f->new_weights, &f->new_m, &f->new_v};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        *blocks[i] = xfloats(f->params);
    }
    ensemble_init(f->weights, e, f->seed);
    f->x = xcalloc(rows_max * (size_t)e->in_dim, sizeof(float));
    f->y = xcalloc(rows_max * (size_t)e->target_dim, sizeof(float));
    f->permutation = xcalloc(rows_max, sizeof(uint32_t));
    f->normalizer = xfloats(normalizer_floats(e->in_dim));
    for (int i = 0; i < e->members; i++) {
        f->member[i].rows = xcalloc(rows_max, sizeof(uint32_t));
        f->member[i].best_params = xfloats(f->member_params);
        f->member[i].bounds_grad = xfloats(2 * (size_t)e->target_dim);
    }
    threads = threads > e->members ? e->members : threads;
    f->crew = crew_create(threads);
    struct termination heads = model_heads(e, config->task.termination);
    if (heads.members > 0) {
        f->heads = termination_fit_create(&heads, config, rows_max, threads);
    }
    size_t rows = (size_t)block_rows(f->batch);
    for (int i = 0; i < threads; i++) {
        f->worker[i].scratch = xfloats(ensemble_scratch(e, (int)rows));
        f->worker[i].grad = xfloats(f->params);
        f->worker[i].xb = xfloats(rows * (size_t)e->in_dim);
        f->worker[i].yb = xfloats(rows * (size_t)e->target_dim);
    }
    return f;
}

void fit_destroy(struct fit **fit) {
    struct fit *f = *fit;
    if (!f) {
        return;
    }
    for (int i = 0; i < crew_size(f->crew); i++) {
        free(f->worker[i].scratch);
        free(f->worker[i].grad);
        free(f->worker[i].xb);
        free(f->worker[i].yb);
    }
    crew_destroy(&f->crew);
    termination_fit_destroy(&f->heads);
    for (int i = 0; i < f->e.members; i++) {
        free(f->member[i].rows);
        free(f->member[i].best_params);
        free(f->member[i].bounds_grad);
    }
    float *blocks[] = {f->weights, f->m, f->v, f->new_weights, f->new_m,
                       f->new_v,   f->x, f->y, f->normalizer};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        free(blocks[i]);
    }
    free(f->permutation);
    free(f);
    *fit = NULL;
}

uint64_t fit_memory_bytes(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                          int threads) {
    uint64_t members = (uint64_t)e->members, rows = (uint64_t)block_rows(config->model.batch_size);
    uint64_t row = (uint64_t)(e->in_dim + e->target_dim);
    uint64_t floats = 6 * ensemble_params(e) + members * mlp_params(&e->net) + rows_max * row +
                      rows_max * (members + 1);
    uint64_t worker = ensemble_scratch(e, (int)rows) + ensemble_params(e) + rows * row;
    struct termination heads = model_heads(e, config->task.termination);
    uint64_t for_heads =
        heads.members > 0 ? termination_fit_memory_bytes(&heads, rows_max, threads) : 0;
    return (floats + (uint64_t)threads * worker) * sizeof(float) + for_heads;
}

struct fit_state fit_state(struct fit *f) {
    struct fit_state state = {.params = f->params,
                              .weights = f->weights,
                              .adam_m = f->m,
                              .adam_v = f->v,
                              .adam_steps = &f->adam_steps};
    if (f->heads) {
        termination_fit_state(&state, f->heads);
    }
    return state;
}

// ---- preparing a training ----

// Gathers inputs and targets in the order of the permutation, so that both
// splits are contiguous, and fits the normaliser to the training rows.
static void gather(struct fit *f, const struct store_columns *d, uint32_t rows) {
    size_t o = (size_t)f->e.obs_dim, a = (size_t)f->e.act_dim;
    for (uint32_t r = 0; r < rows; r++) {
        size_t from = f->permutation[r];
        float *x = f->x + r * (o + a), *y = f->y + r * (o + 1);
        const float *obs = d->obs + from * o, *next = d->next_obs + from * o;
        memcpy(x, obs, o * sizeof(float));
        memcpy(x + o, d->act + from * a, a * sizeof(float));
        y[0] = d->reward[from];
        for (size_t j = 0; j < o; j++) {
            y[1 + j] = next[j] - obs[j];
        }
    }
    int in = f->e.in_dim;
    normalizer_fit(f->normalizer, f->x + (size_t)f->holdout * (o + a), f->train, in);
    normalizer_apply(f->x, f->normalizer, f->x, rows, in);
}

static void prepare(struct fit *f, const struct store_columns *d, uint32_t rows, uint64_t number) {
    double held = (double)rows * f->holdout_ratio;
    f->holdout = held < (double)f->holdout_max ? (uint32_t)held : (uint32_t)f->holdout_max;
    f->holdout = f->holdout < 1 ? 1 : f->holdout;
    f->train = rows - f->holdout;
    struct rng split = rng_make(f->seed, RNG_MODEL_SPLIT, number);
    rng_permutation(&split, f->permutation, rows);
    gather(f, d, rows);

    memcpy(f->new_weights, f->weights, f->params * sizeof(float));
    memcpy(f->new_m, f->m, f->params * sizeof(float));
    memcpy(f->new_v, f->v, f->params * sizeof(float));
    f->new_adam_steps = f->adam_steps;
    for (int i = 0; i < f->e.members; i++) {
        struct member *member = &f->member[i];
        struct rng draw = rng_make(f->seed, RNG_MODEL_BOOTSTRAP, number * 64 + (uint64_t)i);
        for (uint32_t r = 0; r < f->train; r++) {
            member->rows[r] = f->holdout + rng_below(&draw, f->train);
        }
        member->shuffle = rng_make(f->seed, RNG_MODEL_SHUFFLE, number * 64 + (uint64_t)i);
        member->best = BEST_AT_FIRST;
        memcpy(member->best_params, f->new_weights + ensemble_member_offset(&f->e, i),
               f->member_params * sizeof(float));
    }
}

// ---- one epoch ----

static void shuffle_member(void *arg, int item, int worker) {
    (void)worker;
    struct fit *f = arg;
    struct member *member = &f->member[item];
    for (uint32_t i = f->train; i > 1; i--) {
        uint32_t j = rng_below(&member->shuffle, i);
        uint32_t row = member->rows[i - 1];
        member->rows[i - 1] = member->rows[j];
        member->rows[j] = row;
    }
}

// Adam on one member's network: weights with their layer's decay, biases
// without.
static void member_adam(struct fit *f, int item, const float *grad) {
    size_t base = ensemble_member_offset(&f->e, item);
    for (int l = 0; l < f->e.net.layers; l++) {
        size_t w = base + mlp_weight_offset(&f->e.net, l), b = base + mlp_bias_offset(&f->e.net, l);
        adam_step(f->new_weights + w, f->new_m + w, f->new_v + w, grad + w, b - w, &f->adam,
                  f->decay[l], f->new_adam_steps);
        adam_step(f->new_weights + b, f->new_m + b, f->new_v + b, grad + b,
                  (size_t)f->e.net.dims[l + 1], &f->adam, 0, f->new_adam_steps);
    }
}

// One member's part of a step: its gradient, and Adam on its own network. The
// bounds are shared, so their gradient is only handed over.
static void step_member(void *arg, int item, int worker) {
    struct fit *f = arg;
    struct member *member = &f->member[item];
    struct worker *w = &f->worker[worker];
    size_t in = (size_t)f->e.in_dim, out = (size_t)f->e.target_dim;
    const uint32_t *rows = member->rows + f->batch_first;
    for (uint32_t r = 0; r < f->batch_rows; r++) {
        memcpy(w->xb + r * in, f->x + rows[r] * in, in * sizeof(float));
        memcpy(w->yb + r * out, f->y + rows[r] * out, out * sizeof(float));
    }
    float *own = w->grad + ensemble_member_offset(&f->e, item);
    float *bounds = w->grad + ensemble_max_logvar_offset(&f->e);
    memset(own, 0, f->member_params * sizeof(float));
    memset(bounds, 0, 2 * out * sizeof(float));
    ensemble_member_loss(NULL, w->grad, w->scratch, &f->e, f->new_weights, item, w->xb, w->yb,
                         (int)f->batch_rows);
    memcpy(member->bounds_grad, bounds, 2 * out * sizeof(float));
    member_adam(f, item, w->grad);
}

// Adam on the bounds, with the members' gradients summed in the members' order.
static void step_bounds(struct fit *f) {
    size_t n = 2 * (size_t)f->e.target_dim, at = ensemble_max_logvar_offset(&f->e);
    float *grad = f->worker[0].grad + at;
    memset(grad, 0, n * sizeof(float));
    for (int i = 0; i < f->e.members; i++) {
        for (size_t j = 0; j < n; j++) {
            grad[j] += f->member[i].bounds_grad[j];
        }
    }
    ensemble_bounds_loss(f->worker[0].grad, &f->e, f->new_weights);
    adam_step(f->new_weights + at, f->new_m + at, f->new_v + at, grad, n, &f->adam, 0,
              f->new_adam_steps);
}

static void score_member(void *arg, int item, int worker) {
    struct fit *f = arg;
    struct worker *w = &f->worker[worker];
    size_t in = (size_t)f->e.in_dim, out = (size_t)f->e.target_dim;
    double sum = 0;
    for (uint32_t first = 0; first < f->holdout; first += HOLDOUT_BLOCK) {
        uint32_t n = f->holdout - first < HOLDOUT_BLOCK ? f->holdout - first : HOLDOUT_BLOCK;
        ensemble_predict(w->yb, NULL, w->scratch, &f->e, f->new_weights, item, f->x + first * in,
                         (int)n);
        const float *y = f->y + first * out;
        for (size_t j = 0; j < n * out; j++) {
            double error = (double)w->yb[j] - (double)y[j];
            sum += error * error;
        }
    }
    struct member *member = &f->member[item];
    member->score = sum / ((double)f->holdout * (double)out);
    member->improved = (member->best - member->score) / member->best > f->improvement;
    if (member->improved) {
        member->best = member->score;
        memcpy(member->best_params, f->new_weights + ensemble_member_offset(&f->e, item),
               f->member_params * sizeof(float));
    }
}

// False when *stop interrupted it.
static bool run_epoch(struct fit *f, const atomic_bool *stop) {
    int members = f->e.members;
    crew_run(f->crew, shuffle_member, f, members);
    uint32_t batch = (uint32_t)f->batch;
    for (uint32_t first = 0; first < f->train; first += batch) {
        if (atomic_load_explicit(stop, memory_order_relaxed)) {
            return false;
        }
        f->batch_first = first;
        f->batch_rows = f->train - first < batch ? f->train - first : batch;
        f->new_adam_steps++;
        crew_run(f->crew, step_member, f, members);
        step_bounds(f);
    }
    crew_run(f->crew, score_member, f, members);
    return true;
}

// ---- the whole ----

static bool all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            return false;
        }
    }
    return true;
}

static void choose_elites(struct fit *f, struct model *out) {
    out->members = f->e.members;
    out->elites = f->elites;
    int order[ENSEMBLE_MEMBERS_MAX];
    for (int i = 0; i < f->e.members; i++) {
        out->holdout_mse[i] = (float)f->member[i].best;
        int at = i;
        while (at > 0 && f->member[order[at - 1]].best > f->member[i].best) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    memcpy(out->elite, order, (size_t)f->elites * sizeof(int));
}

static void swap(float **a, float **b) {
    float *t = *a;
    *a = *b;
    *b = t;
}

// Whether another epoch may be begun after so many, the last `idle` of them in vain.
static bool goes_on(const struct fit *f, int epochs, int idle) {
    uint64_t steps = (f->train + (uint64_t)f->batch - 1) / (uint64_t)f->batch; // an epoch
    return idle <= f->patience && (f->epochs_max == 0 || epochs < f->epochs_max) &&
           (epochs == 0 || ((uint64_t)epochs + 1) * steps <= f->steps_max);
}

enum fit_result fit_train(struct fit *f, struct model *out, const struct store_columns *d,
                          uint64_t rows, uint64_t number, const atomic_bool *stop) {
    CHECK(rows >= 2);
    CHECK(rows <= f->rows_max);
    prepare(f, d, (uint32_t)rows, number);
    int epochs = 0, idle = 0;
    while (goes_on(f, epochs, idle)) {
        if (!run_epoch(f, stop)) {
            return FIT_STOPPED;
        }
        bool any = false;
        for (int i = 0; i < f->e.members; i++) {
            any = any || f->member[i].improved;
        }
        idle = any ? 0 : idle + 1;
        epochs++;
    }
    // Best weights back, a member each. Bounds and moments stay as they are.
    for (int i = 0; i < f->e.members; i++) {
        memcpy(f->new_weights + ensemble_member_offset(&f->e, i), f->member[i].best_params,
               f->member_params * sizeof(float));
    }
    if (!all_finite(f->new_weights, f->params) || !all_finite(f->new_m, f->params) ||
        !all_finite(f->new_v, f->params)) {
        return FIT_BROKEN;
    }
    if (f->heads) {
        enum fit_result result =
            termination_fit_train(f->heads, f->crew, d, (uint32_t)rows, number, stop);
        if (result != FIT_DONE) {
            return result;
        }
        termination_fit_accept(f->heads, out);
    }
    swap(&f->weights, &f->new_weights);
    swap(&f->m, &f->new_m);
    swap(&f->v, &f->new_v);
    f->adam_steps = f->new_adam_steps;
    memcpy(out->params, f->weights, f->params * sizeof(float));
    memcpy(out->normalizer, f->normalizer, normalizer_floats(f->e.in_dim) * sizeof(float));
    choose_elites(f, out);
    out->epochs = (uint64_t)epochs;
    out->env_rows = rows;
    out->version = number + 1;
    return FIT_DONE;
}
