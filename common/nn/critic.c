// SPDX-License-Identifier: MIT
// Q-functions: losses and gradients on top of mlp.h.
#include "common/nn/critic.h"

#include <math.h>
#include <string.h>

#include "common/base/check.h"

// Layout of scratch: buffers of this file, then the network's.
struct workspace {
    float *dq;   // (B)
    float *keep; // (B) 1 where this critic is the minimum
    float *dx;   // (B, obs_dim + act_dim)
    float *net;
};

static struct workspace workspace_at(float *scratch, const struct critic *c, int B) {
    size_t x = scratch_floats((size_t)B * (size_t)c->net.dims[0]);
    size_t q = scratch_floats((size_t)B);
    return (struct workspace){
        .dq = scratch, .keep = scratch + q, .dx = scratch + 2 * q, .net = scratch + 2 * q + x};
}

struct critic critic_make_hidden(int obs_dim, int act_dim, const struct mlp_hidden *hidden,
                                 int count) {
    CHECK(act_dim > 0);
    CHECK(count > 0);
    return (struct critic){.count = count,
                           .obs_dim = obs_dim,
                           .act_dim = act_dim,
                           .net = mlp_make_hidden(obs_dim + act_dim, hidden, 1)};
}

struct critic critic_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers) {
    struct mlp_hidden hidden = mlp_hidden_equal(hidden_width, hidden_layers, ACTIVATION_RELU);
    return critic_make_hidden(obs_dim, act_dim, &hidden, 2);
}

size_t critic_params(const struct critic *c) {
    return (size_t)c->count * mlp_params(&c->net);
}

size_t critic_offset(const struct critic *c, int k) {
    return (size_t)k * mlp_params(&c->net);
}

size_t critic_scratch(const struct critic *c, int B) {
    return 2 * scratch_floats((size_t)B) + scratch_floats((size_t)B * (size_t)c->net.dims[0]) +
           mlp_scratch(&c->net, B);
}

void critic_init(float *params, const struct critic *c, struct rng *rng) {
    for (int k = 0; k < c->count; k++) {
        mlp_init_glorot(params + critic_offset(c, k), &c->net, rng);
    }
}

void critic_concat(float *x, const struct critic *c, const float *obs, const float *act, int B) {
    size_t O = (size_t)c->obs_dim, A = (size_t)c->act_dim;
    for (int i = 0; i < B; i++, x += O + A, obs += O, act += A) {
        memcpy(x, obs, O * sizeof(float));
        memcpy(x + O, act, A * sizeof(float));
    }
}

void critic_forward(float *q, float *scratch, const struct critic *c, const float *params, int k,
                    const float *x, int B) {
    critic_forward_dropout(q, scratch, c, params, k, x, B, NULL);
}

void critic_forward_dropout(float *q, float *scratch, const struct critic *c, const float *params,
                            int k, const float *x, int B, const struct mlp_dropout *dropout) {
    struct workspace s = workspace_at(scratch, c, B);
    mlp_forward_dropout(q, s.net, &c->net, params + critic_offset(c, k), x, B, dropout);
}

void critic_infer(float *q, float *scratch, const struct critic *c, const float *params, int k,
                  const float *x, int B) {
    struct workspace s = workspace_at(scratch, c, B);
    mlp_infer(q, s.net, &c->net, params + critic_offset(c, k), x, B);
}

// Returns the loss, writes its gradient dq (B).
static float squared_error(float *dq, const float *q, const float *y, int B) {
    CHECK(B > 0);
    double loss = 0.0; // double: a sum over the batch, reported as a metric
    for (int i = 0; i < B; i++) {
        float error = q[i] - y[i];
        dq[i] = error / (float)B;
        loss += 0.5 * (double)error * (double)error / B;
    }
    return (float)loss;
}

float critic_loss(float *dparams, float *scratch, const struct critic *c, const float *params,
                  int k, const float *q, const float *y, int B) {
    struct workspace s = workspace_at(scratch, c, B);
    float loss = squared_error(s.dq, q, y, B);
    size_t offset = critic_offset(c, k);
    mlp_backward(NULL, dparams + offset, s.net, &c->net, params + offset, s.dq, B);
    return loss;
}

float critic_backward_adam(const struct mlp_adam *a, float *params, float *scratch,
                           const struct critic *c, int k, const float *q, const float *y, int B) {
    struct workspace s = workspace_at(scratch, c, B);
    float loss = squared_error(s.dq, q, y, B);
    size_t offset = critic_offset(c, k);
    struct mlp_adam own = *a;
    own.m += offset;
    own.v += offset;
    own.target += offset;
    mlp_backward_adam(NULL, &own, params + offset, s.net, &c->net, s.dq, B);
    return loss;
}

void critic_input_gradient(float *dx, float *scratch, const struct critic *c, const float *params,
                           int k, const float *dq, int B) {
    struct workspace s = workspace_at(scratch, c, B);
    mlp_backward(dx, NULL, s.net, &c->net, params + critic_offset(c, k), dq, B);
}

void critic_min(float *q_min, const float *q, int count, int B) {
    for (int i = 0; i < B; i++) {
        float least = q[i];
        for (int k = 1; k < count; k++) {
            // A NaN of one critic must not be masked by another.
            least = least <= q[k * B + i] || isnan(least) ? least : q[k * B + i];
        }
        q_min[i] = least;
    }
}

// The critic with the smallest value of row i; of equal ones the first.
static int least_critic(const float *q, int count, int i, int B) {
    int best = 0;
    for (int k = 1; k < count; k++) {
        best = q[best * B + i] <= q[k * B + i] ? best : k;
    }
    return best;
}

void critic_min_gradient(float *d_act, float *scratch, const struct critic *c, const float *params,
                         int k, const float *q, int B) {
    size_t O = (size_t)c->obs_dim, A = (size_t)c->act_dim;
    struct workspace s = workspace_at(scratch, c, B);
    for (int i = 0; i < B; i++) {
        s.keep[i] = least_critic(q, c->count, i, B) == k ? 1.0f : 0.0f;
        s.dq[i] = 1.0f; // d q_min / d q of a kept row
    }
    // All other rows have zero gradient: drop them before the backward pass.
    int kept = mlp_keep_rows(s.net, &c->net, s.keep, B);
    mlp_backward(s.dx, NULL, s.net, &c->net, params + critic_offset(c, k), s.dq, kept);
    const float *dx = s.dx;
    for (int i = 0; i < B; i++) {
        if (s.keep[i] != 0.0f) {
            memcpy(d_act + (size_t)i * A, dx + O, A * sizeof(float));
            dx += O + A;
        }
    }
}
