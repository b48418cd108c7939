// SPDX-License-Identifier: MIT
// Actions of an evaluation, with a random stream per episode: independent of the batch.
#include "actor/actions.h"

#include <string.h>

bool actions_need_policy(enum actions actions) {
    return actions == ACTIONS_MEAN || actions == ACTIONS_SAMPLED;
}

struct rng actions_rng(uint64_t seed, uint64_t episode) {
    return rng_make(seed, RNG_EVAL_ACT, episode);
}

void actions_draw(float *noise, enum actions actions, struct rng *rng, int act_dim) {
    if (actions == ACTIONS_SAMPLED) {
        rng_fill_normal(rng, noise, (size_t)act_dim);
    } else if (actions == ACTIONS_RANDOM) {
        for (int i = 0; i < act_dim; i++) {
            noise[i] = (float)rng_range(rng, -1.0, 1.0);
        }
    }
}

void actions_compute(float *act, enum actions actions, struct policy_controller *controller,
                     const float *obs, const float *noise, int B, int act_dim) {
    size_t n = (size_t)B * (size_t)act_dim;
    switch (actions) {
    case ACTIONS_MEAN:
        policy_controller_mean(controller, act, obs, B);
        break;
    case ACTIONS_SAMPLED:
        policy_controller_sample(controller, act, obs, noise, B);
        break;
    case ACTIONS_RANDOM:
        memcpy(act, noise, n * sizeof(*act));
        break;
    case ACTIONS_ZERO:
        memset(act, 0, n * sizeof(*act));
        break;
    }
}
