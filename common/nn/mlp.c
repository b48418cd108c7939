// SPDX-License-Identifier: MIT
#include "common/nn/mlp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/check.h"
#include "common/nn/gemm.h"
#include "common/nn/vector.h"

// Scratch is a row of buffers, each starting on a cache line:
//
//   for each hidden layer l:  h_l (B, width)      what the layer gives on
//                             slope_l (B, width)  SiLU only: its derivative
//   two of (B, widest)        gradients on their way back
//
// All of it scales with B, and a smaller batch uses the front of each part.

struct mlp mlp_make(int in, int hidden_width, int hidden_layers, int out,
                    enum activation activation) {
    CHECK(in > 0);
    CHECK(out > 0);
    CHECK(hidden_layers >= 0);
    CHECK(hidden_layers < MLP_LAYERS_MAX);
    CHECK(hidden_layers == 0 || hidden_width > 0);
    struct mlp m = {.layers = hidden_layers + 1, .activation = activation};
    m.dims[0] = in;
    for (int l = 1; l <= hidden_layers; l++) {
        m.dims[l] = hidden_width;
    }
    m.dims[m.layers] = out;
    return m;
}

size_t mlp_weight_offset(const struct mlp *m, int layer) {
    size_t offset = 0;
    for (int l = 0; l < layer; l++) {
        offset += (size_t)(m->dims[l] + 1) * (size_t)m->dims[l + 1];
    }
    return offset;
}

size_t mlp_bias_offset(const struct mlp *m, int layer) {
    return mlp_weight_offset(m, layer) + (size_t)m->dims[layer] * (size_t)m->dims[layer + 1];
}

size_t mlp_params(const struct mlp *m) {
    return mlp_weight_offset(m, m->layers);
}

size_t scratch_floats(size_t n) {
    return (n + 15) / 16 * 16; // a cache line is 16 floats
}

static size_t buffer_floats(int B, int width) {
    return scratch_floats((size_t)B * (size_t)width);
}

static int buffers_a_layer(const struct mlp *m) {
    return m->activation == ACTIVATION_SILU ? 2 : 1;
}

// Where h_l lies; behind the last hidden layer, the gradients.
static size_t layer_offset(const struct mlp *m, int layer, int B) {
    size_t offset = 0;
    for (int l = 0; l < layer; l++) {
        offset += (size_t)buffers_a_layer(m) * buffer_floats(B, m->dims[l + 1]);
    }
    return offset;
}

// Of layers 1 ... last.
static int widest(const struct mlp *m, int last) {
    int width = 0;
    for (int l = 1; l <= last; l++) {
        width = m->dims[l] > width ? m->dims[l] : width;
    }
    return width;
}

static size_t gradient_floats(const struct mlp *m, int B) {
    return buffer_floats(B, widest(m, m->layers - 1));
}

size_t mlp_scratch(const struct mlp *m, int B) {
    CHECK(B >= 0);
    return layer_offset(m, m->layers - 1, B) + 2 * gradient_floats(m, B);
}

void mlp_init_glorot(float *params, const struct mlp *m, struct rng *rng) {
    memset(params, 0, mlp_params(m) * sizeof(float));
    for (int l = 0; l < m->layers; l++) {
        float *W = params + mlp_weight_offset(m, l);
        size_t n = (size_t)m->dims[l] * (size_t)m->dims[l + 1];
        double limit = sqrt(6.0 / (m->dims[l] + m->dims[l + 1]));
        for (size_t i = 0; i < n; i++) {
            W[i] = (float)rng_range(rng, -limit, limit);
        }
    }
}

void mlp_init_truncated(float *params, const struct mlp *m, struct rng *rng) {
    memset(params, 0, mlp_params(m) * sizeof(float));
    for (int l = 0; l < m->layers; l++) {
        float *W = params + mlp_weight_offset(m, l);
        size_t n = (size_t)m->dims[l] * (size_t)m->dims[l + 1];
        double sd = 1.0 / (2.0 * sqrt(m->dims[l]));
        for (size_t i = 0; i < n; i++) {
            double z = rng_normal(rng);
            while (fabs(z) > 2.0) { // cut off by drawing again, as TensorFlow does
                z = rng_normal(rng);
            }
            W[i] = (float)(sd * z);
        }
    }
}

