// SPDX-License-Identifier: MIT
// Widths by list, or equal ones by number.
#include "common/nn/hidden.h"

#include "common/base/check.h"

_Static_assert(CONFIG_HIDDEN_MAX == MLP_LAYERS_MAX - 1, "a network has as many hidden layers");

static struct mlp_hidden make(const struct config_list *list, int width, int layers,
                              enum activation activation) {
    struct mlp_hidden h = mlp_hidden_equal(width, config_hidden_layers(list, layers), activation);
    for (int l = 0; l < list->n; l++) {
        h.width[l] = (int)list->v[l];
    }
    return h;
}

struct mlp_hidden hidden_of_sac(const struct config *c) {
    enum activation activation =
        c->sac.activation == SAC_ACTIVATION_SILU ? ACTIVATION_SILU : ACTIVATION_RELU;
    return make(&c->sac.hidden, c->sac.hidden_width, c->sac.hidden_layers, activation);
}

struct mlp_hidden hidden_of_model(const struct config *c) {
    struct mlp_hidden hidden =
        make(&c->model.hidden, c->model.hidden_width, c->model.hidden_layers, ACTIVATION_SILU);
    hidden.layer_norm = c->model.layer_norm;
    for (int l = 0; l < c->model.layer_norm_epsilon.n && l < hidden.layers; l++) {
        hidden.epsilon[l] = (float)c->model.layer_norm_epsilon.v[l];
    }
    return hidden;
}

struct ensemble ensemble_of_config(const struct config *c, int obs_dim, int act_dim) {
    struct mlp_hidden hidden = hidden_of_model(c);
    struct ensemble e = ensemble_make_hidden(c->model.members, obs_dim, act_dim, &hidden);
    return c->model.noise == MODEL_NOISE_FREE ? ensemble_with_free_noise(e) : e;
}

struct termination heads_of_ensemble(const struct ensemble *e, enum task_termination termination) {
    return termination_make(termination == TASK_TERMINATION_LEARNED ? e->members : 0, e->obs_dim);
}
