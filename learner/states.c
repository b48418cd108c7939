// SPDX-License-Identifier: MIT
// Batches of equal space in one array.
#include "learner/states.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

static size_t batch_floats(const struct states *s) {
    return (size_t)s->rows_max * (size_t)s->obs_dim;
}

void states_init(struct states *s, int obs_dim, int batches, uint32_t rows_max) {
    CHECK(batches > 0 && batches <= STATES_BATCHES_MAX);
    *s = (struct states){.obs_dim = obs_dim, .batches = batches, .rows_max = rows_max};
    s->len = xcalloc((size_t)batches, sizeof(s->len[0]));
    s->updates = xcalloc((size_t)batches, sizeof(s->updates[0]));
    s->data = xcalloc(states_floats(s), sizeof(float));
}

void states_deinit(struct states *s) {
    free(s->len);
    free(s->updates);
    free(s->data);
    *s = (struct states){0};
}

uint64_t states_bytes(int obs_dim, int batches, uint32_t rows_max) {
    return (uint64_t)batches * rows_max * (uint64_t)obs_dim * sizeof(float);
}

void states_add(struct states *s, const float *obs, uint32_t rows, uint64_t updates) {
    CHECK(rows <= s->rows_max);
    size_t at = s->number++ % (uint64_t)s->batches;
    s->rows = s->rows - s->len[at] + rows;
    s->len[at] = rows;
    s->updates[at] = updates;
    memcpy(s->data + at * batch_floats(s), obs, rows * (size_t)s->obs_dim * sizeof(float));
}

size_t states_floats(const struct states *s) {
    return (size_t)s->batches * batch_floats(s);
}

double states_age(const struct states *s, uint64_t t) {
    double sum = 0;
    for (int i = 0; i < s->batches; i++) {
        sum += (double)s->len[i] * ((double)(t - 1) - (double)s->updates[i]);
    }
    return sum / (double)s->rows;
}

void states_restore(struct states *s, uint64_t number, const uint64_t *len,
                    const uint64_t *updates) {
    s->number = number;
    s->rows = 0;
    for (int i = 0; i < s->batches; i++) {
        CHECK(len[i] <= s->rows_max);
        s->len[i] = len[i];
        s->updates[i] = updates[i];
        s->rows += len[i];
    }
}

// Row i of all batches, in the order of the ring.
static const float *row_at(const struct states *s, uint64_t i) {
    size_t batch = 0;
    while (i >= s->len[batch]) {
        i -= s->len[batch++];
    }
    return s->data + batch * batch_floats(s) + i * (size_t)s->obs_dim;
}

void states_sample(float *obs, int n, const struct states *s, struct rng *rng) {
    size_t O = (size_t)s->obs_dim;
    CHECK(s->rows > 0 && s->rows <= UINT32_MAX);
    for (size_t i = 0; i < (size_t)n; i++) {
        memcpy(obs + i * O, row_at(s, rng_below(rng, (uint32_t)s->rows)), O * sizeof(float));
    }
}
