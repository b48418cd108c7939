// SPDX-License-Identifier: MIT
// Shows that mlp_forward computes the network and mlp_backward its gradient, for
// parameters and inputs, both activations, layer norm and odd shapes, by comparison with a
// reference in double and its differences. Also tests the header's rules for
// adding, skipping, dropped rows, blocks and equal bits.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/tape.h"
#include "tests/grad/reference.h"

// Of the largest entry of a gradient. Layer norm of three features cancels digits.
#define TOLERANCE 1e-5
#define TOLERANCE_NORM 1e-4

// ReLU, SiLU, and SiLU with layer norm.
enum { KINDS = 3 };

static struct mlp make_kind(int kind, int in, int width, int hidden_layers, int out) {
    struct mlp_hidden hidden =
        mlp_hidden_equal(width, hidden_layers, kind == 0 ? ACTIVATION_RELU : ACTIVATION_SILU);
    hidden.layer_norm = kind == 2;
    return mlp_make_hidden(in, &hidden, out);
}

// A network, an input, and the loss sum(c y).
struct example {
    struct mlp m;
    int B;
    size_t params_len, x_len, y_len;
    float *params, *x, *y, *c, *scratch;
    double *params64, *x64, *y64, *c64;
};

static struct example make(struct mlp m, int B, uint64_t seed) {
    struct rng rng = rng_make(seed, RNG_TEST, 0);
    struct example s = {.m = m, .B = B};
    s.params_len = mlp_params(&m);
    s.x_len = (size_t)(B * m.dims[0]);
    s.y_len = (size_t)(B * m.dims[m.layers]);
    s.params = normal_floats(&rng, s.params_len, 1.0 / sqrt(m.dims[1]));
    s.x = normal_floats(&rng, s.x_len, 1);
    s.c = normal_floats(&rng, s.y_len, 1);
    s.y = garbage_floats(s.y_len);
    s.scratch = garbage_floats(mlp_scratch(&m, B));
    s.params64 = to_doubles(s.params, s.params_len);
    s.x64 = to_doubles(s.x, s.x_len);
    s.c64 = to_doubles(s.c, s.y_len);
    s.y64 = to_doubles(s.y, s.y_len);
    return s;
}

static void drop(struct example *s) {
    void *all[] = {s->params, s->x, s->c, s->y, s->scratch, s->params64, s->x64, s->c64, s->y64};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]);
    }
}

static double loss(const struct example *s, const double *params, const double *x) {
    double sum = 0;
    reference_mlp(s->y64, &s->m, params, x, s->B);
    for (size_t i = 0; i < s->y_len; i++) {
        sum += s->c64[i] * s->y64[i];
    }
    return sum;
}

static double loss_of_params(const double *params, const void *context) {
    const struct example *s = context;
    return loss(s, params, s->x64);
}

static double loss_of_x(const double *x, const void *context) {
    const struct example *s = context;
    return loss(s, s->params64, x);
}

static void check_shape(struct mlp m, int B, uint64_t seed) {
    char what[128];
    double tolerance = m.layer_norm ? TOLERANCE_NORM : TOLERANCE;
    struct example s = make(m, B, seed);
    float *dparams = zero_floats(s.params_len), *dx = garbage_floats(s.x_len);
    mlp_forward(s.y, s.scratch, &m, s.params, s.x, B);
    mlp_backward(dx, dparams, s.scratch, &m, s.params, s.c, B);
    snprintf(what, sizeof(what), "%d-%dx%d-%d, activation %d, layer norm %d, B %d, seed %d",
             m.dims[0], m.layers - 1, m.dims[1], m.dims[m.layers], (int)m.activation, m.layer_norm,
             B, (int)seed);
    reference_mlp(s.y64, &m, s.params64, s.x64, B);
    check_close(what, s.y, s.y64, s.y_len, 1e-5);
    check_gradient(what, dparams, s.params64, s.params_len, loss_of_params, &s, tolerance);
    check_gradient(what, dx, s.x64, s.x_len, loss_of_x, &s, tolerance);
    free(dparams);
    free(dx);
    drop(&s);
}

