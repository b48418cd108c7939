// SPDX-License-Identifier: MIT
// Shows that a training of the ensemble follows MBPO: bootstrap, shared holdout,
// normaliser, early stop, best weights per member, elites, warm start.
//
// A simple second implementation, one member after the other in each step, must agree
// with fit in two consecutive trainings, to the last digits of a float. Further tests:
// equal bits on any number of threads, interruption, and data that break the weights.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/normalizer.h"
#include "common/nn/reparam.h"
#include "modelserver/model/fit.h"

enum { O = 3, A = 1, IN = O + A, T = O + 1, ROWS = 700, MEMBERS = 4 };

static struct config config;
static struct ensemble e;
static float obs[ROWS * O], act[ROWS * A], reward[ROWS], next_obs[ROWS * O];
static uint8_t flags[ROWS];
static const struct env_columns env = {.obs_dim = O,
                                       .act_dim = A,
                                       .obs = obs,
                                       .act = act,
                                       .reward = reward,
                                       .next_obs = next_obs,
                                       .flags = flags};
static atomic_bool never;

// Easy dynamics: smooth, with a little noise.
static int make_world(void **state) {
    (void)state;
    config.run.seed = 11;
    config.model.members = MEMBERS;
    config.model.elites = 3;
    config.model.learning_rate = 3e-3;
    config.model.weight_decay = (struct config_list){3, {1e-4, 2e-4, 3e-4}};
    config.model.batch_size = 64;
    config.model.holdout_ratio = 0.2;
    config.model.holdout_rows_max = 5000;
    config.model.improvement = 0.01;
    config.model.patience_epochs = 2;
    config.model.epochs_max = 40;
    e = ensemble_make(MEMBERS, O, A, 24, 2);
    struct rng rng = rng_make(1, RNG_TEST, 0);
    for (int i = 0; i < ROWS; i++) {
        float a = act[i] = (float)rng_range(&rng, -1, 1);
        float *s = obs + i * O, *n = next_obs + i * O;
        for (int j = 0; j < O; j++) {
            s[j] = (float)rng_range(&rng, -2, 2) * (j == 1 ? 10 : 1);
        }
        n[0] = s[0] + 0.3f * a + 0.01f * (float)rng_normal(&rng);
        n[1] = s[1] - s[0] + 0.01f * (float)rng_normal(&rng);
        n[2] = s[2] + sinf(s[0]) * a;
        reward[i] = s[0] * s[0] - a;
    }
    return 0;
}

static struct model new_model(void) {
    return (struct model){.refs = 1,
                          .params = xfloats(ensemble_params(&e)),
                          .normalizer = xfloats(ensemble_normalizer_floats(&e))};
}

static void free_model(struct model *m) {
    free(m->params);
    free(m->normalizer);
}

// ---- the second implementation ----

struct plain {
    float *p, *m, *v;
    uint64_t t;
    float normalizer[2 * (IN + T)]; // of the training before
};

static const float ones[] = {1, 1, 1, 1}; // weights of the targets

static float mse_of(const float *params, int member, const float *x, const float *y, int n) {
    float *mean = xfloats((size_t)n * T), *scratch = xfloats(ensemble_scratch(&e, n));
    ensemble_predict(mean, NULL, scratch, &e, params, member, x, n);
    double sum = 0;
    for (int i = 0; i < n * T; i++) {
        sum += ((double)mean[i] - (double)y[i]) * ((double)mean[i] - (double)y[i]);
    }
    free(mean);
    free(scratch);
    return (float)(sum / (n * T));
}

static void plain_adam(struct plain *s, const float *g, size_t at, size_t n, double decay) {
    struct adam adam = adam_make(config.model.learning_rate);
    adam_step(s->p + at, s->m + at, s->v + at, g + at, n, &adam, (float)decay, s->t);
}

