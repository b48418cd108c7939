// SPDX-License-Identifier: MIT
// The hidden layers that a configuration chooses: of policy and critics, and of the ensemble.
#ifndef SPUR_COMMON_NN_HIDDEN_H
#define SPUR_COMMON_NN_HIDDEN_H

#include "common/config/config.h"
#include "common/nn/mlp.h"

struct mlp_hidden hidden_of_sac(const struct config *c);
struct mlp_hidden hidden_of_model(const struct config *c);

#endif