static void gradients_of_many_shapes(void **state) {
    (void)state;
    static const struct {
        int in, width, hidden, out, B;
    } shapes[] = {
        {1, 1, 1, 1, 1},   {3, 17, 1, 3, 5},
        {17, 3, 3, 1, 4},  {3, 17, 2, 17, 1},
        {5, 1, 3, 2, 7},   {4, 0, 0, 3, 6},
        {2, 0, 0, 1, 3},   {11, 40, 2, 1, 9},
        {1, 17, 3, 1, 17}, {3, 5, MLP_LAYERS_MAX - 1, 2, 3},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            check_shape(
                make_kind(kind, shapes[i].in, shapes[i].width, shapes[i].hidden, shapes[i].out),
                shapes[i].B, 100 + i);
        }
    }
}

static void backward_writes_and_skips(void **state) {
    (void)state;
    struct mlp m = mlp_make(3, 17, 2, 5, ACTIVATION_SILU);
    struct example s = make(m, 6, 7);
    float *once = zero_floats(s.params_len), *again = garbage_floats(s.params_len);
    float *dx = garbage_floats(s.x_len), *dx_alone = garbage_floats(s.x_len);
    mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
    mlp_backward(dx, once, s.scratch, &m, s.params, s.c, s.B);
    // Without dx, over old contents: equal to the bit.
    mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
    mlp_backward(NULL, again, s.scratch, &m, s.params, s.c, s.B);
    assert_memory_equal(again, once, s.params_len * sizeof(float));
    // Without dparams the gradient of the input is equal to the bit.
    mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
    mlp_backward(dx_alone, NULL, s.scratch, &m, s.params, s.c, s.B);
    assert_memory_equal(dx, dx_alone, s.x_len * sizeof(float));
    free(once);
    free(again);
    free(dx);
    free(dx_alone);
    drop(&s);
}

// Dropping rows whose dy is zero does not change the gradients.
static void dropped_rows_do_not_matter(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct mlp m = make_kind(kind, 3, 17, 3, 1);
        struct example s = make(m, 9, 8);
        float *all = garbage_floats(s.x_len), *kept = garbage_floats(s.x_len);
        int rows = 0;
        for (int i = 0; i < s.B; i++) {
            s.c[i] = i % 3 == 1 || i == 8 ? s.c[i] : 0.0f;
        }
        mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
        mlp_backward(all, NULL, s.scratch, &m, s.params, s.c, s.B);
        mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
        assert_int_equal(mlp_keep_rows(s.scratch, &m, s.c, s.B), 4);
        float dy[4];
        for (int i = 0; i < s.B; i++) {
            if (s.c[i] != 0.0f) {
                dy[rows++] = s.c[i];
            }
        }
        mlp_backward(kept, NULL, s.scratch, &m, s.params, dy, rows);
        const float *next = kept;
        for (int i = 0; i < s.B; i++) {
            for (int j = 0; j < 3; j++) {
                double expected = s.c[i] != 0.0f ? (double)*next++ : 0.0;
                assert_true(fabs(all[i * 3 + j] - expected) <= 1e-6);
            }
        }
        memset(s.c, 0, s.y_len * sizeof(float));
        assert_int_equal(mlp_keep_rows(s.scratch, &m, s.c, rows), 0);
        free(all);
        free(kept);
        drop(&s);
    }
}