static void plain_step(struct plain *s, uint32_t *const rows[], uint32_t first, uint32_t n,
                       const float *x, const float *y) {
    size_t size = ensemble_params(&e);
    float *xb = xfloats(n * IN), *yb = xfloats(n * T), *g = xfloats(size);
    float *scratch = xfloats(ensemble_scratch(&e, (int)n));
    for (int i = 0; i < MEMBERS; i++) {
        for (uint32_t r = 0; r < n; r++) {
            memcpy(xb + r * IN, x + rows[i][first + r] * IN, IN * sizeof(float));
            memcpy(yb + r * T, y + rows[i][first + r] * T, T * sizeof(float));
        }
        float *part =
            xfloats(size); // gradients of the shared bounds are summed in the order of members
        ensemble_member_loss(NULL, part, scratch, &e, s->p, i, xb, yb, ones, NULL, (int)n);
        for (size_t j = 0; j < size; j++) {
            g[j] += part[j];
        }
        free(part);
    }
    size_t bounds = ensemble_max_logvar_offset(&e);
    ensemble_bounds_loss(g + bounds, &e, s->p, ones);
    s->t++;
    for (int i = 0; i < MEMBERS; i++) {
        for (int l = 0; l < 3; l++) {
            size_t at = ensemble_member_offset(&e, i) + mlp_weight_offset(&e.net, l);
            size_t weights = (size_t)e.net.dims[l] * (size_t)e.net.dims[l + 1];
            plain_adam(s, g, at, weights, config.model.weight_decay.v[l]);
            plain_adam(s, g, at + weights, (size_t)e.net.dims[l + 1], 0);
        }
    }
    plain_adam(s, g, bounds, 2 * T, 0);
    free(xb);
    free(yb);
    free(g);
    free(scratch);
}

