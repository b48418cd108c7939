// SPDX-License-Identifier: MIT
// Shows that a member's loss has the right value and gradient, for its network
// and for both trainable bounds of the log-variance with their own terms, that
// predictions agree with the loss, and that the optimiser decays weights only.
// Compares with a reference in double and its differences.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/grad/reference.h"

#define TOLERANCE 1e-5

struct example {
    struct ensemble e;
    int B, member;
    size_t params_len;
    float *params, *x, *y, *scratch;
    double *params64, *x64, *y64;
};

// Weights of the targets; the golden test has others.
static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// Bounds near the raw log-variances, so that every slope contributes.
static struct example make(struct ensemble e, int B, int member, uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 3);
    struct example s = {.e = e, .B = B, .member = member};
    s.params_len = ensemble_params(&e);
    s.params = normal_floats(&rng, s.params_len, 0.4);
    for (int j = 0; j < e.target_dim && !e.free_noise; j++) {
        s.params[ensemble_max_logvar_offset(&e) + (size_t)j] += 0.5f;
        s.params[ensemble_min_logvar_offset(&e) + (size_t)j] -= 1.0f;
    }
    s.x = normal_floats(&rng, (size_t)(B * e.in_dim), 1);
    s.y = normal_floats(&rng, (size_t)(B * e.target_dim), 1);
    s.scratch = garbage_floats(ensemble_scratch(&e, B));
    s.params64 = to_doubles(s.params, s.params_len);
    s.x64 = to_doubles(s.x, (size_t)(B * e.in_dim));
    s.y64 = to_doubles(s.y, (size_t)(B * e.target_dim));
    return s;
}

static void drop(struct example *s) {
    void *all[] = {s->params, s->x, s->y, s->scratch, s->params64, s->x64, s->y64};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]);
    }
}

static double loss(const double *params, const void *context) {
    const struct example *s = context;
    return reference_member_loss(&s->e, params, s->member, s->x64, s->y64, s->B);
}

// For points inside s->params64.
static double loss_in_place(const double *point, const void *context) {
    (void)point;
    const struct example *s = context;
    return loss(s->params64, context);
}

static double bounds_loss(const double *params, const void *context) {
    const struct example *s = context;
    double sum = 0;
    for (int j = 0; j < s->e.target_dim; j++) {
        sum += 0.01 * params[ensemble_max_logvar_offset(&s->e) + (size_t)j];
        sum -= 0.01 * params[ensemble_min_logvar_offset(&s->e) + (size_t)j];
    }
    return sum;
}

static void gradients_of_many_shapes(void **state) {
    (void)state;
    static const struct {
        int members, obs, act, width, hidden, B;
    } shapes[] = {
        {1, 1, 1, 1, 1, 1}, {3, 3, 1, 17, 2, 5}, {2, 11, 3, 17, 4, 6}, {2, 2, 5, 3, 1, 7}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct ensemble e = ensemble_make(shapes[i].members, shapes[i].obs, shapes[i].act,
                                          shapes[i].width, shapes[i].hidden);
        struct example s = make(e, shapes[i].B, shapes[i].members - 1, 400 + i);
        float *dparams = zero_floats(s.params_len), mse;
        double expected = loss(s.params64, &s);
        float got = ensemble_member_loss(&mse, dparams, s.scratch, &e, s.params, s.member, s.x, s.y,
                                         ones, NULL, s.B);
        check_close("loss", &got, &expected, 1, TOLERANCE);
        check_gradient("loss", dparams, s.params64, s.params_len, loss, &s, TOLERANCE);
        // The bounds alone, not hidden by larger entries.
        size_t bounds = ensemble_max_logvar_offset(&e);
        check_gradient("bounds of the loss", dparams + bounds, s.params64 + bounds,
                       s.params_len - bounds, loss_in_place, &s, TOLERANCE);
        free(dparams);
        drop(&s);
    }
}

static void bounds_terms(void **state) {
    (void)state;
    struct example s = make(ensemble_make(2, 3, 1, 5, 1), 2, 0, 410);
    float *dparams = zero_floats(s.params_len);
    double expected = bounds_loss(s.params64, &s);
    float got =
        ensemble_bounds_loss(dparams + ensemble_max_logvar_offset(&s.e), &s.e, s.params, ones);
    check_close("bounds", &got, &expected, 1, 1e-6);
    check_gradient("bounds", dparams, s.params64, s.params_len, bounds_loss, &s, TOLERANCE);
    free(dparams);
    drop(&s);
}

