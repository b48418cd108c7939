// SPDX-License-Identifier: MIT
// What a model server's core is made from: the run, its ways out, and what an
// earlier process has stored.
#ifndef SPUR_MODELSERVER_CORE_SETUP_H
#define SPUR_MODELSERVER_CORE_SETUP_H

#include <stdint.h>

#include "common/config/config.h"
#include "common/task/task.h"
#include "modelserver/core/jobs.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "modelserver/storage/state.h"
#include "modelserver/storage/store_batch.h"
#include "proto/port.h"

struct ms_setup {
    const struct config *config; // copied
    const struct task *task;
    uint64_t run_id, pid;
    struct port port;
    struct ms_jobs jobs;
    const struct env_columns *env;    // borrowed
    uint64_t env_rows;                // stored already
    const struct store_actor *actors; // known already, by index; copied
    uint64_t actor_count;
    uint64_t starts[STORE_ROLES]; // numbers handed out to starts, by role
    struct learning_curve_history history;
    const struct ms_state *state; // of the checkpoint; NULL: none
    const struct model *model;    // of the checkpoint, copied; NULL: none
    uint64_t previous_step;       // lockstep: step of the checkpoint before; 0: none
};

#endif