static int plain_train(struct plain *s, uint64_t number, float best[MEMBERS]) {
    static uint32_t order[ROWS];
    static float x[ROWS * IN], y[ROWS * T], normalizer[2 * (IN + T)];
    uint32_t holdout = ROWS / 5, n = ROWS - holdout;
    struct rng rng = rng_make(11, RNG_MODEL_SPLIT, number);
    rng_permutation(&rng, order, ROWS);
    for (int i = 0; i < ROWS; i++) {
        memcpy(x + i * IN, obs + order[i] * O, O * sizeof(float));
        x[i * IN + O] = act[order[i]];
        y[i * T] = reward[order[i]];
        for (int j = 0; j < O; j++) {
            y[i * T + 1 + j] =
                next_obs[order[i] * O + (uint32_t)j] - obs[order[i] * O + (uint32_t)j];
        }
    }
    float *targets = normalizer + 2 * IN;
    normalizer_fit(normalizer, x + holdout * IN, n, IN, NULL);
    normalizer_fit(targets, y + holdout * T, n, T, NULL);
    normalizer_apply(x, normalizer, x, ROWS, IN, NORMALIZER_INPUT_LIMIT);
    normalizer_apply(y, targets, y, ROWS, T, INFINITY);
    if (s->t > 0) {
        reparam_ensemble(s->p, &e, s->normalizer, normalizer);
    }
    memcpy(s->normalizer, normalizer, sizeof(normalizer));
    const float *xt = x + holdout * IN, *yt = y + holdout * T;

    uint32_t *rows[MEMBERS];
    struct rng shuffle[MEMBERS];
    size_t size = mlp_params(&e.net);
    float *kept = xfloats(MEMBERS * size);
    for (uint64_t i = 0; i < MEMBERS; i++) {
        rows[i] = xmalloc(n * sizeof(uint32_t));
        rng = rng_make(11, RNG_MODEL_BOOTSTRAP, number * 64 + i);
        for (uint32_t r = 0; r < n; r++) {
            rows[i][r] = rng_below(&rng, n);
        }
        shuffle[i] = rng_make(11, RNG_MODEL_SHUFFLE, number * 64 + i);
        best[i] = INFINITY;
    }
    int epochs = 0;
    for (int idle = 0; idle <= config.model.patience_epochs && epochs < 40; epochs++) {
        for (int i = 0; i < MEMBERS; i++) {
            for (uint32_t k = n; k > 1; k--) {
                uint32_t j = rng_below(&shuffle[i], k), row = rows[i][k - 1];
                rows[i][k - 1] = rows[i][j];
                rows[i][j] = row;
            }
        }
        for (uint32_t first = 0; first < n; first += 64) {
            plain_step(s, rows, first, n - first < 64 ? n - first : 64, xt, yt);
        }
        idle++;
        for (int i = 0; i < MEMBERS; i++) {
            float mse = mse_of(s->p, i, x, y, (int)holdout);
            if (mse < 0.99f * best[i]) {
                best[i] = mse;
                idle = 0;
                memcpy(kept + (size_t)i * size, s->p + ensemble_member_offset(&e, i),
                       size * sizeof(float));
            }
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        memcpy(s->p + ensemble_member_offset(&e, i), kept + (size_t)i * size, size * sizeof(float));
        free(rows[i]);
    }
    free(kept);
    return epochs;
}

static void assert_close(const float *a, const float *b, size_t n, const char *what) {
    for (size_t i = 0; i < n; i++) {
        if (fabsf(a[i] - b[i]) > 1e-6f + 1e-5f * fabsf(b[i])) {
            fail_msg("%s[%zu]: %.9g, expected %.9g", what, i, (double)a[i], (double)b[i]);
        }
    }
}

static void two_trainings_follow_the_rules(void **state) {
    (void)state;
    size_t n = ensemble_params(&e);
    struct plain plain = {.p = xfloats(n), .m = xfloats(n), .v = xfloats(n)};
    ensemble_init(plain.p, &e, 11);
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    atomic_ulong counted = 0;
    fit_count_epochs(fit, &counted);
    for (uint64_t number = 0; number < 2; number++) {
        atomic_store(&counted, 0);
        float best[MEMBERS];
        int epochs = plain_train(&plain, number, best);
        assert_int_equal(fit_train(fit, &m, &env, ROWS, number, &never), FIT_DONE);
        assert_int_equal(m.epochs, epochs);
        assert_int_equal(counted, epochs);
        assert_int_equal(m.version, number + 1);
        assert_int_equal(m.env_rows, ROWS);
        assert_close(m.params, plain.p, n, "params");
        assert_close(m.holdout_mse, best, MEMBERS, "holdout_mse");
        struct fit_state left = fit_state(fit);
        assert_close(left.adam_m, plain.m, n, "adam_m");
        assert_int_equal(*left.adam_steps, plain.t);
        for (int i = 0; i < 3; i++) { // elites: the lowest three, best first
            int better = 0;
            for (int j = 0; j < MEMBERS; j++) {
                better += m.holdout_mse[j] < m.holdout_mse[m.elite[i]];
            }
            assert_int_equal(better, i);
        }
    }
    // It learns: standardised targets have a variance of 1.
    assert_true(m.holdout_mse[m.elite[0]] < 0.1f);
    fit_destroy(&fit);
    free_model(&m);
    free(plain.p);
    free(plain.m);
    free(plain.v);
}

static void compare_threads(float first_weights[8]) {
    size_t bytes = ensemble_params(&e) * sizeof(float);
    struct model one = new_model(), three = new_model();
    struct fit *a = fit_create(&config, &e, ROWS, 1), *b = fit_create(&config, &e, ROWS, 3);
    for (uint64_t number = 0; number < 2; number++) {
        fit_train(a, &one, &env, ROWS - 100 + number * 100, number, &never);
        fit_train(b, &three, &env, ROWS - 100 + number * 100, number, &never);
        assert_memory_equal(one.params, three.params, bytes);
        assert_memory_equal(fit_state(a).adam_v, fit_state(b).adam_v, bytes);
        assert_memory_equal(one.elite, three.elite, 3 * sizeof(int));
    }
    assert_true(one.holdout_mse[one.elite[0]] < 0.1f); // it learns
    memcpy(first_weights, one.params, 8 * sizeof(float));
    fit_destroy(&a);
    fit_destroy(&b);
    free_model(&one);
    free_model(&three);
}

static void threads_do_not_change_bits(void **state) {
    (void)state;
    float without[8], with[8];
    compare_threads(without);
    config.model.dropout = (struct config_list){1, {0.05}};
    compare_threads(with);
    config.model.dropout = (struct config_list){0};
    assert_memory_not_equal(without, with, sizeof(with));
}

// The published recipe of DHMBPO in small: it learns, with the same bits on any number of threads.
static void the_recipe_learns(void **state) {
    (void)state;
    struct config kept = config;
    struct ensemble heads = e;
    config.model.noise = MODEL_NOISE_FREE;
    config.model.bootstrap = MODEL_BOOTSTRAP_EXPONENTIAL;
    config.model.init = MODEL_INIT_KAIMING;
    config.model.decay = MODEL_DECAY_DECOUPLED;
    config.model.reset_optimizer = true;
    config.model.stop = MODEL_STOP_PAIRED_TEST;
    config.model.epoch_batches = 6;
    e = ensemble_with_free_noise(heads);
    float weights[8];
    compare_threads(weights);
    e = heads;
    config = kept;
}

// All members see the same rows: equal members with equal weights stay equal, and with weights of
// their own they do not.
static void members_differ_by_weights_of_rows(void **state) {
    (void)state;
    struct config weighted = config;
    weighted.model.bootstrap = MODEL_BOOTSTRAP_EXPONENTIAL;
    weighted.model.epochs_max = 1;
    weighted.model.rows_max = 200;
    struct fit *fit = fit_create(&weighted, &e, ROWS, 1);
    struct model m = new_model();
    float *start = fit_state(fit).weights;
    size_t n = mlp_params(&e.net);
    memcpy(start + n, start, n * sizeof(float));
    assert_int_equal(fit_train(fit, &m, &env, ROWS, 0, &never), FIT_DONE);
    assert_int_equal(*fit_state(fit).adam_steps, (160 + 63) / 64); // of 200 rows, 40 held out
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(m.params[i] - m.params[n + i]));
    }
    assert_true(most > 1e-3f && most < 0.1f); // three steps of 3e-3, in other directions
    fit_destroy(&fit);
    free_model(&m);
}

