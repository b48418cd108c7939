// SPDX-License-Identifier: MIT
// How much memory a run will take, by part, before it starts.
//
// Everything large is sized by the configuration, so it can be told in advance:
// buffers at their largest (D_env at the end of the budget, D_model at the
// longest rollouts), networks with gradients and moments, work space. What a
// program needs by itself is a measured constant. The figures are upper
// estimates: `spur run` refuses to start what the machine cannot hold.
#ifndef SPUR_COMMON_CONFIG_MEMORY_H
#define SPUR_COMMON_CONFIG_MEMORY_H

#include "common/config.h"

#define CONFIG_MEMORY_PARTS_MAX 24

struct config_memory_part {
    const char *process, *what;
    uint64_t bytes;
};

struct config_memory {
    struct config_memory_part parts[CONFIG_MEMORY_PARTS_MAX];
    int count;
    uint64_t total;
};

// c must have passed config_check.
void config_memory(struct config_memory *out, const struct config *c, int obs_dim, int act_dim);

// The sums by process in one line: "spur-modelserver 1.2 GiB, spur-learner ...".
void config_memory_print_short(const struct config_memory *m, FILE *out);
// One line a part, then the total; each begins with prefix.
void config_memory_print(const struct config_memory *m, FILE *out, const char *prefix);

// "1.5 GiB" into out, which is also returned.
#define CONFIG_BYTES_LEN 32
const char *config_format_bytes(char out[CONFIG_BYTES_LEN], uint64_t bytes);

#endif
