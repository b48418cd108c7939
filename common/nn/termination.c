// SPDX-License-Identifier: MIT
// Termination heads: loss and inference on top of mlp.h, Platt scaling by Newton's method.
#include "common/nn/termination.h"

#include <math.h>

#include "common/base/check.h"
#include "common/nn/elementwise.h"
#include "common/nn/normalizer.h"

#define NEWTON_STEPS_MAX 100
#define ERROR_MIN 1e-12f      // of a probability
#define NEWTON_TOLERANCE 1e-9 // stop once a step is predicted to decrease the objective by less

_Static_assert(sizeof(struct termination_score) == TERMINATION_SCORE_FLOATS * sizeof(float),
               "a score is an array of floats, without padding");

struct termination termination_make(int members, int obs_dim) {
    CHECK(members >= 0);
    struct termination t = {.members = members, .obs_dim = obs_dim};
    t.net = mlp_make(obs_dim, TERMINATION_WIDTH, TERMINATION_LAYERS, 1, ACTIVATION_SILU);
    return t;
}

size_t termination_member_offset(const struct termination *t, int member) {
    return (size_t)member * mlp_params(&t->net);
}

size_t termination_trained(const struct termination *t) {
    return termination_member_offset(t, t->members);
}

size_t termination_calibration_offset(const struct termination *t, int member) {
    return termination_trained(t) + 2 * (size_t)member;
}

size_t termination_normalizer_offset(const struct termination *t) {
    return termination_calibration_offset(t, t->members);
}

size_t termination_params(const struct termination *t) {
    return t->members > 0 ? termination_normalizer_offset(t) + normalizer_floats(t->obs_dim) : 0;
}

size_t termination_scratch(const struct termination *t, int B) {
    return 3 * scratch_floats((size_t)B) + mlp_scratch(&t->net, B);
}

void termination_init(float *params, const struct termination *t, uint64_t seed) {
    for (int k = 0; k < t->members; k++) {
        struct rng rng = rng_make(seed, RNG_TERMINATION_INIT, (uint64_t)k);
        float *calibration = params + termination_calibration_offset(t, k);
        mlp_init_glorot(params + termination_member_offset(t, k), &t->net, &rng);
        termination_never(&calibration[0], &calibration[1]);
    }
    if (t->members > 0) {
        normalizer_identity(params + termination_normalizer_offset(t), t->obs_dim);
    }
}

float termination_loss(float *dparams, float *scratch, const struct termination *t,
                       const float *params, int member, const float *x, const float *y, int B) {
    CHECK(B > 0);
    CHECK(member >= 0 && member < t->members);
    const float *own = params + termination_member_offset(t, member);
    size_t n = scratch_floats((size_t)B);
    float *z = scratch, *value = scratch + n, *slope = scratch + 2 * n, *net = scratch + 3 * n;
    mlp_forward(z, net, &t->net, own, x, B);
    elementwise_softplus(value, slope, z, (size_t)B);
    double sum = 0;
    for (int i = 0; i < B; i++) {
        sum += (double)(value[i] - y[i] * z[i]);
        // Rows that are judged with certainty have no gradient: denormal numbers would slow the
        // matrix products behind it by a factor of ten.
        float error = slope[i] - y[i];
        slope[i] = fabsf(error) < ERROR_MIN ? 0 : error / (float)B;
    }
    mlp_backward(NULL, dparams, net, &t->net, own, slope, B);
    return (float)(sum / B);
}

float termination_sparsity_loss(float *dparams, const struct termination *t, const float *params,
                                int member) {
    const float *W = params + termination_member_offset(t, member) + mlp_weight_offset(&t->net, 0);
    float *dW = dparams + mlp_weight_offset(&t->net, 0);
    size_t n = (size_t)t->net.dims[0] * (size_t)t->net.dims[1];
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)fabsf(W[i]);
        dW[i] += W[i] > 0 ? TERMINATION_SPARSITY : W[i] < 0 ? -TERMINATION_SPARSITY : 0.0f;
    }
    return (float)((double)TERMINATION_SPARSITY * sum);
}

void termination_logits(float *z, float *scratch, const struct termination *t, const float *params,
                        int member, const float *x, int B) {
    CHECK(member >= 0 && member < t->members);
    mlp_infer(z, scratch, &t->net, params + termination_member_offset(t, member), x, B);
}