// The gradients of rows do not depend on each other, nor on how they are taken: in strips on a
// tape, in any order, or as one batch.
static void a_tape_gives_the_same(void **state) {
    (void)state;
    enum { STRIPS = 5, B = STRIPS * TAPE_ROWS, IN = 7, OUT = 3 };
    for (int kind = 0; kind < KINDS; kind++) {
        struct mlp m = make_kind(kind, IN, 33, 3, OUT);
        struct example s = make(m, B, 12);
        float *dparams = garbage_floats(s.params_len), *dx = garbage_floats(s.x_len);
        mlp_forward(s.y, s.scratch, &m, s.params, s.x, B);
        mlp_backward(dx, dparams, s.scratch, &m, s.params, s.c, B);
        for (int weights = 0; weights < (m.layer_norm ? 1 : 2); weights++) {
            const struct tape_shape shape = {.net = m, .strips = STRIPS, .weights = weights};
            float *tape = garbage_floats(tape_floats(&shape));
            float *scratch = garbage_floats(tape_scratch(&shape));
            float *y = garbage_floats(s.y_len), *own_dx = garbage_floats(s.x_len);
            float *part = garbage_floats(s.params_len), *rest = garbage_floats(s.params_len);
            for (int i = 0; i < STRIPS; i++) {
                int strip = (i * 3 + 1) % STRIPS, row = strip * TAPE_ROWS;
                tape_forward(y + row * OUT, tape, scratch, &shape, strip, s.params, s.x + row * IN);
            }
            for (int strip = 0; strip < STRIPS; strip++) {
                int row = strip * TAPE_ROWS;
                tape_backward(own_dx + row * IN, tape, scratch, &shape, strip, s.params,
                              s.c + row * OUT);
            }
            assert_memory_equal(y, s.y, s.y_len * sizeof(float));
            assert_memory_equal(own_dx, dx, s.x_len * sizeof(float));
            if (weights) {
                tape_gradient(part, tape, &shape, 0, STRIPS);
                assert_memory_equal(part, dparams, s.params_len * sizeof(float));
                tape_gradient(part, tape, &shape, 0, 2);
                tape_gradient(rest, tape, &shape, 2, STRIPS - 2);
                for (size_t k = 0; k < s.params_len; k++) {
                    assert_true(fabs(part[k] + rest[k] - dparams[k]) <= 1e-4);
                }
            }
            float *all[] = {tape, scratch, y, own_dx, part, rest};
            for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
                free(all[k]);
            }
        }
        free(dparams);
        free(dx);
        drop(&s);
    }
}

static double dropped_loss(const struct example *s, const struct mlp_dropout *dropout) {
    double sum = 0;
    mlp_forward_dropout(s->y, s->scratch, &s->m, s->params, s->x, s->B, dropout);
    for (size_t i = 0; i < s->y_len; i++) {
        sum += (double)s->c[i] * (double)s->y[i];
    }
    return sum;
}

// Central differences of the float code, of the same outputs dropped: a wide step, since the
// errors to be found are large.
static void dropout_has_a_gradient(void **state) {
    (void)state;
    const float rate[] = {0.3f, 0.2f}, step = 1e-2f;
    const struct mlp_dropout dropout = {.rate = rate, .rng = rng_make(3, RNG_MODEL_DROPOUT, 5)};
    for (int kind = 1; kind < KINDS; kind++) {
        struct example s = make(make_kind(kind, 3, 17, 2, 2), 9, 14);
        float *dparams = garbage_floats(s.params_len), largest = 0;
        dropped_loss(&s, &dropout);
        mlp_backward(NULL, dparams, s.scratch, &s.m, s.params, s.c, s.B);
        for (size_t i = 0; i < s.params_len; i++) {
            largest = fmaxf(largest, fabsf(dparams[i]));
        }
        for (size_t i = 0; i < s.params_len; i++) {
            float kept = s.params[i];
            s.params[i] = kept + step;
            double above = dropped_loss(&s, &dropout);
            s.params[i] = kept - step;
            double below = dropped_loss(&s, &dropout);
            s.params[i] = kept;
            double slope = (above - below) / (2 * (double)step);
            assert_true(fabs(slope - (double)dparams[i]) <= 2e-3 * (double)largest);
        }
        free(dparams);
        drop(&s);
    }
}

