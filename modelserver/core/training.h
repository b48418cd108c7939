// SPDX-License-Identifier: MIT
// Training of the model: which model is the newest, and which training runs.
#ifndef SPUR_MODELSERVER_CORE_TRAINING_H
#define SPUR_MODELSERVER_CORE_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/jobs.h"
#include "modelserver/model/versions.h"

struct training {
    struct ensemble ensemble;
    struct model_slots models;
    struct model *model; // newest; NULL before the first training
    uint64_t model_ms;   // when it was ready
    struct ms_fit_job job;
    bool running;
    uint64_t point; // training point of the one that runs
    // Part of the checkpoint.
    uint64_t trainings;   // that succeeded: the next one's number
    uint64_t trained_for; // training point of the last; 0: none
};

#endif
