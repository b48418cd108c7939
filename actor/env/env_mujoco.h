// SPDX-License-Identifier: MIT
// Environments in MuJoCo, built in or described in a file.
#ifndef SPUR_ACTOR_ENV_ENV_MUJOCO_H
#define SPUR_ACTOR_ENV_ENV_MUJOCO_H

#include "actor/env/env.h"
#include "actor/env/tasks/task_row.h"

// The environment of a row. mjcf: the model's file; NULL: row->model, which is
// inside the program. Borrows task and row, and runs row->bind, if there is one,
// before it believes either. NULL with a sentence in err; then row->release is
// not called.
struct env *env_mujoco_create(const struct task *task, const struct env_task *row, const char *mjcf,
                              char *err, size_t err_len);

#endif
