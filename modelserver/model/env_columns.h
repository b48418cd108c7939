// SPDX-License-Identifier: MIT
// D_env in memory, column by column: the real transitions that the model is
// trained on and that rollouts start from.
#ifndef SPUR_MODELSERVER_MODEL_ENV_COLUMNS_H
#define SPUR_MODELSERVER_MODEL_ENV_COLUMNS_H

#include <stdint.h>

struct env_columns {
    uint32_t obs_dim, act_dim;
    const float *obs;      // (rows, obs_dim)
    const float *act;      // (rows, act_dim)
    const float *reward;   // (rows)
    const float *next_obs; // (rows, obs_dim)
    const uint8_t *flags;  // (rows), enum wire_flag bits
};

#endif