// The rewards of rows that are held out are wrong. While they are, the error is large; a member
// that had ever been trained on one would show it in what it predicts for the others.
static void fixed_rows_are_never_trained_on(void **state) {
    (void)state;
    struct config fixed = config;
    fixed.model.holdout = MODEL_HOLDOUT_FIXED;
    fixed.model.holdout_rows_max = 60; // of some 140
    fixed.model.epochs_max = 2;
    struct model m = new_model(), wrong = new_model();
    static float r[ROWS];
    struct env_columns changed = env;
    changed.reward = r;
    int held = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        struct rng rng = rng_make(fixed.run.seed, RNG_MODEL_HOLDOUT, i);
        bool is_held = rng_uniform(&rng) < fixed.model.holdout_ratio;
        r[i] = is_held ? reward[i] + 3 : reward[i];
        held += is_held;
    }
    assert_in_range(held, 105, 175); // 140: sd 10.6
    for (int k = 0; k < 2; k++) {
        struct fit *fit = fit_create(&fixed, &e, ROWS, 1);
        for (uint64_t number = 0; number < 3; number++) {
            assert_int_equal(
                fit_train(fit, k ? &wrong : &m, k ? &changed : &env, ROWS, number, &never),
                FIT_DONE);
        }
        // Three trainings of two epochs of the others.
        assert_int_equal(*fit_state(fit).adam_steps, 3 * 2 * ((ROWS - held + 63) / 64));
        assert_memory_equal(fit_state(fit).normalizer, m.normalizer,
                            ensemble_normalizer_floats(&e) * sizeof(float));
        fit_destroy(&fit);
    }
    assert_true(wrong.holdout_mse[0] > m.holdout_mse[0] + 0.5f);
    free_model(&m);
    free_model(&wrong);
}

