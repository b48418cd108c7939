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

struct ensemble ensemble_with_free_noise(struct ensemble e) {
    e.free_noise = true;
    e.net.dims[e.net.layers] = e.target_dim;
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

size_t ensemble_log_sigma_offset(const struct ensemble *e, int member) {
    return ensemble_member_offset(e, e->members) + (size_t)member * (size_t)e->target_dim;
}

size_t ensemble_noise_floats(const struct ensemble *e) {
    return (size_t)(e->free_noise ? e->target_dim : 2 * e->target_dim);
}

size_t ensemble_params(const struct ensemble *e) {
    size_t noise = ensemble_noise_floats(e) * (size_t)(e->free_noise ? e->members : 1);
    return ensemble_member_offset(e, e->members) + noise;
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

static void init_noise(float *params, const struct ensemble *e) {
    if (e->free_noise) {
        size_t at = ensemble_log_sigma_offset(e, 0);
        memset(params + at, 0, (ensemble_params(e) - at) * sizeof(float));
        return;
    }
    float *max = params + ensemble_max_logvar_offset(e);
    float *min = params + ensemble_min_logvar_offset(e);
    for (int j = 0; j < e->target_dim; j++) {
        max[j] = MAX_LOGVAR_START;
        min[j] = MIN_LOGVAR_START;
    }
}

void ensemble_init(float *params, const struct ensemble *e, uint64_t seed) {
    for (int k = 0; k < e->members; k++) {
        struct rng rng = rng_make(seed, RNG_MODEL_INIT, (uint64_t)k);
        mlp_init_truncated(params + ensemble_member_offset(e, k), &e->net, &rng);
    }
    init_noise(params, e);
}

void ensemble_init_kaiming(float *params, const struct ensemble *e, uint64_t seed) {
    for (int k = 0; k < e->members; k++) {
        struct rng rng = rng_make(seed, RNG_MODEL_INIT, (uint64_t)k);
        mlp_init_kaiming(params + ensemble_member_offset(e, k), &e->net, &rng);
    }
    init_noise(params, e);
}

// Buffers (B, T) of bound_logvar; a and b are temporaries.
struct bounded {
    float *a, *b;
    float *logvar;
    float *slope_max, *slope_min; // derivatives; NULL: not wanted
};

static void free_logvar(const struct bounded *s, const struct ensemble *e, const float *params,
                        int member, int B) {
    const float *log_sigma = params + ensemble_log_sigma_offset(e, member);
    const int T = e->target_dim;
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < T; j++) {
            s->logvar[i * T + j] = 2 * log_sigma[j];
        }
    }
    if (s->slope_max) { // of an output that there is none of
        memset(s->slope_max, 0, (size_t)B * (size_t)T * sizeof(float));
        memset(s->slope_min, 0, (size_t)B * (size_t)T * sizeof(float));
    }
}

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

static void noise_logvar(const struct bounded *s, const struct ensemble *e, const float *params,
                         int member, const float *output, int B) {
    if (e->free_noise) {
        free_logvar(s, e, params, member, B);
    } else {
        bound_logvar(s, e, params, output, B);
    }
}

static struct bounded bounded_of(const struct workspace *s, bool slopes) {
    return (struct bounded){.a = s->a,
                            .b = s->b,
                            .logvar = s->logvar,
                            .slope_max = slopes ? s->slope_max : NULL,
                            .slope_min = slopes ? s->slope_min : NULL};
}

// A batch's targets and weights.
struct targets {
    const float *y, *weight, *row_weight;
    int B, T;
};

static float row_weight_of(const struct targets *t, int i) {
    return t->row_weight ? t->row_weight[i] : 1.0f;
}

