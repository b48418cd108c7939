// SPDX-License-Identifier: MIT
// Shows that each cause of divergence is found by its figure and named with what to try, that
// figures of healthy runs and unknown ones are none, and how the figures of a run are made.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "modelserver/core/divergence.h"
#include "proto/wire.h"

// Hopper when it hops: rewards up to 5, 3,200 in 1,000 steps.
static struct divergence_figures healthy(void) {
    return (struct divergence_figures){.has_model = true,
                                       .reward_low = -1,
                                       .reward_high = 5,
                                       .q_mean = 300,
                                       .entropy_reward = -0.1,
                                       .discount = 0.99,
                                       .earned = 320,
                                       .gradient_norm = 8,
                                       .gradient_norm_mean = 5,
                                       .model_error = 0.014,
                                       .model_error_before = 0.012};
}

static void expect(const struct divergence_figures *f, enum divergence_cause cause,
                   const char *part) {
    char text[WIRE_STRING_MAX];
    enum divergence_cause found = divergence_find(text, sizeof(text), f);
    if (found != cause || !strstr(text, part) || (cause == DIVERGENCE_NONE && text[0] != '\0')) {
        fail_msg("cause %d, not %d: \"%s\"", (int)found, (int)cause, text);
    }
    assert_true(strlen(text) < WIRE_STRING_MAX - 1); // not cut off
}

static void healthy_figures_are_silent(void **state) {
    (void)state;
    struct divergence_figures f = healthy();
    expect(&f, DIVERGENCE_NONE, "");
    // Hopper's seed 1 at step 9,000, before the returns follow.
    f.q_mean = 411;
    f.earned = 155;
    expect(&f, DIVERGENCE_NONE, "");
    // A cheetah's first steps: returns around 0, and the critics ahead of them.
    f = healthy();
    f.reward_low = -3;
    f.reward_high = 6;
    f.discount = 0.995;
    f.q_mean = 224;
    f.earned = -1;
    expect(&f, DIVERGENCE_NONE, "");
    // Costs alone.
    f.reward_low = -5;
    f.reward_high = -0.2;
    f.earned = -60;
    f.q_mean = -40;
    expect(&f, DIVERGENCE_NONE, "");
    // A model error that grows a thousandfold and stays small: InvertedPendulum's first balance.
    f = healthy();
    f.model_error_before = 2e-5;
    f.model_error = 0.07;
    expect(&f, DIVERGENCE_NONE, "");
}

static void values_beyond_the_rewards(void **state) {
    (void)state;
    struct divergence_figures f = healthy();
    // Values are in [-110, 510], which is 620 wide; the bounds are -110 - 620 and 510 + 620.
    f.earned = (double)NAN;
    f.q_mean = 1129;
    expect(&f, DIVERGENCE_NONE, "");
    f.q_mean = 1131;
    expect(&f, DIVERGENCE_VALUES, "mean value is 1131; rewards allow -110 to 510 at discount 0.99");
    f.q_mean = -729;
    expect(&f, DIVERGENCE_NONE, "");
    f.q_mean = -731;
    expect(&f, DIVERGENCE_VALUES, "sac.critic_learning_rate");
    f.q_mean = 1e30;
    expect(&f, DIVERGENCE_VALUES, "1e+30");
    // Entropy is a reward, too.
    f.q_mean = 1131;
    f.entropy_reward = 3;
    expect(&f, DIVERGENCE_NONE, "");
    // Rewards of one sign: an episode that ends has the value 0.
    f = healthy();
    f.entropy_reward = 0;
    f.earned = (double)NAN;
    f.reward_low = f.reward_high = 1;
    f.q_mean = 199;
    expect(&f, DIVERGENCE_NONE, "");
    f.q_mean = 201;
    expect(&f, DIVERGENCE_VALUES, "0 to 100");
    f.reward_low = f.reward_high = -1;
    f.q_mean = 101;
    expect(&f, DIVERGENCE_VALUES, "-100 to 0");
}

static void predictions_beyond_the_returns(void **state) {
    (void)state;
    struct divergence_figures f = healthy();
    // Three times the earned value, and a quarter of the range of values: 600 + 155.
    f.earned = 200;
    f.q_mean = 754;
    expect(&f, DIVERGENCE_NONE, "");
    f.q_mean = 756;
    expect(&f, DIVERGENCE_EXPLOITS, "predict a value of 756, and the policy earns 200");
    expect(&f, DIVERGENCE_EXPLOITS, "rollout.schedule");
    f.has_model = false;
    expect(&f, DIVERGENCE_EXPLOITS, "sac.critic_learning_rate");
    // Entropy of future steps is part of the prediction: 600 + 151 + 1.
    f.entropy_reward = 0.01;
    f.q_mean = 751;
    expect(&f, DIVERGENCE_NONE, "");
    f.q_mean = 752;
    expect(&f, DIVERGENCE_EXPLOITS, "");
    f.earned = -200;
    f.q_mean = 360;
    expect(&f, DIVERGENCE_EXPLOITS, "the policy earns -200");
    f.q_mean = 340;
    expect(&f, DIVERGENCE_NONE, "");
}

