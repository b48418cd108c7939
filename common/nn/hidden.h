// SPDX-License-Identifier: MIT
// The networks that a configuration chooses: the hidden layers of policy and critics, and the
// ensemble with its termination heads.
#ifndef SPUR_COMMON_NN_HIDDEN_H
#define SPUR_COMMON_NN_HIDDEN_H

#include "common/config/config.h"
#include "common/nn/ensemble.h"
#include "common/nn/mlp.h"
#include "common/nn/termination.h"

struct mlp_hidden hidden_of_sac(const struct config *c);
struct mlp_hidden hidden_of_model(const struct config *c);
struct ensemble ensemble_of_config(const struct config *c, int obs_dim, int act_dim);
// One head a member if termination is learnt, else none.
struct termination heads_of_ensemble(const struct ensemble *e, enum task_termination termination);

#endif
