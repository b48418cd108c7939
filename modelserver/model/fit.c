// SPDX-License-Identifier: MIT
// Bootstrap and holdout, epochs on a thread team, early stopping, elites.
#include "modelserver/model/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/base/stats.h"
#include "common/base/thread_team.h"
#include "common/nn/ensemble_steps.h"
#include "common/nn/normalizer.h"
#include "common/nn/reparam.h"
#include "modelserver/model/paired_test.h"
#include "modelserver/model/termination_fit.h"

#define SCORE_ROWS MLP_INFER_ROWS // per pass: activations stay in the cache
// Standardised targets further out are moved to this distance: the square of a single reward would
// otherwise outweigh all others.
#define TARGET_LIMIT 100.0f
// The reward's, in place of NORMALIZER_REACH: the rare large reward of a goal is not an outlier.
#define REWARD_REACH 1000.0f

struct fit {
    struct ensemble e;
    struct adam adam;
    float decay[MLP_LAYERS_MAX], dropout[MLP_LAYERS_MAX];
    int elites, batch, patience, epochs_max;
    bool raw_targets, drops; // dropout
    bool weighs_rows, decoupled, resets, paired, fixed_holdout;
    uint32_t epoch_batches; // 0: all
    uint64_t rows_used_max;
    uint64_t steps_max; // UINT64_MAX: no bound
    double holdout_ratio, improvement;
    uint64_t holdout_max, rows_max, seed;
    size_t params, member_params;
    struct thread_team *team;
    struct ensemble_steps *steps;
    struct termination_fit *heads; // NULL: there are none

    atomic_ulong *epochs_counter; // borrowed; NULL: none

    // Weights and moments between trainings, and the copies being trained.
    float *weights, *m, *v;
    float *new_weights, *new_m, *new_v;
    uint64_t adam_steps, new_adam_steps;

    // The current training. Row r of x and y is the r-th of the permutation; the
    // first `holdout` rows are held out.
    float *x, *y;                       // (rows_max, in_dim), (rows_max, target_dim)
    float *normalizer, *new_normalizer; // of `weights` (random ones: 0) and `new_weights`
    struct normalizer_column *columns;  // (target_dim) scratch
    float *target_weight;               // (target_dim)
    uint32_t *permutation;
    uint32_t holdout, train, outliers;
    float *row_score, *best_row_score; // (rows_max) paired: of each held-out row
    double *errors;                    // (members, blocks of held-out rows) sums of squares
    struct member {
        uint32_t *rows; // (rows_max) bootstrap sample, in the order of this epoch
        struct rng shuffle;
        double score, best;
        bool improved;
        float *best_params; // (member_params), then log_sigma of free noise
    } member[ENSEMBLE_MEMBERS_MAX];
    struct worker {
        float *scratch, *mean; // of SCORE_ROWS predictions
        float *logvar;         // paired, as the following
        struct mixture mixture;
    } worker[THREAD_TEAM_SIZE_MAX];
};

