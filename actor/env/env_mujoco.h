// SPDX-License-Identifier: MIT
// Environments simulated by MuJoCo: built in, or described in a file.
#ifndef SPUR_ACTOR_ENV_ENV_MUJOCO_H
#define SPUR_ACTOR_ENV_ENV_MUJOCO_H

#include "actor/env/env.h"
#include "actor/env/tasks/task_row.h"

// The environment of a row. mjcf: the model's file; NULL: row->model, embedded in the program.
// Borrows task and row. Calls row->bind, if set, before it checks them against the model. NULL
// with the reason in err; row->release is then not called.
struct env *env_mujoco_create(const struct task *task, const struct env_task *row, const char *mjcf,
                              char *err, size_t err_len);

#endif
