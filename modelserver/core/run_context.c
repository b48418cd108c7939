// SPDX-License-Identifier: MIT
// Values derived from the configuration.
#include "modelserver/core/run_context.h"

uint64_t run_wall_ms(const struct run_context *run, uint64_t now_ms) {
    return run->wall_ms_before + (now_ms - run->started_ms);
}

uint64_t run_model_capacity(const struct run_context *run, uint64_t steps) {
    uint64_t explore = config_explore_end(&run->config);
    return config_model_rows(&run->config, steps > explore ? steps : explore);
}
