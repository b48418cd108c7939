// SPDX-License-Identifier: MIT
// Forward and backward pass of a multi-layer perceptron, layer by layer, on gemm.h.
//
// Scratch is a sequence of buffers in the blocked layout of layout.h:
//
//   x (in, B)               input
//   for each hidden layer:
//     h (width, B)          output, after the activation
//     slope (width, B)      SiLU only: derivative of the activation
//     inverse (1, B)        layer norm only: 1 / standard deviation of h before it was normalised
//   y (out, B)              output; in the backward pass its gradient
//   two of (widest, B)      gradients of activations, used alternately
//
// A smaller batch uses the front of scratch. Inference needs only two buffers.
#include "common/nn/mlp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/elementwise.h"
#include "common/nn/gemm.h"
#include "common/nn/layout.h"
#include "common/nn/mlp_layer.h"

struct mlp_hidden mlp_hidden_equal(int width, int layers, enum activation activation) {
    CHECK(layers >= 0);
    CHECK(layers < MLP_LAYERS_MAX);
    struct mlp_hidden h = {.layers = layers, .activation = activation};
    for (int l = 0; l < layers; l++) {
        h.width[l] = width;
    }
    return h;
}

struct mlp mlp_make_hidden(int in, const struct mlp_hidden *hidden, int out) {
    CHECK(in > 0);
    CHECK(out > 0);
    CHECK(hidden->layers >= 0);
    CHECK(hidden->layers < MLP_LAYERS_MAX);
    CHECK(!hidden->layer_norm || hidden->activation == ACTIVATION_SILU);
    struct mlp m = {.layers = hidden->layers + 1,
                    .activation = hidden->activation,
                    .layer_norm = hidden->layer_norm};
    m.dims[0] = in;
    for (int l = 0; l < hidden->layers; l++) {
        CHECK(hidden->width[l] > 0);
        m.dims[l + 1] = hidden->width[l];
        m.epsilon[l] = hidden->epsilon[l] > 0 ? hidden->epsilon[l] : LAYER_NORM_EPSILON;
    }
    m.dims[m.layers] = out;
    return m;
}

struct mlp mlp_make(int in, int hidden_width, int hidden_layers, int out,
                    enum activation activation) {
    struct mlp_hidden hidden = mlp_hidden_equal(hidden_width, hidden_layers, activation);
    return mlp_make_hidden(in, &hidden, out);
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

// Offset in scratch of the input of layer l: x, or h of layer l - 1; for l == layers, of y.
static size_t input_offset(const struct mlp *m, int l, int B) {
    size_t offset = l > 0 ? layout_floats(m->dims[0], B) : 0;
    for (int k = 1; k < l; k++) {
        offset += (size_t)hidden_buffers(m) * layout_floats(m->dims[k], B);
        offset += m->layer_norm ? layout_floats(1, B) : 0;
    }
    return offset;
}

// Of the inverses of the input of layer l > 0; layer norm only.
static size_t inverse_offset(const struct mlp *m, int l, int B) {
    return input_offset(m, l, B) + (size_t)hidden_buffers(m) * layout_floats(m->dims[l], B);
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
            while (fabs(z) > 2.0) { // truncated by resampling, as in TensorFlow
                z = rng_normal(rng);
            }
            W[i] = (float)(sd * z);
        }
    }
}

void mlp_init_kaiming(float *params, const struct mlp *m, struct rng *rng) {
    for (int l = 0; l < m->layers; l++) {
        float *W = params + mlp_weight_offset(m, l), *b = params + mlp_bias_offset(m, l);
        size_t n = (size_t)m->dims[l] * (size_t)m->dims[l + 1];
        double in = m->dims[l];
        for (size_t i = 0; i < n; i++) {
            W[i] = (float)(sqrt(2 / in) * rng_normal(rng));
        }
        for (int i = 0; i < m->dims[l + 1]; i++) {
            b[i] = (float)(rng_normal(rng) / (2 * sqrt(in)));
        }
    }
}

// Vector k of the rows or of the columns of W, whichever are fewer: elements at a stride.
struct span {
    float *first;
    size_t stride, n;
};

static struct span span_at(float *W, int in, int out, int k) {
    bool rows = out <= in;
    return (struct span){.first = W + (rows ? (size_t)k * (size_t)in : (size_t)k),
                         .stride = rows ? 1 : (size_t)in,
                         .n = (size_t)(rows ? in : out)};
}

