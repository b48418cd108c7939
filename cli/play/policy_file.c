// SPDX-License-Identifier: MIT
#include "cli/play/policy_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/policy.h"
#include "common/nn/safetensors.h"

enum { WIDTH_MAX = 65536 };

static int read_number(uint64_t *out, const struct safetensors *c, const char *key, uint64_t max,
                       const char *path, char *err, size_t err_len) {
    const char *text = safetensors_meta_value(c, key);
    char *end = NULL;
    if (text && text[0] >= '0' && text[0] <= '9') {
        *out = strtoull(text, &end, 10);
    }
    if (!end || *end != '\0' || *out > max) {
        snprintf(err, err_len, "%s: metadata: %s is %s%.40s%s; a number up to %llu is expected",
                 path, key, text ? "\"" : "", text ? text : "missing", text ? "\"" : "",
                 (unsigned long long)max);
        return -1;
    }
    return 0;
}

// Task and shapes from the metadata.
static int read_meta(struct policy_file *f, const struct safetensors *c, const char *path,
                     const struct task *own, char *err, size_t err_len) {
    const char *name = safetensors_meta_value(c, "task");
    if (!name) {
        snprintf(err, err_len, "%s: the metadata name no task: is this a policy of spur's?", path);
        return -1;
    }
    f->task = own && strcmp(own->name, name) == 0 ? own : task_find(name);
    if (!f->task) {
        snprintf(err, err_len,
                 "%s: it is for the task \"%.60s\", which is not built in: name its run directory, "
                 "or give its environment with --env FILE",
                 path, name);
        return -1;
    }
    const struct {
        const char *key;
        uint64_t max;
    } wanted[] = {
        {"obs_dim", TASK_OBS_DIM_MAX}, {"act_dim", TASK_ACT_DIM_MAX},
        {"hidden_width", WIDTH_MAX},   {"hidden_layers", MLP_LAYERS_MAX - 1},
        {"version", INT64_MAX},        {"updates", INT64_MAX},
    };
    uint64_t value[sizeof(wanted) / sizeof(wanted[0])];
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (read_number(&value[i], c, wanted[i].key, wanted[i].max, path, err, err_len) < 0) {
            return -1;
        }
    }
    if ((int)value[0] != f->task->obs_dim || (int)value[1] != f->task->act_dim || value[2] == 0) {
        snprintf(err, err_len,
                 "%s: it is for %llu observations and %llu actions, but %s has %d and %d", path,
                 (unsigned long long)value[0], (unsigned long long)value[1], f->task->name,
                 f->task->obs_dim, f->task->act_dim);
        return -1;
    }
    f->policy = (struct wire_policy){
        .version = value[4] ? value[4] : 1, // 0 means "no policy" to those who act
        .updates = value[5],
        .obs_dim = (uint32_t)value[0],
        .act_dim = (uint32_t)value[1],
        .hidden_width = (uint32_t)value[2],
        .hidden_layers = (uint32_t)value[3],
    };
    return 0;
}

static int read_tensors(struct policy_file *f, const struct safetensors *c, const char *path,
                        char *err, size_t err_len) {
    struct policy p = policy_make((int)f->policy.obs_dim, (int)f->policy.act_dim,
                                  (int)f->policy.hidden_width, (int)f->policy.hidden_layers);
    size_t n = policy_params(&p);
    if (n > WIRE_PARAMS_MAX) {
        snprintf(err, err_len, "%s: a policy of %zu numbers is larger than any that spur makes",
                 path, n);
        return -1;
    }
    f->params = xfloats(n);
    for (int l = 0; l < p.net.layers; l++) {
        char name[TENSOR_NAME_MAX];
        uint64_t in = (uint64_t)p.net.dims[l], out = (uint64_t)p.net.dims[l + 1];
        snprintf(name, sizeof(name), "policy.%d.weight", l);
        const struct tensor *weight = safetensors_find(c, name);
        if (weight && (weight->dims != 2 || weight->shape[0] != out || weight->shape[1] != in)) {
            snprintf(err, err_len, "%s: %s does not have the shape (%llu, %llu)", path, name,
                     (unsigned long long)out, (unsigned long long)in);
            return -1;
        }
        if (safetensors_copy_f32(c, name, f->params + mlp_weight_offset(&p.net, l), in * out, err,
                                 err_len) < 0) {
            return -1;
        }
        snprintf(name, sizeof(name), "policy.%d.bias", l);
        if (safetensors_copy_f32(c, name, f->params + mlp_bias_offset(&p.net, l), out, err,
                                 err_len) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(f->params[i])) {
            snprintf(err, err_len, "%s: holds numbers that are not finite", path);
            return -1;
        }
    }
    f->policy.params = f->params;
    f->policy.params_len = n;
    return 0;
}

int policy_file_load(struct policy_file *f, const char *path, const struct task *own, char *err,
                     size_t err_len) {
    *f = (struct policy_file){0};
    struct safetensors *c = safetensors_open(path, err, err_len);
    if (!c) {
        return -1;
    }
    int rc = read_meta(f, c, path, own, err, err_len);
    if (rc == 0) {
        rc = read_tensors(f, c, path, err, err_len);
    }
    safetensors_close(&c);
    if (rc < 0) {
        policy_file_deinit(f);
    }
    return rc;
}

void policy_file_deinit(struct policy_file *f) {
    free(f->params);
    *f = (struct policy_file){0};
}
