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
//   x (in, B)               the input
//   for each hidden layer:
//     h (width, B)          what the layer gives on
//     slope (width, B)      SiLU only: its derivative
//   y (out, B)              the output; on the way back, its gradient
//   two of (widest, B)      gradients on their way back
//
// In all of them the batch lies along the rows, ld(B) numbers apart; a smaller batch
// uses the front of scratch. Without a way back there are but two buffers.

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

// Rows start on a cache line, and not on one of few sets of the first-level cache, where
// the rows that a product walks down would push each other out.
static int ld(int B) {
    if (B <= 1) {
        return 1;
    }
    int padded = (B + 15) / 16 * 16;
    return padded % 64 == 0 ? padded + 16 : padded;
}

static size_t buffer_floats(int B, int width) {
    return scratch_floats((size_t)ld(B) * (size_t)width);
}

static int hidden_buffers(const struct mlp *m) {
    return m->activation == ACTIVATION_SILU ? 2 : 1;
}

// Where the input of layer l lies: x, h of layer l - 1, or, of the layer behind the
// last, y.
static size_t input_offset(const struct mlp *m, int l, int B) {
    size_t offset = l > 0 ? buffer_floats(B, m->dims[0]) : 0;
    for (int k = 1; k < l; k++) {
        offset += (size_t)hidden_buffers(m) * buffer_floats(B, m->dims[k]);
    }
    return offset;
}

static size_t widest_floats(const struct mlp *m, int B) {
    int width = 0;
    for (int l = 0; l <= m->layers; l++) {
        width = m->dims[l] > width ? m->dims[l] : width;
    }
    return buffer_floats(B, width);
}

static size_t gradients_offset(const struct mlp *m, int B) {
    return input_offset(m, m->layers, B) + buffer_floats(B, m->dims[m->layers]);
}