// Number of blocks of n held-out rows.
static uint64_t score_blocks(uint64_t n) {
    return (n + SCORE_ROWS - 1) / SCORE_ROWS;
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
    for (int l = 0; l < e->net.layers - 1; l++) {
        bool listed = l < config->model.dropout.n;
        f->dropout[l] = listed ? (float)config->model.dropout.v[l] : 0;
    }
    f->drops = config->model.dropout.n > 0;
    f->weighs_rows = config->model.bootstrap == MODEL_BOOTSTRAP_EXPONENTIAL;
    f->decoupled = config->model.decay == MODEL_DECAY_DECOUPLED;
    f->fixed_holdout = config->model.holdout == MODEL_HOLDOUT_FIXED;
    f->resets = config->model.reset_optimizer;
    f->paired = config->model.stop == MODEL_STOP_PAIRED_TEST;
    f->epoch_batches = (uint32_t)config->model.epoch_batches;
    f->rows_used_max = config->model.rows_max ? config->model.rows_max : UINT64_MAX;
    f->elites = config->model.elites;
    f->batch = config->model.batch_size;
    f->raw_targets = config->model.targets == MODEL_TARGETS_RAW;
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
    if (config->model.init == MODEL_INIT_KAIMING) {
        ensemble_init_kaiming(f->weights, e, f->seed);
    } else {
        ensemble_init(f->weights, e, f->seed);
    }
    f->x = xcalloc(rows_max * (size_t)e->in_dim, sizeof(float));
    f->y = xcalloc(rows_max * (size_t)e->target_dim, sizeof(float));
    f->permutation = xcalloc(rows_max, sizeof(uint32_t));
    f->normalizer = xfloats(ensemble_normalizer_floats(e));
    f->new_normalizer = xfloats(ensemble_normalizer_floats(e));
    f->columns = xcalloc((size_t)e->target_dim, sizeof(f->columns[0]));
    f->target_weight = xfloats((size_t)e->target_dim);
    f->row_score = xfloats(f->paired ? rows_max : 0);
    f->best_row_score = xfloats(f->paired ? rows_max : 0);
    f->errors = xcalloc((uint64_t)e->members * score_blocks(rows_max), sizeof(double));
    for (int i = 0; i < e->members; i++) {
        f->member[i].rows = xcalloc(rows_max, sizeof(uint32_t));
        f->member[i].best_params = xfloats(f->member_params + (size_t)e->target_dim);
    }
    threads = threads > e->members ? e->members : threads;
    f->team = thread_team_create(threads);
    f->steps = ensemble_steps_create(e, f->batch, f->team);
    struct termination heads = model_heads(e, config->task.termination);
    if (heads.members > 0) {
        f->heads = termination_fit_create(&heads, config, rows_max, threads);
    }
    for (int i = 0; i < threads; i++) {
        f->worker[i].scratch = xfloats(ensemble_scratch(e, SCORE_ROWS));
        size_t n = SCORE_ROWS * (size_t)e->target_dim;
        f->worker[i].mean = xfloats(n);
        if (f->paired) {
            f->worker[i].logvar = xfloats(n);
            f->worker[i].mixture.centre = xcalloc(n, sizeof(double));
            f->worker[i].mixture.spread = xcalloc(n, sizeof(double));
            f->worker[i].mixture.variance = xcalloc(n, sizeof(double));
        }
    }
    return f;
}

void fit_destroy(struct fit **fit) {
    struct fit *f = *fit;
    if (!f) {
        return;
    }
    for (int i = 0; i < thread_team_size(f->team); i++) {
        free(f->worker[i].scratch);
        free(f->worker[i].mean);
        free(f->worker[i].logvar);
        free(f->worker[i].mixture.centre);
        free(f->worker[i].mixture.spread);
        free(f->worker[i].mixture.variance);
    }
    ensemble_steps_destroy(&f->steps);
    thread_team_destroy(&f->team);
    termination_fit_destroy(&f->heads);
    for (int i = 0; i < f->e.members; i++) {
        free(f->member[i].rows);
        free(f->member[i].best_params);
    }
    float *blocks[] = {f->weights,
                       f->m,
                       f->v,
                       f->new_weights,
                       f->new_m,
                       f->new_v,
                       f->x,
                       f->y,
                       f->normalizer,
                       f->new_normalizer,
                       f->target_weight,
                       f->row_score,
                       f->best_row_score};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        free(blocks[i]);
    }
    free(f->columns);
    free(f->permutation);
    free(f->errors);
    free(f);
    *fit = NULL;
}

uint64_t fit_memory_bytes(const struct config *config, const struct ensemble *e, uint64_t rows_max,
                          int threads) {
    uint64_t members = (uint64_t)e->members;
    uint64_t row = (uint64_t)(e->in_dim + e->target_dim);
    uint64_t floats = 6 * ensemble_params(e) + 2 * ensemble_normalizer_floats(e) +
                      members * (mlp_params(&e->net) + (uint64_t)e->target_dim) + rows_max * row +
                      rows_max * (members + 1);
    uint64_t block = SCORE_ROWS * (uint64_t)e->target_dim;
    uint64_t worker = ensemble_scratch(e, SCORE_ROWS) + block;
    if (config->model.stop == MODEL_STOP_PAIRED_TEST) {
        floats += 2 * rows_max;
        worker += 7 * block; // a float and three doubles
    }
    struct termination heads = model_heads(e, config->task.termination);
    uint64_t for_heads =
        heads.members > 0 ? termination_fit_memory_bytes(&heads, rows_max, threads) : 0;
    return (floats + (uint64_t)threads * worker) * sizeof(float) +
           members * score_blocks(rows_max) * sizeof(double) +
           ensemble_steps_memory_bytes(e, config->model.batch_size, threads) + for_heads;
}

