// SPDX-License-Identifier: MIT
// Changes of the first and the last layer; sums in double.
#include "common/nn/reparam.h"

#include <math.h>
#include <string.h>

#include "common/nn/normalizer.h"

void reparam_inputs(float *params, const struct mlp *net, const float *from, const float *to,
                    int dim, float limit) {
    const int in = net->dims[0], out = net->dims[1];
    float *W = params + mlp_weight_offset(net, 0), *b = params + mlp_bias_offset(net, 0);
    for (int i = 0; i < out; i++, W += in) {
        double bias = (double)b[i];
        for (int j = 0; j < dim; j++) {
            double std = (double)from[dim + j];
            if (std == 0) {
                W[j] = 0;
                continue;
            }
            bias += (double)W[j] * (((double)to[j] - (double)from[j]) / std);
            double factor = (double)to[dim + j] / std;
            W[j] *= (float)(factor < (double)limit ? factor : (double)limit);
        }
        b[i] = (float)bias;
    }
}

static void scale_inputs(float *params, const struct mlp *net, double factor) {
    float *W = params + mlp_weight_offset(net, 0);
    for (int i = 0; i < net->dims[0] * net->dims[1]; i++) {
        W[i] = (float)((double)W[i] * factor);
    }
}

void reparam_fresh_inputs(float *params, const struct mlp *net, int constant) {
    double all = net->dims[0] + net->dims[1];
    scale_inputs(params, net, sqrt(all / (all - constant)));
}

void reparam_fold_policy(float *folded, const struct policy *p, const float *params,
                         const float *observations) {
    const float *std = observations + p->obs_dim;
    const int out = p->net.dims[1];
    memcpy(folded, params, policy_params(p) * sizeof(float));
    float *W = folded + mlp_weight_offset(&p->net, 0), *b = folded + mlp_bias_offset(&p->net, 0);
    for (int i = 0; i < out; i++, W += p->obs_dim) {
        double bias = (double)b[i];
        for (int j = 0; j < p->obs_dim; j++) {
            double spread = (double)std[j];
            bias -= spread != 0 ? (double)W[j] * ((double)observations[j] / spread) : 0;
            W[j] *= spread != 0 ? (float)(1 / spread) : 0;
        }
        b[i] = (float)bias;
    }
}

int reparam_moving(const float *normalizer, int dim) {
    int moving = 0;
    for (int j = 0; j < dim; j++) {
        moving += normalizer[dim + j] != 0;
    }
    return moving;
}

void reparam_outputs(float *params, const struct mlp *net, const float *from, const float *to,
                     int first, int dim) {
    const int last = net->layers - 1, in = net->dims[last];
    float *W = params + mlp_weight_offset(net, last) + (size_t)first * (size_t)in;
    float *b = params + mlp_bias_offset(net, last) + first;
    for (int j = 0; j < dim; j++, W += in) {
        double std = (double)from[dim + j], next = (double)to[dim + j];
        if (next == 0) {
            continue;
        }
        for (int i = 0; i < in; i++) {
            W[i] = (float)((double)W[i] * std / next);
        }
        b[j] = (float)(((double)b[j] * std + (double)from[j] - (double)to[j]) / next);
    }
}

void reparam_ensemble(float *params, const struct ensemble *e, const float *from, const float *to) {
    const int T = e->target_dim;
    const size_t targets = normalizer_floats(e->in_dim);
    const float *old = from + targets, *new = to + targets;
    for (int k = 0; k < e->members; k++) {
        float *member = params + ensemble_member_offset(e, k);
        reparam_inputs(member, &e->net, from, to, e->in_dim, NORMALIZER_INPUT_LIMIT);
        reparam_outputs(member, &e->net, old, new, 0, T);
    }
    if (e->free_noise) {
        for (int i = 0; i < e->members * T; i++) {
            bool moves = old[T + i % T] != 0 && new[T + i % T] != 0;
            params[ensemble_log_sigma_offset(e, 0) + (size_t)i] +=
                moves ? logf(old[T + i % T] / new[T + i % T]) : 0;
        }
        return;
    }
    // In units of the target, the log-variance and its bounds stay.
    for (int j = 0; j < T; j++) {
        if (old[T + j] == 0 || new[T + j] == 0) {
            continue;
        }
        float shift = 2 * logf(old[T + j] / new[T + j]);
        for (int k = 0; k < e->members; k++) {
            float *member = params + ensemble_member_offset(e, k);
            member[mlp_bias_offset(&e->net, e->net.layers - 1) + (size_t)(T + j)] += shift;
        }
        params[ensemble_max_logvar_offset(e) + (size_t)j] += shift;
        params[ensemble_min_logvar_offset(e) + (size_t)j] += shift;
    }
}

void reparam_fresh_ensemble(float *params, const struct ensemble *e, const float *normalizer) {
    int moving = reparam_moving(normalizer, e->in_dim);
    // mlp_init_truncated: sd 1 / (2 sqrt(in))
    double factor = moving > 0 ? sqrt((double)e->in_dim / moving) : 1;
    for (int k = 0; k < e->members; k++) {
        scale_inputs(params + ensemble_member_offset(e, k), &e->net, factor);
    }
}
