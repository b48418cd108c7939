// SPDX-License-Identifier: MIT
// Shows that policy, critics, ensemble, Adam, Polyak averaging and normaliser give
// PyTorch's numbers: values and gradients from make_golden.py. Tolerances are
// several times the measured error.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/nn/adam.h"
#include "common/nn/critic.h"
#include "common/nn/ensemble.h"
#include "common/nn/normalizer.h"
#include "common/nn/policy.h"
#include "tests/golden/golden.h"

// As in make_golden.py.
enum { O = 5, A = 2, H = 16, B = 12, T = 1 + O, MEMBERS = 3 };

static float *zeros(size_t n) {
    return calloc(n, sizeof(float));
}

static void free_all(float **blocks, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(blocks[i]);
    }
}
#define FREE_ALL(...)                                                                              \
    do {                                                                                           \
        float *blocks[] = {__VA_ARGS__};                                                           \
        free_all(blocks, sizeof(blocks) / sizeof(blocks[0]));                                      \
    } while (0)

static float *input_of(const char *prefix, const char *name, size_t n) {
    char full[64];
    snprintf(full, sizeof(full), "%s.%s", prefix, name);
    return golden_input(full, n);
}

static void expect_of(const char *prefix, const char *name, const float *x, size_t n,
                      double tolerance) {
    char full[64];
    snprintf(full, sizeof(full), "%s.%s", prefix, name);
    golden_expect(full, x, n, tolerance);
}

// prefix: of the tensors' names. tolerance: of the forward pass.
static void check_policy(const char *prefix, struct policy p, double tolerance) {
    size_t n = policy_params(&p);
    float *params = input_of(prefix, "params", n), *obs = input_of(prefix, "obs", B * O);
    float *noise = input_of(prefix, "noise", B * A), *d_act = input_of(prefix, "d_act", B * A);
    float *d_log_prob = input_of(prefix, "d_log_prob", B);
    float *gradient = zeros(n), *scratch = zeros(policy_scratch(&p, B));
    float act[B * A], mean[B * A], log_prob[B];
    policy_mean(mean, scratch, &p, params, obs, B);
    expect_of(prefix, "mean", mean, B * A, tolerance);
    policy_forward(act, log_prob, scratch, &p, params, obs, noise, B);
    expect_of(prefix, "act", act, B * A, tolerance);
    expect_of(prefix, "log_prob", log_prob, B, tolerance);
    policy_backward(gradient, scratch, &p, params, noise, d_act, d_log_prob, B);
    expect_of(prefix, "gradient", gradient, n, 2 * tolerance);
    FREE_ALL(params, obs, noise, d_act, d_log_prob, gradient, scratch);
}

static void policy_numbers(void **state) {
    (void)state;
    check_policy("policy", policy_make(O, A, H, 2), 1e-6);
    const struct mlp_hidden hidden = {
        .layers = 2, .width = {12, 20}, .activation = ACTIVATION_SILU};
    // SiLU takes its exponential from elementwise.h.
    check_policy("silu_policy", policy_make_hidden(O, A, &hidden), 3e-6);
}

static void critic_numbers(void **state) {
    (void)state;
    struct critic c = critic_make(O, A, H, 2);
    size_t n = critic_params(&c);
    float *params = golden_input("critic.params", n), *obs = golden_input("critic.obs", B * O);
    float *act = golden_input("critic.act", B * A), *y = golden_input("critic.y", B);
    float *gradient = zeros(n), *x = zeros(B * (O + A));
    float *scratch[2] = {zeros(critic_scratch(&c, B)), zeros(critic_scratch(&c, B))};
    float q[2 * B], q_min[B], d_act[B * A], loss = 0;
    critic_concat(x, &c, obs, act, B);
    for (int k = 0; k < 2; k++) {
        critic_forward(q + k * B, scratch[k], &c, params, k, x, B);
        loss += critic_loss(gradient, scratch[k], &c, params, k, q + k * B, y, B);
    }
    golden_expect("critic.q", q, 2 * B, 1e-6);
    golden_expect("critic.loss", &loss, 1, 1e-6);
    golden_expect("critic.gradient", gradient, n, 2e-6);
    for (int k = 0; k < 2; k++) {
        critic_forward(q + k * B, scratch[k], &c, params, k, x, B);
    }
    critic_min(q_min, q, 2, B);
    for (int k = 0; k < 2; k++) {
        critic_min_gradient(d_act, scratch[k], &c, params, k, q, B);
    }
    golden_expect("critic.q_min", q_min, B, 1e-6);
    golden_expect("critic.d_act", d_act, B * A, 1e-6);
    FREE_ALL(params, obs, act, y, gradient, x, scratch[0], scratch[1]);
}

