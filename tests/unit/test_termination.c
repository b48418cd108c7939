// SPDX-License-Identifier: MIT
// Shows that termination heads learn a rule from terminated rows with calibrated
// frequencies, are harmless with little data, and do not affect the ensemble.
//
// Episodes here terminate beyond limits on one of three numbers, in two of a hundred
// rows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/nn/normalizer.h"
#include "modelserver/model/fit.h"
#include "modelserver/model/termination_fit.h"
#include "modelserver/storage/checkpoint.h"
#include "proto/wire.h"

enum { O = 3, A = 1, ROWS = 6000, FRESH = 20000, MEMBERS = 2 };
#define LIMIT 2.33f // of a standard normal: 1.98% lie beyond

static struct config config;
static struct ensemble e;
static struct termination heads;
static float obs[FRESH * O], act[FRESH * A], reward[FRESH], next_obs[FRESH * O];
static uint8_t flags[FRESH];
static const struct env_columns env = {.obs_dim = O,
                                       .act_dim = A,
                                       .obs = obs,
                                       .act = act,
                                       .reward = reward,
                                       .next_obs = next_obs,
                                       .flags = flags};
static atomic_bool no_stop;

static bool beyond(const float *next) {
    return fabsf(next[1]) > LIMIT;
}

// Rows by the rule; column 1 is far from 0 and wide, which needs the normaliser.
static void fill_world(uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 9);
    for (int i = 0; i < FRESH; i++) {
        for (int j = 0; j < O; j++) {
            obs[i * O + j] = (float)rng_normal(&rng);
            next_obs[i * O + j] = (float)rng_normal(&rng);
        }
        flags[i] = beyond(next_obs + i * O) ? WIRE_TERMINATED : 0;
        next_obs[i * O + 1] = 40 + 10 * next_obs[i * O + 1];
    }
}

static int make_world(void **state) {
    (void)state;
    config_defaults(&config);
    config.run.seed = 11;
    config.task.termination = TASK_TERMINATION_LEARNED;
    config.model.members = MEMBERS;
    config.model.elites = 1;
    config.model.weight_decay = (struct config_list){2, {0, 0}};
    config.model.epochs_max = 1; // of the dynamics, which are not tested here
    e = ensemble_make(MEMBERS, O, A, 4, 1);
    heads = model_heads(&e, TASK_TERMINATION_LEARNED);
    return 0;
}

static struct model new_model(void) {
    return (struct model){.members = MEMBERS,
                          .elites = 1,
                          .params = xfloats(ensemble_params(&e)),
                          .normalizer = xfloats(ensemble_normalizer_floats(&e)),
                          .termination = xfloats(termination_params(&heads))};
}

static void free_model(struct model *m) {
    free(m->params);
    free(m->normalizer);
    free(m->termination);
}

static void train(struct fit *fit, struct model *m, uint64_t rows, uint64_t number) {
    assert_int_equal(fit_train(fit, m, &env, rows, number, &no_stop), FIT_DONE);
}

// One head's probabilities for rows.
static float *judged(const struct model *m, int member, int first, int n) {
    float *p = xfloats((size_t)n), *x = xfloats((size_t)n * O);
    float *scratch = xfloats(termination_scratch(&heads, n));
    normalizer_apply(x, m->termination + termination_normalizer_offset(&heads),
                     next_obs + first * O, (size_t)n, O, NORMALIZER_INPUT_LIMIT);
    termination_probability(p, scratch, &heads, m->termination, member, x, n);
    free(x);
    free(scratch);
    return p;
}

static void a_rule_and_its_frequency_are_learned(void **state) {
    (void)state;
    fill_world(1);
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    for (uint64_t number = 0; number < 3; number++) {
        train(fit, &m, ROWS, number);
    }
    for (int member = 0; member < MEMBERS; member++) {
        enum { N = FRESH - ROWS }; // rows outside of any training
        float *p = judged(&m, member, ROWS, N), *y = xfloats(N);
        double expected = 0;
        for (int i = 0; i < N; i++) {
            y[i] = flags[ROWS + i] ? 1.0f : 0.0f;
            expected += (double)p[i];
        }
        struct termination_score s;
        termination_measure(&s, p, y, N);
        if (s.missed > 0.12f || s.wrong > 0.003f ||
            fabs(expected - (double)s.ended) > 0.15 * (double)s.ended) {
            fail_msg("member %d: %.0f ended, %.1f expected; missed %.4f, wrong %.5f", member,
                     (double)s.ended, expected, (double)s.missed, (double)s.wrong);
        }
        // On the rows of the calibration both agree except for its prior.
        const struct termination_score *held = &m.termination_score[member];
        double others = ROWS * config.model.holdout_ratio - (double)held->ended;
        double off = (double)held->wrong * others - (double)(held->missed * held->ended);
        assert_true(held->ended > 10);
        assert_true(fabs(off) < 3);
        free(p);
        free(y);
    }
    fit_destroy(&fit);
    free_model(&m);
}

