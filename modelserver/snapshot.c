// SPDX-License-Identifier: MIT
//
// Six slots are enough. Models: the newest, the one being trained, one behind
// each of two blocks of rollouts. Policies: the newest, one behind each of two
// blocks of rollouts, the one being evaluated, the one that waits to be.
#include "modelserver/snapshot.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/nn/normalizer.h"

void model_slots_init(struct model_slots *s, const struct ensemble *e) {
    *s = (struct model_slots){.params = ensemble_params(e),
                              .normalizer = normalizer_floats(e->in_dim)};
    for (int i = 0; i < SNAPSHOT_SLOTS; i++) {
        s->slot[i].params = xfloats(s->params);
        s->slot[i].normalizer = xfloats(s->normalizer);
    }
}

void model_slots_deinit(struct model_slots *s) {
    for (int i = 0; i < SNAPSHOT_SLOTS; i++) {
        free(s->slot[i].params);
        free(s->slot[i].normalizer);
    }
    *s = (struct model_slots){0};
}

struct model *model_take(struct model_slots *s) {
    for (int i = 0; i < SNAPSHOT_SLOTS; i++) {
        if (s->slot[i].refs == 0) {
            s->slot[i].refs = 1;
            return &s->slot[i];
        }
    }
    CHECK(!"a free model slot");
    return NULL;
}

struct model *model_ref(struct model *m) {
    CHECK(m->refs > 0);
    m->refs++;
    return m;
}

void model_drop(struct model **m) {
    if (*m) {
        CHECK((*m)->refs > 0);
        (*m)->refs--;
        *m = NULL;
    }
}

double model_holdout_mse(const struct model *m) {
    double sum = 0;
    for (int i = 0; i < m->elites; i++) {
        sum += (double)m->holdout_mse[m->elite[i]];
    }
    return m->elites > 0 ? sum / m->elites : 0;
}

void policy_slots_init(struct policy_slots *s, const struct policy *p) {
    *s = (struct policy_slots){.params = policy_params(p)};
    for (int i = 0; i < SNAPSHOT_SLOTS; i++) {
        s->slot[i].params = xfloats(s->params);
    }
}

void policy_slots_deinit(struct policy_slots *s) {
    for (int i = 0; i < SNAPSHOT_SLOTS; i++) {
        free(s->slot[i].params);
    }
    *s = (struct policy_slots){0};
}

struct policy_version *policy_take(struct policy_slots *s) {
    for (int i = 0; i < SNAPSHOT_SLOTS; i++) {
        if (s->slot[i].refs == 0) {
            s->slot[i].refs = 1;
            return &s->slot[i];
        }
    }
    CHECK(!"a free policy slot");
    return NULL;
}

struct policy_version *policy_ref(struct policy_version *p) {
    CHECK(p->refs > 0);
    p->refs++;
    return p;
}

void policy_drop(struct policy_version **p) {
    if (*p) {
        CHECK((*p)->refs > 0);
        (*p)->refs--;
        *p = NULL;
    }
}
