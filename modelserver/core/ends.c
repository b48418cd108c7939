// SPDX-License-Identifier: MIT
// The rule of the task, applied to real rows.
#include "modelserver/core/ends.h"

#include <stdio.h>

#include "common/base/log.h"
#include "proto/wire.h"

#define SHARE_MAX 0.01    // of the ends: rounding at a limit explains that many
#define DISAGREEING_MIN 3 // rows

static bool has_rule(const struct task *task) {
    return task->terminated && (!task->env || task->ranges > 0);
}

static void count(struct ends *e, const float *next_obs, const uint8_t *flags, uint64_t n) {
    bool rule = has_rule(e->task);
    for (uint64_t i = 0; i < n; i++) {
        bool terminated = (flags[i] & WIRE_TERMINATED) != 0;
        bool holds =
            rule && e->task->terminated(e->task, next_obs + i * (uint64_t)e->task->obs_dim);
        e->terminated += terminated;
        e->unexplained += terminated && !holds;
        e->contradicted += !terminated && holds;
    }
}

void ends_init(struct ends *e, const struct task *task, bool has_model,
               const struct env_columns *stored, uint64_t rows) {
    *e = (struct ends){.task = task, .has_model = has_model};
    if (rows > 0) {
        count(e, stored->next_obs, stored->flags, rows);
    }
}

void ends_count(struct ends *e, const float *next_obs, const uint8_t *flags, uint64_t n) {
    count(e, next_obs, flags, n);
    char advice[WIRE_STRING_MAX];
    ends_advice(e, advice, sizeof(advice));
    if (advice[0] && !e->reported) {
        e->reported = true;
        log_warn("%s", advice);
    }
}

// Whether so many rows are more than rounding explains.
static bool disagree(const struct ends *e, uint64_t rows) {
    return rows >= DISAGREEING_MIN && (double)rows > SHARE_MAX * (double)e->terminated;
}

void ends_advice(const struct ends *e, char *out, size_t out_len) {
    unsigned long long all = e->terminated, unexplained = e->unexplained;
    bool rule = e->task->termination == TASK_TERMINATION_RULE;
    out[0] = '\0';
    if (!e->has_model || e->task->termination == TASK_TERMINATION_LEARNED) {
        return;
    }
    if (!rule || !has_rule(e->task)) {
        if (disagree(e, e->terminated)) {
            snprintf(out, out_len,
                     "%llu episodes were terminated, but rollouts of the model go on: "
                     "task.termination is %s: start a run with task.termination=learned, or "
                     "describe the rule in task.healthy",
                     all, rule ? "rule, and there is none" : "never");
        }
    } else if (disagree(e, e->unexplained) || disagree(e, e->contradicted)) {
        snprintf(out, out_len,
                 "the termination rule disagrees with the environment: it explains %llu of %llu "
                 "ends, and holds in %llu rows that went on: correct task.healthy, or start a run "
                 "with task.termination=learned",
                 all - unexplained, all, (unsigned long long)e->contradicted);
    }
}
