// SPDX-License-Identifier: MIT
// With weights the tape has a matrix for all strips of each layer's input, slopes (SiLU) and
// gradient dz, so that a range of strips is one batch. Without, a strip's slopes (SiLU) or outputs
// (ReLU) lie together; with layer norm each is followed by the normalised outputs and the inverses.
#include "common/nn/tape.h"

#include "common/base/check.h"
#include "common/nn/elementwise.h"
#include "common/nn/gemm.h"
#include "common/nn/mlp_layer.h"

static int matrices_of_hidden(const struct tape_shape *s) {
    return s->net.activation == ACTIVATION_SILU ? 2 : 1;
}

// Floats of the matrices of all strips before those of the input of layer l.
static size_t matrices_before(const struct tape_shape *s, int layer) {
    size_t width = layer > 0 ? (size_t)s->net.dims[0] : 0;
    for (int l = 1; l < layer; l++) {
        width += (size_t)(matrices_of_hidden(s) * s->net.dims[l]);
    }
    return width * TAPE_ROWS * (size_t)s->strips;
}

static size_t strip_floats(const struct tape_shape *s, int width) {
    return (size_t)width * TAPE_ROWS * (size_t)s->strips;
}

static size_t hidden_width(const struct tape_shape *s) {
    size_t width = 0;
    for (int l = 1; l < s->net.layers; l++) {
        width += (size_t)s->net.dims[l];
    }
    return width;
}

// Floats of a strip before those of layer l > 0; without weights.
static size_t kept_before(const struct tape_shape *s, int layer) {
    size_t floats = 0;
    for (int l = 1; l < layer; l++) {
        size_t width = layout_offset(s->net.dims[l], 1);
        floats += s->net.layer_norm ? 2 * width + layout_offset(1, 1) : width;
    }
    return floats;
}

// The input of layer l of a strip; with weights.
static float *input_at(const float *tape, const struct tape_shape *s, int layer, int strip) {
    return (float *)tape + matrices_before(s, layer) + layout_offset(s->net.dims[layer], strip);
}

// What the backward pass through the activation before layer l > 0 needs.
static float *saved_at(const float *tape, const struct tape_shape *s, int layer, int strip) {
    if (s->weights) {
        bool silu = s->net.activation == ACTIVATION_SILU;
        return input_at(tape, s, layer, strip) +
               (silu ? strip_floats(s, s->net.dims[layer]) : (size_t)0);
    }
    size_t offset = (size_t)strip * kept_before(s, s->net.layers);
    return (float *)tape + offset + kept_before(s, layer);
}

// Layer norm only: the normalised outputs of layer l - 1, and their inverse standard deviations.
static float *normalized_at(const float *tape, const struct tape_shape *s, int layer, int strip) {
    return saved_at(tape, s, layer, strip) + layout_offset(s->net.dims[layer], 1);
}

static float *inverse_at(const float *tape, const struct tape_shape *s, int layer, int strip) {
    return normalized_at(tape, s, layer, strip) + layout_offset(s->net.dims[layer], 1);
}

// dz of layer l of a strip; with weights.
static float *gradient_at(const float *tape, const struct tape_shape *s, int layer, int strip) {
    size_t offset = matrices_before(s, s->net.layers);
    for (int l = 0; l < layer; l++) {
        offset += strip_floats(s, s->net.dims[l + 1]);
    }
    return (float *)tape + offset + layout_offset(s->net.dims[layer + 1], strip);
}

size_t tape_floats(const struct tape_shape *s) {
    CHECK(s->strips > 0);
    if (!s->weights) {
        return (size_t)s->strips * kept_before(s, s->net.layers);
    }
    CHECK(!s->net.layer_norm);
    return matrices_before(s, s->net.layers) +
           (hidden_width(s) + (size_t)s->net.dims[s->net.layers]) * TAPE_ROWS * (size_t)s->strips;
}

static size_t widest(const struct tape_shape *s) {
    int width = 0;
    for (int l = 0; l <= s->net.layers; l++) {
        width = s->net.dims[l] > width ? s->net.dims[l] : width;
    }
    return layout_offset(width, 1);
}

size_t tape_scratch(const struct tape_shape *s) {
    return 2 * widest(s); // activations, or their gradients, of two layers
}

void tape_forward(float *y, float *tape, float *scratch, const struct tape_shape *s, int strip,
                  const float *params, const float *x) {
    const struct mlp *m = &s->net;
    bool silu = m->activation == ACTIVATION_SILU;
    float *input = s->weights ? input_at(tape, s, 0, strip) : scratch;
    gemm_from_rows(input, x, m->dims[0], TAPE_ROWS);
    for (int l = 0; l < m->layers; l++) {
        bool last = l == m->layers - 1;
        float *saved = last ? NULL : saved_at(tape, s, l + 1, strip);
        float *output = scratch + (size_t)((l + 1) % 2) * widest(s);
        if (!last && s->weights) {
            output = input_at(tape, s, l + 1, strip);
        } else if (!last && m->layer_norm) {
            output = normalized_at(tape, s, l + 1, strip);
        } else if (!last && !silu) {
            output = saved;
        }
        mlp_layer_forward(output, silu ? saved : NULL, m, l, params, input, TAPE_ROWS);
        if (!last && m->layer_norm) {
            elementwise_layer_norm(output, inverse_at(tape, s, l + 1, strip), m->dims[l + 1],
                                   TAPE_ROWS, m->epsilon[l]);
        }
        input = output;
    }
    gemm_to_rows(y, input, m->dims[m->layers], TAPE_ROWS);
}

void tape_backward(float *dx, float *tape, float *scratch, const struct tape_shape *s, int strip,
                   const float *params, const float *dy) {
    const struct mlp *m = &s->net;
    int last = m->layers - 1;
    float *dz = s->weights ? gradient_at(tape, s, last, strip)
                           : scratch + (size_t)(m->layers % 2) * widest(s);
    gemm_from_rows(dz, dy, m->dims[m->layers], TAPE_ROWS);
    for (int l = last; l > 0; l--) {
        float *d_input =
            s->weights ? gradient_at(tape, s, l - 1, strip) : scratch + (size_t)(l % 2) * widest(s);
        const float *saved = saved_at(tape, s, l, strip);
        mlp_layer_backward(d_input, m, l, params, dz, saved, TAPE_ROWS);
        if (m->layer_norm) {
            elementwise_layer_norm_backward(d_input, normalized_at(tape, s, l, strip),
                                            inverse_at(tape, s, l, strip), saved, m->dims[l],
                                            TAPE_ROWS);
        }
        dz = d_input;
    }
    if (dx) {
        mlp_layer_backward(scratch, m, 0, params, dz, NULL, TAPE_ROWS);
        gemm_to_rows(dx, scratch, m->dims[0], TAPE_ROWS);
    }
}

void tape_gradient(float *dparams, const float *tape, const struct tape_shape *s, int first,
                   int count) {
    const struct mlp *m = &s->net;
    CHECK(s->weights && first >= 0 && count > 0 && first + count <= s->strips);
    for (int l = 0; l < m->layers; l++) {
        mlp_layer_gradient(dparams + mlp_weight_offset(m, l), dparams + mlp_bias_offset(m, l), m, l,
                           gradient_at(tape, s, l, first), input_at(tape, s, l, first),
                           TAPE_ROWS * count);
    }
}
