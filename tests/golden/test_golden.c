// SPDX-License-Identifier: MIT
// Shows that policy, critics, ensemble, Adam, Polyak averaging and normaliser give
// PyTorch's numbers: values and gradients from make_golden.py, which computed
// them in float64 from the float32 inputs that are stored with them. Tolerances
// are relative to the largest number of a tensor, several times what is measured.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/adam.h"
#include "common/nn/critic.h"
#include "common/nn/ensemble.h"
#include "common/nn/normalizer.h"
#include "common/nn/policy.h"
#include "common/nn/safetensors.h"

// As in make_golden.py.
enum { O = 5, A = 2, H = 16, B = 12, T = 1 + O, MEMBERS = 3 };

static struct safetensors *golden;

static int set_up(void **state) {
    (void)state;
    char path[4096], err[512];
    const char *root = getenv("SPUR_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/tests/golden/golden.safetensors", root ? root : ".");
    golden = safetensors_open(path, err, sizeof(err));
    if (!golden) {
        print_error("%s\n", err);
    }
    return golden ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    safetensors_close(&golden);
    return 0;
}

static uint64_t count(const struct tensor *t) {
    uint64_t n = 1;
    for (int i = 0; i < t->dims; i++) {
        n *= t->shape[i];
    }
    return n;
}

// A stored input of n floats; freed with free().
static float *input(const char *name, size_t n) {
    char err[256];
    float *x = malloc(n * sizeof(float));
    if (safetensors_copy_f32(golden, name, x, n, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
    return x;
}

// Compares n numbers with a stored answer.
static void expect(const char *name, const float *got, size_t n, double tolerance) {
    const struct tensor *t = safetensors_find(golden, name);
    if (!t || t->type != TENSOR_F64 || count(t) != n) {
        fail_msg("golden.safetensors has no %s of %zu numbers", name, n);
        return;
    }
    const double *expected = t->data;
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - expected[i]);
        largest = fmax(largest, fabs(expected[i]));
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst <= tolerance * largest)) {
        fail_msg("%s[%zu] is %.9g, PyTorch says %.9g (largest %.3g)", name, at, (double)got[at],
                 expected[at], largest);
    }
    print_message("          %-22s error %.1e of the largest (allowed %.0e)\n", name,
                  worst / largest, tolerance);
}

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

static void policy_numbers(void **state) {
    (void)state;
    struct policy p = policy_make(O, A, H, 2);
    size_t n = policy_params(&p);
    float *params = input("policy.params", n), *obs = input("policy.obs", B * O);
    float *noise = input("policy.noise", B * A), *d_act = input("policy.d_act", B * A);
    float *d_log_prob = input("policy.d_log_prob", B);
    float *gradient = zeros(n), *scratch = zeros(policy_scratch(&p, B));
    float act[B * A], mean[B * A], log_prob[B];
    policy_mean(mean, scratch, &p, params, obs, B);
    expect("policy.mean", mean, B * A, 1e-6);
    policy_forward(act, log_prob, scratch, &p, params, obs, noise, B);
    expect("policy.act", act, B * A, 1e-6);
    expect("policy.log_prob", log_prob, B, 1e-6);
    policy_backward(gradient, scratch, &p, params, noise, d_act, d_log_prob, B);
    expect("policy.gradient", gradient, n, 2e-6);
    FREE_ALL(params, obs, noise, d_act, d_log_prob, gradient, scratch);
}

static void critic_numbers(void **state) {
    (void)state;
    struct critic c = critic_make(O, A, H, 2);
    size_t n = critic_params(&c);
    float *params = input("critic.params", n), *obs = input("critic.obs", B * O);
    float *act = input("critic.act", B * A), *y = input("critic.y", B);
    float *gradient = zeros(n), *x = zeros(B * (O + A));
    float *scratch[2] = {zeros(critic_scratch(&c, B)), zeros(critic_scratch(&c, B))};
    float q[2 * B], q_min[B], d_act[B * A], loss = 0;
    critic_concat(x, &c, obs, act, B);
    for (int k = 0; k < 2; k++) {
        critic_forward(q + k * B, scratch[k], &c, params, k, x, B);
        loss += critic_loss(gradient, scratch[k], &c, params, k, q + k * B, y, B);
    }
    expect("critic.q", q, 2 * B, 1e-6);
    expect("critic.loss", &loss, 1, 1e-6);
    expect("critic.gradient", gradient, n, 2e-6);
    for (int k = 0; k < 2; k++) {
        critic_forward(q + k * B, scratch[k], &c, params, k, x, B);
    }
    critic_min(q_min, q, B);
    for (int k = 0; k < 2; k++) {
        critic_min_gradient(d_act, scratch[k], &c, params, k, q, B);
    }
    expect("critic.q_min", q_min, B, 1e-6);
    expect("critic.d_act", d_act, B * A, 1e-6);
    FREE_ALL(params, obs, act, y, gradient, x, scratch[0], scratch[1]);
}