static enum gemm_operands operands_of(const struct mlp *m, int layer) {
    return layer > 0 && layer < m->layers - 1 ? GEMM_HIDDEN : GEMM_EXACT;
}

// z (B, out) = x (B, in) W^T + b, through ReLU if so said; b may be NULL. A product
// with one row or one column is a handful of dot products, for which nothing need
// be rearranged.
static void affine(float *z, const float *x, const float *W, const float *packed, const float *b,
                   int B, int in, int out, bool relu, enum gemm_operands operands) {
    if (out > 1 && B > 1) {
        gemm_forward_packed(z, x, W, packed, b, B, out, in, relu, operands);
        return;
    }
    if (out == 1) {
        vector_dot_rows(z, x, W, B, in);
    } else {
        vector_dot_rows(z, W, x, out, in);
    }
    if (b && relu) {
        vector_bias_relu(z, b, B, out);
    } else if (b) {
        vector_bias(z, b, B, out);
    }
}

static void forward(float *y, float *scratch, const struct mlp *m, const float *params,
                    const float *packed, const float *x, int B, bool keep_slopes) {
    for (int l = 0; l < m->layers; l++) {
        int in = m->dims[l], out = m->dims[l + 1];
        const float *W = params + mlp_weight_offset(m, l);
        const float *b = params + mlp_bias_offset(m, l);
        enum gemm_operands operands = operands_of(m, l);
        if (l == m->layers - 1) {
            affine(y, x, W, packed, b, B, in, out, false, operands);
            return;
        }
        float *h = scratch + layer_offset(m, l, B);
        if (m->activation == ACTIVATION_RELU) {
            affine(h, x, W, packed, b, B, in, out, true, operands);
        } else {
            affine(h, x, W, packed, NULL, B, in, out, false, operands);
            vector_bias_silu(h, keep_slopes ? h + buffer_floats(B, out) : NULL, b, B, out);
        }
        x = h;
        packed = packed ? packed + gemm_packed_floats(out, in) : NULL;
    }
}

void mlp_forward(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
                 int B) {
    forward(y, scratch, m, params, NULL, x, B, true);
}

size_t mlp_packed_floats(const struct mlp *m) {
    size_t n = 0;
    for (int l = 0; l < m->layers; l++) {
        n += gemm_packed_floats(m->dims[l + 1], m->dims[l]);
    }
    return n;
}

void mlp_pack(float *packed, const struct mlp *m, const float *params) {
    for (int l = 0; l < m->layers; l++) {
        int in = m->dims[l], out = m->dims[l + 1];
        gemm_pack(packed, params + mlp_weight_offset(m, l), out, in, operands_of(m, l));
        packed += gemm_packed_floats(out, in);
    }
}

void mlp_infer(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
               int B) {
    mlp_infer_packed(y, scratch, m, params, NULL, x, B);
}

void mlp_infer_packed(float *y, float *scratch, const struct mlp *m, const float *params,
                      const float *packed, const float *x, int B) {
    for (int from = 0; from < B; from += MLP_INFER_ROWS) {
        int rows = B - from < MLP_INFER_ROWS ? B - from : MLP_INFER_ROWS;
        forward(y + (size_t)from * (size_t)m->dims[m->layers], scratch, m, params, packed,
                x + (size_t)from * (size_t)m->dims[0], rows, false);
    }
}

size_t mlp_infer_scratch(const struct mlp *m, int B) {
    return mlp_scratch(m, B < MLP_INFER_ROWS ? B : MLP_INFER_ROWS);
}

