// SPDX-License-Identifier: MIT
// Which configuration keys a run may change when it is resumed: its budget, evaluations,
// checkpoints, exploration, processes and network. Keys that determine what has been learned so
// far, or the shape of what is stored, are fixed for the life of a run.
#ifndef SPUR_COMMON_CONFIG_RESUME_H
#define SPUR_COMMON_CONFIG_RESUME_H

#include <stdbool.h>

#include "common/config/keys.h"

// The keys, for messages and docs.
#define CONFIG_CHANGEABLE_BUDGET                                                                   \
    "run.steps, run.actors, run.envs_per_actor, run.stop_when_solved, "                            \
    "run.stuck_*, task.env_timeout_s,"
#define CONFIG_CHANGEABLE_REST "explore.*, eval.*, checkpoint.*, data.*, network.*, compute.*"
#define CONFIG_CHANGEABLE_TEXT CONFIG_CHANGEABLE_BUDGET " " CONFIG_CHANGEABLE_REST

bool config_key_may_change(const struct config_key *key);
// Takes over from `wanted` every value that may change. 0; or -1 with the first key that differs
// and may not in *fixed, and c unchanged.
int config_change(struct config *c, const struct config *wanted, const struct config_key **fixed);
// "run.steps 1500 to 3000, eval.episodes 5 to 10": the differences; "" if there are none.
void config_changes_text(char *out, size_t out_len, const struct config *from,
                         const struct config *to);

#endif
