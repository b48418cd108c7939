// SPDX-License-Identifier: MIT
// A policy in a safetensors file of its own: RUN_DIR/policy.safetensors, written by the
// learner, and RUN_DIR/policy_best.safetensors, written by the model server.
//
// Tensors "policy.0.weight" (out, in), "policy.0.bias" (out), ...; in the metadata task,
// obs_dim, act_dim, hidden_width, hidden_layers, activation (relu or silu), version and
// updates, and what else the writer adds. hidden_width is 0 where the layers are not of
// equal width or not relu: "hidden", as in "256,128", then has the widths, and programs
// that know equal layers alone refuse the file. Reading trusts nothing: each number, the shape of
// each tensor, and that all weights are finite.
#ifndef SPUR_COMMON_NN_POLICY_FILE_H
#define SPUR_COMMON_NN_POLICY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "common/nn/safetensors.h"

#define POLICY_FILE_META_MAX 4    // further metadata of a writer
#define POLICY_FILE_DIM_MAX 65536 // observations, actions, hidden width

struct policy_file_info {
    const char *task;
    uint64_t version, updates;
    struct safetensors_meta more[POLICY_FILE_META_MAX]; // key NULL: unused
};

// Writes the file atomically. 0, or -1 with a sentence in err.
int policy_file_write(const char *path, const struct policy *policy, const float *params,
                      const struct policy_file_info *info, char *err, size_t err_len);

struct policy_file {
    struct safetensors *file;
    const char *path; // borrowed, for error messages
    const char *task; // borrowed from file
    struct policy policy;
    uint64_t version, updates;
};

// Opens the file and reads its metadata. 0, or -1 with a sentence in err.
int policy_file_open(struct policy_file *f, const char *path, char *err, size_t err_len);
// Reads the weights into params, policy_params(&f->policy) floats. 0, or -1 with a
// sentence in err.
int policy_file_params(float *params, const struct policy_file *f, char *err, size_t err_len);
void policy_file_close(struct policy_file *f); // takes zeroed ones, too

#endif
