// SPDX-License-Identifier: MIT
// RUN_DIR/progress.csv: the learning curve of a run, one row per evaluation.
//
// The model server appends to it, and each row is on disk before
// learning_curve_append returns. A resumed run appends to the same file. Both the
// model server and `spur run` read the file back: how many evaluations there were,
// the best return, whether the task is solved. Columns are found by their names, so
// a reader accepts files with other columns beside those it needs.
#ifndef SPUR_MODELSERVER_STORAGE_LEARNING_CURVE_H
#define SPUR_MODELSERVER_STORAGE_LEARNING_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "proto/metrics.h"

struct learning_curve_row {
    uint64_t env_steps;
    double wall_seconds;
    double return_mean, return_std;
    uint64_t updates;
    double updates_per_step;       // achieved; NaN: exploration has not ended
    struct metrics model, learner; // further columns by name; NaN: not known yet
};

struct learning_curve_history {
    uint64_t evaluations;
    uint64_t env_steps; // of the last evaluation, as the next three
    double wall_seconds;
    double return_mean, return_std;
    double return_best;
    uint64_t best_env_steps;
    uint32_t solved_in_row; // evaluations at or above eval.target, counted back from the last,
                            // of policies with at least one update
    bool solved;            // solved_in_row has reached eval.solved_evaluations at some time
    uint64_t solved_env_steps;
};

// Adds one evaluation to the history.
void learning_curve_count(struct learning_curve_history *h, const struct learning_curve_row *row,
                          const struct config *c);

// The history in the file; none for a file that does not exist. A last line
// without its end is ignored: it is being written, or was cut off by a crash.
// 0, or -1 with a sentence in err.
int learning_curve_read(struct learning_curve_history *history, const char *path,
                        const struct config *c, char *err, size_t err_len);

// Prepares the file for appending: reads its history, if there is one, and removes an
// incomplete last line. 0, or -1 with a sentence in err.
int learning_curve_open(struct learning_curve_history *history, const char *path,
                        const struct config *c, char *err, size_t err_len);
// Writes the columns that the file has; the first row decides which. A figure that is not
// known is an empty field.
int learning_curve_append(const char *path, const struct learning_curve_row *row, char *err,
                          size_t err_len);

#endif
