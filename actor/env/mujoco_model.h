// SPDX-License-Identifier: MIT
// Compiled MuJoCo models, shared by all environments of the process.
//
// A model is compiled once: large meshes take seconds and hundreds of megabytes. It is const; code
// that changes it works on an mj_copyModel. The model that was released last stays loaded, so that
// creating its environments again costs nothing.
#ifndef SPUR_ACTOR_ENV_MUJOCO_MODEL_H
#define SPUR_ACTOR_ENV_MUJOCO_MODEL_H

#include <stddef.h>

#include "actor/env/mujoco_library.h"
#include "common/base/embed.h"

// The model of a file on disk, or of an embedded one if path is NULL. Loads MuJoCo if necessary.
// Thread-safe. NULL with the reason in err. Each success is paired with a mujoco_model_release.
const mjModel *mujoco_model_acquire(const char *path, const struct embed_file *embedded, char *err,
                                    size_t err_len);
void mujoco_model_release(const mjModel *model);
void mujoco_models_trim(void); // frees the one that was released last

// Number of models compiled so far in this process.
int mujoco_models_compiled(void);

#endif