// One in twenty, independent of the observation: heads can learn the frequency only.
static void hidden_termination_is_a_frequency(void **state) {
    (void)state;
    fill_world(2);
    struct rng rng = rng_make(2, RNG_TEST, 10);
    for (int i = 0; i < FRESH; i++) {
        flags[i] = rng_below(&rng, 20) == 0 ? WIRE_TERMINATED : 0;
    }
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    train(fit, &m, ROWS, 0);
    float *p = judged(&m, 0, ROWS, FRESH - ROWS);
    double sum = 0, largest = 0;
    for (int i = 0; i < FRESH - ROWS; i++) {
        sum += (double)p[i];
        largest = fmax(largest, (double)p[i]);
    }
    double mean = sum / (FRESH - ROWS);
    if (fabs(mean - 0.05) > 0.015 || largest > 0.5) {
        fail_msg("mean %.4f, largest %.4f; 0.05 of the rows ended", mean, largest);
    }
    free(p);
    fit_destroy(&fit);
    free_model(&m);
}

static void nothing_ends_before_the_first_termination(void **state) {
    (void)state;
    fill_world(3);
    uint8_t kept[FRESH];
    memcpy(kept, flags, sizeof(kept));
    for (int i = 0; i < FRESH; i++) { // time limits are no ends
        flags[i] = i % 100 == 0 ? WIRE_TRUNCATED : 0;
    }
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    train(fit, &m, ROWS, 0);
    for (int member = 0; member < MEMBERS; member++) {
        float *p = judged(&m, member, 0, ROWS);
        for (int i = 0; i < ROWS; i++) {
            assert_true(p[i] < 1e-30f);
        }
        free(p);
        assert_true(m.termination_score[member].ended == 0);
        assert_true(m.termination_score[member].log_loss == 0);
        assert_true(termination_is_never(&heads, m.termination, member));
    }
    // No head was trained: its weights are the initial ones.
    float *initial = xfloats(termination_params(&heads));
    termination_init(initial, &heads, config.run.seed);
    assert_memory_equal(m.termination, initial, termination_params(&heads) * sizeof(float));
    assert_int_equal(*fit_state(fit).termination_steps, 0);
    free(initial);
    // A single termination: few are predicted, wherever it was, also if it is held out.
    flags[17] = WIRE_TERMINATED;
    for (uint64_t number = 1; number < 4; number++) {
        train(fit, &m, ROWS, number);
        float *p = judged(&m, 0, 0, ROWS);
        double sum = 0;
        for (int i = 0; i < ROWS; i++) {
            assert_true(isfinite(p[i]));
            sum += (double)p[i];
        }
        if (sum > 30) {
            fail_msg("%.1f ends expected after 1 of %d rows", sum, ROWS);
        }
        free(p);
    }
    // With many terminations, heads learn normally.
    memcpy(flags, kept, sizeof(kept));
    train(fit, &m, ROWS, 4);
    assert_true(m.termination_score[0].missed < 0.2f);
    fit_destroy(&fit);
    free_model(&m);
}

// The ensemble is tiny here, and its share of a training buys no steps: those of the ends count.
static void heads_take_few_steps_once_they_have_learned(void **state) {
    (void)state;
    fill_world(7);
    struct fit *fit = fit_create(&config, &e, ROWS, 1);
    struct model m = new_model();
    train(fit, &m, 1000, 0);
    uint64_t first = *fit_state(fit).termination_steps, ends = 0;
    for (int i = 0; i < 1000; i++) {
        ends += flags[i] != 0 && (i + 1) % 5 != 0; // every fifth row is held out
    }
    assert_int_equal(first, TERMINATION_STEPS_PER_END * ends);
    train(fit, &m, 1000, 1); // no new end
    uint64_t second = *fit_state(fit).termination_steps - first;
    assert_true(second >= 1 && second < first / 4);
    fit_destroy(&fit);
    free_model(&m);
}

static void the_ensemble_is_unaffected(void **state) {
    (void)state;
    fill_world(4);
    struct config plain = config;
    plain.task.termination = TASK_TERMINATION_RULE;
    struct fit *with = fit_create(&config, &e, ROWS, 1), *without = fit_create(&plain, &e, ROWS, 1);
    struct model a = new_model(), b = new_model();
    for (uint64_t number = 0; number < 2; number++) {
        train(with, &a, 2000, number);
        train(without, &b, 2000, number);
        assert_memory_equal(a.params, b.params, ensemble_params(&e) * sizeof(float));
    }
    assert_int_equal(fit_state(without).termination_params, 0);
    assert_null(fit_state(without).termination);
    fit_destroy(&with);
    fit_destroy(&without);
    free_model(&a);
    free_model(&b);
}

