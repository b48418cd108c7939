// SPDX-License-Identifier: MIT
// Shows that networks compute the same function after a change of the statistics of their inputs
// and outputs, for policies, critics and the whole ensemble; that constant columns begin without
// influence; and that the growth of weights has a limit where inputs were bounded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/nn/normalizer.h"
#include "common/nn/reparam.h"

enum { IN = 4, OUT = 3, MEMBERS = 2, ROWS = 9 };

static struct rng rng;

static void fill(float *x, size_t n, double sd) {
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(sd * rng_normal(&rng));
    }
}

// Some statistics, all columns moving.
static void fill_normalizer(float *block, int dim) {
    for (int j = 0; j < dim; j++) {
        block[j] = (float)(5 * rng_normal(&rng));
        block[dim + j] = (float)exp(rng_normal(&rng));
    }
}

// out = mean + std f((x - mean) / std)
static void evaluate(float *out, const struct mlp *net, const float *params, const float *inputs,
                     const float *outputs, const float *x) {
    float z[ROWS * IN];
    float *scratch = xfloats(mlp_scratch(net, ROWS));
    normalizer_apply(z, inputs, x, ROWS, IN, INFINITY);
    mlp_infer(out, scratch, net, params, z, ROWS);
    for (int i = 0; i < ROWS * OUT; i++) {
        out[i] = outputs[i % OUT] + outputs[OUT + i % OUT] * out[i];
    }
    free(scratch);
}

static void assert_close(const float *a, const float *b, size_t n, double scale) {
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)a[i] - (double)b[i]) <= 1e-5 * scale)) {
            fail_msg("number %zu: %.9g, expected %.9g", i, (double)a[i], (double)b[i]);
        }
    }
}

static void a_network_keeps_its_function(void **state) {
    (void)state;
    rng = rng_make(1, RNG_TEST, 60);
    struct mlp net = mlp_make(IN, 16, 2, OUT, ACTIVATION_SILU);
    float *params = xfloats(mlp_params(&net));
    float in[2][2 * IN], out[2][2 * OUT], x[ROWS * IN], before[ROWS * OUT], after[ROWS * OUT];
    fill(params, mlp_params(&net), 0.5);
    fill(x, ROWS * IN, 5);
    for (int i = 0; i < 2; i++) {
        fill_normalizer(in[i], IN);
        fill_normalizer(out[i], OUT);
    }
    evaluate(before, &net, params, in[0], out[0], x);
    reparam_inputs(params, &net, in[0], in[1], IN, INFINITY);
    reparam_outputs(params, &net, out[0], out[1], 0, OUT);
    evaluate(after, &net, params, in[1], out[1], x);
    assert_close(after, before, ROWS * OUT, 20);
    free(params);
}

static void keeps_mean_and_variance(bool free_noise) {
    rng = rng_make(1, RNG_TEST, 61);
    enum { O = 2, T = 1 + O };
    struct ensemble e = ensemble_make(MEMBERS, O, IN - O, 16, 2);
    e = free_noise ? ensemble_with_free_noise(e) : e;
    size_t targets = ensemble_target_normalizer(&e);
    float *params = xfloats(ensemble_params(&e)), x[ROWS * IN], z[ROWS * IN];
    float *scratch = xfloats(ensemble_scratch(&e, ROWS));
    float block[2][2 * (IN + T)], mean[2][ROWS * T], logvar[2][ROWS * T];
    ensemble_init(params, &e, 7);
    fill(x, ROWS * IN, 5);
    for (int i = 0; i < 2; i++) {
        fill_normalizer(block[i], IN);
        fill_normalizer(block[i] + targets, T);
    }
    for (int i = 0; i < 2; i++) {
        normalizer_apply(z, block[i], x, ROWS, IN, INFINITY);
        ensemble_predict(mean[i], logvar[i], scratch, &e, params, 1, z, ROWS);
        const float *shift = block[i] + targets, *std = shift + T;
        for (int k = 0; k < ROWS * T; k++) {
            mean[i][k] = shift[k % T] + std[k % T] * mean[i][k];
            logvar[i][k] += 2 * logf(std[k % T]);
        }
        if (i == 0) {
            reparam_ensemble(params, &e, block[0], block[1]);
        }
    }
    assert_close(mean[1], mean[0], ROWS * T, 20);
    assert_close(logvar[1], logvar[0], ROWS * T, 10);
    free(params);
    free(scratch);
}

