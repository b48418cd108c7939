// SPDX-License-Identifier: MIT
// How real episodes end, compared with the task's termination rule.
//
// Rollouts of the model end where the rule says so. If the environment ends its episodes by
// something else, the policy learns from rows that go on for ever, or end early, and nothing else
// tells. Counts cover all stored rows: they are recounted at start-up.
#ifndef SPUR_MODELSERVER_CORE_ENDS_H
#define SPUR_MODELSERVER_CORE_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/task/task.h"
#include "modelserver/model/env_columns.h"

struct ends {
    const struct task *task;
    bool has_model;        // the method makes model rollouts, so their ends matter
    uint64_t terminated;   // rows that the environment terminated
    uint64_t unexplained;  // of these: the rule does not hold in the next observation
    uint64_t contradicted; // other rows in which it holds
    bool reported;         // the disagreement is in the log
};

// Counts the rows that are stored already.
void ends_init(struct ends *e, const struct task *task, bool has_model,
               const struct env_columns *stored, uint64_t rows);
// Counts rows (n); logs a disagreement when it is first seen.
void ends_count(struct ends *e, const float *next_obs, const uint8_t *flags, uint64_t n);
// What disagrees and what to do; empty if model rollouts end as episodes do, or by learned heads.
void ends_advice(const struct ends *e, char *out, size_t out_len);

#endif