static void ensemble_numbers(void **state) {
    (void)state;
    struct ensemble e = ensemble_make(MEMBERS, O, A, H, 2);
    size_t n = ensemble_params(&e);
    float *params = input("ensemble.params", n);
    float *x = input("ensemble.x", MEMBERS * B * (O + A)),
          *y = input("ensemble.y", MEMBERS * B * T);
    float *gradient = zeros(n), *scratch = zeros(ensemble_scratch(&e, B));
    float losses[MEMBERS], mses[MEMBERS], mean[MEMBERS * B * T], logvar[MEMBERS * B * T];
    for (int k = 0; k < MEMBERS; k++) {
        const float *xk = x + k * B * (O + A);
        ensemble_predict(mean + k * B * T, logvar + k * B * T, scratch, &e, params, k, xk, B);
        losses[k] =
            ensemble_member_loss(&mses[k], gradient, scratch, &e, params, k, xk, y + k * B * T, B);
    }
    float bounds = ensemble_bounds_loss(gradient + ensemble_max_logvar_offset(&e), &e, params);
    expect("ensemble.mean", mean, MEMBERS * B * T, 1e-6);
    expect("ensemble.logvar", logvar, MEMBERS * B * T, 1e-6);
    expect("ensemble.losses", losses, MEMBERS, 1e-6);
    expect("ensemble.mses", mses, MEMBERS, 1e-6);
    expect("ensemble.bounds_loss", &bounds, 1, 1e-6);
    expect("ensemble.gradient", gradient, n, 2e-6);
    // The trainable bounds once more by themselves: their gradients are small.
    size_t at = ensemble_max_logvar_offset(&e);
    const double *expected =
        (const double *)safetensors_find(golden, "ensemble.gradient")->data + at;
    for (size_t j = 0; j < 2 * T; j++) {
        assert_true(fabs((double)gradient[at + j] - expected[j]) < 1e-6);
        assert_true(fabs(expected[j]) > 1e-4);
    }
    FREE_ALL(params, x, y, gradient, scratch);
}

static void adam_numbers(void **state) {
    (void)state;
    enum { N = 100 };
    static const char *const names[] = {"adam.plain", "adam.decayed"};
    struct adam a = adam_make(1e-3);
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.start", names[i]);
        float *p = input(name, N), *m = zeros(N), *v = zeros(N);
        for (int t = 1; t <= 3; t++) {
            snprintf(name, sizeof(name), "%s.g%d", names[i], t);
            float *g = input(name, N);
            adam_step(p, m, v, g, N, &a, i == 0 ? 0.0f : 1e-2f, (uint64_t)t);
            snprintf(name, sizeof(name), "%s.p%d", names[i], t);
            expect(name, p, N, 2e-7);
            free(g);
        }
        snprintf(name, sizeof(name), "%s.m3", names[i]);
        expect(name, m, N, 1e-6);
        snprintf(name, sizeof(name), "%s.v3", names[i]);
        expect(name, v, N, 1e-6);
        FREE_ALL(p, m, v);
    }
    float *target = input("polyak.target", N), *source = input("polyak.source", N);
    // A step without gradient leaves the source where it is.
    float *m = zeros(N), *v = zeros(N), *gradient = zeros(N);
    struct adam adam = adam_make(3e-4);
    adam_polyak_step(source, m, v, target, gradient, N, &adam, 0, 0.005f, 1);
    expect("polyak.result", target, N, 2e-7);
    FREE_ALL(target, source, m, v, gradient);
}

static void normalizer_numbers(void **state) {
    (void)state;
    enum { ROWS = 40, DIM = 7 };
    float *x = input("normalizer.x", ROWS * DIM), block[2 * DIM], y[ROWS * DIM];
    normalizer_fit(block, x, ROWS, DIM);
    normalizer_apply(y, block, x, ROWS, DIM);
    expect("normalizer.mean", block, DIM, 1e-7);
    expect("normalizer.std", block + DIM, DIM, 1e-7);
    // A mean of 1 over a spread of 1e-3 costs three digits.
    expect("normalizer.y", y, ROWS * DIM, 5e-5);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_numbers),     cmocka_unit_test(critic_numbers),
        cmocka_unit_test(ensemble_numbers),   cmocka_unit_test(adam_numbers),
        cmocka_unit_test(normalizer_numbers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