// No epoch after the first counts as an improvement: all of it is restored, the noise as well.
static void free_noise_is_restored(void **state) {
    (void)state;
    struct config one = config;
    struct ensemble heads = e;
    one.model.noise = MODEL_NOISE_FREE;
    one.model.improvement = 1;
    e = ensemble_with_free_noise(heads);
    struct model more = new_model(), first = new_model();
    struct fit *fit = fit_create(&one, &e, ROWS, 1);
    assert_int_equal(fit_train(fit, &more, &env, ROWS, 0, &never), FIT_DONE);
    assert_int_equal(more.epochs, 1 + 3);
    fit_destroy(&fit);
    one.model.epochs_max = 1;
    fit = fit_create(&one, &e, ROWS, 1);
    assert_int_equal(fit_train(fit, &first, &env, ROWS, 0, &never), FIT_DONE);
    assert_memory_equal(more.params, first.params, ensemble_params(&e) * sizeof(float));
    fit_destroy(&fit);
    free_model(&more);
    free_model(&first);
    e = heads;
}

// A paired test stops once there is nothing to learn: after patience, and no later than 5 times it.
static void a_paired_test_ends_the_training(void **state) {
    (void)state;
    struct config paired = config;
    paired.model.stop = MODEL_STOP_PAIRED_TEST;
    paired.model.epoch_batches = 1;
    paired.model.epochs_max = 0;
    paired.model.reset_optimizer = true;
    struct fit *fit = fit_create(&paired, &e, ROWS, 1);
    struct model m = new_model();
    double patience = 50 * log(O + 1);
    assert_int_equal(fit_train(fit, &m, &env, ROWS, 0, &never), FIT_DONE);
    assert_true((double)m.epochs >= 5 * patience && (double)m.epochs < 25 * patience + 1);
    assert_true(m.holdout_mse[m.elite[0]] < 0.1f);
    assert_int_equal(*fit_state(fit).adam_steps, m.epochs);
    assert_int_equal(fit_train(fit, &m, &env, ROWS, 1, &never), FIT_DONE);
    assert_true((double)m.epochs >= patience && (double)m.epochs < 5 * patience + 1);
    assert_int_equal(*fit_state(fit).adam_steps, m.epochs); // made anew
    fit_destroy(&fit);
    free_model(&m);
}

static void a_stop_changes_nothing(void **state) {
    (void)state;
    size_t bytes = ensemble_params(&e) * sizeof(float);
    struct fit *fit = fit_create(&config, &e, ROWS, 2);
    struct model m = new_model(), again = new_model();
    fit_train(fit, &m, &env, ROWS, 0, &never);
    atomic_bool now = true;
    assert_int_equal(fit_train(fit, &again, &env, ROWS, 1, &now), FIT_STOPPED);
    assert_memory_equal(fit_state(fit).weights, m.params, bytes);
    // Repeated, it equals an uninterrupted training.
    struct fit *other = fit_create(&config, &e, ROWS, 1);
    fit_train(other, &m, &env, ROWS, 0, &never);
    fit_train(other, &m, &env, ROWS, 1, &never);
    assert_int_equal(fit_train(fit, &again, &env, ROWS, 1, &never), FIT_DONE);
    assert_memory_equal(again.params, m.params, bytes);
    fit_destroy(&fit);
    fit_destroy(&other);
    free_model(&m);
    free_model(&again);
}

