// SPDX-License-Identifier: MIT
// Tanh-squashed Gaussian policy: sampling, log-probability and their gradients on top of mlp.h.
#include "common/nn/policy.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/elementwise.h"

// Layout of the scratch of a sample: values that the backward pass needs.
struct sample {
    float *raw; // (B, A) log_std before it is clipped
    float *std; // (B, A)
    float *act; // (B, A)
    float *u;   // (B, A) before tanh; also temporary storage
    float *sp;  // (B, A) softplus(-2u)
};

static struct sample sample_at(float *scratch, const struct policy *p, int B) {
    size_t n = scratch_floats((size_t)B * (size_t)p->act_dim);
    return (struct sample){.raw = scratch,
                           .std = scratch + n,
                           .act = scratch + 2 * n,
                           .u = scratch + 3 * n,
                           .sp = scratch + 4 * n};
}

// Layout of scratch: the network's output and its gradient, the sample, the network.
struct workspace {
    float *out; // (B, 2A) mu, raw log_std; in the backward pass their gradient
    float *sample;
    float *net;
};

static struct workspace workspace_at(float *scratch, const struct policy *p, int B) {
    size_t n = scratch_floats((size_t)B * (size_t)p->act_dim);
    return (struct workspace){
        .out = scratch,
        .sample = scratch + 2 * n,
        .net = scratch + 2 * n + policy_sample_scratch(p, B),
    };
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
    return 2 * scratch_floats((size_t)B * (size_t)p->act_dim) + policy_sample_scratch(p, B) +
           mlp_scratch(&p->net, B);
}

size_t policy_sample_scratch(const struct policy *p, int B) {
    return 5 * scratch_floats((size_t)B * (size_t)p->act_dim);
}

void policy_init(float *params, const struct policy *p, struct rng *rng) {
    mlp_init_glorot(params, &p->net, rng);
}

static float clip_log_std(float raw) {
    raw = raw < POLICY_LOG_STD_MIN ? POLICY_LOG_STD_MIN : raw;
    return raw > POLICY_LOG_STD_MAX ? POLICY_LOG_STD_MAX : raw; // NaN stays NaN
}

// Computes std, u and the action from the network's output.
static void squash(const struct sample *s, const float *output, int A, const float *noise, int B) {
    const size_t n = (size_t)B * (size_t)A;
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            s->raw[i * A + j] = output[(2 * i + 1) * A + j];
            s->u[i * A + j] = clip_log_std(s->raw[i * A + j]);
        }
    }
    elementwise_exp(s->std, s->u, n);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            int k = i * A + j;
            s->u[k] = output[2 * i * A + j] + s->std[k] * noise[k];
        }
    }
    elementwise_tanh(s->act, s->u, n);
}

// Called after squash.
static void log_probability(float *log_prob, const struct sample *s, int A, const float *noise,
                            int B) {
    const size_t n = (size_t)B * (size_t)A;
    // log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), see policy.h.
    const float log_2 = 0x1.62e430p-1f;
    const float half_log_2_pi = 0x1.d67f1cp-1f;
    for (size_t k = 0; k < n; k++) {
        s->u[k] *= -2.0f;
    }
    elementwise_softplus(s->sp, NULL, s->u, n);
    for (int i = 0; i < B; i++) {
        float sum = 0.0f;
        for (int j = 0; j < A; j++) {
            int k = i * A + j;
            float gauss = -0.5f * noise[k] * noise[k] - clip_log_std(s->raw[k]) - half_log_2_pi;
            sum += gauss - 2.0f * (log_2 + 0.5f * s->u[k] - s->sp[k]);
        }
        log_prob[i] = sum;
    }
}

void policy_sample_forward(float *act, float *log_prob, float *scratch, const struct policy *p,
                           const float *output, const float *noise, int B) {
    struct sample s = sample_at(scratch, p, B);
    squash(&s, output, p->act_dim, noise, B);
    memcpy(act, s.act, (size_t)B * (size_t)p->act_dim * sizeof(float));
    if (log_prob) {
        log_probability(log_prob, &s, p->act_dim, noise, B);
    }
}

void policy_forward(float *act, float *log_prob, float *scratch, const struct policy *p,
                    const float *params, const float *obs, const float *noise, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    mlp_forward(s.out, s.net, &p->net, params, obs, B);
    policy_sample_forward(act, log_prob, s.sample, p, s.out, noise, B);
}

void policy_infer(float *act, float *log_prob, float *scratch, const struct policy *p,
                  const float *params, const float *obs, const float *noise, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    mlp_infer(s.out, s.net, &p->net, params, obs, B);
    policy_sample_forward(act, log_prob, s.sample, p, s.out, noise, B);
}

void policy_mean(float *act, float *scratch, const struct policy *p, const float *params,
                 const float *obs, int B) {
    const int A = p->act_dim;
    struct workspace s = workspace_at(scratch, p, B);
    float *mean = sample_at(s.sample, p, B).u;
    mlp_infer(s.out, s.net, &p->net, params, obs, B);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            mean[i * A + j] = s.out[2 * i * A + j];
        }
    }
    elementwise_tanh(act, mean, (size_t)B * (size_t)A);
}

// With a = tanh(u): da/du = 1 - a^2 and dlog_prob/du = 2a, as the Gaussian term is constant in u
// for given noise. log_std has gradients through u = mu + std noise and through the term -log_std,
// and none where it is clipped.
void policy_sample_backward(float *d_output, float *scratch, const struct policy *p,
                            const float *noise, const float *d_act, const float *d_log_prob,
                            int B) {
    const int A = p->act_dim;
    const struct sample s = sample_at(scratch, p, B);
    for (int i = 0; i < B; i++) {
        for (int j = 0; j < A; j++) {
            int k = i * A + j;
            float a = s.act[k], raw = s.raw[k];
            float du = d_act[k] * (1.0f - a * a) + d_log_prob[i] * 2.0f * a;
            bool free = raw >= POLICY_LOG_STD_MIN && raw <= POLICY_LOG_STD_MAX;
            d_output[2 * i * A + j] = du;
            d_output[(2 * i + 1) * A + j] = free ? du * s.std[k] * noise[k] - d_log_prob[i] : 0.0f;
        }
    }
}

void policy_backward(float *dparams, float *scratch, const struct policy *p, const float *params,
                     const float *noise, const float *d_act, const float *d_log_prob, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    policy_sample_backward(s.out, s.sample, p, noise, d_act, d_log_prob, B);
    mlp_backward(NULL, dparams, s.net, &p->net, params, s.out, B);
}

void policy_backward_adam(struct thread_team *team, const struct mlp_adam *a, float *params,
                          float *scratch, const struct policy *p, const float *noise,
                          const float *d_act, const float *d_log_prob, int B) {
    struct workspace s = workspace_at(scratch, p, B);
    policy_sample_backward(s.out, s.sample, p, noise, d_act, d_log_prob, B);
    mlp_backward_adam(team, a, params, s.net, &p->net, s.out, B);
}
