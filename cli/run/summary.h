// SPDX-License-Identifier: MIT
// What progress.csv says about a run: is it over, and how did it do.
#ifndef SPUR_CLI_RUN_SUMMARY_H
#define SPUR_CLI_RUN_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

struct summary {
    uint64_t evaluations;
    uint64_t env_steps; // at the last one
    double wall_seconds, return_last, return_best;
    uint64_t best_env_steps;
    bool solved; // eval.solved_evaluations in a row at or above eval.target, ever
    uint64_t solved_env_steps;
    bool spent; // evaluated at the end of the budget
};

// RUN_DIR/progress.csv; a run that has none yet has no evaluations. 0, or -1
// with a sentence in err.
int summary_read(struct summary *s, const char *run_dir, const struct config *c, char *err,
                 size_t err_len);

// Nothing is left to do for this run.
bool summary_finished(const struct summary *s, const struct config *c);

// "solved at step 2,750: best return 1000.0 at step 2,750; 2 min 31 s".
void summary_sentence(const struct summary *s, char *out, size_t out_len);

#endif