static void the_ensemble_keeps_mean_and_variance(void **state) {
    (void)state;
    keeps_mean_and_variance(false);
    keeps_mean_and_variance(true);
}

static void constant_columns_begin_without_influence(void **state) {
    (void)state;
    rng = rng_make(1, RNG_TEST, 62);
    struct mlp net = mlp_make(IN, 16, 1, OUT, ACTIVATION_RELU);
    float *params = xfloats(mlp_params(&net));
    float in[2][2 * IN], out[2][2 * OUT], x[ROWS * IN], before[ROWS * OUT], after[ROWS * OUT];
    fill(params, mlp_params(&net), 0.5);
    fill(x, ROWS * IN, 5);
    fill_normalizer(in[0], IN);
    fill_normalizer(out[0], OUT);
    in[0][IN + 2] = 0;   // an input ...
    out[0][OUT + 1] = 0; // ... and an output that begin to move
    memcpy(in[1], in[0], sizeof(in[0]));
    memcpy(out[1], out[0], sizeof(out[0]));
    in[1][IN + 2] = 3;
    out[1][OUT + 1] = 2;
    evaluate(before, &net, params, in[0], out[0], x);
    reparam_inputs(params, &net, in[0], in[1], IN, NORMALIZER_INPUT_LIMIT);
    reparam_outputs(params, &net, out[0], out[1], 0, OUT);
    evaluate(after, &net, params, in[1], out[1], x);
    assert_close(after, before, ROWS * OUT, 20);
    free(params);
}

// A column that was rounding noise and moves by 1: its weights do not grow a millionfold.
static void weights_grow_up_to_the_limit(void **state) {
    (void)state;
    struct mlp net = mlp_make(1, 1, 1, 1, ACTIVATION_RELU);
    float params[] = {0.5f, 0, 1, 0};
    const float from[] = {0, 1e-6f}, to[] = {0, 1};
    reparam_inputs(params, &net, from, to, 1, NORMALIZER_INPUT_LIMIT);
    assert_true(params[0] == 5);
}

// With constant inputs left out, the first layer has the spread of a network without them.
static void fresh_members_ignore_constant_inputs(void **state) {
    (void)state;
    enum { MANY = 200, MOVING = 8 };
    struct ensemble e = ensemble_make(1, MANY - 1, 1, 64, 1);
    float *params = xfloats(ensemble_params(&e)), *block = xfloats(ensemble_normalizer_floats(&e));
    ensemble_init(params, &e, 3);
    for (int j = 0; j < MOVING; j++) {
        block[MANY + j] = 1;
    }
    assert_int_equal(reparam_moving(block, MANY), MOVING);
    reparam_fresh_ensemble(params, &e, block);
    double squares = 0;
    for (int i = 0; i < MANY * 64; i++) {
        squares += (double)params[i] * (double)params[i] / (MANY * 64);
    }
    struct ensemble few = ensemble_make(1, MOVING - 1, 1, 64, 1);
    float *alone = xfloats(ensemble_params(&few));
    ensemble_init(alone, &few, 3);
    double expected = 0;
    for (int i = 0; i < MOVING * 64; i++) {
        expected += (double)alone[i] * (double)alone[i] / (MOVING * 64);
    }
    assert_true(fabs(squares / expected - 1) < 0.15);
    free(params);
    free(block);
    free(alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_keeps_its_function),
        cmocka_unit_test(the_ensemble_keeps_mean_and_variance),
        cmocka_unit_test(constant_columns_begin_without_influence),
        cmocka_unit_test(weights_grow_up_to_the_limit),
        cmocka_unit_test(fresh_members_ignore_constant_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
