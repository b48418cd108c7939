// SPDX-License-Identifier: MIT
// Policy files: one layout of tensors and metadata, written and checked here alone.
#include "common/nn/policy_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/stats.h"

// The numbers of the metadata, in the order of the file.
enum { OBS_DIM, ACT_DIM, HIDDEN_WIDTH, HIDDEN_LAYERS, VERSION, UPDATES, NUMBERS };
static const struct {
    const char *key;
    uint64_t min, max;
} numbers[NUMBERS] = {
    [OBS_DIM] = {"obs_dim", 1, POLICY_FILE_DIM_MAX},
    [ACT_DIM] = {"act_dim", 1, POLICY_FILE_DIM_MAX},
    [HIDDEN_WIDTH] = {"hidden_width", 0, POLICY_FILE_DIM_MAX},
    [HIDDEN_LAYERS] = {"hidden_layers", 0, MLP_LAYERS_MAX - 1},
    [VERSION] = {"version", 0, INT64_MAX},
    [UPDATES] = {"updates", 0, INT64_MAX},
};

static void weight_name(char name[TENSOR_NAME_MAX], int layer) {
    snprintf(name, TENSOR_NAME_MAX, "policy.%d.weight", layer);
}

static void bias_name(char name[TENSOR_NAME_MAX], int layer) {
    snprintf(name, TENSOR_NAME_MAX, "policy.%d.bias", layer);
}

enum { WIDTHS_LEN = 8 * MLP_LAYERS_MAX };
static const char *const activation_names[] = {
    [ACTIVATION_RELU] = "relu", [ACTIVATION_SILU] = "silu"};

// Whether hidden_width and hidden_layers suffice.
static bool is_short(const struct mlp *net) {
    for (int l = 2; l < net->layers; l++) {
        if (net->dims[l] != net->dims[1]) {
            return false;
        }
    }
    return net->activation == ACTIVATION_RELU;
}

static void print_widths(char out[WIDTHS_LEN], const struct mlp *net) {
    size_t n = 0;
    out[0] = '\0';
    for (int l = 1; l < net->layers; l++) {
        n += (size_t)snprintf(out + n, WIDTHS_LEN - n, "%s%d", l > 1 ? "," : "", net->dims[l]);
    }
}

// Reads "hidden" and "activation". False: they do not describe h->layers layers.
static bool read_hidden(struct mlp_hidden *h, const struct policy_file *f) {
    const char *text = safetensors_meta_value(f->file, "hidden");
    const char *activation = safetensors_meta_value(f->file, "activation");
    if (!text || !activation) {
        return false;
    }
    h->activation = ACTIVATION_SILU;
    if (strcmp(activation, activation_names[ACTIVATION_RELU]) == 0) {
        h->activation = ACTIVATION_RELU;
    } else if (strcmp(activation, activation_names[ACTIVATION_SILU]) != 0) {
        return false;
    }
    for (int l = 0; l < h->layers; l++) {
        char *end;
        unsigned long width = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
        if (width < 1 || width > POLICY_FILE_DIM_MAX || *end != (l + 1 < h->layers ? ',' : '\0')) {
            return false;
        }
        h->width[l] = (int)width;
        text = end + 1;
    }
    return true;
}

int policy_file_write(const char *path, const struct policy *policy, const float *params,
                      const struct policy_file_info *info, char *err, size_t err_len) {
    const struct mlp *net = &policy->net;
    struct tensor tensors[2 * MLP_LAYERS_MAX];
    for (int l = 0; l < net->layers; l++) {
        uint64_t in = (uint64_t)net->dims[l], out = (uint64_t)net->dims[l + 1];
        char name[TENSOR_NAME_MAX];
        weight_name(name, l);
        tensors[2 * l] = tensor_make(name, TENSOR_F32, params + mlp_weight_offset(net, l), 2,
                                     (uint64_t[]){out, in});
        bias_name(name, l);
        tensors[2 * l + 1] = tensor_f32(name, params + mlp_bias_offset(net, l), out);
    }
    const uint64_t value[NUMBERS] = {
        [OBS_DIM] = (uint64_t)policy->obs_dim,
        [ACT_DIM] = (uint64_t)policy->act_dim,
        [HIDDEN_WIDTH] = is_short(net) ? (uint64_t)net->dims[1] : 0,
        [HIDDEN_LAYERS] = (uint64_t)net->layers - 1,
        [VERSION] = info->version,
        [UPDATES] = info->updates,
    };
    char text[NUMBERS][24];
    char widths[WIDTHS_LEN];
    print_widths(widths, net);
    struct safetensors_meta meta[3 + NUMBERS + POLICY_FILE_META_MAX] = {
        {"task", info->task}, {"activation", activation_names[net->activation]}};
    int n = 2;
    if (!is_short(net)) {
        meta[n++] = (struct safetensors_meta){"hidden", widths};
    }
    for (int i = 0; i < NUMBERS; i++) {
        snprintf(text[i], sizeof(text[i]), "%" PRIu64, value[i]);
        meta[n++] = (struct safetensors_meta){numbers[i].key, text[i]};
    }
    for (int i = 0; i < POLICY_FILE_META_MAX && info->more[i].key; i++) {
        meta[n++] = info->more[i];
    }
    return safetensors_write(path, tensors, 2 * net->layers, meta, n, err, err_len);
}