// Hidden outputs of 1, copied to the output: the share of zeros, and what the others become.
static void dropout_keeps_the_mean(void **state) {
    (void)state;
    enum { N = 64, B = 200 };
    const float rate[] = {0.1f};
    struct example s = make(mlp_make(1, N, 1, N, ACTIVATION_SILU), B, 15);
    memset(s.params, 0, s.params_len * sizeof(float));
    for (size_t i = 0; i < N; i++) {
        s.params[mlp_bias_offset(&s.m, 0) + i] = 1.2784645f; // SiLU gives 1
        s.params[mlp_weight_offset(&s.m, 1) + i * N + i] = 1;
    }
    int zeros[2] = {0}, both = 0;
    float *other = garbage_floats(s.y_len);
    for (uint64_t k = 0; k < 2; k++) {
        const struct mlp_dropout dropout = {.rate = rate, .rng = rng_make(3, RNG_MODEL_DROPOUT, k)};
        memcpy(other, s.y, s.y_len * sizeof(float));
        mlp_forward_dropout(s.y, s.scratch, &s.m, s.params, s.x, B, &dropout);
        for (size_t i = 0; i < s.y_len; i++) {
            assert_true(s.y[i] == 0 || fabsf(s.y[i] - 1 / 0.9f) < 1e-5f);
            zeros[k] += s.y[i] == 0;
            both += k == 1 && s.y[i] == 0 && other[i] == 0;
        }
        assert_in_range(zeros[k], 1140, 1420); // 1,280 of 12,800: sd 34
    }
    assert_in_range(both, 80, 176); // 128 by chance: sd 11
    const float none[] = {0};
    const struct mlp_dropout idle = {.rate = none};
    mlp_forward_dropout(s.y, s.scratch, &s.m, s.params, s.x, B, &idle);
    mlp_forward(other, s.scratch, &s.m, s.params, s.x, B);
    assert_memory_equal(s.y, other, s.y_len * sizeof(float));
    free(other);
    drop(&s);
}

// W W^T = 1 or W^T W = 1, whichever is the smaller.
static void orthogonal_weights(void **state) {
    (void)state;
    static const int shapes[][2] = {{5, 40}, {40, 5}, {24, 24}};
    for (size_t k = 0; k < 3; k++) {
        int in = shapes[k][0], out = shapes[k][1], least = in < out ? in : out;
        struct mlp m = mlp_make(in, 1, 0, out, ACTIVATION_SILU);
        float *W = garbage_floats(mlp_params(&m));
        struct rng rng = rng_make(1, RNG_TEST, 16);
        mlp_init_orthogonal(W, &m, &rng);
        for (int a = 0; a < least; a++) {
            for (int b = 0; b < least; b++) {
                double sum = 0;
                for (int i = 0; i < (in < out ? out : in); i++) {
                    sum += in < out ? (double)W[i * in + a] * (double)W[i * in + b]
                                    : (double)W[a * in + i] * (double)W[b * in + i];
                }
                assert_true(fabs(sum - (a == b)) < 1e-5);
            }
        }
        assert_true(W[in * out] == 0 && W[in * out + out - 1] == 0);
        free(W);
    }
}

static double squares_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum / (double)n;
}

static void kaiming_weights(void **state) {
    (void)state;
    enum { IN = 50, OUT = 2000 };
    struct mlp m = mlp_make(IN, 1, 0, OUT, ACTIVATION_SILU);
    float *W = garbage_floats(mlp_params(&m));
    struct rng rng = rng_make(1, RNG_TEST, 17);
    mlp_init_kaiming(W, &m, &rng);
    assert_true(fabs(squares_of(W, IN * OUT) * IN / 2 - 1) < 0.02);
    assert_true(fabs(squares_of(W + IN * OUT, OUT) * 4 * IN - 1) < 0.15);
    free(W);
}

