// SPDX-License-Identifier: MIT
// Shows that the twin critics' values, their loss and its gradient, and the
// gradient of their minimum with respect to the action agree with a reference in
// double and its differences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/grad/reference.h"

#define TOLERANCE 1e-5

struct example {
    struct critic c;
    int B;
    size_t params_len, act_len;
    float *params, *obs, *act, *y, *q, *x, *scratch[2];
    double *params64, *obs64, *act64, *y64;
};

static struct example make(struct critic c, int B, uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 2);
    struct example s = {.c = c, .B = B};
    s.params_len = critic_params(&c);
    s.act_len = (size_t)(B * c.act_dim);
    s.params = normal_floats(&rng, s.params_len, 0.4);
    s.obs = normal_floats(&rng, (size_t)(B * c.obs_dim), 1);
    s.act = normal_floats(&rng, s.act_len, 0.5);
    s.y = normal_floats(&rng, (size_t)B, 1);
    s.q = garbage_floats(2 * (size_t)B);
    s.x = garbage_floats((size_t)(B * c.net.dims[0]));
    critic_concat(s.x, &c, s.obs, s.act, B);
    for (int k = 0; k < 2; k++) {
        s.scratch[k] = garbage_floats(critic_scratch(&c, B));
    }
    s.params64 = to_doubles(s.params, s.params_len);
    s.obs64 = to_doubles(s.obs, (size_t)(B * c.obs_dim));
    s.act64 = to_doubles(s.act, s.act_len);
    s.y64 = to_doubles(s.y, (size_t)B);
    return s;
}

static void drop(struct example *s) {
    void *all[] = {s->params,     s->obs,        s->act,      s->y,     s->q,     s->x,
                   s->scratch[0], s->scratch[1], s->params64, s->obs64, s->act64, s->y64};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]);
    }
}

static void forward(const struct example *s) {
    for (int k = 0; k < 2; k++) {
        critic_forward(s->q + k * s->B, s->scratch[k], &s->c, s->params, k, s->x, s->B);
    }
}

// q_min and d_act of the minimum.
static void minimum(float *q_min, float *d_act, const struct example *s) {
    forward(s);
    critic_min(q_min, s->q, 2, s->B);
    for (int k = 0; k < 2; k++) {
        critic_min_gradient(d_act, s->scratch[k], &s->c, s->params, k, s->q, s->B);
    }
}

static double value(const struct example *s, int k, int row, const double *act) {
    return reference_critic(&s->c, s->params64, k, s->obs64 + row * s->c.obs_dim,
                            act + row * s->c.act_dim);
}

static double loss(const double *params, const void *context) {
    const struct example *s = context;
    return reference_critic_loss(&s->c, params, s->obs64, s->act64, s->y64, s->B);
}

static double sum_of_minima(const double *act, const void *context) {
    const struct example *s = context;
    double sum = 0;
    for (int i = 0; i < s->B; i++) {
        sum += fmin(value(s, 0, i, act), value(s, 1, i, act));
    }
    return sum;
}

static void check_q(const char *what, const struct example *s) {
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < s->B; i++) {
            double q = value(s, k, i, s->act64);
            check_close(what, s->q + k * s->B + i, &q, 1, TOLERANCE);
        }
    }
}

static const struct {
    int obs, act, width, hidden, B;
} shapes[] = {{1, 1, 1, 1, 1}, {3, 1, 17, 2, 5}, {11, 3, 33, 3, 40}, {2, 5, 3, 1, 7}};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static struct example shape(size_t i) {
    return make(critic_make(shapes[i].obs, shapes[i].act, shapes[i].width, shapes[i].hidden),
                shapes[i].B, 300 + i);
}

static void loss_and_gradient(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct example s = shape(i);
        float *dparams = zero_floats(s.params_len);
        double expected = loss(s.params64, &s);
        forward(&s);
        check_q("values", &s);
        float got = 0;
        for (int k = 0; k < 2; k++) {
            got += critic_loss(dparams, s.scratch[k], &s.c, s.params, k, s.q + k * s.B, s.y, s.B);
        }
        check_close("loss", &got, &expected, 1, TOLERANCE);
        check_gradient("loss", dparams, s.params64, s.params_len, loss, &s, TOLERANCE);
        free(dparams);
        drop(&s);
    }
}

