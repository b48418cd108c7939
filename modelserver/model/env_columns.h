// SPDX-License-Identifier: MIT
// D_env in memory, stored by column: the real transitions, on which the model is trained and from
// which rollouts start.
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
