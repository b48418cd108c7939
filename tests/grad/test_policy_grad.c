// SPDX-License-Identifier: MIT
// Shows that policy_forward computes the squashed Gaussian's actions and exact
// log-probabilities, also where tanh saturates and where log_std is clipped, and
// that policy_backward is the gradient of a loss that mixes both. Compares with a
// reference in double and its differences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/grad/reference.h"

// L = sum(c act) + sum(d log_prob)
struct example {
    struct policy p;
    int B;
    size_t params_len, act_len;
    float *params, *obs, *noise, *act, *log_prob, *c, *d, *scratch;
    double *params64, *obs64, *noise64;
};

static struct example make(struct policy p, int B, uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 1);
    struct example s = {.p = p, .B = B};
    s.params_len = policy_params(&p);
    s.act_len = (size_t)(B * p.act_dim);
    s.params = normal_floats(&rng, s.params_len, 0.4);
    s.obs = normal_floats(&rng, (size_t)(B * p.obs_dim), 1);
    s.noise = normal_floats(&rng, s.act_len, 1);
    s.act = garbage_floats(s.act_len);
    s.log_prob = garbage_floats((size_t)B);
    s.c = normal_floats(&rng, s.act_len, 1);
    s.d = normal_floats(&rng, (size_t)B, 1);
    s.scratch = garbage_floats(policy_scratch(&p, B));
    s.params64 = to_doubles(s.params, s.params_len);
    s.obs64 = to_doubles(s.obs, (size_t)(B * p.obs_dim));
    s.noise64 = to_doubles(s.noise, s.act_len);
    return s;
}

static void refresh(struct example *s) {
    free(s->params64);
    s->params64 = to_doubles(s->params, s->params_len);
}

static void drop(struct example *s) {
    void *all[] = {s->params, s->obs,     s->noise,    s->act,   s->log_prob, s->c,
                   s->d,      s->scratch, s->params64, s->obs64, s->noise64};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]);
    }
}

static double loss(const double *params, const void *context) {
    const struct example *s = context;
    double sum = 0, act[8];
    for (int i = 0; i < s->B; i++) {
        double log_prob = reference_policy(act, &s->p, params, s->obs64 + i * s->p.obs_dim,
                                           s->noise64 + i * s->p.act_dim);
        sum += (double)s->d[i] * log_prob;
        for (int j = 0; j < s->p.act_dim; j++) {
            sum += (double)s->c[i * s->p.act_dim + j] * act[j];
        }
    }
    return sum;
}

static void check_values(const char *what, const struct example *s, double tolerance) {
    double act[8];
    for (int i = 0; i < s->B; i++) {
        double log_prob = reference_policy(act, &s->p, s->params64, s->obs64 + i * s->p.obs_dim,
                                           s->noise64 + i * s->p.act_dim);
        check_close(what, s->act + i * s->p.act_dim, act, (size_t)s->p.act_dim, tolerance);
        check_close(what, s->log_prob + i, &log_prob, 1, tolerance);
    }
}

static void check(const char *what, struct example *s, double tolerance) {
    float *dparams = zero_floats(s->params_len);
    policy_forward(s->act, s->log_prob, s->scratch, &s->p, s->params, s->obs, s->noise, s->B);
    check_values(what, s, tolerance);
    policy_backward(dparams, s->scratch, &s->p, s->params, s->noise, s->c, s->d, s->B);
    check_gradient(what, dparams, s->params64, s->params_len, loss, s, tolerance);

    // One Adam step on this gradient, equal to the bit.
    size_t n = s->params_len;
    float *expected = zero_floats(3 * n), *got = zero_floats(3 * n);
    float *work = garbage_floats(mlp_adam_floats(&s->p.net));
    const struct mlp_adam step = {
        .adam = adam_make(1e-2), .t = 1, .m = got + n, .v = got + 2 * n, .gradient = work};
    memcpy(expected, s->params, n * sizeof(float));
    memcpy(got, s->params, n * sizeof(float));
    adam_step(expected, expected + n, expected + 2 * n, dparams, n, &step.adam, 0, 1);
    policy_forward(s->act, s->log_prob, s->scratch, &s->p, s->params, s->obs, s->noise, s->B);
    policy_backward_adam(NULL, &step, got, s->scratch, &s->p, s->noise, s->c, s->d, s->B);
    assert_memory_equal(got, expected, 3 * n * sizeof(float));
    // Inference only.
    policy_infer(s->act, s->log_prob, s->scratch, &s->p, s->params, s->obs, s->noise, s->B);
    check_values(what, s, tolerance);
    free(expected);
    free(got);
    free(work);
    free(dparams);
}

