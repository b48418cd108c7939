// SPDX-License-Identifier: MIT
#include "common/nn/critic.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/check.h"

// Scratch: the input of both networks and a few vectors, then the network's own,
// which the two use one after the other.
struct parts {
    float *x;    // (B, obs_dim + act_dim)
    float *dx;   // the same
    float *q;    // (2, B)
    float *dq;   // (2, B)
    float *net;  // of Q1
    float *net2; // of Q2: critic_min_gradient needs both at once
};

static struct parts divide(float *scratch, const struct critic *c, int B) {
    size_t x = scratch_floats((size_t)B * (size_t)c->net.dims[0]);
    size_t q = scratch_floats(2 * (size_t)B);
    struct parts s = {.x = scratch,
                      .dx = scratch + x,
                      .q = scratch + 2 * x,
                      .dq = scratch + 2 * x + q,
                      .net = scratch + 2 * x + 2 * q};
    s.net2 = s.net + mlp_scratch(&c->net, B);
    return s;
}

struct critic critic_make(int obs_dim, int act_dim, int hidden_width, int hidden_layers) {
    CHECK(act_dim > 0);
    return (struct critic){
        .obs_dim = obs_dim,
        .act_dim = act_dim,
        .net = mlp_make(obs_dim + act_dim, hidden_width, hidden_layers, 1, ACTIVATION_RELU)};
}

size_t critic_params(const struct critic *c) {
    return 2 * mlp_params(&c->net);
}

size_t critic_scratch(const struct critic *c, int B) {
    return 2 * scratch_floats((size_t)B * (size_t)c->net.dims[0]) +
           2 * scratch_floats(2 * (size_t)B) + 2 * mlp_scratch(&c->net, B);
}

void critic_init(float *params, const struct critic *c, struct rng *rng) {
    mlp_init_glorot(params, &c->net, rng);
    mlp_init_glorot(params + mlp_params(&c->net), &c->net, rng);
}

static void join(float *x, const struct critic *c, const float *obs, const float *act, int B) {
    size_t O = (size_t)c->obs_dim, A = (size_t)c->act_dim;
    for (int i = 0; i < B; i++, x += O + A, obs += O, act += A) {
        memcpy(x, obs, O * sizeof(float));
        memcpy(x + O, act, A * sizeof(float));
    }
}

void critic_forward(float *q, float *scratch, const struct critic *c, const float *params,
                    const float *obs, const float *act, int B) {
    struct parts s = divide(scratch, c, B);
    join(s.x, c, obs, act, B);
    mlp_infer(q, s.net, &c->net, params, s.x, B);
    mlp_infer(q + B, s.net, &c->net, params + mlp_params(&c->net), s.x, B);
}

float critic_loss(float *q, float *dparams, float *scratch, const struct critic *c,
                  const float *params, const float *obs, const float *act, const float *y, int B) {
    CHECK(B > 0);
    struct parts s = divide(scratch, c, B);
    join(s.x, c, obs, act, B);
    double loss = 0.0; // in double: it is a sum over the batch, and shown to people
    for (int k = 0; k < 2; k++) {
        size_t offset = (size_t)k * mlp_params(&c->net);
        float *qk = q + (size_t)k * (size_t)B;
        mlp_forward(qk, s.net, &c->net, params + offset, s.x, B);
        for (int i = 0; i < B; i++) {
            float error = qk[i] - y[i];
            s.dq[i] = error / (float)B;
            loss += 0.5 * (double)error * (double)error / B;
        }
        mlp_backward(NULL, dparams + offset, s.net, &c->net, params + offset, s.x, s.dq, B);
    }
    return (float)loss;
}

// d_act of the rows that keep names, from one critic: its other rows have no
// gradient and are dropped before the way back.
static void gradient_of_kept(float *d_act, const struct parts *s, float *net,
                             const struct critic *c, const float *params, const float *keep,
                             int B) {
    size_t O = (size_t)c->obs_dim, A = (size_t)c->act_dim;
    int kept = mlp_keep_rows(net, &c->net, keep, B);
    for (int i = 0; i < kept; i++) {
        s->q[i] = 1.0f; // d q_min / d q of a kept row
    }
    mlp_backward(s->dx, NULL, net, &c->net, params, NULL, s->q, kept);
    const float *dx = s->dx;
    for (int i = 0; i < B; i++) {
        if (keep[i] != 0.0f) {
            memcpy(d_act + (size_t)i * A, dx + O, A * sizeof(float));
            dx += O + A;
        }
    }
}

void critic_min_gradient(float *q_min, float *d_act, float *scratch, const struct critic *c,
                         const float *params, const float *obs, const float *act, int B) {
    struct parts s = divide(scratch, c, B);
    const float *params2 = params + mlp_params(&c->net);
    join(s.x, c, obs, act, B);
    mlp_forward(s.q, s.net, &c->net, params, s.x, B);
    mlp_forward(s.q + B, s.net2, &c->net, params2, s.x, B);
    for (int i = 0; i < B; i++) {
        float q1 = s.q[i], q2 = s.q[B + i];
        bool first = q1 <= q2;
        s.dq[i] = first ? 1.0f : 0.0f;
        s.dq[B + i] = first ? 0.0f : 1.0f;
        q_min[i] = first ? q1 : q2;
        if (isnan(q1)) {
            q_min[i] = q1; // a broken critic must not hide behind the other
        }
    }
    gradient_of_kept(d_act, &s, s.net, c, params, s.dq, B);
    gradient_of_kept(d_act, &s, s.net2, c, params2, s.dq + B, B);
}
