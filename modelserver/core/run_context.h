// SPDX-License-Identifier: MIT
// Constants of a model server process: configuration, task, pacing and identity
// of the run. Every part of the core reads it, none writes it.
#ifndef SPUR_MODELSERVER_CORE_RUN_CONTEXT_H
#define SPUR_MODELSERVER_CORE_RUN_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/task/task.h"
#include "modelserver/core/pacing.h"
#include "proto/wire.h"

struct run_context {
    struct config config;
    const struct task *task;
    struct pacing pacing;
    bool has_model; // the method learns from model rollouts; else none is trained
    uint64_t id, pid, started_ms;
    uint64_t wall_ms_before; // spent on the run before this process
};

// Time spent on the run, earlier processes included.
uint64_t run_wall_ms(const struct run_context *run, uint64_t now_ms);
// Sets the hidden layers of p to those of the run's policies.
void run_describe_policy(const struct run_context *run, struct wire_policy *p);
// Rows that D_model may have after that many real steps.
uint64_t run_model_capacity(const struct run_context *run, uint64_t steps);

#endif
