// SPDX-License-Identifier: MIT
// Probabilistic ensemble: loss, gradients and prediction on top of mlp.h.
#include "common/nn/ensemble.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/elementwise.h"
#include "common/nn/normalizer.h"

#define MAX_LOGVAR_START 0.5f
#define MIN_LOGVAR_START (-10.0f)
#define BOUNDS_WEIGHT 0.01f

// Layout of scratch. The (B, T) buffers are contiguous, so that exp and softplus run over the whole
// batch at once instead of over short rows.
struct workspace {
    float *out;       // (B, 2T) the network's output, later its gradient
    float *a, *b;     // (B, T) temporaries
    float *logvar;    // (B, T)
    float *slope_max; // (B, T) dl / draw
    float *slope_min; // (B, T) dlogvar / dl
    float *net;
};

static struct workspace workspace_at(float *scratch, const struct ensemble *e, int B) {
    size_t n = scratch_floats((size_t)B * (size_t)e->target_dim);
    return (struct workspace){.out = scratch,
                              .a = scratch + 2 * n,
                              .b = scratch + 3 * n,
                              .logvar = scratch + 4 * n,
                              .slope_max = scratch + 5 * n,
                              .slope_min = scratch + 6 * n,
                              .net = scratch + 7 * n};
}

struct ensemble ensemble_make_hidden(int members, int obs_dim, int act_dim,
                                     const struct mlp_hidden *hidden) {
    CHECK(members > 0);
    CHECK(members <= ENSEMBLE_MEMBERS_MAX);
    struct ensemble e = {.members = members,
                         .obs_dim = obs_dim,
                         .act_dim = act_dim,
                         .in_dim = obs_dim + act_dim,
                         .target_dim = 1 + obs_dim};
    e.net = mlp_make_hidden(e.in_dim, hidden, 2 * e.target_dim);
    return e;
}

struct ensemble ensemble_make(int members, int obs_dim, int act_dim, int hidden_width,
                              int hidden_layers) {
    struct mlp_hidden hidden = mlp_hidden_equal(hidden_width, hidden_layers, ACTIVATION_SILU);
    return ensemble_make_hidden(members, obs_dim, act_dim, &hidden);
}

size_t ensemble_member_offset(const struct ensemble *e, int member) {
    return (size_t)member * mlp_params(&e->net);
}

size_t ensemble_max_logvar_offset(const struct ensemble *e) {
    return ensemble_member_offset(e, e->members);
}

size_t ensemble_min_logvar_offset(const struct ensemble *e) {
    return ensemble_max_logvar_offset(e) + (size_t)e->target_dim;
}

size_t ensemble_params(const struct ensemble *e) {
    return ensemble_min_logvar_offset(e) + (size_t)e->target_dim;
}

size_t ensemble_normalizer_floats(const struct ensemble *e) {
    return normalizer_floats(e->in_dim) + normalizer_floats(e->target_dim);
}

size_t ensemble_target_normalizer(const struct ensemble *e) {
    return normalizer_floats(e->in_dim);
}

void ensemble_normalizer_identity(float *block, const struct ensemble *e) {
    normalizer_identity(block, e->in_dim);
    normalizer_identity(block + ensemble_target_normalizer(e), e->target_dim);
}

void ensemble_target_weights(float *weight, const struct ensemble *e, const float *normalizer) {
    const float *std = normalizer + ensemble_target_normalizer(e) + e->target_dim;
    int moving = 0;
    for (int j = 0; j < e->target_dim; j++) {
        moving += std[j] != 0;
    }
    for (int j = 0; j < e->target_dim; j++) {
        weight[j] = std[j] != 0 ? (float)e->target_dim / (float)moving : 0;
    }
}

size_t ensemble_scratch(const struct ensemble *e, int B) {
    return 7 * scratch_floats((size_t)B * (size_t)e->target_dim) + mlp_scratch(&e->net, B);
}

void ensemble_init(float *params, const struct ensemble *e, uint64_t seed) {
    for (int k = 0; k < e->members; k++) {
        struct rng rng = rng_make(seed, RNG_MODEL_INIT, (uint64_t)k);
        mlp_init_truncated(params + ensemble_member_offset(e, k), &e->net, &rng);
    }
    float *max = params + ensemble_max_logvar_offset(e);
    float *min = params + ensemble_min_logvar_offset(e);
    for (int j = 0; j < e->target_dim; j++) {
        max[j] = MAX_LOGVAR_START;
        min[j] = MIN_LOGVAR_START;
    }
}