// Networks of zeros predict 0. Below the floor less noise gains nothing more, and the gradient is
// that of the errors alone.
static void free_noise_has_a_floor(void **state) {
    (void)state;
    enum { B = 3, T = 3 };
    struct ensemble e = ensemble_with_free_noise(ensemble_make(2, T - 1, 1, 5, 1));
    float *params = zero_floats(ensemble_params(&e)), *dparams = zero_floats(ensemble_params(&e));
    float *scratch = garbage_floats(ensemble_scratch(&e, B));
    float x[B * T] = {0}, y[B * T], *log_sigma = params + ensemble_log_sigma_offset(&e, 1);
    for (int i = 0; i < B * T; i++) {
        y[i] = i % T == 1 ? 1e-4f : 0.5f;
    }
    log_sigma[1] = -8;
    float loss = ensemble_member_loss(NULL, dparams, scratch, &e, params, 1, x, y, ones, NULL, B);
    double below = 1e-8 * exp(16);
    assert_true(fabs((double)loss - (2 * 0.25 + below + 2 * log(1e-3)) / T) < 1e-5);
    const float *gradient = dparams + ensemble_log_sigma_offset(&e, 1);
    assert_true(fabs((double)gradient[0] - (2 - 2 * 0.25) / T) < 1e-6);
    assert_true(fabs((double)gradient[1] + 2 * below / T) < 1e-5);
    assert_true(dparams[ensemble_log_sigma_offset(&e, 0)] == 0); // the other member's
    free(params);
    free(dparams);
    free(scratch);
}

// A sample is the member's own mean and spread, and its gradient by the mean is 1.
static void samples_with_free_noise(void **state) {
    (void)state;
    enum { B = 5, T = 4, N = B * T };
    struct example s = make(ensemble_with_free_noise(ensemble_make(3, T - 1, 1, 9, 2)), B, 1, 430);
    float mean[N], logvar[N], y[N], kept[N], d_output[N], noise[N], dy[N];
    float *scratch = garbage_floats(ensemble_sample_scratch(&s.e, B));
    struct rng rng = rng_make(2, RNG_TEST, 4);
    ensemble_predict(mean, logvar, s.scratch, &s.e, s.params, s.member, s.x, B);
    for (int i = 0; i < N; i++) {
        noise[i] = (float)rng_normal(&rng);
        dy[i] = (float)rng_normal(&rng);
    }
    ensemble_sample_forward(y, kept, scratch, &s.e, s.params, s.member, mean, noise, B);
    ensemble_sample_backward(d_output, kept, &s.e, dy, B);
    for (int i = 0; i < N; i++) {
        double sigma =
            exp((double)s.params[ensemble_log_sigma_offset(&s.e, s.member) + (size_t)(i % T)]);
        assert_true(fabs((double)y[i] - (double)mean[i] - sigma * (double)noise[i]) < 1e-5);
        assert_true(fabs((double)logvar[i] - 2 * log(sigma)) < 1e-5);
        assert_true(d_output[i] == dy[i]);
    }
    free(scratch);
    drop(&s);
}

// mse and loss recomputed from the output of ensemble_predict, for more rows than
// a block; also without the variance.
static void predictions_agree(void **state) {
    (void)state;
    int B = MLP_INFER_ROWS + 9;
    struct example s = make(ensemble_make(3, 3, 1, 17, 2), B, 1, 420);
    size_t n = (size_t)(B * s.e.target_dim);
    float *mean = garbage_floats(n), *again = garbage_floats(n), *logvar = garbage_floats(n);
    float *dparams = zero_floats(s.params_len), mse;
    float got = ensemble_member_loss(&mse, dparams, s.scratch, &s.e, s.params, s.member, s.x, s.y,
                                     ones, NULL, B);
    ensemble_predict(mean, logvar, s.scratch, &s.e, s.params, s.member, s.x, B);
    ensemble_predict(again, NULL, s.scratch, &s.e, s.params, s.member, s.x, B);
    assert_memory_equal(mean, again, n * sizeof(float));
    double squares = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double error = (double)mean[i] - (double)s.y[i];
        squares += error * error / (double)n;
        sum += (error * error * exp(-(double)logvar[i]) + (double)logvar[i]) / (double)n;
        double max = (double)s.params[ensemble_max_logvar_offset(&s.e) + i % 4];
        double min = (double)s.params[ensemble_min_logvar_offset(&s.e) + i % 4];
        // min + softplus(max - min) is the exact upper end, a little above max.
        assert_true(logvar[i] >= min - 1e-5 && logvar[i] <= min + log1p(exp(max - min)) + 1e-5);
    }
    check_close("mse", &mse, &squares, 1, TOLERANCE);
    check_close("loss", &got, &sum, 1, TOLERANCE);
    free(mean);
    free(again);
    free(logvar);
    free(dparams);
    drop(&s);
}

static void members_start_apart(void **state) {
    (void)state;
    struct ensemble e = ensemble_make(3, 3, 1, 5, 2);
    float *p = garbage_floats(ensemble_params(&e));
    ensemble_init(p, &e, 5);
    for (size_t i = 0; i < mlp_bias_offset(&e.net, 0); i++) {
        assert_true(p[i] != p[ensemble_member_offset(&e, 1) + i]);
        assert_true(p[i] != p[ensemble_member_offset(&e, 2) + i]);
    }
    for (size_t j = 0; j < 4; j++) {
        assert_true(p[ensemble_max_logvar_offset(&e) + j] == 0.5f);
        assert_true(p[ensemble_min_logvar_offset(&e) + j] == -10.0f);
    }
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_many_shapes), cmocka_unit_test(bounds_terms),
        cmocka_unit_test(free_noise_has_a_floor),   cmocka_unit_test(samples_with_free_noise),
        cmocka_unit_test(predictions_agree),        cmocka_unit_test(members_start_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
