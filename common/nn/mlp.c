// SPDX-License-Identifier: MIT
#include "common/nn/mlp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/elementwise.h"
#include "common/nn/gemm.h"
#include "common/nn/layout.h"

// Scratch is a row of buffers, all of them in strips (strip.h):
//
//   x (in, B)               the input
//   for each hidden layer:
//     h (width, B)          what the layer gives on
//     slope (width, B)      SiLU only: its derivative
//   y (out, B)              the output; on the way back, its gradient
//   two of (widest, B)      gradients on their way back
//
// A smaller batch uses the front of scratch. Without a way back there are but two buffers.

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

static int hidden_buffers(const struct mlp *m) {
    return m->activation == ACTIVATION_SILU ? 2 : 1;
}

// Where the input of layer l lies: x, h of layer l - 1, or, of the layer behind the
// last, y.
static size_t input_offset(const struct mlp *m, int l, int B) {
    size_t offset = l > 0 ? layout_floats(m->dims[0], B) : 0;
    for (int k = 1; k < l; k++) {
        offset += (size_t)hidden_buffers(m) * layout_floats(m->dims[k], B);
    }
    return offset;
}

static size_t widest_floats(const struct mlp *m, int B) {
    int width = 0;
    for (int l = 0; l <= m->layers; l++) {
        width = m->dims[l] > width ? m->dims[l] : width;
    }
    return layout_floats(width, B);
}

static size_t gradients_offset(const struct mlp *m, int B) {
    return input_offset(m, m->layers, B) + layout_floats(m->dims[m->layers], B);
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
    return layer > 0 && layer < m->layers - 1 ? GEMM_BF16_ALLOWED : GEMM_F32;
}

static struct gemm_shape shape_of(const struct mlp *m, int layer, int B) {
    return (struct gemm_shape){.in = m->dims[layer], .out = m->dims[layer + 1], .B = B};
}

// to (out, B): what the layer gives on, with its slopes where SiLU has any and they are
// wanted.
static void layer_forward(float *to, float *slopes, const struct mlp *m, int layer,
                          const float *params, const float *from, int B) {
    struct gemm_shape shape = shape_of(m, layer, B);
    const float *W = params + mlp_weight_offset(m, layer), *b = params + mlp_bias_offset(m, layer);
    bool last = layer == m->layers - 1, silu = !last && m->activation == ACTIVATION_SILU;
    gemm_forward(to, W, from, silu ? NULL : b, !last, shape, operands_of(m, layer));
    if (silu) {
        elementwise_bias_silu(to, slopes, b, shape.out, B);
    }
}

void mlp_forward(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
                 int B) {
    gemm_from_rows(scratch, x, m->dims[0], B);
    for (int l = 0; l < m->layers; l++) {
        float *to = scratch + input_offset(m, l + 1, B);
        layer_forward(to, to + layout_floats(m->dims[l + 1], B), m, l, params,
                      scratch + input_offset(m, l, B), B);
    }
    gemm_to_rows(y, scratch + input_offset(m, m->layers, B), m->dims[m->layers], B);
}

// Between two buffers, whatever the number of layers.
static void infer_block(float *y, float *scratch, const struct mlp *m, const float *params,
                        const float *x, int B) {
    float *buffers[2] = {scratch, scratch + widest_floats(m, B)};
    gemm_from_rows(buffers[0], x, m->dims[0], B);
    for (int l = 0; l < m->layers; l++) {
        layer_forward(buffers[(l + 1) % 2], NULL, m, l, params, buffers[l % 2], B);
    }
    gemm_to_rows(y, buffers[m->layers % 2], m->dims[m->layers], B);
}

// Of one row, which would leave its strip nearly empty: a layer is a handful of dot products.
static void infer_row(float *y, float *scratch, const struct mlp *m, const float *params,
                      const float *x) {
    static const float zero = 0;
    for (int l = 0; l < m->layers; l++) {
        bool last = l == m->layers - 1;
        int out = m->dims[l + 1];
        const float *b = params + mlp_bias_offset(m, l);
        float *to = last ? y : scratch + (size_t)(l % 2) * widest_floats(m, 1);
        elementwise_dots(to, params + mlp_weight_offset(m, l), x, out, m->dims[l]);
        for (int j = 0; j < out; j++) {
            to[j] += b[j];
        }
        if (!last) { // a vector is a matrix of one feature
            if (m->activation == ACTIVATION_RELU) {
                elementwise_bias_relu(to, &zero, 1, out);
            } else {
                elementwise_bias_silu(to, NULL, &zero, 1, out);
            }
        }
        x = to;
    }
}

