// SPDX-License-Identifier: MIT
// Loads a policy: checks its shape, allocates once per shape, copies its parameters.
#include "actor/policy_controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "proto/epoch.h"

#define HIDDEN_WIDTH_MAX 8192 // prevents overflow; the size of a message limits the rest

// False: the hidden layers are not supported.
static bool make_policy(struct policy *out, const struct wire_policy *from,
                        const struct task *task) {
    if (from->hidden_layers < 1 || from->hidden_layers + 1 > MLP_LAYERS_MAX) {
        return false;
    }
    bool silu = from->activation == WIRE_ACTIVATION_SILU;
    struct mlp_hidden hidden = {.layers = (int)from->hidden_layers,
                                .activation = silu ? ACTIVATION_SILU : ACTIVATION_RELU};
    for (int l = 0; l < hidden.layers; l++) {
        if (from->hidden[l] < 1 || from->hidden[l] > HIDDEN_WIDTH_MAX) {
            return false;
        }
        hidden.width[l] = (int)from->hidden[l];
    }
    *out = policy_make_hidden(task->obs_dim, task->act_dim, &hidden);
    return true;
}

// 0, or -1 with the reason in err.
static int check_shape(const struct wire_policy *from, const struct task *task, char *err,
                       size_t err_len) {
    if (from->obs_dim != (uint32_t)task->obs_dim || from->act_dim != (uint32_t)task->act_dim) {
        snprintf(err, err_len,
                 "policy version %llu has %u observations and %u actions, but task %s has %d and "
                 "%d; does the learner belong to the same run?",
                 (unsigned long long)epoch_number(from->version), from->obs_dim, from->act_dim,
                 task->name, task->obs_dim, task->act_dim);
        return -1;
    }
    struct policy policy;
    if (!make_policy(&policy, from, task)) {
        snprintf(err, err_len,
                 "policy version %llu has %u hidden layers, or one of a width that is "
                 "not supported",
                 (unsigned long long)epoch_number(from->version), from->hidden_layers);
        return -1;
    }
    if (policy_params(&policy) != from->params_len) {
        snprintf(err, err_len, "policy version %llu has %llu parameters, expected %zu",
                 (unsigned long long)epoch_number(from->version),
                 (unsigned long long)from->params_len, policy_params(&policy));
        return -1;
    }
    return 0;
}

enum policy_controller_verdict policy_controller_load(struct policy_controller *p,
                                                      const struct wire_policy *from,
                                                      const struct task *task, int batch_max,
                                                      uint64_t now_ms, char *err, size_t err_len) {
    if (from->version < p->version) {
        return POLICY_CONTROLLER_OLDER;
    }
    if (from->version == p->version || from->params_len == 0) {
        return POLICY_CONTROLLER_KEPT;
    }
    if (check_shape(from, task, err, err_len)) {
        return POLICY_CONTROLLER_REFUSED;
    }
    struct policy policy;
    bool known = make_policy(&policy, from, task);
    CHECK(known);
    if (memcmp(&policy, &p->policy, sizeof(policy)) != 0 || p->batch_max < batch_max) {
        free(p->params);
        free(p->scratch);
        p->policy = policy;
        p->params_len = from->params_len;
        p->batch_max = batch_max;
        p->params = xfloats(p->params_len);
        p->scratch = xfloats(policy_scratch(&p->policy, batch_max));
    }
    memcpy(p->params, from->params, p->params_len * sizeof(float));
    p->version = from->version;
    p->since_ms = now_ms;
    return POLICY_CONTROLLER_LOADED;
}

void policy_controller_deinit(struct policy_controller *p) {
    free(p->params);
    free(p->scratch);
    *p = (struct policy_controller){0};
}

void policy_controller_sample(struct policy_controller *p, float *act, const float *obs,
                              const float *noise, int B) {
    CHECK(p->version > 0);
    CHECK(B <= p->batch_max);
    policy_infer(act, NULL, p->scratch, &p->policy, p->params, obs, noise, B);
}

void policy_controller_mean(struct policy_controller *p, float *act, const float *obs, int B) {
    CHECK(p->version > 0);
    CHECK(B <= p->batch_max);
    policy_mean(act, p->scratch, &p->policy, p->params, obs, B);
}
