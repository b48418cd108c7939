// SPDX-License-Identifier: MIT
// The outcome of a run by its learning curve: whether it is finished, and its returns.
#ifndef SPUR_CLI_RUN_SUMMARY_H
#define SPUR_CLI_RUN_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "modelserver/storage/learning_curve.h"

struct summary {
    struct learning_curve_history curve;
    bool spent; // evaluated at the end of the budget
};

// Reads RUN_DIR/progress.csv; without the file there are no evaluations. 0, or -1
// with a sentence in err.
int summary_read(struct summary *s, const char *run_dir, const struct config *c, char *err,
                 size_t err_len);

// The run is finished: solved where that ends it, or its budget of steps is spent.
bool summary_finished(const struct summary *s, const struct config *c);

// "solved at step 2,750: best return 1000.0 at step 2,750; 2 min 31 s".
void summary_sentence(const struct summary *s, char *out, size_t out_len);

#endif