// Buffers (B, T) of bound_logvar; a and b are temporaries.
struct bounded {
    float *a, *b;
    float *logvar;
    float *slope_max, *slope_min; // derivatives; NULL: not wanted
};

// The log-variances of a network's output (B, 2T) within their bounds.
static void bound_logvar(const struct bounded *s, const struct ensemble *e, const float *params,
                         const float *output, int B) {
    const int T = e->target_dim;
    const size_t n = (size_t)B * (size_t)T;
    const float *max = params + ensemble_max_logvar_offset(e);
    const float *min = params + ensemble_min_logvar_offset(e);
    for (int i = 0; i < B; i++) {
        const float *raw = output + (2 * i + 1) * T;
        for (int j = 0; j < T; j++) {
            s->a[i * T + j] = max[j] - raw[j];
        }
    }
    elementwise_softplus(s->b, s->slope_max, s->a, n);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < T; j++) {
            s->a[i * T + j] = max[j] - s->b[i * T + j] - min[j];
        }
    }
    elementwise_softplus(s->b, s->slope_min, s->a, n);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < T; j++) {
            s->logvar[i * T + j] = min[j] + s->b[i * T + j];
        }
    }
}

static struct bounded bounded_of(const struct workspace *s, bool slopes) {
    return (struct bounded){.a = s->a,
                            .b = s->b,
                            .logvar = s->logvar,
                            .slope_max = slopes ? s->slope_max : NULL,
                            .slope_min = slopes ? s->slope_min : NULL};
}

// Returns the loss and replaces s->out by its gradient. s->b holds w = exp(-logvar). With error =
// mean - y, per element and up to the factor weight / (B T):
//   dL/dmean = 2 error w,  dL/dlogvar = 1 - error^2 w,
// and through the bounds:
//   dL/dl = dL/dlogvar slope_min,  dL/dmin = dL/dlogvar (1 - slope_min),
//   dL/draw = dL/dl slope_max,  dL/dmax = dL/dl (1 - slope_max).
static float output_loss(float *mse, float *d_max, float *d_min, const struct workspace *s,
                         const float *y, const float *weight, int B, int T) {
    double sum = 0.0, squares = 0.0; // double: sums of B T terms
    for (int i = 0; i < B; i++) {
        float *mean = s->out + 2 * i * T, *raw = mean + T;
        for (int j = 0; j < T; j++) {
            int k = i * T + j;
            const float scale = weight[j] / ((float)B * (float)T);
            float error = mean[j] - y[k];
            float weighted = error * s->b[k];
            sum += (double)(weight[j] * (error * weighted + s->logvar[k]));
            squares += (double)(weight[j] * (error * error));
            float d_logvar = scale * (1.0f - error * weighted);
            float d_l = d_logvar * s->slope_min[k];
            mean[j] = scale * 2.0f * weighted;
            raw[j] = d_l * s->slope_max[k];
            d_max[j] += d_l * (1.0f - s->slope_max[k]);
            d_min[j] += d_logvar * (1.0f - s->slope_min[k]);
        }
    }
    if (mse) {
        *mse = (float)(squares / ((double)B * T));
    }
    return (float)(sum / ((double)B * T));
}

void ensemble_member_forward(float *scratch, const struct ensemble *e, const float *params,
                             int member, const float *x, int B, const struct mlp_dropout *dropout) {
    CHECK(B > 0);
    CHECK(member >= 0 && member < e->members);
    struct workspace s = workspace_at(scratch, e, B);
    mlp_forward_dropout(s.out, s.net, &e->net, params + ensemble_member_offset(e, member), x, B,
                        dropout);
}

float ensemble_member_output(float *mse, float *d_bounds, float *scratch, const struct ensemble *e,
                             const float *params, const float *y, const float *weight, int B) {
    const int T = e->target_dim;
    const size_t n = (size_t)B * (size_t)T;
    struct workspace s = workspace_at(scratch, e, B);
    const struct bounded bounded = bounded_of(&s, true);
    bound_logvar(&bounded, e, params, s.out, B);
    for (size_t k = 0; k < n; k++) {
        s.a[k] = -s.logvar[k];
    }
    elementwise_exp(s.b, s.a, n);
    return output_loss(mse, d_bounds, d_bounds + T, &s, y, weight, B, T);
}

