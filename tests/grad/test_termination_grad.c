// SPDX-License-Identifier: MIT
// Shows that the loss of a termination head and its gradient agree with a
// reference in double and its differences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/termination.h"
#include "tests/grad/reference.h"

#define TOLERANCE 1e-5

enum { MEMBERS = 3, MEMBER = 1 };

struct example {
    struct termination t;
    int B;
    size_t n; // parameters of a member's network
    const float *y;
    const double *x;
};

static double data_loss(const double *own, const void *context) {
    const struct example *s = context;
    double *z = calloc((size_t)s->B, sizeof(double)), sum = 0;
    reference_mlp(z, &s->t.net, own, s->x, s->B);
    for (int i = 0; i < s->B; i++) {
        double p = 1 / (1 + exp(-z[i]));
        sum -= s->y[i] > 0 ? log(p) : log(1 - p);
    }
    free(z);
    return sum / s->B;
}

static double whole_loss(const double *own, const void *context) {
    const struct example *s = context;
    double sum = 0;
    for (int i = 0; i < s->t.net.dims[0] * s->t.net.dims[1]; i++) {
        sum += fabs(own[i]);
    }
    return data_loss(own, context) + (double)TERMINATION_SPARSITY * sum;
}

static void check(int obs_dim, int B, uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 4);
    struct example s = {.t = termination_make(MEMBERS, obs_dim), .B = B};
    s.n = mlp_params(&s.t.net);
    float *params = normal_floats(&rng, termination_params(&s.t), 0.3);
    float *x = normal_floats(&rng, (size_t)(B * obs_dim), 1), *y = zero_floats((size_t)B);
    for (int i = 0; i < B; i++) {
        y[i] = i % 3 == 0 ? 1.0f : 0.0f;
    }
    float *gradient = zero_floats(s.n);
    float *scratch = garbage_floats(termination_scratch(&s.t, B));
    double *x64 = to_doubles(x, (size_t)(B * obs_dim));
    double *own = to_doubles(params + termination_member_offset(&s.t, MEMBER), s.n);
    s.x = x64;
    s.y = y;
    float loss = termination_loss(gradient, scratch, &s.t, params, MEMBER, x, y, B);
    double expected = data_loss(own, &s);
    check_close("loss", &loss, &expected, 1, TOLERANCE);
    check_gradient("gradient", gradient, own, s.n, data_loss, &s, TOLERANCE);

    loss += termination_sparsity_loss(gradient, &s.t, params, MEMBER);
    expected = whole_loss(own, &s);
    check_close("loss with sparsity", &loss, &expected, 1, TOLERANCE);
    check_gradient("gradient with sparsity", gradient, own, s.n, whole_loss, &s, TOLERANCE);

    // The prediction is the sigmoid of the calibrated output.
    float *z = garbage_floats((size_t)B), *p = garbage_floats((size_t)B);
    const float *c = params + termination_calibration_offset(&s.t, MEMBER);
    termination_logits(z, scratch, &s.t, params, MEMBER, x, B);
    termination_probability(p, scratch, &s.t, params, MEMBER, x, B);
    for (int i = 0; i < B; i++) {
        expected = 1 / (1 + exp(-((double)c[0] * (double)z[i] + (double)c[1])));
        check_close("probability", p + i, &expected, 1, TOLERANCE);
    }
    void *all[] = {params, x, y, gradient, scratch, x64, own, z, p};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]);
    }
}

static void loss_and_gradient(void **state) {
    (void)state;
    check(1, 1, 500);
    check(4, 7, 501);
    check(11, 40, 502);
}

// Where calibration ends, the gradient of what it minimises is zero: the log loss of the
// calibrated outputs, and the prior that keeps the scale near 1 and the shift near the expected
// one. Outputs that separate the rows have no minimum without that prior.
static void calibration_minimises(void **state) {
    (void)state;
    enum { N = 40 };
    for (int separated = 0; separated < 2; separated++) {
        const double expected_shift = -1.5;
        struct rng rng = rng_make(8, RNG_TEST, (uint64_t)separated);
        float *z = normal_floats(&rng, N, 2), *y = garbage_floats(N), scale, shift;
        for (int i = 0; i < N; i++) {
            y[i] = z[i] > 1 || (!separated && rng_below(&rng, 4) == 0) ? 1.0f : 0.0f;
        }
        termination_calibrate(&scale, &shift, z, y, N, expected_shift);
        double a = (double)scale, b = (double)shift, slope[2] = {a - 1, b - expected_shift};
        for (int i = 0; i < N; i++) {
            double p = 1 / (1 + exp(-(a * (double)z[i] + b)));
            slope[0] += (p - (double)y[i]) * (double)z[i];
            slope[1] += p - (double)y[i];
        }
        if (fabs(slope[0]) > 1e-3 || fabs(slope[1]) > 1e-3) {
            fail_msg("scale %g, shift %g: gradient (%g, %g)", a, b, slope[0], slope[1]);
        }
        free(z);
        free(y);
    }
}

static void more_rows_than_a_block(void **state) {
    (void)state;
    struct termination t = termination_make(1, 3);
    struct rng rng = rng_make(7, RNG_TEST, 4);
    enum { B = 2 * MLP_INFER_ROWS + 3 };
    float *params = normal_floats(&rng, termination_params(&t), 0.3);
    float *x = normal_floats(&rng, B * 3, 1), *p = garbage_floats(B), one = NAN;
    float *scratch = garbage_floats(termination_scratch(&t, B));
    termination_probability(p, scratch, &t, params, 0, x, B);
    for (int i = 0; i < B; i += 64) {
        termination_probability(&one, scratch, &t, params, 0, x + i * 3, 1);
        double expected = (double)one;
        check_close("probability", p + i, &expected, 1, TOLERANCE);
    }
    free(params);
    free(x);
    free(p);
    free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradient),
        cmocka_unit_test(calibration_minimises),
        cmocka_unit_test(more_rows_than_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
