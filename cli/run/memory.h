// SPDX-License-Identifier: MIT
// Prediction of a run's memory, by part, before it starts.
//
// All large allocations are determined by the configuration. Their sizes are computed by the
// functions that the daemons use: buffers at full capacity (D_env with all its rows, D_model at the
// longest rollouts), networks with gradients and moments, work space. All other memory of a program
// is a measured constant; docs/performance.md compares predictions with runs. `spur run` refuses a
// run that exceeds the machine's memory.
#ifndef SPUR_CLI_RUN_MEMORY_H
#define SPUR_CLI_RUN_MEMORY_H

#include <stdint.h>
#include <stdio.h>

#include "actor/env/env.h"
#include "common/config/config.h"
#include "common/task/task.h"

#define MEMORY_PARTS_MAX 16

struct memory_part {
    const char *process, *what;
    uint64_t bytes;
};

struct memory {
    struct memory_part parts[MEMORY_PARTS_MAX];
    int count;
    uint64_t total;
};

// c must have passed config_check. env: of the run's environment; zeros if unknown. cores: number
// of cores available to the run.
void memory_predict(struct memory *out, const struct config *c, const struct task *task,
                    struct env_memory env, int cores);

// Prints one line with the sum of each process: "modelserver 1.2 GiB, learner ...".
void memory_print_short(const struct memory *m, FILE *out);
// Prints one line per part, then the total; each line starts with prefix.
void memory_print(const struct memory *m, FILE *out, const char *prefix);

#endif