// dW (out, in) = dz (B, out)^T x (B, in)
static void weight_gradient(float *dW, const float *dz, const float *x, int B, int in, int out,
                            enum gemm_operands operands) {
    if (out == 1) {
        memset(dW, 0, (size_t)in * sizeof(float));
        vector_add_rows(dW, dz, x, B, in);
    } else {
        gemm_weights(dW, dz, x, B, out, in, operands);
    }
}

// dx (B, in) = dz (B, out) W (out, in), through the ReLU that gave h (NULL: none).
static void input_gradient(float *dx, float *db, const float *dz, const float *W, const float *h,
                           int B, int in, int out, enum gemm_operands operands) {
    if (out > 1) {
        gemm_back(dx, db, dz, W, h, B, out, in, operands);
        return;
    }
    vector_outer(dx, db, dz, W, h, B, in);
}

// The way back through one layer.
struct layer_back {
    const struct mlp *m;
    int layer, B;
    const float *W, *dz; // dz: the gradient of the layer's output before its activation
    const float *x;      // what the layer took in
    float *dW;           // NULL: not wanted
    float *dx, *db;      // of x, and of the bias behind x; NULL: not wanted
};

enum { LAYER_INPUT, LAYER_WEIGHTS, LAYER_PARTS };

static void layer_part(void *arg, int part, int worker) {
    (void)worker;
    const struct layer_back *b = arg;
    int in = b->m->dims[b->layer], out = b->m->dims[b->layer + 1];
    enum gemm_operands operands = operands_of(b->m, b->layer);
    if (part == LAYER_WEIGHTS) {
        if (b->dW) {
            weight_gradient(b->dW, b->dz, b->x, b->B, in, out, operands);
        }
    } else if (!b->dx) {
        return;
    } else if (b->layer > 0 && b->m->activation == ACTIVATION_RELU) {
        input_gradient(b->dx, b->db, b->dz, b->W, b->x, b->B, in, out, operands);
    } else {
        input_gradient(b->dx, NULL, b->dz, b->W, NULL, b->B, in, out, operands);
        if (b->layer > 0) {
            vector_silu_backward(b->dx, b->db, b->x + buffer_floats(b->B, in), b->B, in);
        }
    }
}

// Without the gradients that are wanted: of the parameters, and of x.
static struct layer_back layer_back_at(const float *scratch, const struct mlp *m, int layer,
                                       const float *params, const float *x, const float *dz,
                                       int B) {
    return (struct layer_back){
        .m = m,
        .layer = layer,
        .B = B,
        .W = params + mlp_weight_offset(m, layer),
        .dz = dz,
        .x = layer > 0 ? scratch + layer_offset(m, layer - 1, B) : x,
    };
}

// Where the gradients of what two neighbouring layers took in are kept.
static void gradient_buffers(float *spare[2], float *scratch, const struct mlp *m, int B) {
    spare[0] = scratch + layer_offset(m, m->layers - 1, B);
    spare[1] = spare[0] + gradient_floats(m, B);
}

void mlp_backward_with(struct crew *crew, float *dx, float *dparams, float *scratch,
                       const struct mlp *m, const float *params, const float *x, const float *dy,
                       int B) {
    float *spare[2];
    gradient_buffers(spare, scratch, m, B);
    if (dparams) {
        int last = m->layers - 1;
        for (int l = 0; l <= last; l++) { // sums of rows are added to what is there
            memset(dparams + mlp_bias_offset(m, l), 0, (size_t)m->dims[l + 1] * sizeof(float));
        }
        vector_add_rows(dparams + mlp_bias_offset(m, last), NULL, dy, B, m->dims[m->layers]);
    }
    for (int l = m->layers - 1; l >= 0; l--) {
        struct layer_back back = layer_back_at(scratch, m, l, params, x, dy, B);
        back.dW = dparams ? dparams + mlp_weight_offset(m, l) : NULL;
        back.dx = l > 0 ? spare[l % 2] : dx;
        back.db = dparams && l > 0 ? dparams + mlp_bias_offset(m, l - 1) : NULL;
        if (crew) {
            crew_run(crew, layer_part, &back, LAYER_PARTS);
        } else {
            layer_part(&back, LAYER_INPUT, 0);
            layer_part(&back, LAYER_WEIGHTS, 0);
        }
        dy = back.dx;
    }
}