// Returns the loss and replaces s->out by its gradient. s->b holds w = exp(-logvar). With error =
// mean - y, per element and up to the factor weight / (B T):
//   dL/dmean = 2 error w,  dL/dlogvar = 1 - error^2 w,
// and through the bounds:
//   dL/dl = dL/dlogvar slope_min,  dL/dmin = dL/dlogvar (1 - slope_min),
//   dL/draw = dL/dl slope_max,  dL/dmax = dL/dl (1 - slope_max).
static float output_loss(float *mse, float *d_max, float *d_min, const struct workspace *s,
                         const struct targets *t) {
    const int B = t->B, T = t->T;
    double sum = 0.0, squares = 0.0; // double: sums of B T terms
    for (int i = 0; i < B; i++) {
        float *mean = s->out + 2 * i * T, *raw = mean + T;
        const float of_row = row_weight_of(t, i);
        for (int j = 0; j < T; j++) {
            int k = i * T + j;
            const float scale = of_row * (t->weight[j] / ((float)B * (float)T));
            float error = mean[j] - t->y[k];
            float weighted = error * s->b[k];
            sum += (double)(of_row * (t->weight[j] * (error * weighted + s->logvar[k])));
            squares += (double)(t->weight[j] * (error * error));
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

// The same with free noise; s->b = exp(-2 log_sigma). Per element, up to the weights / (B T):
//   dL/dmean = 2 error w,  dL/dlog_sigma = 2 [log_sigma > floor] - 2 error^2 w
static float free_loss(float *mse, float *d_log_sigma, const struct workspace *s,
                       const float *log_sigma, const struct targets *t) {
    const int B = t->B, T = t->T;
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < B; i++) {
        float *mean = s->out + i * T;
        for (int j = 0; j < T; j++) {
            int k = i * T + j;
            const float weight = row_weight_of(t, i) * t->weight[j];
            const float scale = weight / ((float)B * (float)T);
            bool above = log_sigma[j] > ENSEMBLE_NOISE_FLOOR;
            float error = mean[j] - t->y[k];
            float weighted = error * s->b[k];
            float last = 2.0f * (above ? log_sigma[j] : ENSEMBLE_NOISE_FLOOR);
            sum += (double)(weight * (error * weighted + last));
            squares += (double)(t->weight[j] * (error * error));
            mean[j] = scale * 2.0f * weighted;
            d_log_sigma[j] += scale * 2.0f * ((above ? 1.0f : 0.0f) - error * weighted);
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

float ensemble_member_output(float *mse, float *d_noise, float *scratch, const struct ensemble *e,
                             const float *params, int member, const float *y, const float *weight,
                             const float *row_weight, int B) {
    const int T = e->target_dim;
    const struct targets targets = {y, weight, row_weight, B, T};
    const size_t n = (size_t)B * (size_t)T;
    struct workspace s = workspace_at(scratch, e, B);
    const struct bounded bounded = bounded_of(&s, true);
    noise_logvar(&bounded, e, params, member, s.out, B);
    for (size_t k = 0; k < n; k++) {
        s.a[k] = -s.logvar[k];
    }
    elementwise_exp(s.b, s.a, n);
    return e->free_noise ? free_loss(mse, d_noise, &s,
                                     params + ensemble_log_sigma_offset(e, member), &targets)
                         : output_loss(mse, d_noise, d_noise + T, &s, &targets);
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
                           const float *weight, const float *row_weight, int B) {
    const size_t offset = ensemble_member_offset(e, member);
    float *d_noise = dparams + (e->free_noise ? ensemble_log_sigma_offset(e, member)
                                              : ensemble_max_logvar_offset(e));
    struct workspace s = workspace_at(scratch, e, B);
    ensemble_member_forward(scratch, e, params, member, x, B, NULL);
    float loss =
        ensemble_member_output(mse, d_noise, scratch, e, params, member, y, weight, row_weight, B);
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
    const size_t T = (size_t)e->target_dim, stride = (size_t)e->net.dims[e->net.layers];
    // In blocks of rows, so that all intermediate results stay in the cache.
    for (int from = 0; from < B; from += MLP_INFER_ROWS) {
        int rows = B - from < MLP_INFER_ROWS ? B - from : MLP_INFER_ROWS;
        struct workspace s = workspace_at(scratch, e, rows);
        mlp_infer(s.out, s.net, &e->net, params + ensemble_member_offset(e, member),
                  x + (size_t)from * (size_t)e->in_dim, rows);
        for (size_t i = 0; i < (size_t)rows; i++) {
            memcpy(mean + ((size_t)from + i) * T, s.out + i * stride, T * sizeof(float));
        }
        if (logvar) {
            const struct bounded bounded = bounded_of(&s, false);
            noise_logvar(&bounded, e, params, member, s.out, rows);
            memcpy(logvar + (size_t)from * T, s.logvar, (size_t)rows * T * sizeof(float));
        }
    }
}

// ---- samples ----

size_t ensemble_sample_scratch(const struct ensemble *e, int B) {
    return 5 * scratch_floats((size_t)B * (size_t)e->target_dim);
}

void ensemble_sample_forward(float *y, float *kept, float *scratch, const struct ensemble *e,
                             const float *params, int member, const float *output,
                             const float *noise, int B) {
    const int T = e->target_dim, stride = e->net.dims[e->net.layers];
    const size_t count = (size_t)B * (size_t)T, n = scratch_floats(count);
    const struct bounded s = {.a = scratch,
                              .b = scratch + n,
                              .logvar = scratch + 2 * n,
                              .slope_max = scratch + 3 * n,
                              .slope_min = scratch + 4 * n};
    noise_logvar(&s, e, params, member, output, B);
    for (size_t k = 0; k < count; k++) {
        s.a[k] = 0.5f * s.logvar[k];
    }
    elementwise_exp(s.b, s.a, count);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < T; j++) {
            int k = i * T + j;
            float spread = s.b[k] * noise[k];
            y[k] = output[i * stride + j] + spread;
            kept[k] = 0.5f * spread * s.slope_max[k] * s.slope_min[k];
        }
    }
}

void ensemble_sample_backward(float *d_output, const float *kept, const struct ensemble *e,
                              const float *dy, int B) {
    const size_t T = (size_t)e->target_dim, stride = (size_t)e->net.dims[e->net.layers];
    for (size_t i = 0; i < (size_t)B; i++) {
        memcpy(d_output + i * stride, dy + i * T, T * sizeof(float));
        for (size_t j = 0; j < T && !e->free_noise; j++) {
            d_output[i * stride + T + j] = dy[i * T + j] * kept[i * T + j];
        }
    }
}
