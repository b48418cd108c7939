// SPDX-License-Identifier: MIT
// Holds one copy of the weights; an answer includes them where they are newer.
#include "learner/policy_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "proto/epoch.h"

void policy_store_init(struct policy_store *p, const struct policy *policy) {
    *p = (struct policy_store){.policy = *policy, .params_len = policy_params(policy)};
    p->params = xfloats(p->params_len);
}

void policy_store_deinit(struct policy_store *p) {
    free(p->params);
    *p = (struct policy_store){0};
}

void policy_store_take(struct policy_store *p, uint64_t version, uint64_t updates,
                       const float *params) {
    CHECK(version >= p->version);
    p->version = version;
    p->updates = updates;
    memcpy(p->params, params, p->params_len * sizeof(float));
}

uint64_t policy_store_version(const struct policy_store *p) {
    return p->version > 0 ? epoch_version(p->epoch, p->version) : 0;
}

struct wire_policy policy_store_answer(const struct policy_store *p, uint64_t have_version) {
    const struct mlp *net = &p->policy.net;
    uint64_t version = policy_store_version(p);
    bool newer = version > have_version;
    struct wire_policy out = {
        .version = version,
        .updates = p->updates,
        .obs_dim = (uint32_t)p->policy.obs_dim,
        .act_dim = (uint32_t)p->policy.act_dim,
        .params_len = newer ? p->params_len : 0,
        .params = newer ? p->params : NULL,
    };
    wire_policy_hidden(&out, net->layers - 1, net->dims + 1,
                       net->activation == ACTIVATION_SILU ? WIRE_ACTIVATION_SILU
                                                          : WIRE_ACTIVATION_RELU);
    return out;
}