void ensemble_member_adam(const struct mlp_adam *a, float *params, float *scratch,
                          const struct ensemble *e, int member, int B) {
    struct workspace s = workspace_at(scratch, e, B);
    struct mlp_adam own = *a;
    own.m += ensemble_member_offset(e, member);
    own.v += ensemble_member_offset(e, member);
    mlp_backward_adam(NULL, &own, params + ensemble_member_offset(e, member), s.net, &e->net, s.out,
                      B);
}

float ensemble_member_loss(float *mse, float *dparams, float *scratch, const struct ensemble *e,
                           const float *params, int member, const float *x, const float *y,
                           const float *weight, int B) {
    const size_t offset = ensemble_member_offset(e, member);
    struct workspace s = workspace_at(scratch, e, B);
    ensemble_member_forward(scratch, e, params, member, x, B, NULL);
    float loss = ensemble_member_output(mse, dparams + ensemble_max_logvar_offset(e), scratch, e,
                                        params, y, weight, B);
    mlp_backward(NULL, dparams + offset, s.net, &e->net, params + offset, s.out, B);
    return loss;
}

float ensemble_bounds_loss(float *d_bounds, const struct ensemble *e, const float *params,
                           const float *weight) {
    const float *max = params + ensemble_max_logvar_offset(e);
    const float *min = params + ensemble_min_logvar_offset(e);
    double sum = 0.0;
    for (int j = 0; j < e->target_dim; j++) {
        if (weight[j] == 0) {
            continue;
        }
        sum += (double)max[j] - (double)min[j];
        d_bounds[j] += BOUNDS_WEIGHT;
        d_bounds[e->target_dim + j] -= BOUNDS_WEIGHT;
    }
    return (float)(BOUNDS_WEIGHT * sum);
}

void ensemble_predict(float *mean, float *logvar, float *scratch, const struct ensemble *e,
                      const float *params, int member, const float *x, int B) {
    CHECK(member >= 0 && member < e->members);
    const size_t T = (size_t)e->target_dim;
    // In blocks of rows, so that all intermediate results stay in the cache.
    for (int from = 0; from < B; from += MLP_INFER_ROWS) {
        int rows = B - from < MLP_INFER_ROWS ? B - from : MLP_INFER_ROWS;
        struct workspace s = workspace_at(scratch, e, rows);
        mlp_infer(s.out, s.net, &e->net, params + ensemble_member_offset(e, member),
                  x + (size_t)from * (size_t)e->in_dim, rows);
        for (size_t i = 0; i < (size_t)rows; i++) {
            memcpy(mean + ((size_t)from + i) * T, s.out + 2 * i * T, T * sizeof(float));
        }
        if (logvar) {
            const struct bounded bounded = bounded_of(&s, false);
            bound_logvar(&bounded, e, params, s.out, rows);
            memcpy(logvar + (size_t)from * T, s.logvar, (size_t)rows * T * sizeof(float));
        }
    }
}

// ---- samples ----

size_t ensemble_sample_scratch(const struct ensemble *e, int B) {
    return 5 * scratch_floats((size_t)B * (size_t)e->target_dim);
}

void ensemble_sample_forward(float *y, float *kept, float *scratch, const struct ensemble *e,
                             const float *params, const float *output, const float *noise, int B) {
    const int T = e->target_dim;
    const size_t count = (size_t)B * (size_t)T, n = scratch_floats(count);
    const struct bounded s = {.a = scratch,
                              .b = scratch + n,
                              .logvar = scratch + 2 * n,
                              .slope_max = scratch + 3 * n,
                              .slope_min = scratch + 4 * n};
    bound_logvar(&s, e, params, output, B);
    for (size_t k = 0; k < count; k++) {
        s.a[k] = 0.5f * s.logvar[k];
    }
    elementwise_exp(s.b, s.a, count);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < T; j++) {
            int k = i * T + j;
            float spread = s.b[k] * noise[k];
            y[k] = output[2 * i * T + j] + spread;
            kept[k] = 0.5f * spread * s.slope_max[k] * s.slope_min[k];
        }
    }
}

void ensemble_sample_backward(float *d_output, const float *kept, const struct ensemble *e,
                              const float *dy, int B) {
    const size_t T = (size_t)e->target_dim;
    for (size_t i = 0; i < (size_t)B; i++) {
        for (size_t j = 0; j < T; j++) {
            d_output[2 * i * T + j] = dy[i * T + j];
            d_output[(2 * i + 1) * T + j] = dy[i * T + j] * kept[i * T + j];
        }
    }
}
