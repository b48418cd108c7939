// SPDX-License-Identifier: MIT
// Counts the steps of an episode and decides how it ended.
#include "actor/episode.h"

#include <math.h>

#include "common/base/check.h"

void episode_begin(struct episode *e, struct env *env, struct rng *rng) {
    env_reset(env, rng);
    *e = (struct episode){.state = EPISODE_RUNNING};
}

void episode_begin_evaluation(struct episode *e, struct env *env, uint64_t seed, uint64_t number) {
    struct rng rng = rng_make(seed, RNG_EVAL_RESET, number);
    episode_begin(e, env, &rng);
}

double episode_step(struct episode *e, struct env *env, const float *action) {
    CHECK(e->state == EPISODE_RUNNING);
    struct env_step step = env_step(env, action);
    if (step.bad || !isfinite((float)step.reward)) {
        e->state = EPISODE_BROKEN;
        e->env_broken = step.broken;
        return 0;
    }
    e->length++;
    e->episode_return += step.reward;
    if (step.terminated) {
        e->state = EPISODE_TERMINATED;
    } else if (step.truncated) {
        e->state = EPISODE_TRUNCATED;
    }
    return step.reward;
}
