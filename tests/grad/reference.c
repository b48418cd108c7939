// SPDX-License-Identifier: MIT
// Networks and losses in double, row by row.
#include "tests/grad/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "common/base/check.h"

#define WIDTH_MAX 512

static void layer_norm(double *x, int n) {
    double mean = 0, var = 0;
    for (int i = 0; i < n; i++) {
        mean += x[i] / n;
    }
    for (int i = 0; i < n; i++) {
        var += (x[i] - mean) * (x[i] - mean) / n;
    }
    for (int i = 0; i < n; i++) {
        x[i] = (x[i] - mean) / sqrt(var + 1e-5);
    }
}

static void one_row(double *y, const struct mlp *m, const double *params, const double *x) {
    double h[2][WIDTH_MAX];
    for (int l = 0; l < m->layers; l++) {
        int in = m->dims[l], out = m->dims[l + 1];
        const double *W = params + mlp_weight_offset(m, l), *b = params + mlp_bias_offset(m, l);
        double *z = l == m->layers - 1 ? y : h[l % 2];
        CHECK(out <= WIDTH_MAX);
        for (int o = 0; o < out; o++) {
            double sum = b[o];
            for (int i = 0; i < in; i++) {
                sum += W[o * in + i] * x[i];
            }
            if (l < m->layers - 1) {
                sum = m->activation == ACTIVATION_RELU ? fmax(sum, 0) : sum / (1 + exp(-sum));
            }
            z[o] = sum;
        }
        if (m->layer_norm && l < m->layers - 1) {
            layer_norm(z, out);
        }
        x = z;
    }
}

void reference_mlp(double *y, const struct mlp *m, const double *params, const double *x, int B) {
    for (int i = 0; i < B; i++) {
        one_row(y + i * m->dims[m->layers], m, params, x + i * m->dims[0]);
    }
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

double reference_policy(double *act, const struct policy *p, const double *params,
                        const double *obs, const double *noise) {
    double out[WIDTH_MAX], log_prob = 0;
    one_row(out, &p->net, params, obs);
    for (int j = 0; j < p->act_dim; j++) {
        double log_std = fmin(fmax(out[p->act_dim + j], -20), 2);
        double u = out[j] + exp(log_std) * noise[j];
        act[j] = tanh(u);
        // Density of u, and the Jacobian of tanh: log(1 - tanh^2) = -2 log cosh.
        log_prob += -noise[j] * noise[j] / 2 - log_std - log(2 * acos(-1)) / 2;
        log_prob += 2 * (fabs(u) + log1p(exp(-2 * fabs(u))) - log(2));
    }
    return log_prob;
}

double reference_critic(const struct critic *c, const double *params, int k, const double *obs,
                        const double *act) {
    double x[WIDTH_MAX], q;
    memcpy(x, obs, (size_t)c->obs_dim * sizeof(double));
    memcpy(x + c->obs_dim, act, (size_t)c->act_dim * sizeof(double));
    one_row(&q, &c->net, params + (size_t)k * mlp_params(&c->net), x);
    return q;
}

double reference_critic_loss(const struct critic *c, const double *params, const double *obs,
                             const double *act, const double *y, int B) {
    double sum = 0;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < B; i++) {
            double q = reference_critic(c, params, k, obs + i * c->obs_dim, act + i * c->act_dim);
            sum += 0.5 * (q - y[i]) * (q - y[i]) / B;
        }
    }
    return sum;
}

double reference_member_loss(const struct ensemble *e, const double *params, int member,
                             const double *x, const double *y, int B) {
    const int T = e->target_dim;
    const double *max = params + ensemble_max_logvar_offset(e);
    const double *min = params + ensemble_min_logvar_offset(e);
    double out[WIDTH_MAX], sum = 0;
    for (int i = 0; i < B; i++) {
        one_row(out, &e->net, params + ensemble_member_offset(e, member), x + i * e->in_dim);
        for (int j = 0; j < T; j++) {
            double l = max[j] - softplus(max[j] - out[T + j]);
            double logvar = min[j] + softplus(l - min[j]);
            double error = out[j] - y[i * T + j];
            sum += error * error * exp(-logvar) + logvar;
        }
    }
    return sum / B / T;
}

void check_gradient(const char *what, const float *gradient, double *point, size_t n,
                    reference_function f, const void *context, double tolerance) {
    double *slopes = calloc(n, sizeof(double));
    bool *kink = calloc(n, sizeof(bool));
    double largest = 0, worst = 0, centre = f(point, context);
    size_t kinks = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        double x = point[i], h = 1e-6 * fmax(1, fabs(x));
        point[i] = x + h;
        double right = (f(point, context) - centre) / h;
        point[i] = x - h;
        double left = (centre - f(point, context)) / h;
        point[i] = x;
        slopes[i] = (left + right) / 2;
        kink[i] = fabs(right - left) > 1e-3 * (1e-3 + fabs(left) + fabs(right));
        kinks += kink[i];
        largest = fmax(largest, fabs(slopes[i]));
    }
    for (size_t i = 0; i < n; i++) {
        double error = fabs(gradient[i] - slopes[i]);
        if (!kink[i] && !(error <= worst)) { // true for NaN too
            worst = error;
            at = i;
        }
    }
    if (!(worst <= tolerance * largest) || kinks > n / 50) {
        fail_msg(
            "%s: entry %zu of %zu is %.9g, differences say %.9g; the largest is %.9g; %zu kinks",
            what, at, n, (double)gradient[at], slopes[at], largest, kinks);
    }
    free(slopes);
    free(kink);
}

void check_close(const char *what, const float *a, const double *b, size_t n, double tolerance) {
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(a[i] - b[i]) <= tolerance * fmax(1, fabs(b[i])))) {
            fail_msg("%s: number %zu of %zu is %.9g, expected %.9g", what, i, n, (double)a[i],
                     b[i]);
        }
    }
}

float *garbage_floats(size_t n) {
    float *x = malloc(n ? n * sizeof(float) : 1);
    CHECK(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = NAN;
    }
    return x;
}

float *zero_floats(size_t n) {
    float *x = garbage_floats(n);
    memset(x, 0, n * sizeof(float));
    return x;
}

float *normal_floats(struct rng *rng, size_t n, double scale) {
    float *x = garbage_floats(n);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(scale * rng_normal(rng));
    }
    return x;
}

double *to_doubles(const float *x, size_t n) {
    double *y = malloc(n ? n * sizeof(double) : 1);
    CHECK(y);
    for (size_t i = 0; i < n; i++) {
        y[i] = (double)x[i];
    }
    return y;
}