void termination_probability(float *p, float *scratch, const struct termination *t,
                             const float *params, int member, const float *x, int B) {
    const float *calibration = params + termination_calibration_offset(t, member);
    for (int from = 0; from < B; from += MLP_INFER_ROWS) {
        int rows = B - from < MLP_INFER_ROWS ? B - from : MLP_INFER_ROWS;
        size_t n = scratch_floats((size_t)rows);
        float *z = scratch, *value = scratch + n, *net = scratch + 2 * n;
        termination_logits(z, net, t, params, member, x + (size_t)from * (size_t)t->obs_dim, rows);
        for (int i = 0; i < rows; i++) {
            z[i] = calibration[0] * z[i] + calibration[1];
        }
        elementwise_softplus(value, p + from, z, (size_t)rows);
    }
}

// ---- calibration ----

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

// Objective of the calibration at one (scale, shift), with its gradient and Hessian.
struct objective {
    double value, g[2], h[3]; // h: entries (0, 0), (0, 1) and (1, 1)
};

static struct objective objective_at(double scale, double shift, const float *z, const float *y,
                                     size_t n, double expected_shift) {
    double u = scale - 1, v = shift - expected_shift;
    struct objective o = {.value = (u * u + v * v) / 2, .g = {u, v}, .h = {1, 0, 1}};
    for (size_t i = 0; i < n; i++) {
        double zi = (double)z[i], yi = (double)y[i], s = scale * zi + shift, p = sigmoid(s);
        o.value += softplus(s) - yi * s;
        o.g[0] += (p - yi) * zi;
        o.g[1] += p - yi;
        o.h[0] += p * (1 - p) * zi * zi;
        o.h[1] += p * (1 - p) * zi;
        o.h[2] += p * (1 - p);
    }
    return o;
}

void termination_calibrate(float *scale, float *shift, const float *z, const float *y, size_t n,
                           double expected_shift) {
    double a = 1, b = expected_shift;
    struct objective o = objective_at(a, b, z, y, n, expected_shift);
    for (int k = 0; k < NEWTON_STEPS_MAX; k++) {
        double det = o.h[0] * o.h[2] - o.h[1] * o.h[1];
        double da = -(o.h[2] * o.g[0] - o.h[1] * o.g[1]) / det;
        double db = -(o.h[0] * o.g[1] - o.h[1] * o.g[0]) / det;
        double decrease = -(o.g[0] * da + o.g[1] * db);
        if (!(decrease > NEWTON_TOLERANCE)) {
            break;
        }
        // Backtracking line search (Armijo): the objective is convex, so a short step decreases it.
        double part = 1;
        struct objective next = objective_at(a + da, b + db, z, y, n, expected_shift);
        while (!(next.value <= o.value - 1e-4 * part * decrease) && part > 1e-10) {
            part /= 2;
            next = objective_at(a + part * da, b + part * db, z, y, n, expected_shift);
        }
        a += part * da;
        b += part * db;
        o = next;
    }
    *scale = (float)a;
    *shift = (float)b;
}

void termination_never(float *scale, float *shift) {
    *scale = 0;
    *shift = -INFINITY;
}

bool termination_calibrated_never(const float calibration[2]) {
    return calibration[0] == 0 && calibration[1] == -INFINITY;
}

bool termination_is_never(const struct termination *t, const float *params, int member) {
    return termination_calibrated_never(params + termination_calibration_offset(t, member));
}

void termination_measure(struct termination_score *out, const float *p, const float *y, size_t n) {
    double ended = 0, loss = 0, missed = 0, wrong = 0;
    for (size_t i = 0; i < n; i++) {
        double pi = (double)p[i];
        if (y[i] > 0) {
            ended += 1;
            missed += 1 - pi;
            loss -= log(fmax(pi, 1e-30)); // bounds the loss of a row with p = 0
        } else {
            wrong += pi;
            loss -= log(fmax(1 - pi, 1e-30));
        }
    }
    double others = (double)n - ended;
    *out = (struct termination_score){.ended = (float)ended,
                                      .log_loss = (float)(n > 0 ? loss / (double)n : 0),
                                      .missed = (float)(ended > 0 ? missed / ended : 0),
                                      .wrong = (float)(others > 0 ? wrong / others : 0)};
}
