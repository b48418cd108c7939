// SPDX-License-Identifier: MIT
// Tanh-squashed Gaussian policy: sampling, log-probability and their gradients on top of mlp.h.
#include "common/nn/policy.h"

#include <math.h>
#include <stdbool.h>

#include "common/base/check.h"
#include "common/nn/elementwise.h"

// Layout of scratch: values of a sample that the backward pass needs, then the network's.
struct workspace {
    float *out; // (B, 2A) mu, raw log_std; in the backward pass their gradient
    float *std; // (B, A)
    float *act; // (B, A)
    float *u;   // (B, A) before tanh; also temporary storage
    float *sp;  // (B, A) softplus(-2u)
    float *net;
};

static struct workspace workspace_at(float *scratch, const struct policy *p, int B) {
    size_t n = scratch_floats((size_t)B * (size_t)p->act_dim);
    return (struct workspace){.out = scratch,
                              .std = scratch + 2 * n,
                              .act = scratch + 3 * n,
                              .u = scratch + 4 * n,
                              .sp = scratch + 5 * n,
                              .net = scratch + 6 * n};
}

struct policy policy_make_hidden(int obs_dim, int act_dim, const struct mlp_hidden *hidden) {
    CHECK(act_dim > 0);
    return (struct policy){.obs_dim = obs_dim,
                           .act_dim = act_dim,
                           .net = mlp_make_hidden(obs_dim, hidden, 2 * act_dim)};
}

struct policy policy_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers) {
    struct mlp_hidden hidden = mlp_hidden_equal(hidden_width, hidden_layers, ACTIVATION_RELU);
    return policy_make_hidden(obs_dim, act_dim, &hidden);
}

size_t policy_params(const struct policy *p) {
    return mlp_params(&p->net);
}

size_t policy_scratch(const struct policy *p, int B) {
    return 6 * scratch_floats((size_t)B * (size_t)p->act_dim) + mlp_scratch(&p->net, B);
}

void policy_init(float *params, const struct policy *p, struct rng *rng) {
    mlp_init_glorot(params, &p->net, rng);
}

static float clip_log_std(float raw) {
    raw = raw < POLICY_LOG_STD_MIN ? POLICY_LOG_STD_MIN : raw;
    return raw > POLICY_LOG_STD_MAX ? POLICY_LOG_STD_MAX : raw; // NaN stays NaN
}

// Computes std, u and the action from the network's output.
static void squash(float *act, const struct workspace *w, int A, const float *noise, int B) {
    const struct workspace s = *w;
    const size_t n = (size_t)B * (size_t)A;
    // std = exp(log_std), with s.u as temporary storage, then u = mu + std noise.
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            s.u[i * A + j] = clip_log_std(s.out[(2 * i + 1) * A + j]);
        }
    }
    elementwise_exp(s.std, s.u, n);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            int k = i * A + j;
            s.u[k] = s.out[2 * i * A + j] + s.std[k] * noise[k];
        }
    }
    elementwise_tanh(s.act, s.u, n);
    for (size_t k = 0; k < n; k++) {
        act[k] = s.act[k];
    }
}

// Called after squash. log_prob may be NULL.
static void log_probability(float *log_prob, const struct workspace *w, int A, const float *noise,
                            int B) {
    if (!log_prob) {
        return;
    }
    const struct workspace s = *w;
    const size_t n = (size_t)B * (size_t)A;
    // log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), see policy.h.
    const float log_2 = 0x1.62e430p-1f;
    const float half_log_2_pi = 0x1.d67f1cp-1f;
    for (size_t k = 0; k < n; k++) {
        s.u[k] *= -2.0f;
    }
    elementwise_softplus(s.sp, NULL, s.u, n);
    for (int i = 0; i < B; i++) {
        float sum = 0.0f;
        for (int j = 0; j < A; j++) {
            int k = i * A + j;
            float log_std = clip_log_std(s.out[(2 * i + 1) * A + j]);
            float gauss = -0.5f * noise[k] * noise[k] - log_std - half_log_2_pi;
            sum += gauss - 2.0f * (log_2 + 0.5f * s.u[k] - s.sp[k]);
        }
        log_prob[i] = sum;
    }
}

void policy_forward(float *act, float *log_prob, float *scratch, const struct policy *p,
                    const float *params, const float *obs, const float *noise, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    mlp_forward(s.out, s.net, &p->net, params, obs, B);
    squash(act, &s, p->act_dim, noise, B);
    log_probability(log_prob, &s, p->act_dim, noise, B);
}

void policy_infer(float *act, float *log_prob, float *scratch, const struct policy *p,
                  const float *params, const float *obs, const float *noise, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    mlp_infer(s.out, s.net, &p->net, params, obs, B);
    squash(act, &s, p->act_dim, noise, B);
    log_probability(log_prob, &s, p->act_dim, noise, B);
}

void policy_mean(float *act, float *scratch, const struct policy *p, const float *params,
                 const float *obs, int B) {
    const int A = p->act_dim;
    struct workspace s = workspace_at(scratch, p, B);
    mlp_infer(s.out, s.net, &p->net, params, obs, B);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            s.u[i * A + j] = s.out[2 * i * A + j];
        }
    }
    elementwise_tanh(act, s.u, (size_t)B * (size_t)A);
}

// Replaces s->out by its gradient. With a = tanh(u): da/du = 1 - a^2 and dlog_prob/du = 2a, as the
// Gaussian term is constant in u for given noise. log_std has gradients through u = mu + std noise
// and through the term -log_std, and none where it is clipped.
static void output_gradient(const struct workspace *w, int A, const float *noise,
                            const float *d_act, const float *d_log_prob, int B) {
    const struct workspace s = *w;
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            int k = i * A + j;
            float a = s.act[k];
            float du = d_act[k] * (1.0f - a * a) + d_log_prob[i] * 2.0f * a;
            float raw = s.out[(2 * i + 1) * A + j];
            bool free = raw >= POLICY_LOG_STD_MIN && raw <= POLICY_LOG_STD_MAX;
            s.out[2 * i * A + j] = du;
            s.out[(2 * i + 1) * A + j] = free ? du * s.std[k] * noise[k] - d_log_prob[i] : 0.0f;
        }
    }
}

void policy_backward(float *dparams, float *scratch, const struct policy *p, const float *params,
                     const float *noise, const float *d_act, const float *d_log_prob, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    output_gradient(&s, p->act_dim, noise, d_act, d_log_prob, B);
    mlp_backward(NULL, dparams, s.net, &p->net, params, s.out, B);
}

void policy_backward_adam(struct thread_team *team, const struct mlp_adam *a, float *params,
                          float *scratch, const struct policy *p, const float *noise,
                          const float *d_act, const float *d_log_prob, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    output_gradient(&s, p->act_dim, noise, d_act, d_log_prob, B);
    mlp_backward_adam(team, a, params, s.net, &p->net, s.out, B);
}