void mlp_infer(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
               int B) {
    if (B == 1) {
        infer_row(y, scratch, m, params, x);
        return;
    }
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
        if (b->layer == 0) {
            gemm_backward_data(b->dx, b->W, b->dz, GEMM_EPILOGUE_NONE, NULL, s, operands);
        } else if (b->m->activation == ACTIVATION_RELU) {
            gemm_backward_data(b->dx, b->W, b->dz, GEMM_EPILOGUE_RELU, b->x, s, operands);
        } else {
            const float *slope = b->x + layout_floats(s.in, s.B);
            gemm_backward_data(b->dx, b->W, b->dz, GEMM_EPILOGUE_SLOPE, slope, s, operands);
        }
    }
    if (part == LAYER_WEIGHTS && b->dW) {
        if (s.out == 1) {
            elementwise_sums(b->dW, b->x, b->dz, s.in, s.B);
        } else {
            gemm_backward_weights(b->dW, b->dz, b->x, s, operands);
        }
        elementwise_sums(b->db, b->dz, NULL, s.out, s.B);
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
    gemm_from_rows(scratch + input_offset(m, m->layers, B), dy, m->dims[m->layers], B);
}

void mlp_backward(float *dx, float *dparams, float *scratch, const struct mlp *m,
                  const float *params, const float *dy, int B) {
    take_dy(scratch, m, dy, B);
    for (int l = m->layers - 1; l >= 0; l--) {
        struct layer_back back = layer_back_at(scratch, m, l, params, B);
        back.dW = dparams ? dparams + mlp_weight_offset(m, l) : NULL;
        back.db = dparams ? dparams + mlp_bias_offset(m, l) : NULL;
        back.dx = l > 0 || dx ? back.dx : NULL;
        thread_team_run(NULL, layer_part, &back, LAYER_PARTS);
        if (l == 0 && dx) {
            gemm_to_rows(dx, back.dx, m->dims[0], B);
        }
    }
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

// A layer's step, in two halves of its weights; the biases go with the second.
struct layer_step {
    const struct mlp_adam *a;
    float *params;
    size_t at, weights, biases; // floats: where in the block, how many
    float decay;
};

// The layer's numbers from `first` on.
static void step_range(const struct layer_step *s, size_t first, size_t n, float decay) {
    const struct mlp_adam *a = s->a;
    size_t at = s->at + first;
    if (a->target) {
        adam_polyak_step(s->params + at, a->m + at, a->v + at, a->target + at, a->gradient + first,
                         n, &a->adam, decay, a->tau, a->t);
    } else {
        adam_step(s->params + at, a->m + at, a->v + at, a->gradient + first, n, &a->adam, decay,
                  a->t);
    }
}

enum { STEP_HALVES = 2 };

static void step_half(void *arg, int half, int worker) {
    (void)worker;
    const struct layer_step *s = arg;
    size_t middle = scratch_floats(s->weights / 2);
    middle = middle < s->weights ? middle : s->weights;
    if (half == 0) {
        step_range(s, 0, middle, s->decay);
    } else {
        step_range(s, middle, s->weights - middle, s->decay);
        step_range(s, s->weights, s->biases, 0);
    }
}

void mlp_backward_adam(struct thread_team *team, const struct mlp_adam *a, float *params,
                       float *scratch, const struct mlp *m, const float *dy, int B) {
    take_dy(scratch, m, dy, B);
    for (int l = m->layers - 1; l >= 0; l--) {
        size_t at = mlp_weight_offset(m, l), weights = mlp_bias_offset(m, l) - at;
        struct layer_back back = layer_back_at(scratch, m, l, params, B);
        back.dW = a->gradient;
        back.db = a->gradient + weights;
        back.dx = l > 0 ? back.dx : NULL;
        thread_team_run(team, layer_part, &back, LAYER_PARTS);
        struct layer_step step = {.a = a,
                                  .params = params,
                                  .at = at,
                                  .weights = weights,
                                  .biases = (size_t)m->dims[l + 1],
                                  .decay = a->decay ? a->decay[l] : 0};
        thread_team_run(team, step_half, &step, STEP_HALVES);
    }
}

int mlp_keep_rows(float *scratch, const struct mlp *m, const float *keep, int B) {
    int kept = 0;
    for (int i = 0; i < B; i++) {
        kept += keep[i] != 0.0f;
    }
    // Each buffer goes to or before its place, behind those that have gone there.
    for (int l = 0; l < m->layers; l++) {
        int width = m->dims[l], buffers = l > 0 ? hidden_buffers(m) : 1;
        for (int k = 0; k < buffers; k++) {
            const float *from =
                scratch + input_offset(m, l, B) + (size_t)k * layout_floats(width, B);
            float *to = scratch + input_offset(m, l, kept) + (size_t)k * layout_floats(width, kept);
            elementwise_keep(to, from, keep, width, B);
        }
    }
    return kept;
}
