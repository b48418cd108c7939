// SPDX-License-Identifier: MIT
// The result of a training, and what persists from one training to the next.
#ifndef SPUR_MODELSERVER_MODEL_FIT_STATE_H
#define SPUR_MODELSERVER_MODEL_FIT_STATE_H

#include <stddef.h>
#include <stdint.h>

enum fit_result {
    FIT_DONE,
    FIT_STOPPED, // *stop was set: nothing changed
    FIT_BROKEN,  // weights became infinite or NaN: nothing changed
};

// Weights and optimizer state between trainings, for checkpoints.
struct fit_state {
    size_t normalizer_floats;
    float *normalizer; // of inputs and targets (ensemble_normalizer_floats)
    size_t params;
    float *weights, *adam_m, *adam_v; // (params)
    uint64_t *adam_steps;
    // Termination heads: all parameters, and the trained ones at their front. None: 0 and NULL.
    size_t termination_params, termination_trained;
    float *termination, *termination_m, *termination_v;
    uint64_t *termination_steps;
};

#endif