static void gradient_and_model(void **state) {
    (void)state;
    struct divergence_figures f = healthy();
    f.gradient_norm = 499;
    expect(&f, DIVERGENCE_NONE, "");
    f.gradient_norm = 600;
    expect(&f, DIVERGENCE_GRADIENT, "norm 600, 120 times the mean before");
    f = healthy();
    f.model_error_before = 0.012;
    f.model_error = 0.119;
    expect(&f, DIVERGENCE_NONE, "");
    f.model_error = 0.18;
    expect(&f, DIVERGENCE_MODEL, "holdout error is 0.18, 15 times");
}

static void what_is_not_known_is_no_cause(void **state) {
    (void)state;
    struct divergence d;
    divergence_init(&d, true);
    expect(&d.figures, DIVERGENCE_NONE, "");
    double *figures[] = {&d.figures.reward_low, &d.figures.q_mean, &d.figures.discount};
    for (int i = 0; i < 3; i++) {
        d.figures = healthy();
        d.figures.q_mean = 1e9;
        *figures[i] = (double)NAN;
        expect(&d.figures, DIVERGENCE_NONE, "");
    }
    d.figures = healthy();
    d.figures.q_mean = 1e9;
    d.figures.entropy_reward = (double)NAN; // of a method without entropy
    expect(&d.figures, DIVERGENCE_VALUES, "");
}

// ---- figures of a run ----

static void learn(struct divergence *d, double q_mean, double norm) {
    struct metrics m = {0};
    metrics_set(&m, "q_mean", q_mean);
    metrics_set(&m, "temperature", 0.5);
    metrics_set(&m, "entropy", 2);
    metrics_set(&m, "discount", 0.99);
    metrics_set(&m, "gradient_norm", norm);
    divergence_learnt(d, &m, -1, 5);
}

static void returns_become_values(void **state) {
    (void)state;
    struct divergence d;
    divergence_init(&d, true);
    const double returns[] = {1000, 20}, lengths[] = {1000, 10};
    divergence_evaluated(&d, returns, lengths, 2, 1000); // the discount is not known
    assert_int_equal(d.evaluations, 0);
    learn(&d, 50, 1);
    assert_true(d.figures.entropy_reward == 1);
    divergence_evaluated(&d, returns, lengths, 1, 1000); // 1 for ever
    divergence_evaluated(&d, returns + 1, lengths + 1, 1, 1000);
    assert_true(isnan(d.figures.earned)); // three evaluations count
    divergence_evaluated(&d, returns, lengths, 2, 1000);
    assert_true(fabs(d.figures.earned - 100) < 1e-9); // the best of them
    divergence_evaluated(&d, returns + 1, lengths + 1, 1, 1000);
    double fall = 2 * (1 - pow(0.99, 10)) / 0.01; // 2 a step, for 10 steps
    assert_true(fabs(d.figures.earned - (100 + fall) / 2) < 1e-9);
}

static void norms_and_errors_have_a_past(void **state) {
    (void)state;
    struct divergence d;
    divergence_init(&d, true);
    for (int i = 0; i < 100; i++) {
        learn(&d, 50, i % 2 ? 2 : 8);
        assert_true(isnan(d.figures.gradient_norm_mean));
    }
    learn(&d, 50, (double)NAN); // of a method that has none, or without updates
    learn(&d, 50, 1e6);
    assert_true(d.figures.gradient_norm == 1e6);
    assert_true(fabs(d.figures.gradient_norm_mean - 4) < 1e-9);

    const double errors[] = {0.5, 0.01, 0.01};
    for (int i = 0; i < 3; i++) {
        divergence_trained(&d, errors[i]);
        assert_true(isnan(d.figures.model_error_before));
    }
    for (int i = 0; i < 8; i++) {
        divergence_trained(&d, 0.02);
        assert_true(d.figures.model_error_before == 0.5);
    }
    divergence_trained(&d, 0.3); // the largest of the last ten
    assert_true(d.figures.model_error_before == 0.02);
    assert_true(d.figures.model_error == 0.3);
}

static void a_cause_is_logged_once(void **state) {
    (void)state;
    struct divergence d;
    char lines[4096] = "";
    FILE *log = tmpfile();
    log_init("test", LOG_WARN, fileno(log));
    divergence_init(&d, true);
    for (int i = 0; i < 5; i++) {
        learn(&d, 1e5, 1);
        learn(&d, 50, 1);
    }
    divergence_trained(&d, 0.01);
    divergence_trained(&d, 0.01);
    divergence_trained(&d, 0.01);
    divergence_trained(&d, 2);
    log_init("test", LOG_INFO, -1);
    rewind(log);
    size_t len = fread(lines, 1, sizeof(lines) - 1, log);
    fclose(log);
    assert_true(len > 0);
    const char *first = strstr(lines, "mean value is 1e+05"), *second = strstr(lines, "holdout");
    assert_non_null(first);
    assert_non_null(second);
    assert_null(strstr(first + 1, "mean value"));
    assert_null(strstr(second + 1, "holdout error"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(healthy_figures_are_silent),
        cmocka_unit_test(values_beyond_the_rewards),
        cmocka_unit_test(predictions_beyond_the_returns),
        cmocka_unit_test(gradient_and_model),
        cmocka_unit_test(what_is_not_known_is_no_cause),
        cmocka_unit_test(returns_become_values),
        cmocka_unit_test(norms_and_errors_have_a_past),
        cmocka_unit_test(a_cause_is_logged_once),
    };
    return cmocka_run_group_tests_name("divergence", tests, NULL, NULL);
}
