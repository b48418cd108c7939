// SPDX-License-Identifier: MIT
// The numerical configuration of method dhmbpo, from that of a run.
#ifndef SPUR_LEARNER_METHODS_DHMBPO_METHOD_H
#define SPUR_LEARNER_METHODS_DHMBPO_METHOD_H

#include "learner/methods/dhmbpo.h"

struct dhmbpo_config dhmbpo_method_config(const struct config *config, const struct task *task);

#endif
