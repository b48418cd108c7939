// SPDX-License-Identifier: MIT
// Values derived from the configuration.
#include "modelserver/core/run_context.h"

#include "common/nn/hidden.h"

uint64_t run_wall_ms(const struct run_context *run, uint64_t now_ms) {
    return run->wall_ms_before + (now_ms - run->started_ms);
}

void run_describe_policy(const struct run_context *run, struct wire_policy *p) {
    struct mlp_hidden hidden = hidden_of_sac(&run->config);
    wire_policy_hidden(p, hidden.layers, hidden.width,
                       hidden.activation == ACTIVATION_SILU ? WIRE_ACTIVATION_SILU
                                                            : WIRE_ACTIVATION_RELU);
}

uint64_t run_model_capacity(const struct run_context *run, uint64_t steps) {
    uint64_t explore = config_explore_end(&run->config);
    return config_model_rows(&run->config, steps > explore ? steps : explore);
}