static double span_dot(const struct span *a, const struct span *b) {
    double sum = 0;
    for (size_t i = 0; i < a->n; i++) {
        sum += (double)a->first[i * a->stride] * (double)b->first[i * b->stride];
    }
    return sum;
}

// Gram and Schmidt's process, of normal vectors.
static void make_orthogonal(float *W, int in, int out) {
    for (int k = 0; k < (in < out ? in : out); k++) {
        struct span own = span_at(W, in, out, k);
        for (int pass = 0; pass < 2; pass++) { // twice, against rounding
            for (int j = 0; j < k; j++) {
                struct span other = span_at(W, in, out, j);
                double along = span_dot(&own, &other);
                for (size_t i = 0; i < own.n; i++) {
                    own.first[i * own.stride] -= (float)along * other.first[i * other.stride];
                }
            }
        }
        float norm = (float)sqrt(span_dot(&own, &own));
        for (size_t i = 0; i < own.n; i++) {
            own.first[i * own.stride] /= norm;
        }
    }
}

void mlp_init_orthogonal(float *params, const struct mlp *m, struct rng *rng) {
    memset(params, 0, mlp_params(m) * sizeof(float));
    for (int l = 0; l < m->layers; l++) {
        float *W = params + mlp_weight_offset(m, l);
        for (int i = 0; i < m->dims[l] * m->dims[l + 1]; i++) {
            W[i] = (float)rng_normal(rng);
        }
        make_orthogonal(W, m->dims[l], m->dims[l + 1]);
    }
}

static enum gemm_operands operands_of(const struct mlp *m, int layer) {
    return layer > 0 && layer < m->layers - 1 ? GEMM_BF16_ALLOWED : GEMM_F32;
}

static struct gemm_shape shape_of(const struct mlp *m, int layer, int B) {
    return (struct gemm_shape){.in = m->dims[layer], .out = m->dims[layer + 1], .B = B};
}

void mlp_layer_forward(float *output, float *slopes, const struct mlp *m, int layer,
                       const float *params, const float *input, int B) {
    struct gemm_shape shape = shape_of(m, layer, B);
    const float *W = params + mlp_weight_offset(m, layer), *b = params + mlp_bias_offset(m, layer);
    bool last = layer == m->layers - 1, silu = !last && m->activation == ACTIVATION_SILU;
    gemm_forward(output, W, input, silu ? NULL : b, !last, shape, operands_of(m, layer));
    if (silu) {
        elementwise_bias_silu(output, slopes, b, shape.out, B);
    }
}

// n outputs of a hidden layer and their slopes. Between two that are dropped lies a geometrically
// distributed number of others.
static void drop_outputs(float *output, float *slopes, size_t n, float rate, struct rng *rng) {
    float scale = 1 / (1 - rate);
    for (size_t i = 0; i < n; i++) {
        output[i] *= scale;
        slopes[i] *= scale;
    }
    double kept = log1p(-(double)rate);
    double at = floor(log(1 - rng_uniform(rng)) / kept);
    for (; at < (double)n; at += 1 + floor(log(1 - rng_uniform(rng)) / kept)) {
        output[(size_t)at] = 0;
        slopes[(size_t)at] = 0;
    }
}

void mlp_forward_dropout(float *y, float *scratch, const struct mlp *m, const float *params,
                         const float *x, int B, const struct mlp_dropout *dropout) {
    CHECK(!dropout || m->activation == ACTIVATION_SILU);
    struct rng rng = dropout ? dropout->rng : (struct rng){0};
    gemm_from_rows(scratch, x, m->dims[0], B);
    for (int l = 0; l < m->layers; l++) {
        float *output = scratch + input_offset(m, l + 1, B);
        float *slopes = output + layout_floats(m->dims[l + 1], B);
        mlp_layer_forward(output, slopes, m, l, params, scratch + input_offset(m, l, B), B);
        if (dropout && l + 1 < m->layers && dropout->rate[l] > 0) {
            drop_outputs(output, slopes, layout_floats(m->dims[l + 1], B), dropout->rate[l], &rng);
        }
        if (m->layer_norm && l + 1 < m->layers) {
            elementwise_layer_norm(output, scratch + inverse_offset(m, l + 1, B), m->dims[l + 1], B,
                                   m->epsilon[l]);
        }
    }
    gemm_to_rows(y, scratch + input_offset(m, m->layers, B), m->dims[m->layers], B);
}

void mlp_forward(float *y, float *scratch, const struct mlp *m, const float *params, const float *x,
                 int B) {
    mlp_forward_dropout(y, scratch, m, params, x, B, NULL);
}