static void ensemble_numbers(void **state) {
    (void)state;
    struct ensemble e = ensemble_make(MEMBERS, O, A, H, 2);
    size_t n = ensemble_params(&e);
    float *params = golden_input("ensemble.params", n);
    float *x = golden_input("ensemble.x", MEMBERS * B * (O + A)),
          *y = golden_input("ensemble.y", MEMBERS * B * T);
    float *gradient = zeros(n), *scratch = zeros(ensemble_scratch(&e, B));
    float *weight = golden_input("ensemble.weight", T);
    float losses[MEMBERS], mses[MEMBERS], mean[MEMBERS * B * T], logvar[MEMBERS * B * T];
    for (int k = 0; k < MEMBERS; k++) {
        const float *xk = x + k * B * (O + A);
        ensemble_predict(mean + k * B * T, logvar + k * B * T, scratch, &e, params, k, xk, B);
        losses[k] = ensemble_member_loss(&mses[k], gradient, scratch, &e, params, k, xk,
                                         y + k * B * T, weight, NULL, B);
    }
    float bounds =
        ensemble_bounds_loss(gradient + ensemble_max_logvar_offset(&e), &e, params, weight);
    golden_expect("ensemble.mean", mean, MEMBERS * B * T, 1e-6);
    golden_expect("ensemble.logvar", logvar, MEMBERS * B * T, 1e-6);
    golden_expect("ensemble.losses", losses, MEMBERS, 1e-6);
    golden_expect("ensemble.mses", mses, MEMBERS, 1e-6);
    golden_expect("ensemble.bounds_loss", &bounds, 1, 1e-6);
    golden_expect("ensemble.gradient", gradient, n, 2e-6);
    // The trainable bounds again, alone: their gradients are small.
    size_t at = ensemble_max_logvar_offset(&e);
    const double *expected = golden_answer("ensemble.gradient", n) + at;
    for (size_t j = 0; j < 2 * T; j++) {
        assert_true(fabs((double)gradient[at + j] - expected[j]) < 1e-6);
        assert_true(weight[j % T] == 0 ? expected[j] == 0 : fabs(expected[j]) > 1e-4);
    }
    FREE_ALL(params, x, y, weight, gradient, scratch);
}

static void free_ensemble_numbers(void **state) {
    (void)state;
    struct mlp_hidden hidden = mlp_hidden_equal(H, 2, ACTIVATION_SILU);
    hidden.layer_norm = true;
    hidden.epsilon[0] = 1;
    hidden.epsilon[1] = 0.1f;
    struct ensemble e = ensemble_with_free_noise(ensemble_make_hidden(MEMBERS, O, A, &hidden));
    size_t n = ensemble_params(&e), at = ensemble_log_sigma_offset(&e, 0);
    float *params = golden_input("free.params", n),
          *x = golden_input("free.x", MEMBERS * B * (O + A));
    float *y = golden_input("free.y", MEMBERS * B * T), *weight = golden_input("free.weight", T);
    float *rows = golden_input("free.row_weight", MEMBERS * B);
    float *gradient = zeros(n), *scratch = zeros(ensemble_scratch(&e, B));
    float losses[MEMBERS], mean[MEMBERS * B * T], logvar[B * T];
    for (int k = 0; k < MEMBERS; k++) {
        const float *xk = x + k * B * (O + A);
        ensemble_predict(mean + k * B * T, logvar, scratch, &e, params, k, xk, B);
        for (size_t j = 0; j < B * T; j++) {
            assert_true(logvar[j] == 2 * params[at + (size_t)k * T + j % T]);
        }
        losses[k] = ensemble_member_loss(NULL, gradient, scratch, &e, params, k, xk, y + k * B * T,
                                         weight, rows + k * B, B);
    }
    golden_expect("free.mean", mean, MEMBERS * B * T, 1e-6);
    golden_expect("free.losses", losses, MEMBERS, 1e-6);
    golden_expect("free.gradient", gradient, n, 2e-6);
    // The noise again, alone.
    const double *expected = golden_answer("free.gradient", n);
    for (size_t j = at; j < n; j++) {
        assert_true(fabs((double)gradient[j] - expected[j]) < 1e-6 * (1 + fabs(expected[j])));
    }
    FREE_ALL(params, x, y, weight, rows, gradient, scratch);
}