// critic_backward_adam equals Adam and the target average on critic_loss's gradient, to the bit;
// critic_infer equals critic_forward.
static void steps_and_values(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct example s = shape(i);
        size_t n = s.params_len;
        float *expected = zero_floats(5 * n), *gradient = expected + n, *got = zero_floats(4 * n);
        float *work = garbage_floats(mlp_adam_floats(&s.c.net));
        const struct mlp_adam step = {.adam = adam_make(1e-2),
                                      .t = 1,
                                      .m = got + n,
                                      .v = got + 2 * n,
                                      .target = got + 3 * n,
                                      .tau = 0.05f,
                                      .gradient = work};
        memcpy(expected, s.params, n * sizeof(float));
        memcpy(got, s.params, n * sizeof(float));
        forward(&s);
        for (int k = 0; k < 2; k++) {
            const float *q = s.q + k * s.B;
            float loss = critic_loss(gradient, s.scratch[k], &s.c, s.params, k, q, s.y, s.B);
            critic_forward(s.q + k * s.B, s.scratch[k], &s.c, s.params, k, s.x, s.B);
            float same = critic_backward_adam(&step, got, s.scratch[k], &s.c, k, q, s.y, s.B);
            assert_memory_equal(&same, &loss, sizeof(loss));
        }
        adam_polyak_step(expected, expected + 2 * n, expected + 3 * n, expected + 4 * n, gradient,
                         n, &step.adam, 0, step.tau, 1);
        assert_memory_equal(got, expected, n * sizeof(float));
        assert_memory_equal(got + n, expected + 2 * n, 3 * n * sizeof(float));
        for (int k = 0; k < 2; k++) {
            critic_infer(s.q + k * s.B, s.scratch[k], &s.c, s.params, k, s.x, s.B);
        }
        check_q("values by inference", &s);
        free(expected);
        free(got);
        free(work);
        drop(&s);
    }
}

static void gradient_of_the_minimum(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct example s = shape(i);
        float *q_min = garbage_floats((size_t)s.B), *d_act = garbage_floats(s.act_len);
        minimum(q_min, d_act, &s);
        int first = 0;
        for (int row = 0; row < s.B; row++) {
            double q1 = value(&s, 0, row, s.act64), q2 = value(&s, 1, row, s.act64);
            double expected = fmin(q1, q2);
            first += q1 < q2;
            check_close("minimum", q_min + row, &expected, 1, TOLERANCE);
        }
        if (s.B >= 40) { // each critic is the minimum of some rows
            assert_in_range(first, 5, s.B - 5);
        }
        check_gradient("minimum", d_act, s.act64, s.act_len, sum_of_minima, &s, TOLERANCE);
        free(q_min);
        free(d_act);
        drop(&s);
    }
}

// One critic may be the minimum everywhere; a broken one must be detected.
static void one_sided_and_broken(void **state) {
    (void)state;
    for (int low = 0; low < 2; low++) {
        struct example s = shape(1);
        float q_min[5], d_act[5];
        size_t half = mlp_params(&s.c.net);
        size_t bias = mlp_bias_offset(&s.c.net, s.c.net.layers - 1);
        s.params[(size_t)low * half + bias] -= 100.0f;
        s.params64[(size_t)low * half + bias] -= 100.0;
        minimum(q_min, d_act, &s);
        check_gradient("one side", d_act, s.act64, s.act_len, sum_of_minima, &s, TOLERANCE);
        assert_true(q_min[0] < -50);
        s.params[(size_t)low * half + bias] = NAN;
        minimum(q_min, d_act, &s);
        for (int i = 0; i < s.B; i++) {
            assert_true(isnan(q_min[i]));
        }
        drop(&s);
    }
}

static void the_two_start_apart(void **state) {
    (void)state;
    struct critic c = critic_make(3, 2, 17, 2);
    float *params = garbage_floats(critic_params(&c));
    struct rng rng = rng_make(1, RNG_CRITIC_INIT, 0);
    critic_init(params, &c, &rng);
    size_t half = mlp_params(&c.net), same = 0;
    for (size_t i = 0; i < mlp_bias_offset(&c.net, 0); i++) {
        same += params[i] == params[half + i];
    }
    assert_int_equal(same, 0);
    free(params);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradient),       cmocka_unit_test(steps_and_values),
        cmocka_unit_test(gradient_of_the_minimum), cmocka_unit_test(one_sided_and_broken),
        cmocka_unit_test(the_two_start_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