size_t mlp_scratch(const struct mlp *m, int B) {
    CHECK(B >= 0);
    return gradients_offset(m, B) + 2 * widest_floats(m, B);
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

static struct gemm_shape shape_of(const struct mlp *m, int layer, int B) {
    return (struct gemm_shape){
        .in = m->dims[layer], .out = m->dims[layer + 1], .B = B, .ld = ld(B)};
}

// y (out, B) = W x (in, B) + b, through ReLU if so said; b may be NULL. With one row
// in the batch that is a handful of dot products.
static void affine(float *y, const float *W, const float *x, const float *b, bool relu,
                   struct gemm_shape s, enum gemm_operands operands) {
    if (s.B != 1) {
        gemm_forward(y, W, x, b, relu, s, operands);
        return;
    }
    vector_row_sums(y, W, x, s.out, s.in, s.in);
    if (b && relu) {
        vector_bias_relu(y, b, s.out, 1, 1);
    } else if (b) {
        vector_bias(y, b, s.out, 1, 1);
    }
}

// to (out, B): what the layer gives on, with its slopes where SiLU has any and they are
// wanted.
static void layer_forward(float *to, float *slopes, const struct mlp *m, int layer,
                          const float *params, const float *from, int B) {
    struct gemm_shape shape = shape_of(m, layer, B);
    const float *W = params + mlp_weight_offset(m, layer), *b = params + mlp_bias_offset(m, layer);
    bool last = layer == m->layers - 1, silu = !last && m->activation == ACTIVATION_SILU;
    affine(to, W, from, silu ? NULL : b, !last, shape, operands_of(m, layer));
    if (silu) {
        vector_bias_silu(to, slopes, b, shape.out, B, shape.ld);
    }
}

void mlp_forward(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
                 int B) {
    int in = m->dims[0], out = m->dims[m->layers];
    gemm_transpose(scratch, ld(B), x, in, B, in);
    for (int l = 0; l < m->layers; l++) {
        float *to = scratch + input_offset(m, l + 1, B);
        layer_forward(to, to + buffer_floats(B, m->dims[l + 1]), m, l, params,
                      scratch + input_offset(m, l, B), B);
    }
    gemm_transpose(y, out, scratch + input_offset(m, m->layers, B), ld(B), out, B);
}

// Between two buffers, whatever the number of layers.
static void infer_block(float *y, float *scratch, const struct mlp *m, const float *params,
                        const float *x, int B) {
    int in = m->dims[0], out = m->dims[m->layers];
    float *buffers[2] = {scratch, scratch + widest_floats(m, B)};
    gemm_transpose(buffers[0], ld(B), x, in, B, in);
    for (int l = 0; l < m->layers; l++) {
        layer_forward(buffers[(l + 1) % 2], NULL, m, l, params, buffers[l % 2], B);
    }
    gemm_transpose(y, out, buffers[m->layers % 2], ld(B), out, B);
}

void mlp_infer(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
               int B) {
    for (int from = 0; from < B; from += MLP_INFER_ROWS) {
        int rows = B - from < MLP_INFER_ROWS ? B - from : MLP_INFER_ROWS;
        infer_block(y + (size_t)from * (size_t)m->dims[m->layers], scratch, m, params,
                    x + (size_t)from * (size_t)m->dims[0], rows);
    }
}

// The way back through one layer.
struct layer_back {
    const struct mlp *m;
    int layer, B;
    const float *W;
    const float *x;      // what the layer took in
    const float *dz;     // the gradient of its output before the activation
    float *dW, *db, *dx; // NULL: not wanted; db comes with dW
};

enum { LAYER_INPUT, LAYER_WEIGHTS, LAYER_PARTS };

static void layer_part(void *arg, int part, int worker) {
    (void)worker;
    const struct layer_back *b = arg;
    struct gemm_shape s = shape_of(b->m, b->layer, b->B);
    enum gemm_operands operands = operands_of(b->m, b->layer);
    if (part == LAYER_INPUT && b->dx) {
        bool hidden = b->layer > 0, silu = hidden && b->m->activation == ACTIVATION_SILU;
        gemm_back(b->dx, b->W, b->dz, hidden && !silu ? b->x : NULL, s, operands);
        if (silu) {
            vector_silu_backward(b->dx, b->x + buffer_floats(s.B, s.in), s.in, s.B, s.ld);
        }
    }
    if (part == LAYER_WEIGHTS && b->dW) {
        if (s.out == 1) {
            vector_row_sums(b->dW, b->x, b->dz, s.in, s.B, s.ld);
        } else {
            gemm_weights(b->dW, b->dz, b->x, s, operands);
        }
        vector_row_sums(b->db, b->dz, NULL, s.out, s.B, s.ld);
    }
}

// With dx, and without the gradients of the parameters. dz is y's place, where dy goes,
// or the gradient that the layer behind has made.
static struct layer_back layer_back_at(float *scratch, const struct mlp *m, int layer,
                                       const float *params, int B) {
    float *gradients = scratch + gradients_offset(m, B);
    size_t n = widest_floats(m, B);
    bool last = layer == m->layers - 1;
    return (struct layer_back){
        .m = m,
        .layer = layer,
        .B = B,
        .W = params + mlp_weight_offset(m, layer),
        .x = scratch + input_offset(m, layer, B),
        .dz = last ? scratch + input_offset(m, m->layers, B)
                   : gradients + (size_t)((layer + 1) % 2) * n,
        .dx = gradients + (size_t)(layer % 2) * n,
    };
}

static void take_dy(float *scratch, const struct mlp *m, const float *dy, int B) {
    int out = m->dims[m->layers];
    gemm_transpose(scratch + input_offset(m, m->layers, B), ld(B), dy, out, B, out);
}

void mlp_backward_with(struct crew *crew, float *dx, float *dparams, float *scratch,
                       const struct mlp *m, const float *params, const float *dy, int B) {
    take_dy(scratch, m, dy, B);
    for (int l = m->layers - 1; l >= 0; l--) {
        struct layer_back back = layer_back_at(scratch, m, l, params, B);
        back.dW = dparams ? dparams + mlp_weight_offset(m, l) : NULL;
        back.db = dparams ? dparams + mlp_bias_offset(m, l) : NULL;
        back.dx = l > 0 || dx ? back.dx : NULL;
        if (crew) {
            crew_run(crew, layer_part, &back, LAYER_PARTS);
        } else {
            layer_part(&back, LAYER_INPUT, 0);
            layer_part(&back, LAYER_WEIGHTS, 0);
        }
        if (l == 0 && dx) {
            gemm_transpose(dx, m->dims[0], back.dx, ld(B), m->dims[0], B);
        }
    }
}

void mlp_backward(float *dx, float *dparams, float *scratch, const struct mlp *m,
                  const float *params, const float *dy, int B) {
    mlp_backward_with(NULL, dx, dparams, scratch, m, params, dy, B);
}

// W and b of the largest layer.
size_t mlp_adam_floats(const struct mlp *m) {
    size_t largest = 0;
    for (int l = 0; l < m->layers; l++) {
        size_t n = mlp_weight_offset(m, l + 1) - mlp_weight_offset(m, l);
        largest = n > largest ? n : largest;
    }
    return largest;
}

void mlp_backward_adam(const struct mlp_adam *a, float *params, float *scratch, const struct mlp *m,
                       const float *dy, int B) {
    take_dy(scratch, m, dy, B);
    for (int l = m->layers - 1; l >= 0; l--) {
        size_t at = mlp_weight_offset(m, l), bias_at = mlp_bias_offset(m, l);
        size_t weights = bias_at - at, biases = (size_t)m->dims[l + 1];
        struct layer_back back = layer_back_at(scratch, m, l, params, B);
        back.dW = a->gradient;
        back.db = a->gradient + weights;
        back.dx = l > 0 ? back.dx : NULL;
        layer_part(&back, LAYER_INPUT, 0);
        layer_part(&back, LAYER_WEIGHTS, 0);
        adam_step(params + at, a->m + at, a->v + at, back.dW, weights, &a->adam, a->decay[l], a->t);
        adam_step(params + bias_at, a->m + bias_at, a->v + bias_at, back.db, biases, &a->adam, 0,
                  a->t);
    }
}

// A (width, B) buffer becomes one of the kept rows. to lies at or before from, and its
// rows are no further apart, so that nothing is overwritten before its turn.
static void keep_columns(float *to, int kept, const float *from, const float *keep, int B,
                         int width) {
    for (int j = 0; j < width; j++) {
        vector_keep(to + (ptrdiff_t)j * ld(kept), from + (ptrdiff_t)j * ld(B), keep, B);
    }
}

int mlp_keep_rows(float *scratch, const struct mlp *m, const float *keep, int B) {
    int kept = 0;
    for (int i = 0; i < B; i++) {
        kept += keep[i] != 0.0f;
    }
    for (int l = 0; l < m->layers; l++) {
        int width = m->dims[l], buffers = l > 0 ? hidden_buffers(m) : 1;
        for (int k = 0; k < buffers; k++) {
            const float *from =
                scratch + input_offset(m, l, B) + (size_t)k * buffer_floats(B, width);
            float *to = scratch + input_offset(m, l, kept) + (size_t)k * buffer_floats(kept, width);
            keep_columns(to, kept, from, keep, B, width);
        }
    }
    return kept;
}