static void blocks_give_the_same(void **state) {
    (void)state;
    int B = 2 * MLP_INFER_ROWS + 37;
    for (int kind = 0; kind < KINDS; kind++) {
        struct mlp m = make_kind(kind, 5, 33, 2, 4);
        struct example s = make(m, B, 9);
        float *y = garbage_floats(s.y_len);
        float *scratch = garbage_floats(mlp_scratch(&m, MLP_INFER_ROWS));
        mlp_forward(s.y, s.scratch, &m, s.params, s.x, B);
        mlp_infer(y, scratch, &m, s.params, s.x, B);
        reference_mlp(s.y64, &m, s.params64, s.x64, B);
        check_close("forward", s.y, s.y64, s.y_len, 1e-5);
        check_close("in blocks", y, s.y64, s.y_len, 1e-5);
        free(y);
        free(scratch);
        drop(&s);
    }
}

// Adam layer by layer equals a whole gradient followed by Adam on each layer, to the
// bit: gradients use the weights before the step. Two steps, so that moments count,
// and one with a zero gradient, where only the weights of decaying layers change. With
// and without decay, with and without a target network, on one thread and on two.
static void check_steps(struct mlp m, int B, uint64_t seed, bool decays, bool follows,
                        struct thread_team *team) {
    const float decay[] = {1e-2f, 0, 2e-2f, 3e-2f}, tau = 0.05f;
    struct example s = make(m, B, seed);
    size_t n = s.params_len;
    float *blocks = zero_floats(8 * n), *p = blocks, *g = blocks + n;
    float *mean = blocks + 2 * n, *square = blocks + 3 * n, *target = blocks + 4 * n;
    float *gradient = garbage_floats(mlp_adam_floats(&m));
    struct mlp_adam step = {.adam = adam_make(1e-2),
                            .decay = decays ? decay : NULL,
                            .m = blocks + 5 * n,
                            .v = blocks + 6 * n,
                            .target = follows ? blocks + 7 * n : NULL,
                            .tau = tau,
                            .gradient = gradient};
    memcpy(p, s.params, n * sizeof(float));
    for (step.t = 1; step.t <= 3; step.t++) {
        if (step.t == 3) {
            memset(s.c, 0, s.y_len * sizeof(float));
        }
        memset(g, 0, n * sizeof(float));
        mlp_forward(s.y, s.scratch, &m, p, s.x, s.B);
        mlp_backward(NULL, g, s.scratch, &m, p, s.c, s.B);
        for (int l = 0; l < m.layers; l++) {
            size_t w = mlp_weight_offset(&m, l), b = mlp_bias_offset(&m, l);
            adam_polyak_step(p + w, mean + w, square + w, target + w, g + w, b - w, &step.adam,
                             decays ? decay[l] : 0, tau, step.t);
            adam_polyak_step(p + b, mean + b, square + b, target + b, g + b, (size_t)m.dims[l + 1],
                             &step.adam, 0, tau, step.t);
        }
        mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
        mlp_backward_adam(team, &step, s.params, s.scratch, &m, s.c, s.B);
        assert_memory_equal(s.params, p, n * sizeof(float));
        assert_memory_equal(step.m, mean, n * sizeof(float));
        assert_memory_equal(step.v, square, n * sizeof(float));
        if (follows) {
            assert_memory_equal(step.target, target, n * sizeof(float));
        }
    }
    free(blocks);
    free(gradient);
    drop(&s);
}

static void layers_step_by_themselves(void **state) {
    (void)state;
    static const struct {
        int in, width, hidden, out, B;
    } shapes[] = {{1, 1, 0, 1, 1}, {3, 5, 1, 1, 1}, {14, 33, 3, 24, 31}, {40, 7, 2, 3, 5}};
    struct thread_team *team = thread_team_create(2);
    for (size_t i = 0; i < 24 * sizeof(shapes) / sizeof(shapes[0]); i++) {
        size_t k = i / 24;
        struct mlp m = make_kind((int)(i / 8 % KINDS), shapes[k].in, shapes[k].width,
                                 shapes[k].hidden, shapes[k].out);
        check_steps(m, shapes[k].B, 20 + i, i & 1, i & 2, i & 4 ? team : NULL);
    }
    thread_team_destroy(&team);
}