static void decoupled_decay(void **state) {
    (void)state;
    enum { N = 100 };
    struct adam a = adam_make(1e-3);
    float *p = golden_input("adamw.start", N), *m = zeros(N), *v = zeros(N);
    for (uint64_t t = 1; t <= 3; t++) {
        char name[64];
        snprintf(name, sizeof(name), "adamw.gradient%d", (int)t);
        float *g = golden_input(name, N);
        adam_shrink(p, N, &a, 30);
        adam_step(p, m, v, g, N, &a, 0, t);
        free(g);
    }
    golden_expect("adamw.end", p, N, 1e-6);
    FREE_ALL(p, m, v);
}

static void adam_numbers(void **state) {
    (void)state;
    enum { N = 100 };
    static const char *const names[] = {"adam.plain", "adam.decayed"};
    struct adam a = adam_make(1e-3);
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.start", names[i]);
        float *p = golden_input(name, N), *m = zeros(N), *v = zeros(N);
        for (int t = 1; t <= 3; t++) {
            snprintf(name, sizeof(name), "%s.g%d", names[i], t);
            float *g = golden_input(name, N);
            adam_step(p, m, v, g, N, &a, i == 0 ? 0.0f : 1e-2f, (uint64_t)t);
            snprintf(name, sizeof(name), "%s.p%d", names[i], t);
            golden_expect(name, p, N, 2e-7);
            free(g);
        }
        snprintf(name, sizeof(name), "%s.m3", names[i]);
        golden_expect(name, m, N, 1e-6);
        snprintf(name, sizeof(name), "%s.v3", names[i]);
        golden_expect(name, v, N, 1e-6);
        FREE_ALL(p, m, v);
    }
    float *target = golden_input("polyak.target", N), *source = golden_input("polyak.source", N);
    // A step with a zero gradient does not change the source.
    float *m = zeros(N), *v = zeros(N), *gradient = zeros(N);
    struct adam adam = adam_make(3e-4);
    adam_polyak_step(source, m, v, target, gradient, N, &adam, 0, 0.005f, 1);
    golden_expect("polyak.result", target, N, 2e-7);
    FREE_ALL(target, source, m, v, gradient);
}

static void normalizer_numbers(void **state) {
    (void)state;
    enum { ROWS = 40, DIM = 7 };
    float *x = golden_input("normalizer.x", ROWS * DIM), block[2 * DIM], y[ROWS * DIM];
    normalizer_fit(block, x, ROWS, DIM, NULL);
    normalizer_apply(y, block, x, ROWS, DIM, INFINITY);
    golden_expect("normalizer.mean", block, DIM, 1e-7);
    golden_expect("normalizer.std", block + DIM, DIM, 1e-7);
    // A mean of 1 with a standard deviation of 1e-3 loses three digits.
    golden_expect("normalizer.y", y, ROWS * DIM, 5e-5);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_numbers),        cmocka_unit_test(critic_numbers),
        cmocka_unit_test(ensemble_numbers),      cmocka_unit_test(adam_numbers),
        cmocka_unit_test(free_ensemble_numbers), cmocka_unit_test(decoupled_decay),
        cmocka_unit_test(normalizer_numbers),
    };
    return cmocka_run_group_tests(tests, golden_open, golden_close);
}