static void threads_and_restarts_do_not_change_bits(void **state) {
    (void)state;
    fill_world(5);
    char path[] = "/tmp/spur-termination-XXXXXX", err[512];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const struct ms_checkpoint_run run = {"mine", 4711, 11};
    struct fit *one = fit_create(&config, &e, ROWS, 1), *two = fit_create(&config, &e, ROWS, 2);
    struct model m = new_model(), back = new_model();
    train(one, &m, 2000, 0);
    struct fit_state from = fit_state(one), to = fit_state(two);
    const struct ms_state none = {0};
    struct ms_state words;
    bool has_model = false;
    if (ms_checkpoint_write(path, &run, &none, &m, &from, true, err, sizeof(err)) != 0 ||
        ms_checkpoint_read(path, &run, &words, &to, &back, &has_model, err, sizeof(err)) != 0) {
        fail_msg("%s", err);
    }
    size_t bytes = termination_params(&heads) * sizeof(float);
    assert_true(has_model);
    assert_memory_equal(back.termination, m.termination, bytes);
    assert_memory_equal(back.termination_score, m.termination_score,
                        MEMBERS * sizeof(m.termination_score[0]));

    train(one, &m, 2200, 1);
    train(two, &back, 2200, 1);
    assert_memory_equal(back.termination, m.termination, bytes);
    assert_memory_equal(fit_state(two).termination_v, fit_state(one).termination_v,
                        termination_trained(&heads) * sizeof(float));
    assert_int_equal(*fit_state(two).termination_steps, *fit_state(one).termination_steps);

    // A checkpoint without heads is refused where heads are required.
    struct config plain = config;
    plain.task.termination = TASK_TERMINATION_RULE;
    struct fit *without = fit_create(&plain, &e, ROWS, 1);
    from = fit_state(without);
    assert_int_equal(ms_checkpoint_write(path, &run, &none, &m, &from, true, err, sizeof(err)), 0);
    assert_int_equal(
        ms_checkpoint_read(path, &run, &words, &to, &back, &has_model, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "termination.weights"));
    unlink(path);
    fit_destroy(&one);
    fit_destroy(&two);
    fit_destroy(&without);
    free_model(&m);
    free_model(&back);
}

// A logit of -95 is wrong by 5e-42, a denormal number: matrix products with it are ten times
// slower.
static void certain_rows_have_no_gradient(void **state) {
    (void)state;
    enum { B = 32 };
    size_t n = mlp_params(&heads.net);
    float *params = xfloats(termination_params(&heads)), *grad = xfloats(n);
    float *scratch = xfloats(termination_scratch(&heads, B));
    static float x[B * O], y[B];
    params[mlp_bias_offset(&heads.net, heads.net.layers - 1)] = -95;
    termination_loss(grad, scratch, &heads, params, 0, x, y, B);
    for (size_t i = 0; i < n; i++) {
        assert_true(grad[i] == 0);
    }
    y[3] = 1; // a row that ended counts
    termination_loss(grad, scratch, &heads, params, 0, x, y, B);
    assert_true(grad[mlp_bias_offset(&heads.net, heads.net.layers - 1)] == -1.0f / B);
    free(params);
    free(grad);
    free(scratch);
}

// ---- calibration alone ----

static void calibration_corrects_scale_and_shift(void **state) {
    (void)state;
    enum { N = 20000 };
    static float z[N], y[N];
    struct rng rng = rng_make(6, RNG_TEST, 11);
    double ended = 0;
    for (int i = 0; i < N; i++) { // labels of log-odds z / 2 - 3
        z[i] = 4 * (float)rng_normal(&rng);
        y[i] = rng_uniform(&rng) < 1 / (1 + exp(3 - 0.5 * (double)z[i])) ? 1.0f : 0.0f;
        ended += (double)y[i];
    }
    float scale, shift;
    termination_calibrate(&scale, &shift, z, y, N, -8);
    assert_true(fabsf(scale - 0.5f) < 0.05f);
    assert_true(fabsf(shift + 3.0f) < 0.15f);
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += 1 / (1 + exp(-(double)(scale * z[i] + shift)));
    }
    // The shift's normal equation: all but (shift - expected_shift) of them.
    assert_true(fabs(sum - ended + (double)shift + 8) < 0.1);
}

static void calibration_without_data_keeps_its_prior(void **state) {
    (void)state;
    float scale, shift;
    termination_calibrate(&scale, &shift, NULL, NULL, 0, -5);
    assert_true(scale == 1 && shift == -5);
    // Perfectly separable labels: steeper, but bounded.
    float z[400], y[400];
    for (int i = 0; i < 400; i++) {
        y[i] = i < 20 ? 1.0f : 0.0f;
        z[i] = i < 20 ? 2.0f : -2.0f;
    }
    termination_calibrate(&scale, &shift, z, y, 400, -3);
    assert_true(scale > 1 && scale < 10);
    assert_true(isfinite(shift));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_and_its_frequency_are_learned),
        cmocka_unit_test(hidden_termination_is_a_frequency),
        cmocka_unit_test(nothing_ends_before_the_first_termination),
        cmocka_unit_test(heads_take_few_steps_once_they_have_learned),
        cmocka_unit_test(the_ensemble_is_unaffected),
        cmocka_unit_test(threads_and_restarts_do_not_change_bits),
        cmocka_unit_test(certain_rows_have_no_gradient),
        cmocka_unit_test(calibration_corrects_scale_and_shift),
        cmocka_unit_test(calibration_without_data_keeps_its_prior),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