// Layers alternate between two buffers.
static void infer_block(float *y, float *scratch, const struct mlp *m, const float *params,
                        const float *x, int B) {
    float *buffers[2] = {scratch, scratch + widest_floats(m, B)};
    gemm_from_rows(buffers[0], x, m->dims[0], B);
    for (int l = 0; l < m->layers; l++) {
        mlp_layer_forward(buffers[(l + 1) % 2], NULL, m, l, params, buffers[l % 2], B);
        if (m->layer_norm && l + 1 < m->layers) {
            elementwise_layer_norm(buffers[(l + 1) % 2], NULL, m->dims[l + 1], B, m->epsilon[l]);
        }
    }
    gemm_to_rows(y, buffers[m->layers % 2], m->dims[m->layers], B);
}

static void normalize_row(float *x, int n, float epsilon) {
    float sum = 0, squares = 0;
    for (int j = 0; j < n; j++) {
        sum += x[j];
    }
    float mean = sum / (float)n;
    for (int j = 0; j < n; j++) {
        squares += (x[j] - mean) * (x[j] - mean);
    }
    float inverse = 1.0f / sqrtf(squares / (float)n + epsilon);
    for (int j = 0; j < n; j++) {
        x[j] = (x[j] - mean) * inverse;
    }
}

// A single row, which would fill 1 / LAYOUT_ROWS of a block: each layer is a matrix-vector product.
static void infer_row(float *y, float *scratch, const struct mlp *m, const float *params,
                      const float *x) {
    static const float zero = 0;
    for (int l = 0; l < m->layers; l++) {
        bool last = l == m->layers - 1;
        int out = m->dims[l + 1];
        const float *b = params + mlp_bias_offset(m, l);
        float *output = last ? y : scratch + (size_t)(l % 2) * widest_floats(m, 1);
        elementwise_dots(output, params + mlp_weight_offset(m, l), x, out, m->dims[l]);
        for (int j = 0; j < out; j++) {
            output[j] += b[j];
        }
        if (!last) { // a vector has the layout of one feature of `out` rows
            if (m->activation == ACTIVATION_RELU) {
                elementwise_bias_relu(output, &zero, 1, out);
            } else {
                elementwise_bias_silu(output, NULL, &zero, 1, out);
            }
            if (m->layer_norm) {
                normalize_row(output, out, m->epsilon[l]);
            }
        }
        x = output;
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

void mlp_layer_backward(float *dx, const struct mlp *m, int layer, const float *params,
                        const float *dz, const float *saved, int B) {
    enum gemm_epilogue epilogue = layer == 0 || m->layer_norm        ? GEMM_EPILOGUE_NONE
                                  : m->activation == ACTIVATION_RELU ? GEMM_EPILOGUE_RELU
                                                                     : GEMM_EPILOGUE_SLOPE;
    gemm_backward_data(dx, params + mlp_weight_offset(m, layer), dz, epilogue, saved,
                       shape_of(m, layer, B), operands_of(m, layer));
}

void mlp_layer_gradient(float *dW, float *db, const struct mlp *m, int layer, const float *dz,
                        const float *input, int B) {
    struct gemm_shape s = shape_of(m, layer, B);
    if (s.out == 1) {
        elementwise_sums(dW, input, dz, s.in, s.B);
    } else {
        gemm_backward_weights(dW, dz, input, s, operands_of(m, layer));
    }
    elementwise_sums(db, dz, NULL, s.out, s.B);
}

// Backward pass of one layer, in two independent parts: dx, and dW with db.
struct layer_backward {
    const struct mlp *m;
    int layer, B;
    const float *params;
    const float *x;       // input
    const float *saved;   // by the activation before; NULL: none
    const float *inverse; // layer norm only
    const float *dz;      // gradient of the pre-activation output
    float *dW, *db, *dx;  // dx may be NULL, dW and db together too
};

enum { LAYER_DX, LAYER_DW, LAYER_PARTS };

static void layer_backward_part(void *arg, int part, int worker) {
    (void)worker;
    const struct layer_backward *b = arg;
    if (part == LAYER_DX && b->dx) {
        mlp_layer_backward(b->dx, b->m, b->layer, b->params, b->dz, b->saved, b->B);
        if (b->m->layer_norm && b->layer > 0) {
            elementwise_layer_norm_backward(b->dx, b->x, b->inverse, b->saved, b->m->dims[b->layer],
                                            b->B);
        }
    }
    if (part == LAYER_DW && b->dW) {
        mlp_layer_gradient(b->dW, b->db, b->m, b->layer, b->dz, b->x, b->B);
    }
}

// A layer's buffers in scratch, with dx and without dW and db. dz is dy in the last layer, else dx
// of the next one.
static struct layer_backward layer_buffers(float *scratch, const struct mlp *m, int layer,
                                           const float *params, int B) {
    float *gradients = scratch + gradients_offset(m, B);
    size_t n = widest_floats(m, B);
    bool last = layer == m->layers - 1;
    const float *x = scratch + input_offset(m, layer, B);
    const float *slopes = x + layout_floats(m->dims[layer], B);
    return (struct layer_backward){
        .m = m,
        .layer = layer,
        .B = B,
        .params = params,
        .x = x,
        .inverse = m->layer_norm ? scratch + inverse_offset(m, layer, B) : NULL,
        .saved = layer == 0                         ? NULL
                 : m->activation == ACTIVATION_RELU ? x
                                                    : slopes,
        .dz = last ? scratch + input_offset(m, m->layers, B)
                   : gradients + (size_t)((layer + 1) % 2) * n,
        .dx = gradients + (size_t)(layer % 2) * n,
    };
}

static void store_dy(float *scratch, const struct mlp *m, const float *dy, int B) {
    gemm_from_rows(scratch + input_offset(m, m->layers, B), dy, m->dims[m->layers], B);
}

void mlp_backward(float *dx, float *dparams, float *scratch, const struct mlp *m,
                  const float *params, const float *dy, int B) {
    store_dy(scratch, m, dy, B);
    for (int l = m->layers - 1; l >= 0; l--) {
        struct layer_backward b = layer_buffers(scratch, m, l, params, B);
        b.dW = dparams ? dparams + mlp_weight_offset(m, l) : NULL;
        b.db = dparams ? dparams + mlp_bias_offset(m, l) : NULL;
        b.dx = l > 0 || dx ? b.dx : NULL;
        thread_team_run(NULL, layer_backward_part, &b, LAYER_PARTS);
        if (l == 0 && dx) {
            gemm_to_rows(dx, b.dx, m->dims[0], B);
        }
    }
}

// Weight gradients are consumed layer by layer, so the work space holds W and b of the largest one.
size_t mlp_adam_floats(const struct mlp *m) {
    size_t largest = 0;
    for (int l = 0; l < m->layers; l++) {
        size_t n = mlp_weight_offset(m, l + 1) - mlp_weight_offset(m, l);
        largest = n > largest ? n : largest;
    }
    return largest;
}

// The Adam step of one layer, in two halves of its weights; the biases belong to the second.
struct layer_step {
    const struct mlp_adam *a;
    float *params;
    size_t at, weights, biases; // offset in the parameter block, number of weights and of biases
    float decay;
};

// Steps n of the layer's parameters, from `first`.
static void step_range(const struct layer_step *s, size_t first, size_t n, float decay) {
    const struct mlp_adam *a = s->a;
    size_t at = s->at + first;
    if (a->decoupled) {
        adam_shrink(s->params + at, n, &a->adam, (double)s->decay);
        decay = 0;
    }
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
    store_dy(scratch, m, dy, B);
    for (int l = m->layers - 1; l >= 0; l--) {
        size_t at = mlp_weight_offset(m, l), weights = mlp_bias_offset(m, l) - at;
        struct layer_backward b = layer_buffers(scratch, m, l, params, B);
        b.dW = a->gradient;
        b.db = a->gradient + weights;
        b.dx = l > 0 ? b.dx : NULL;
        thread_team_run(team, layer_backward_part, &b, LAYER_PARTS);
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
    // In ascending order: every buffer shrinks and moves down or stays, so none is overwritten
    // before it is read.
    for (int l = 0; l < m->layers; l++) {
        int width = m->dims[l], buffers = l > 0 ? hidden_buffers(m) : 1;
        for (int k = 0; k < buffers; k++) {
            const float *from =
                scratch + input_offset(m, l, B) + (size_t)k * layout_floats(width, B);
            float *to = scratch + input_offset(m, l, kept) + (size_t)k * layout_floats(width, kept);
            elementwise_keep(to, from, keep, width, B);
        }
        if (m->layer_norm && l > 0) {
            elementwise_keep(scratch + inverse_offset(m, l, kept),
                             scratch + inverse_offset(m, l, B), keep, 1, B);
        }
    }
    return kept;
}