static void broken_weights_are_discarded(void **state) {
    (void)state;
    size_t bytes = ensemble_params(&e) * sizeof(float);
    struct config raw = config;
    raw.model.targets = MODEL_TARGETS_RAW;
    struct fit *fit = fit_create(&raw, &e, ROWS, 1);
    struct model m = new_model(), broken = new_model();
    fit_train(fit, &m, &env, ROWS, 0, &never);
    float before = reward[3];
    reward[3] = 1e38f; // finite, but its square is not
    assert_int_equal(fit_train(fit, &broken, &env, ROWS, 1, &never), FIT_BROKEN);
    reward[3] = before;
    assert_memory_equal(fit_state(fit).weights, m.params, bytes);
    assert_int_equal(fit_train(fit, &broken, &env, ROWS, 1, &never), FIT_DONE);
    fit_destroy(&fit);
    free_model(&m);
    free_model(&broken);
}

// A training of D_env in other units: the columns of a copy, changed.
static struct model train_changed(float scale, float offset, int rows_changed, float value,
                                  float *error) {
    static float o[ROWS * O], n[ROWS * O], r[ROWS];
    for (int i = 0; i < ROWS * O; i++) {
        o[i] = offset + scale * obs[i];
        n[i] = offset + scale * next_obs[i];
    }
    for (int i = 0; i < ROWS; i++) {
        r[i] = reward[i] * scale;
    }
    for (int i = 0; i < rows_changed; i++) {
        n[(30 + 7 * i) * O] = value;
    }
    const struct env_columns changed = {.obs_dim = O,
                                        .act_dim = 1,
                                        .obs = o,
                                        .act = act,
                                        .reward = r,
                                        .next_obs = n,
                                        .flags = env.flags};
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    for (uint64_t number = 0; number < 2; number++) {
        assert_int_equal(fit_train(fit, &m, &changed, ROWS, number, &never), FIT_DONE);
    }
    *error = m.holdout_mse[m.elite[0]];
    fit_destroy(&fit);
    return m;
}

// The error is in units of the targets' spread: it is the same in any units. In those of 1e7 the
// squares are above 1e10.
static void any_scale_and_offset_is_learned(void **state) {
    (void)state;
    static const struct {
        float scale, offset;
    } units[] = {{1, 0}, {1e-6f, 0}, {1000, 0}, {1e7f, 0}, {1, 1800}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        float error;
        struct model m = train_changed(units[i].scale, units[i].offset, 0, 0, &error);
        if (!(error > 0 && error < 0.1f)) {
            fail_msg("scale %g, offset %g: holdout error %g", (double)units[i].scale,
                     (double)units[i].offset, (double)error);
        }
        free_model(&m);
    }
}

static void wild_rows_are_left_out_and_counted(void **state) {
    (void)state;
    float error;
    struct model m = train_changed(1, 0, 2, 1e6f, &error);
    assert_int_equal(m.outliers, 2);
    assert_true(error < 0.1f);
    free_model(&m);
}

// Even raw errors above 1e10 choose the best weights.
static void large_errors_keep_the_best_weights(void **state) {
    (void)state;
    static float r[ROWS];
    for (int i = 0; i < ROWS; i++) {
        r[i] = 1e6f * reward[i];
    }
    struct env_columns large = env;
    large.reward = r;
    struct config raw = config;
    raw.model.targets = MODEL_TARGETS_RAW;
    raw.model.epochs_max = 3;
    struct fit *fit = fit_create(&raw, &e, ROWS, 1);
    struct model m = new_model();
    float *start = xfloats(ensemble_params(&e));
    memcpy(start, fit_state(fit).weights, ensemble_params(&e) * sizeof(float));
    assert_int_equal(fit_train(fit, &m, &large, ROWS, 0, &never), FIT_DONE);
    assert_true(m.holdout_mse[m.elite[0]] > 1e10f && isfinite(m.holdout_mse[m.elite[0]]));
    assert_memory_not_equal(m.params, start, mlp_params(&e.net) * sizeof(float));
    free(start);
    fit_destroy(&fit);
    free_model(&m);
}

