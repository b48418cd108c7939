// SPDX-License-Identifier: MIT
#include "learner/policy_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/safetensors.h"

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

struct wire_policy policy_store_answer(const struct policy_store *p, uint64_t have_version) {
    const struct mlp *net = &p->policy.net;
    bool newer = p->version > have_version;
    return (struct wire_policy){
        .version = p->version,
        .updates = p->updates,
        .obs_dim = (uint32_t)p->policy.obs_dim,
        .act_dim = (uint32_t)p->policy.act_dim,
        .hidden_width = (uint32_t)net->dims[1],
        .hidden_layers = (uint32_t)net->layers - 1,
        .params_len = newer ? p->params_len : 0,
        .params = newer ? p->params : NULL,
    };
}

#define NUMBERS 7

int policy_store_export(const char *path, const struct policy *policy, const float *params,
                        const struct policy_store_info *info, char *err, size_t err_len) {
    const struct mlp *net = &policy->net;
    struct tensor tensors[2 * MLP_LAYERS_MAX];
    for (int l = 0; l < net->layers; l++) {
        uint64_t in = (uint64_t)net->dims[l], out = (uint64_t)net->dims[l + 1];
        char name[TENSOR_NAME_MAX];
        snprintf(name, sizeof(name), "policy.%d.weight", l);
        tensors[2 * l] = tensor_make(name, TENSOR_F32, params + mlp_weight_offset(net, l), 2,
                                     (uint64_t[]){out, in});
        snprintf(name, sizeof(name), "policy.%d.bias", l);
        tensors[2 * l + 1] = tensor_f32(name, params + mlp_bias_offset(net, l), out);
    }

    const struct {
        const char *key;
        uint64_t value;
    } numbers[NUMBERS] = {
        {"obs_dim", (uint64_t)policy->obs_dim},
        {"act_dim", (uint64_t)policy->act_dim},
        {"hidden_width", (uint64_t)net->dims[1]},
        {"hidden_layers", (uint64_t)net->layers - 1},
        {"version", info->version},
        {"updates", info->updates},
        {"seed", info->seed},
    };
    char text[NUMBERS][24];
    struct safetensors_meta meta[NUMBERS + 2] = {
        {"task", info->task},
        {"spur_version", SPUR_VERSION},
    };
    for (int i = 0; i < NUMBERS; i++) {
        snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long)numbers[i].value);
        meta[i + 2] = (struct safetensors_meta){numbers[i].key, text[i]};
    }
    return safetensors_write(path, tensors, 2 * net->layers, meta, NUMBERS + 2, err, err_len);
}