void mlp_backward(float *dx, float *dparams, float *scratch, const struct mlp *m,
                  const float *params, const float *x, const float *dy, int B) {
    mlp_backward_with(NULL, dx, dparams, scratch, m, params, x, dy, B);
}

// dW of the largest layer, then db of two: one being used, one being made.
static size_t largest_weight(const struct mlp *m) {
    size_t largest = 0;
    for (int l = 0; l < m->layers; l++) {
        size_t n = (size_t)m->dims[l] * (size_t)m->dims[l + 1];
        largest = n > largest ? n : largest;
    }
    return scratch_floats(largest);
}

static size_t bias_floats(const struct mlp *m) {
    return scratch_floats((size_t)widest(m, m->layers));
}

size_t mlp_adam_floats(const struct mlp *m) {
    return largest_weight(m) + 2 * bias_floats(m);
}

static void step(const struct mlp_adam *a, float *params, size_t at, const float *gradient,
                 size_t n, float decay) {
    adam_step(params + at, a->m + at, a->v + at, gradient, n, &a->adam, decay, a->t);
}

void mlp_backward_adam(const struct mlp_adam *a, float *params, float *scratch, const struct mlp *m,
                       const float *x, const float *dy, int B) {
    float *spare[2], *db[2];
    gradient_buffers(spare, scratch, m, B);
    db[0] = a->gradient + largest_weight(m);
    db[1] = db[0] + bias_floats(m);
    memset(db[0], 0, 2 * bias_floats(m) * sizeof(float)); // sums of rows are added
    vector_add_rows(db[m->layers % 2], NULL, dy, B, m->dims[m->layers]);
    for (int l = m->layers - 1; l >= 0; l--) {
        size_t weights = (size_t)m->dims[l] * (size_t)m->dims[l + 1];
        struct layer_back back = layer_back_at(scratch, m, l, params, x, dy, B);
        back.dW = a->gradient;
        back.dx = l > 0 ? spare[l % 2] : NULL;
        back.db = l > 0 ? db[l % 2] : NULL;
        layer_part(&back, LAYER_INPUT, 0);
        layer_part(&back, LAYER_WEIGHTS, 0);
        float *bias = db[(l + 1) % 2];
        step(a, params, mlp_weight_offset(m, l), a->gradient, weights, a->decay[l]);
        step(a, params, mlp_bias_offset(m, l), bias, (size_t)m->dims[l + 1], 0);
        memset(bias, 0, bias_floats(m) * sizeof(float));
        dy = back.dx;
    }
}

// Moves the kept rows of a (B, width) buffer together. to lies at or before
// from, so rows move towards the front and none is overwritten before its turn.
static void keep_rows_of(float *to, const float *from, const float *keep, int B, int width) {
    for (int i = 0; i < B; i++) {
        if (keep[i] != 0.0f) {
            memmove(to, from + (size_t)i * (size_t)width, (size_t)width * sizeof(float));
            to += width;
        }
    }
}

int mlp_keep_rows(float *scratch, const struct mlp *m, const float *keep, int B) {
    int kept = 0;
    for (int i = 0; i < B; i++) {
        kept += keep[i] != 0.0f;
    }
    for (int l = 0; l < m->layers - 1; l++) {
        int width = m->dims[l + 1];
        for (int k = 0; k < buffers_a_layer(m); k++) {
            keep_rows_of(scratch + layer_offset(m, l, kept) +
                             (size_t)k * buffer_floats(kept, width),
                         scratch + layer_offset(m, l, B) + (size_t)k * buffer_floats(B, width),
                         keep, B, width);
        }
    }
    return kept;
}
