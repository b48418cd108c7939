// SPDX-License-Identifier: MIT
// The newest ensemble, as the model server sent it: for methods that differentiate through it or
// roll it out themselves.
#ifndef SPUR_LEARNER_DYNAMICS_H
#define SPUR_LEARNER_DYNAMICS_H

#include <stdint.h>

#include "common/config/config.h"
#include "common/nn/ensemble.h"
#include "common/nn/termination.h"
#include "common/task/task.h"
#include "proto/wire.h"

struct dynamics {
    struct ensemble ensemble;
    struct termination heads; // no members unless termination is learnt
    uint64_t version;         // 0: none has arrived
    uint64_t env_rows;        // rows of D_env at its training
    float *params;            // (ensemble_params)
    float *normalizer;        // (ensemble_normalizer_floats)
    float *termination;       // (termination_params)
    int elites;
    int elite[ENSEMBLE_MEMBERS_MAX]; // members that predict
    float *memory;                   // of the blocks
};

// Shapes from the configuration, version 0.
void dynamics_init(struct dynamics *d, const struct config *config, const struct task *task);
void dynamics_deinit(struct dynamics *d);
uint64_t dynamics_bytes(const struct config *config, const struct task *task);

// Whether a message has the shapes of the configuration: 0, or -1 with a phrase in err.
int dynamics_check(const struct config *config, const struct task *task,
                   const struct wire_model *model, char *err, size_t err_len);
// Copies a message that dynamics_check has accepted.
void dynamics_set(struct dynamics *d, const struct wire_model *model);

#endif