static void gradients_of_many_shapes(void **state) {
    (void)state;
    static const struct {
        int obs, act, width, hidden, B;
    } shapes[] = {{1, 1, 1, 1, 1}, {3, 1, 17, 2, 5}, {11, 3, 17, 3, 4}, {2, 5, 3, 1, 7}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct example s =
            make(policy_make(shapes[i].obs, shapes[i].act, shapes[i].width, shapes[i].hidden),
                 shapes[i].B, 200 + i);
        check("plain", &s, 1e-5);
        drop(&s);
    }
}

// The last layer's biases: mu (A), then log_std (A).
static float *head_bias(struct example *s) {
    return s->params + mlp_bias_offset(&s->p.net, s->p.net.layers - 1);
}

static void clipped_log_std_has_no_gradient(void **state) {
    (void)state;
    struct example s = make(policy_make(3, 3, 17, 2), 6, 210);
    int A = s.p.act_dim;
    head_bias(&s)[A] = -30.0f;   // always below
    head_bias(&s)[A + 1] = 2.0f; // above in some rows
    refresh(&s);
    check("clipped", &s, 2e-5);
    float *dparams = zero_floats(s.params_len);
    policy_forward(s.act, s.log_prob, s.scratch, &s.p, s.params, s.obs, s.noise, s.B);
    policy_backward(dparams, s.scratch, &s.p, s.params, s.noise, s.c, s.d, s.B);
    assert_true(dparams[mlp_bias_offset(&s.p.net, 2) + 3] == 0.0f);
    assert_true(dparams[mlp_bias_offset(&s.p.net, 2) + 4] != 0.0f);
    free(dparams);
    drop(&s);
}

// mu = +-30: 1 - a^2 is zero in float, but the log-probability is finite.
static void saturation_keeps_its_digits(void **state) {
    (void)state;
    struct example s = make(policy_make(3, 2, 17, 2), 6, 220);
    head_bias(&s)[0] = 30.0f;
    head_bias(&s)[1] = -30.0f;
    refresh(&s);
    check("saturated", &s, 1e-5);
    for (size_t i = 0; i < s.act_len; i++) {
        assert_true(fabsf(s.act[i]) <= 1.0f);
    }
    drop(&s);
}

static void mean_and_no_log_prob(void **state) {
    (void)state;
    int B = MLP_INFER_ROWS + 5; // more than a block
    struct example s = make(policy_make(3, 2, 17, 2), B, 230);
    memset(s.noise, 0, s.act_len * sizeof(float));
    memset(s.noise64, 0, s.act_len * sizeof(double));
    policy_forward(s.act, NULL, s.scratch, &s.p, s.params, s.obs, s.noise, B);
    float *mean = garbage_floats(s.act_len);
    policy_mean(mean, s.scratch, &s.p, s.params, s.obs, B);
    double act[2];
    for (int i = 0; i < B; i++) {
        reference_policy(act, &s.p, s.params64, s.obs64 + i * 3, s.noise64 + i * 2);
        check_close("without noise", s.act + i * 2, act, 2, 1e-5);
        check_close("mean", mean + i * 2, act, 2, 1e-5);
    }
    free(mean);
    drop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_many_shapes),
        cmocka_unit_test(clipped_log_std_has_no_gradient),
        cmocka_unit_test(saturation_keeps_its_digits),
        cmocka_unit_test(mean_and_no_log_prob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
