// SPDX-License-Identifier: MIT
// RUN_DIR/progress.csv: one line an evaluation, the run's learning curve.
//
// Each line is on the disk before learning_curve_append returns. A run that is
// resumed goes on in the same file; what the file already holds (best return,
// evaluations solved in a row, time spent) is read back at the start. A torn
// last line, from a crash while it was written, is cut off.
#ifndef SPUR_MODELSERVER_STORAGE_LEARNING_CURVE_H
#define SPUR_MODELSERVER_STORAGE_LEARNING_CURVE_H

#include <stddef.h>
#include <stdint.h>

struct learning_curve_row {
    uint64_t env_steps;
    double wall_seconds;
    double return_mean, return_std;
    double model_holdout_mse; // mean of the elites; 0 before the first training
    double critic_loss, actor_loss, temperature, entropy;
    uint64_t updates;
    double updates_per_step; // achieved
    uint64_t rollout_length, model_epochs;
};

struct learning_curve_history {
    uint64_t evaluations, env_steps; // how many, and at which step the last
    double wall_seconds;             // of the last
    double return_mean, return_std;  // of the last
    double return_best;
    uint32_t solved_in_row;
};

// Adds one evaluation to the history; target is what counts as solved.
void learning_curve_count(struct learning_curve_history *h, const struct learning_curve_row *row,
                          double target);

// Makes the file with its header line, or reads what it holds. 0, or -1 with a
// sentence in err.
int learning_curve_open(const char *path, double target, struct learning_curve_history *history,
                        char *err, size_t err_len);
int learning_curve_append(const char *path, const struct learning_curve_row *row, char *err,
                          size_t err_len);

#endif