// The same inputs at another, odd address, with other garbage in scratch: the same
// bits.
static void same_bits_anywhere(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct mlp m = make_kind(kind, 11, 50, 2, 3);
        struct example s = make(m, 33, 10);
        size_t scratch_len = mlp_scratch(&m, s.B);
        float *gradients[2], *outputs[2];
        for (size_t shift = 0; shift < 2; shift++) {
            float *params = zero_floats(s.params_len + shift) + shift;
            float *x = zero_floats(s.x_len + shift) + shift;
            float *scratch = zero_floats(scratch_len + shift) + shift;
            memcpy(params, s.params, s.params_len * sizeof(float));
            memcpy(x, s.x, s.x_len * sizeof(float));
            gradients[shift] = zero_floats(s.params_len);
            outputs[shift] = garbage_floats(s.y_len);
            mlp_forward(outputs[shift], scratch, &m, params, x, s.B);
            mlp_backward(NULL, gradients[shift], scratch, &m, params, s.c, s.B);
            free(params - shift);
            free(x - shift);
            free(scratch - shift);
        }
        assert_memory_equal(outputs[0], outputs[1], s.y_len * sizeof(float));
        assert_memory_equal(gradients[0], gradients[1], s.params_len * sizeof(float));
        for (int i = 0; i < 2; i++) {
            free(gradients[i]);
            free(outputs[i]);
        }
        drop(&s);
    }
}

static void a_nan_comes_through(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct mlp m = make_kind(kind, 3, 17, 2, 1);
        struct example s = make(m, 2, 11);
        s.x[4] = NAN;
        mlp_forward(s.y, s.scratch, &m, s.params, s.x, s.B);
        assert_true(isfinite(s.y[0]));
        assert_true(isnan(s.y[1]));
        drop(&s);
    }
}

// Standard deviation and limits of the two initialisations, and zero biases.
static void initial_weights(void **state) {
    (void)state;
    struct mlp m = mlp_make(20, 100, 2, 10, ACTIVATION_SILU);
    float *p = garbage_floats(mlp_params(&m));
    for (int way = 0; way < 2; way++) {
        struct rng rng = rng_make(12, RNG_TEST, 0);
        (way ? mlp_init_truncated : mlp_init_glorot)(p, &m, &rng);
        for (int l = 0; l < m.layers; l++) {
            int n = m.dims[l] * m.dims[l + 1];
            const float *W = p + mlp_weight_offset(&m, l), *b = p + mlp_bias_offset(&m, l);
            // A normal truncated at two sd has 0.8796 of its sd.
            double sd = way ? 0.8796 / (2 * sqrt(m.dims[l]))
                            : sqrt(6.0 / (m.dims[l] + m.dims[l + 1])) / sqrt(3);
            double limit = way ? 1 / sqrt(m.dims[l]) : sd * sqrt(3);
            double sum = 0, squares = 0, largest = 0;
            for (int i = 0; i < n; i++) {
                sum += (double)W[i];
                squares += (double)W[i] * (double)W[i];
                largest = fmax(largest, fabs(W[i]));
            }
            assert_true(largest <= limit * (1 + 1e-6) && largest > 0.9 * limit);
            assert_true(fabs(sum / n) < 5 * sd / sqrt(n));
            assert_true(fabs(sqrt(squares / n) / sd - 1) < 0.06);
            for (int i = 0; i < m.dims[l + 1]; i++) {
                assert_true(b[i] == 0.0f);
            }
        }
    }
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_many_shapes),
        cmocka_unit_test(backward_writes_and_skips),
        cmocka_unit_test(dropped_rows_do_not_matter),
        cmocka_unit_test(a_tape_gives_the_same),
        cmocka_unit_test(dropout_has_a_gradient),
        cmocka_unit_test(dropout_keeps_the_mean),
        cmocka_unit_test(orthogonal_weights),
        cmocka_unit_test(kaiming_weights),
        cmocka_unit_test(blocks_give_the_same),
        cmocka_unit_test(layers_step_by_themselves),
        cmocka_unit_test(same_bits_anywhere),
        cmocka_unit_test(a_nan_comes_through),
        cmocka_unit_test(initial_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
