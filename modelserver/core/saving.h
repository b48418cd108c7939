// SPDX-License-Identifier: MIT
// Checkpoints of the model server: when one is due, and the one being written.
#ifndef SPUR_MODELSERVER_CORE_SAVING_H
#define SPUR_MODELSERVER_CORE_SAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/jobs.h"

struct saving {
    struct ms_save_job job;
    bool running, due;
    uint64_t requested_ms; // when the last periodic one became due
    // Part of the checkpoint.
    uint64_t wall_ms;       // time spent on the run
    uint64_t checkpoint_id; // last one requested of the learner
};

#endif