struct fit_state fit_state(struct fit *f) {
    if (!f) {
        return (struct fit_state){0};
    }
    struct fit_state state = {.normalizer_floats = ensemble_normalizer_floats(&f->e),
                              .normalizer = f->normalizer,
                              .params = f->params,
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

// Gathers inputs and targets in the order of the permutation, so that both splits are contiguous.
static void gather(struct fit *f, const struct env_columns *d, uint32_t rows) {
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
}

// A difference of observations is known no better than they are.
static void set_columns(struct fit *f, const float *inputs) {
    const float *mean = inputs, *std = inputs + f->e.in_dim;
    f->columns[0] = (struct normalizer_column){0, REWARD_REACH};
    for (int j = 0; j < f->e.obs_dim; j++) {
        float resolution = normalizer_resolution(fabsf(mean[j]) + std[j]);
        f->columns[1 + j] = (struct normalizer_column){resolution, NORMALIZER_REACH};
    }
}

// Columns of rounding noise count as constant, as inputs and as targets.
static void drop_noise(struct fit *f) {
    float *std = f->new_normalizer + f->e.in_dim;
    float *change = f->new_normalizer + ensemble_target_normalizer(&f->e) + f->e.target_dim + 1;
    for (int j = 0; j < f->e.obs_dim; j++) {
        if (normalizer_is_noise(std[j], change[j])) {
            std[j] = change[j] = 0;
        }
    }
}

// Copies row `from` of x and y to row `to`.
static void copy_row(struct fit *f, uint32_t to, uint32_t from) {
    size_t in = (size_t)f->e.in_dim, out = (size_t)f->e.target_dim;
    memmove(f->x + to * in, f->x + from * in, in * sizeof(float));
    memmove(f->y + to * out, f->y + from * out, out * sizeof(float));
}

// Whether input and differences are near those of the other rows. A reward has a bound instead
// (TARGET_LIMIT).
static bool is_covered(const struct fit *f, uint32_t row) {
    const struct ensemble *e = &f->e;
    const float *inputs = f->new_normalizer;
    const float *mean = inputs + ensemble_target_normalizer(e), *std = mean + e->target_dim;
    return normalizer_covers(inputs, inputs + e->in_dim, f->x + row * (size_t)e->in_dim,
                             e->in_dim) &&
           normalizer_covers(mean + 1, std + 1, f->y + row * (size_t)e->target_dim + 1, e->obs_dim);
}

// Replaces outlying rows first, ..., end - 1 by the usable row before them, leading ones by the
// first usable row. The error of a single sensor fault would outweigh that of all other rows.
static void replace_outliers(struct fit *f, uint32_t first, uint32_t end) {
    uint32_t usable = first;
    while (usable < end && !is_covered(f, usable)) {
        usable++;
    }
    if (usable == end) {
        return;
    }
    for (uint32_t r = first; r < end; r++) {
        if (r > usable && is_covered(f, r)) {
            usable = r;
        } else if (r != usable) {
            copy_row(f, r, usable);
            f->outliers++;
        }
    }
}

// Fits the normalizers to the training rows and applies them to all rows. The weights, which have
// learnt in the units of the training before, are re-parametrised.
static void normalize(struct fit *f, uint32_t rows) {
    const struct ensemble *e = &f->e;
    float *inputs = f->new_normalizer, *targets = inputs + ensemble_target_normalizer(e);
    const float *x = f->x + (size_t)f->holdout * (size_t)e->in_dim;
    const float *y = f->y + (size_t)f->holdout * (size_t)e->target_dim;
    f->outliers = 0;
    ensemble_normalizer_identity(f->new_normalizer, e);
    normalizer_fit(inputs, x, f->train, e->in_dim, NULL);
    if (!f->raw_targets) {
        set_columns(f, inputs);
        normalizer_fit(targets, y, f->train, e->target_dim, f->columns);
        drop_noise(f);
        replace_outliers(f, 0, f->holdout);
        replace_outliers(f, f->holdout, rows);
    }
    normalizer_apply(f->x, inputs, f->x, rows, e->in_dim, NORMALIZER_INPUT_LIMIT);
    normalizer_apply(f->y, targets, f->y, rows, e->target_dim,
                     f->raw_targets ? INFINITY : TARGET_LIMIT);
    ensemble_target_weights(f->target_weight, e, f->new_normalizer);
    if (reparam_moving(f->normalizer, e->in_dim) > 0) {
        reparam_ensemble(f->new_weights, e, f->normalizer, f->new_normalizer);
    } else {
        reparam_fresh_ensemble(f->new_weights, e, f->new_normalizer);
    }
}

static void save_best(struct fit *f, int i) {
    const struct ensemble *e = &f->e;
    float *to = f->member[i].best_params;
    memcpy(to, f->new_weights + ensemble_member_offset(e, i), f->member_params * sizeof(float));
    if (e->free_noise) {
        memcpy(to + f->member_params, f->new_weights + ensemble_log_sigma_offset(e, i),
               (size_t)e->target_dim * sizeof(float));
    }
}

// Shared bounds of the log-variance stay, and moments.
static void restore_best(struct fit *f, int i) {
    const struct ensemble *e = &f->e;
    const float *from = f->member[i].best_params;
    memcpy(f->new_weights + ensemble_member_offset(e, i), from, f->member_params * sizeof(float));
    if (e->free_noise) {
        memcpy(f->new_weights + ensemble_log_sigma_offset(e, i), from + f->member_params,
               (size_t)e->target_dim * sizeof(float));
    }
}

// The member's rows, in the order of its first epoch.
static void draw_rows(struct fit *f, int i, uint64_t number) {
    struct member *member = &f->member[i];
    struct rng draw = rng_make(f->seed, RNG_MODEL_BOOTSTRAP, number * 64 + (uint64_t)i);
    for (uint32_t r = 0; r < f->train; r++) {
        member->rows[r] = f->holdout + (f->weighs_rows ? r : rng_below(&draw, f->train));
    }
    uint64_t order = f->weighs_rows ? 0 : (uint64_t)i; // or the same batches
    member->shuffle = rng_make(f->seed, RNG_MODEL_SHUFFLE, number * 64 + order);
}

// Sets holdout and train of the permuted rows.
static void split_by_number(struct fit *f, uint32_t rows) {
    double held = (double)rows * f->holdout_ratio;
    f->holdout = held < (double)f->holdout_max ? (uint32_t)held : (uint32_t)f->holdout_max;
    f->holdout = f->holdout < 1 ? 1 : f->holdout;
    f->train = rows - f->holdout;
}

static bool is_held_out(const struct fit *f, uint32_t row) {
    struct rng rng = rng_make(f->seed, RNG_MODEL_HOLDOUT, row);
    return rng_uniform(&rng) < f->holdout_ratio;
}

// The same by the label of each row; held-out ones beyond the maximum are left out. Neither part
// is empty.
static void split_by_label(struct fit *f, uint32_t rows) {
    uint32_t *held = f->permutation, *others = f->member[0].rows, n = 0, train = 0;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t row = f->permutation[r];
        if (is_held_out(f, row)) {
            held[n++] = row;
        } else {
            others[train++] = row;
        }
    }
    if (n == 0) {
        held[n++] = others[--train];
    } else if (train == 0) {
        others[train++] = held[--n];
    }
    f->holdout = n < f->holdout_max ? n : (uint32_t)f->holdout_max;
    f->train = train;
    memcpy(f->permutation + f->holdout, others, train * sizeof(uint32_t));
}

static void prepare(struct fit *f, const struct env_columns *d, uint32_t all, uint64_t number) {
    uint32_t rows = all < f->rows_used_max ? all : (uint32_t)f->rows_used_max;
    struct rng split = rng_make(f->seed, RNG_MODEL_SPLIT, number);
    rng_permutation(&split, f->permutation, all);
    if (f->fixed_holdout) {
        split_by_label(f, rows);
    } else {
        split_by_number(f, rows);
    }
    rows = f->holdout + f->train;

    memcpy(f->new_weights, f->weights, f->params * sizeof(float));
    memcpy(f->new_m, f->m, f->params * sizeof(float));
    memcpy(f->new_v, f->v, f->params * sizeof(float));
    f->new_adam_steps = f->adam_steps;
    if (f->resets) {
        memset(f->new_m, 0, f->params * sizeof(float));
        memset(f->new_v, 0, f->params * sizeof(float));
        f->new_adam_steps = 0;
    }
    gather(f, d, rows);
    normalize(f, rows);
    for (int i = 0; i < f->e.members; i++) {
        draw_rows(f, i, number);
        f->member[i].best = INFINITY; // the first score is an improvement, however large
        save_best(f, i);
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

// A row of D_env has the same weight for a member in all trainings.
static float weight_of(const struct fit *f, uint32_t row, int member) {
    uint64_t sub = (uint64_t)f->permutation[row] * ENSEMBLE_MEMBERS_MAX + (uint64_t)member;
    struct rng rng = rng_make(f->seed, RNG_MODEL_ROW_WEIGHT, sub);
    return (float)-log(1 - rng_uniform(&rng));
}

// The batch callback of ensemble_training: rows of one step, in the order of this epoch.
static int fill_batch(void *arg, float *x, float *y, float *row_weight, int member, uint32_t step) {
    const struct fit *f = arg;
    size_t in = (size_t)f->e.in_dim, out = (size_t)f->e.target_dim;
    uint32_t first = step * (uint32_t)f->batch, left = f->train - first;
    uint32_t n = left < (uint32_t)f->batch ? left : (uint32_t)f->batch;
    const uint32_t *rows = f->member[member].rows + first;
    for (uint32_t r = 0; r < n; r++) {
        memcpy(x + r * in, f->x + rows[r] * in, in * sizeof(float));
        memcpy(y + r * out, f->y + rows[r] * out, out * sizeof(float));
        row_weight[r] = f->weighs_rows ? weight_of(f, rows[r], member) : 1;
    }
    return (int)n;
}

// n held-out rows from `first`, and the predictions of one member.
static double block_error(const struct fit *f, const float *mean, uint32_t first, uint32_t n) {
    size_t out = (size_t)f->e.target_dim;
    const float *y = f->y + first * out;
    double sum = 0;
    for (size_t j = 0; j < n * out; j++) {
        double error = (double)mean[j] - (double)y[j];
        sum += (double)f->target_weight[j % out] * (error * error);
    }
    return sum;
}

// The error of one member on one block of held-out rows.
static void score_block(void *arg, int item, int worker) {
    struct fit *f = arg;
    struct worker *w = &f->worker[worker];
    uint32_t blocks = (uint32_t)score_blocks(f->holdout);
    int member = item / (int)blocks;
    uint32_t first = (uint32_t)item % blocks * SCORE_ROWS, left = f->holdout - first;
    uint32_t n = left < SCORE_ROWS ? left : SCORE_ROWS;
    ensemble_predict(w->mean, NULL, w->scratch, &f->e, f->new_weights, member,
                     f->x + first * (size_t)f->e.in_dim, (int)n);
    f->errors[item] = block_error(f, w->mean, first, n);
}

// The errors of all members on one block, and the score of each of its rows.
static void score_ensemble_block(void *arg, int block, int worker) {
    struct fit *f = arg;
    struct worker *w = &f->worker[worker];
    uint32_t first = (uint32_t)block * SCORE_ROWS, left = f->holdout - first;
    uint32_t n = left < SCORE_ROWS ? left : SCORE_ROWS;
    size_t out = (size_t)f->e.target_dim, blocks = score_blocks(f->holdout);
    mixture_clear(&w->mixture, n * out);
    for (int k = 0; k < f->e.members; k++) {
        ensemble_predict(w->mean, w->logvar, w->scratch, &f->e, f->new_weights, k,
                         f->x + first * (size_t)f->e.in_dim, (int)n);
        f->errors[(size_t)k * blocks + (size_t)block] = block_error(f, w->mean, first, n);
        mixture_add(&w->mixture, w->mean, w->logvar, n * out);
    }
    mixture_score(f->row_score + first, &w->mixture, f->y + first * out, f->target_weight, n, out);
}

// The error of a member over all blocks; saves its weights if they are its best. With a paired
// test the ensemble is judged as a whole.
static void score_member(void *arg, int item, int worker) {
    (void)worker;
    struct fit *f = arg;
    struct member *member = &f->member[item];
    uint64_t blocks = score_blocks(f->holdout);
    double sum = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        sum += f->errors[(uint64_t)item * blocks + i];
    }
    member->score = sum / ((double)f->holdout * (double)f->e.target_dim);
    if (f->paired) {
        return;
    }
    member->improved =
        member->score < member->best &&
        (isinf(member->best) || member->best - member->score > f->improvement * member->best);
    if (member->improved) {
        member->best = member->score;
        save_best(f, item);
    }
}

static uint32_t epoch_steps(const struct fit *f) {
    uint32_t all = (f->train + (uint32_t)f->batch - 1) / (uint32_t)f->batch;
    return f->epoch_batches > 0 && f->epoch_batches < all ? f->epoch_batches : all;
}

// Whether the ensemble seems better than the best one; saves it if it is.
static bool judge_ensemble(struct fit *f) {
    bool first = isinf(f->member[0].best);
    enum paired_verdict verdict =
        paired_test_judge(f->best_row_score, f->row_score, f->holdout, first);
    for (int i = 0; i < f->e.members && verdict == PAIRED_BEST; i++) {
        f->member[i].best = f->member[i].score;
        save_best(f, i);
    }
    return verdict != PAIRED_IDLE;
}

// Whether an epoch has made anything better.
static bool has_improved(struct fit *f) {
    if (f->paired) {
        return judge_ensemble(f);
    }
    bool any = false;
    for (int i = 0; i < f->e.members; i++) {
        any = any || f->member[i].improved;
    }
    return any;
}

// False when *stop interrupted it.
static bool run_epoch(struct fit *f, const atomic_bool *stop) {
    int members = f->e.members;
    thread_team_run(f->team, shuffle_member, f, members);
    struct ensemble_training training = {.params = f->new_weights,
                                         .m = f->new_m,
                                         .v = f->new_v,
                                         .adam = f->adam,
                                         .decay = f->decay,
                                         .decoupled = f->decoupled,
                                         .weight = f->target_weight,
                                         .dropout = f->drops ? f->dropout : NULL,
                                         .seed = f->seed,
                                         .t = f->new_adam_steps,
                                         .batch = fill_batch,
                                         .arg = f};
    if (!ensemble_steps_run(f->steps, &training, epoch_steps(f), stop)) {
        return false;
    }
    f->new_adam_steps = training.t;
    int blocks = (int)score_blocks(f->holdout);
    if (f->paired) {
        thread_team_run(f->team, score_ensemble_block, f, blocks);
    } else {
        thread_team_run(f->team, score_block, f, members * blocks);
    }
    thread_team_run(f->team, score_member, f, members);
    return true;
}

// ---- a training ----

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

// Whether to run another epoch. idle: epochs since the last improvement.
static bool needs_epoch(const struct fit *f, uint64_t number, int epochs, int idle) {
    if (f->paired) {
        double patience = paired_test_patience(f->e.obs_dim, number);
        return idle < patience && epochs < PAIRED_PATIENCES * patience &&
               (f->epochs_max == 0 || epochs < f->epochs_max);
    }
    return idle <= f->patience && (f->epochs_max == 0 || epochs < f->epochs_max) &&
           (epochs == 0 || ((uint64_t)epochs + 1) * epoch_steps(f) <= f->steps_max);
}

void fit_count_epochs(struct fit *f, atomic_ulong *epochs) {
    f->epochs_counter = epochs;
}

enum fit_result fit_train(struct fit *f, struct model *out, const struct env_columns *d,
                          uint64_t rows, uint64_t number, const atomic_bool *stop) {
    CHECK(rows >= 2);
    CHECK(rows <= f->rows_max);
    prepare(f, d, (uint32_t)rows, number);
    int epochs = 0, idle = 0;
    while (needs_epoch(f, number, epochs, idle)) {
        if (!run_epoch(f, stop)) {
            return FIT_STOPPED;
        }
        idle = has_improved(f) ? 0 : idle + 1;
        epochs++;
        if (f->epochs_counter) {
            atomic_fetch_add_explicit(f->epochs_counter, 1, memory_order_relaxed);
        }
    }
    for (int i = 0; i < f->e.members; i++) {
        restore_best(f, i);
    }
    if (!stats_all_finite(f->new_weights, f->params) || !stats_all_finite(f->new_m, f->params) ||
        !stats_all_finite(f->new_v, f->params)) {
        return FIT_BROKEN;
    }
    if (f->heads) {
        double work = (double)f->member_params * (double)f->train * epochs;
        enum fit_result result =
            termination_fit_train(f->heads, f->team, d, (uint32_t)rows, number, work, stop);
        if (result != FIT_DONE) {
            return result;
        }
        termination_fit_accept(f->heads, out);
    }
    swap(&f->weights, &f->new_weights);
    swap(&f->m, &f->new_m);
    swap(&f->v, &f->new_v);
    swap(&f->normalizer, &f->new_normalizer);
    f->adam_steps = f->new_adam_steps;
    memcpy(out->params, f->weights, f->params * sizeof(float));
    memcpy(out->normalizer, f->normalizer, ensemble_normalizer_floats(&f->e) * sizeof(float));
    choose_elites(f, out);
    out->epochs = (uint64_t)epochs;
    out->env_rows = rows;
    out->outliers = f->outliers;
    out->version = number + 1;
    return FIT_DONE;
}
