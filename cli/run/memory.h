// SPDX-License-Identifier: MIT
// How much memory a run will take, by part, before it starts.
//
// Everything large is sized by the configuration, so it can be told in advance, by
// the same functions by which the daemons allocate it: buffers at their largest
// (D_env with all rows that it can hold, D_model at the longest rollouts), networks with
// gradients and moments, work space. What a program needs besides is a measured
// constant; docs/performance.md has predictions beside runs. `spur run` refuses to
// start what the machine cannot hold.
#ifndef SPUR_CLI_RUN_MEMORY_H
#define SPUR_CLI_RUN_MEMORY_H

#include <stdint.h>
#include <stdio.h>

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

// c must have passed config_check. cores: that the run may use.
void memory_predict(struct memory *out, const struct config *c, const struct task *task, int cores);

// The sums by process in one line: "modelserver 1.2 GiB, learner ...".
void memory_print_short(const struct memory *m, FILE *out);
// One line a part, then the total; each begins with prefix.
void memory_print(const struct memory *m, FILE *out, const char *prefix);

#endif