static void constant_targets_are_predicted_exactly(void **state) {
    (void)state;
    static float o[ROWS * O], n[ROWS * O];
    memcpy(o, obs, sizeof(o));
    memcpy(n, next_obs, sizeof(n));
    for (int i = 0; i < ROWS; i++) {
        o[i * O + 1] = n[i * O + 1] = 0.1f;              // never moves
        o[i * O + 2] = (float)(1e-9 * (i * 7919 % 101)); // rounding noise
        n[i * O + 2] = (float)(1e-9 * (i * 6007 % 103));
    }
    struct env_columns flat = env;
    flat.obs = o;
    flat.next_obs = n;
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    assert_int_equal(fit_train(fit, &m, &flat, ROWS, 0, &never), FIT_DONE);
    const float *mean = m.normalizer + ensemble_target_normalizer(&e), *std = mean + T;
    assert_true(mean[2] == 0 && std[2] == 0); // no change and no noise
    assert_true(m.normalizer[IN + 1] == 0);   // nor any influence
    assert_true(std[3] == 0 && m.normalizer[IN + 2] == 0);
    assert_true(std[0] > 0 && std[1] > 0 && m.normalizer[IN] > 0);
    assert_true(m.holdout_mse[m.elite[0]] < 0.3f);
    fit_destroy(&fit);
    free_model(&m);
}

static void few_rows_and_a_capped_holdout(void **state) {
    (void)state;
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    assert_int_equal(fit_train(fit, &m, &env, 2, 0, &never),
                     FIT_DONE); // one row trains, one is held out
    fit_destroy(&fit);
    struct config capped = config;
    capped.model.holdout_rows_max = 3; // leaves the other rows for the training
    capped.model.epochs_max = 1;
    fit = fit_create(&capped, &e, ROWS, 1);
    assert_int_equal(fit_train(fit, &m, &env, ROWS, 0, &never), FIT_DONE);
    assert_int_equal(*fit_state(fit).adam_steps, (ROWS - 3 + 63) / 64);
    fit_destroy(&fit);
    free_model(&m);
}

// A budget of one step less than three epochs allows two; one is always made.
static void a_budget_counts_whole_epochs(void **state) {
    (void)state;
    struct model m = new_model();
    struct config budget = config;
    budget.model.stop = MODEL_STOP_BUDGET;
    budget.model.patience_epochs = 1000;
    budget.model.epochs_max = 0;
    const uint64_t holdout = 3, epoch = (ROWS - holdout + 63) / 64;
    budget.model.holdout_rows_max = holdout;
    const struct {
        uint64_t steps_max, taken;
    } cases[] = {{3 * epoch, 3 * epoch}, {3 * epoch - 1, 2 * epoch}, {1, epoch}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        budget.model.steps_max = cases[i].steps_max;
        struct fit *fit = fit_create(&budget, &e, ROWS, 1);
        assert_int_equal(fit_train(fit, &m, &env, ROWS, 0, &never), FIT_DONE);
        assert_int_equal(*fit_state(fit).adam_steps, cases[i].taken);
        fit_destroy(&fit);
    }
    free_model(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_trainings_follow_the_rules),
        cmocka_unit_test(threads_do_not_change_bits),
        cmocka_unit_test(the_recipe_learns),
        cmocka_unit_test(members_differ_by_weights_of_rows),
        cmocka_unit_test(fixed_rows_are_never_trained_on),
        cmocka_unit_test(free_noise_is_restored),
        cmocka_unit_test(a_paired_test_ends_the_training),
        cmocka_unit_test(a_stop_changes_nothing),
        cmocka_unit_test(broken_weights_are_discarded),
        cmocka_unit_test(any_scale_and_offset_is_learned),
        cmocka_unit_test(wild_rows_are_left_out_and_counted),
        cmocka_unit_test(large_errors_keep_the_best_weights),
        cmocka_unit_test(constant_targets_are_predicted_exactly),
        cmocka_unit_test(few_rows_and_a_capped_holdout),
        cmocka_unit_test(a_budget_counts_whole_epochs),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
