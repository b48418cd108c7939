// SPDX-License-Identifier: MIT
// Outcome of a run, from its learning curve: whether it is finished, and its returns.
#ifndef SPUR_CLI_RUN_SUMMARY_H
#define SPUR_CLI_RUN_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "modelserver/storage/learning_curve.h"

struct summary {
    struct learning_curve_history curve;
    bool spent;      // evaluated at the end of the budget
    bool has_target; // the task can be solved
};

// Reads RUN_DIR/progress.csv; no file means no evaluations. Returns 0, or -1 with a message in err.
int summary_read(struct summary *s, const char *run_dir, const struct config *c, char *err,
                 size_t err_len);

// Whether the run is finished: its budget of steps is spent, or it is solved and
// run.stop_when_solved is set.
bool summary_finished(const struct summary *s, const struct config *c);

// "solved at step 2,750: best return 1000.0 at step 2,750; 2 min 31 s". wall_s: time spent on the
// run, before it was resumed too; 0: that of the last evaluation.
void summary_sentence(const struct summary *s, double wall_s, char *out, size_t out_len);

#endif
