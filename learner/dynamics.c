// SPDX-License-Identifier: MIT
// A copy of the ensemble of a Model message.
#include "learner/dynamics.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/nn/hidden.h"
#include "common/nn/parts.h"

static void lay_out(struct dynamics *d, struct parts *parts) {
    d->params = parts_take(parts, ensemble_params(&d->ensemble));
    d->normalizer = parts_take(parts, ensemble_normalizer_floats(&d->ensemble));
    d->termination = parts_take(parts, termination_params(&d->heads));
}

// Shapes and size; no memory yet.
static size_t set_shape(struct dynamics *d, const struct config *c, const struct task *task) {
    *d = (struct dynamics){.ensemble = ensemble_of_config(c, task->obs_dim, task->act_dim)};
    d->heads = heads_of_ensemble(&d->ensemble, task->termination);
    struct parts parts = {0};
    lay_out(d, &parts);
    return parts.used;
}

void dynamics_init(struct dynamics *d, const struct config *config, const struct task *task) {
    size_t n = set_shape(d, config, task);
    d->memory = xfloats(n);
    struct parts parts = {.memory = d->memory};
    lay_out(d, &parts);
}

void dynamics_deinit(struct dynamics *d) {
    free(d->memory);
    *d = (struct dynamics){0};
}

uint64_t dynamics_bytes(const struct config *config, const struct task *task) {
    struct dynamics d;
    return set_shape(&d, config, task) * sizeof(float);
}

int dynamics_check(const struct config *config, const struct task *task, const struct wire_model *m,
                   char *err, size_t err_len) {
    struct dynamics shape;
    set_shape(&shape, config, task);
    const struct dynamics *d = &shape;
    const struct {
        const char *name;
        uint64_t have, want;
    } blocks[] = {
        {"weights", m->params_len, ensemble_params(&d->ensemble)},
        {"statistics", m->normalizer_len, ensemble_normalizer_floats(&d->ensemble)},
        {"numbers of termination heads", m->termination_len, termination_params(&d->heads)},
    };
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        if (blocks[i].have != blocks[i].want) {
            return error_set(err, err_len, -1, "an ensemble of %llu %s; the configuration has %llu",
                             (unsigned long long)blocks[i].have, blocks[i].name,
                             (unsigned long long)blocks[i].want);
        }
    }
    for (uint32_t i = 0; i < m->elites; i++) {
        if (m->elite[i] >= (uint32_t)d->ensemble.members) {
            return error_set(err, err_len, -1, "an ensemble whose member %u predicts; it has %d",
                             m->elite[i], d->ensemble.members);
        }
    }
    return 0;
}

void dynamics_set(struct dynamics *d, const struct wire_model *m) {
    d->version = m->version;
    d->env_rows = m->env_rows;
    memcpy(d->params, m->params, m->params_len * sizeof(float));
    memcpy(d->normalizer, m->normalizer, m->normalizer_len * sizeof(float));
    if (m->termination_len > 0) {
        memcpy(d->termination, m->termination, m->termination_len * sizeof(float));
    }
    d->elites = (int)m->elites;
    for (uint32_t i = 0; i < m->elites; i++) {
        d->elite[i] = (int)m->elite[i];
    }
}
