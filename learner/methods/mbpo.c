// SPDX-License-Identifier: MIT
// method: mbpo. Model-based policy optimization (Janner, Fu, Zhang and Levine, "When to Trust
// Your Model", NeurIPS 2019): SAC on batches of int(real_ratio * batch) real transitions and
// branched model rollouts (section 5 of the paper); real ones alone before the first rollouts.
#include "learner/methods/sac_method.h"

static void update(void *self, uint64_t t, const struct method_source *source,
                   struct metrics *metrics) {
    struct sac_method *m = self;
    int B = m->batch.rows;
    int n_real = source->d_model->len > 0 ? (int)(m->config.sac.real_ratio * B) : B;
    struct rng rng = rng_make(m->config.run.seed, RNG_REPLAY_REAL, t);
    replay_sample(&m->batch, 0, n_real, source->d_env, &rng);
    rng = rng_make(m->config.run.seed, RNG_REPLAY_MODEL, t);
    replay_sample(&m->batch, n_real, B - n_real, source->d_model, &rng);
    sac_method_update_from_batch(m, t, source->d_env, metrics);
}

const struct method method_mbpo = {
    .name = "mbpo",
    .shape_keys = SAC_METHOD_SHAPE_KEYS,
    .metrics = sac_method_metrics,
    .memory = sac_method_memory,
    .create = sac_method_create,
    .destroy = sac_method_destroy,
    .update = update,
    .policy = sac_method_policy,
    .blocks = sac_method_blocks,
};