static int read_number(uint64_t *out, const struct policy_file *f, int which, char *err,
                       size_t err_len) {
    const char *text = safetensors_meta_value(f->file, numbers[which].key);
    uint64_t min = numbers[which].min, max = numbers[which].max;
    char *end = NULL;
    if (text && text[0] >= '0' && text[0] <= '9') {
        *out = strtoull(text, &end, 10);
    }
    if (!end || *end != '\0' || *out < min || *out > max) {
        const char *quote = text ? "\"" : "";
        snprintf(err, err_len,
                 "%s: metadata: %s is %s%.40s%s; a number from %" PRIu64 " to %" PRIu64
                 " is expected",
                 f->path, numbers[which].key, quote, text ? text : "missing", quote, min, max);
        return -1;
    }
    return 0;
}

static int read_meta(struct policy_file *f, char *err, size_t err_len) {
    f->task = safetensors_meta_value(f->file, "task");
    if (!f->task) {
        snprintf(err, err_len, "%s: the metadata name no task: is this a policy of spur's?",
                 f->path);
        return -1;
    }
    uint64_t value[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        if (read_number(&value[i], f, i, err, err_len) != 0) {
            return -1;
        }
    }
    struct mlp_hidden hidden =
        mlp_hidden_equal((int)value[HIDDEN_WIDTH], (int)value[HIDDEN_LAYERS], ACTIVATION_RELU);
    if (value[HIDDEN_WIDTH] == 0 && !read_hidden(&hidden, f)) {
        snprintf(err, err_len,
                 "%s: metadata: hidden_width is 0, and hidden and activation do not describe %d "
                 "layers",
                 f->path, hidden.layers);
        return -1;
    }
    f->policy = policy_make_hidden((int)value[OBS_DIM], (int)value[ACT_DIM], &hidden);
    f->version = value[VERSION];
    f->updates = value[UPDATES];
    return 0;
}

int policy_file_open(struct policy_file *f, const char *path, char *err, size_t err_len) {
    *f = (struct policy_file){.path = path};
    f->file = safetensors_open(path, err, err_len);
    if (!f->file) {
        return -1;
    }
    int rc = read_meta(f, err, err_len);
    if (rc != 0) {
        policy_file_close(f);
    }
    return rc;
}

static int read_layer(float *params, const struct policy_file *f, int layer, char *err,
                      size_t err_len) {
    const struct mlp *net = &f->policy.net;
    uint64_t in = (uint64_t)net->dims[layer], out = (uint64_t)net->dims[layer + 1];
    char name[TENSOR_NAME_MAX];
    weight_name(name, layer);
    const struct tensor *weight = safetensors_find(f->file, name);
    if (weight && (weight->dims != 2 || weight->shape[0] != out || weight->shape[1] != in)) {
        snprintf(err, err_len, "%s: %s does not have the shape (%" PRIu64 ", %" PRIu64 ")", f->path,
                 name, out, in);
        return -1;
    }
    if (safetensors_copy_f32(f->file, name, params + mlp_weight_offset(net, layer), in * out, err,
                             err_len) != 0) {
        return -1;
    }
    bias_name(name, layer);
    return safetensors_copy_f32(f->file, name, params + mlp_bias_offset(net, layer), out, err,
                                err_len);
}

int policy_file_params(float *params, const struct policy_file *f, char *err, size_t err_len) {
    for (int l = 0; l < f->policy.net.layers; l++) {
        if (read_layer(params, f, l, err, err_len) != 0) {
            return -1;
        }
    }
    if (!stats_all_finite(params, policy_params(&f->policy))) {
        snprintf(err, err_len, "%s: holds numbers that are not finite", f->path);
        return -1;
    }
    return 0;
}

void policy_file_close(struct policy_file *f) {
    safetensors_close(&f->file);
    *f = (struct policy_file){0};
}
