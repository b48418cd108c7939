// SPDX-License-Identifier: MIT
// The model server's files beside the store: its checkpoint, and the best policy.
//
// The checkpoint (safetensors) contains what cannot be derived from store, task
// and seed: the ensemble with its Adam moments, the normalizers, the elites and
// their errors, termination heads if there are any, and struct ms_state. It is
// replaced atomically, and the one before it is kept: X.safetensors and X.previous.safetensors.
#ifndef SPUR_MODELSERVER_STORAGE_CHECKPOINT_H
#define SPUR_MODELSERVER_STORAGE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/nn/policy.h"
#include "common/task/task.h"
#include "modelserver/model/fit_state.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "modelserver/storage/state.h"

struct ms_checkpoint_run {
    const char *task;
    uint64_t run_id, seed;
};

// fit must not be training; model: NULL before the first one. keep: the file at path becomes the
// one before. 0, or -1 with a sentence in err.
int ms_checkpoint_write(const char *path, const struct ms_checkpoint_run *run,
                        const struct ms_state *state, const struct model *model,
                        const struct fit_state *fit, bool keep, char *err, size_t err_len);
// Fills state, the ensemble's training state and, when *has_model, the model
// (its params, normalizer and termination point to buffers). 0, or -1 with a sentence in err: the
// file is damaged, of another run, has other shapes, or numbers that are not finite or that no
// training reaches.
int ms_checkpoint_read(const char *path, const struct ms_checkpoint_run *run,
                       struct ms_state *state, const struct fit_state *fit, struct model *model,
                       bool *has_model, char *err, size_t err_len);
// The same from the file before, if the one at path is refused or absent; a refused one becomes
// X.unreadable.safetensors. 1; 0: there is none. -1 with a sentence in err: none can be used.
int ms_checkpoint_load(const char *path, const struct ms_checkpoint_run *run,
                       struct ms_state *state, const struct fit_state *fit, struct model *model,
                       bool *has_model, char *err, size_t err_len);

// Lockstep: the step (ms_state.checkpoint_id) of the file before the one at path; 0: none.
uint64_t ms_checkpoint_previous_step(const char *path);
// Lockstep: undoes what is newer than the checkpoint of that step; 0: all of it.
void ms_checkpoint_go_back(const char *path, uint64_t step);

// Fills the weights and normalizers of fit from the checkpoint of another run, not its optimizer's
// state; heads only if that run has them. 0, or -1 with a sentence in err.
int ms_checkpoint_take_over(const char *path, const struct fit_state *fit, char *err,
                            size_t err_len);

// Writes the policy of an evaluation as a policy file, with its env_steps and
// return_mean in the metadata. 0, or -1 with a sentence in err.
int ms_checkpoint_policy_write(const char *path, const struct task *task,
                               const struct policy *shape, const float *params, uint64_t version,
                               const struct learning_curve_row *row, char *err, size_t err_len);

#endif
