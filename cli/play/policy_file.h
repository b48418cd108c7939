// SPDX-License-Identifier: MIT
// A policy in a safetensors file, as the learner exports it to
// RUN_DIR/policy.safetensors: tensors "policy.0.weight" (out, in),
// "policy.0.bias" (out), ..., and task and shapes in the metadata.
#ifndef SPUR_CLI_PLAY_POLICY_FILE_H
#define SPUR_CLI_PLAY_POLICY_FILE_H

#include <stddef.h>

#include "common/task/task.h"
#include "proto/wire.h"

struct policy_file {
    const struct task *task;
    struct wire_policy policy; // params are ours
    float *params;
};

// Checks everything: metadata, the task, the shape of each tensor, finite
// numbers. own: a task of the user's that the file may be for (borrowed); NULL: it
// must be built in. 0, or -1 with a sentence in err.
int policy_file_load(struct policy_file *f, const char *path, const struct task *own, char *err,
                     size_t err_len);
void policy_file_deinit(struct policy_file *f); // takes zeroed ones, too

#endif
