// SPDX-License-Identifier: MIT
// Statistics of D_env, and a batch in scaled units.
#include "learner/methods/scaling.h"

#include <math.h>

#include "common/base/check.h"
#include "common/nn/normalizer.h"

#define GROWTH 1.05  // of D_env between two fits
#define REWARD_FAR 3 // standard deviations from 0: rewards are a constant and a part that counts
#define REWARD_LIMIT 100 // of a scaled reward: a wild one does not outweigh all others
// The rare large reward of a goal is not an outlier.
#define REWARD_REACH 1000.0f

enum { REWARD_OFFSET, REWARD_SCALE, IN_USE, ROWS, NUMBERS };

// The numbers after the normalizer.
static float *numbers(const struct scaling *s) {
    return s->state + normalizer_floats(s->config.obs_dim);
}

size_t scaling_floats(const struct scaling_config *config) {
    return normalizer_floats(config->obs_dim) + NUMBERS;
}

void scaling_identity(float *state, const struct scaling_config *config) {
    const struct scaling s = {.config = *config, .state = state};
    normalizer_identity(state, config->obs_dim);
    numbers(&s)[REWARD_OFFSET] = 0;
    numbers(&s)[REWARD_SCALE] = 1;
    numbers(&s)[IN_USE] = 1;
    numbers(&s)[ROWS] = 0;
}

size_t scaling_kept(const struct scaling_config *config) {
    return normalizer_floats(config->obs_dim) + ROWS;
}

void scaling_init(struct scaling *s, const struct scaling_config *config, float *state) {
    *s = (struct scaling){.config = *config, .state = state};
    scaling_identity(state, config);
    numbers(s)[IN_USE] = 0;
    float *std = state + config->obs_dim;
    for (int j = 0; j < config->obs_dim && config->observations; j++) {
        std[j] = 0;
    }
}

bool scaling_due(const struct scaling *s, const struct replay *d_env) {
    return (double)d_env->added >= GROWTH * (double)numbers(s)[ROWS];
}

bool scaling_in_use(const struct scaling *s) {
    return numbers(s)[IN_USE] != 0;
}

static bool any_terminated(const struct replay_rows *rows) {
    for (uint64_t i = 0; i < rows->n; i++) {
        if (rows->terminated[i]) {
            return true;
        }
    }
    return false;
}

static void fit_rewards(struct scaling *s, const struct replay_rows *rows) {
    const struct normalizer_column column = {0, REWARD_REACH};
    float reward[2]; // mean, std
    normalizer_fit(reward, rows->reward, rows->n, 1, &column);
    bool far = fabsf(reward[0]) > REWARD_FAR * reward[1];
    float offset = far && !any_terminated(rows) ? reward[0] : 0;
    float scale = hypotf(reward[0] - offset, reward[1]);
    numbers(s)[REWARD_OFFSET] = offset;
    numbers(s)[REWARD_SCALE] = scale > 0 ? scale : 1;
}

void scaling_fit(struct scaling *s, const struct replay *d_env) {
    // D_env keeps every row of the run, so its ring never wraps.
    struct replay_rows rows = replay_part(d_env, 0);
    CHECK(rows.n > 0 && rows.n == d_env->len);
    if (s->config.observations) {
        normalizer_fit(s->state, rows.obs, rows.n, s->config.obs_dim, NULL);
    }
    if (s->config.rewards) {
        fit_rewards(s, &rows);
    }
    numbers(s)[IN_USE] = 1;
    numbers(s)[ROWS] = (float)d_env->added;
}

const float *scaling_observations(const struct scaling *s) {
    return s->state;
}

double scaling_reward_scale(const struct scaling *s) {
    return (double)numbers(s)[REWARD_SCALE];
}

double scaling_value_offset(const struct scaling *s, double discount) {
    // Without a discount the offset would be infinite.
    return discount < 1 ? (double)numbers(s)[REWARD_OFFSET] / (1 - discount) : 0;
}

void scaling_apply(struct replay_batch *batch, const struct scaling *s, double discount) {
    size_t B = (size_t)batch->rows;
    const float *observations = scaling_observations(s);
    const float limit = s->config.observations ? NORMALIZER_INPUT_LIMIT : INFINITY;
    normalizer_apply(batch->obs, observations, batch->obs, B, batch->obs_dim, limit);
    normalizer_apply(batch->next_obs, observations, batch->next_obs, B, batch->obs_dim, limit);
    double scale = scaling_reward_scale(s);
    double offset = discount < 1 ? (double)numbers(s)[REWARD_OFFSET] : 0;
    double end =
        discount * scaling_value_offset(s, discount) / scale; // negative of the end's value
    double bound = s->config.rewards ? REWARD_LIMIT : INFINITY;
    for (size_t i = 0; i < B; i++) {
        double reward = ((double)batch->reward[i] - offset) / scale;
        reward = fmax(-bound, fmin(reward, bound));
        batch->reward[i] = (float)(reward - (double)batch->terminated[i] * end);
    }
}
