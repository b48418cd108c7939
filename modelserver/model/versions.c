// SPDX-License-Identifier: MIT
//
// Six slots are enough. Models: the newest, the one being trained, one saved, and
// one for each of two blocks of rollouts. Policies: the newest, one for each of two
// blocks of rollouts, the one being evaluated, the one waiting to be evaluated.
#include "modelserver/model/versions.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/nn/hidden.h"
#include "common/nn/normalizer.h"

struct ensemble ms_ensemble(const struct config *config, const struct task *task) {
    return ensemble_of_config(config, task->obs_dim, task->act_dim);
}

struct policy ms_policy(const struct config *config, const struct task *task) {
    struct mlp_hidden hidden = hidden_of_sac(config);
    return policy_make_hidden(task->obs_dim, task->act_dim, &hidden);
}

struct termination model_heads(const struct ensemble *e, enum task_termination termination) {
    return heads_of_ensemble(e, termination);
}

void model_slots_init(struct model_slots *s, const struct ensemble *e,
                      enum task_termination termination, int more) {
    struct termination heads = model_heads(e, termination);
    *s = (struct model_slots){.params = ensemble_params(e),
                              .normalizer = ensemble_normalizer_floats(e),
                              .termination = termination_params(&heads),
                              .count = VERSION_SLOTS + more};
    s->slot = xcalloc((size_t)s->count, sizeof(*s->slot));
    for (int i = 0; i < s->count; i++) {
        s->slot[i].params = xfloats(s->params);
        s->slot[i].normalizer = xfloats(s->normalizer);
        s->slot[i].termination = s->termination > 0 ? xfloats(s->termination) : NULL;
        s->slot[i].params_len = s->params;
        s->slot[i].normalizer_len = s->normalizer;
        s->slot[i].termination_len = s->termination;
    }
}

void model_slots_deinit(struct model_slots *s) {
    for (int i = 0; i < s->count; i++) {
        free(s->slot[i].params);
        free(s->slot[i].normalizer);
        free(s->slot[i].termination);
    }
    free(s->slot);
    *s = (struct model_slots){0};
}

struct model *model_take(struct model_slots *s) {
    for (int i = 0; i < s->count; i++) {
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

struct termination_score model_termination_score(const struct model *m) {
    struct termination_score mean = {0};
    for (int i = 0; i < m->elites; i++) {
        const struct termination_score *s = &m->termination_score[m->elite[i]];
        mean.ended += s->ended / (float)m->elites;
        mean.log_loss += s->log_loss / (float)m->elites;
        mean.missed += s->missed / (float)m->elites;
        mean.wrong += s->wrong / (float)m->elites;
    }
    return mean;
}

void policy_slots_init(struct policy_slots *s, const struct policy *p, int more) {
    *s = (struct policy_slots){.params = policy_params(p), .count = VERSION_SLOTS + more};
    s->slot = xcalloc((size_t)s->count, sizeof(*s->slot));
    for (int i = 0; i < s->count; i++) {
        s->slot[i].params = xfloats(s->params);
    }
}

void policy_slots_deinit(struct policy_slots *s) {
    for (int i = 0; i < s->count; i++) {
        free(s->slot[i].params);
    }
    free(s->slot);
    *s = (struct policy_slots){0};
}

struct policy_version *policy_take(struct policy_slots *s) {
    for (int i = 0; i < s->count; i++) {
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
