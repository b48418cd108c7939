// SPDX-License-Identifier: MIT
// Statistics of D_env, and a batch in scaled units.
#include "learner/methods/scaling.h"

#include <math.h>
#include <string.h>

#include "common/base/check.h"
#include "common/nn/normalizer.h"

// Spreads of observations that networks take as they are.
#define SPREAD_MIN 0.03f
#define SPREAD_MAX 1.0f
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

size_t scaling_memory(const struct scaling_config *config) {
    return scaling_floats(config) + normalizer_floats(config->obs_dim);
}

void scaling_init(struct scaling *s, const struct scaling_config *config, float *memory) {
    float *state = memory;
    *s = (struct scaling){
        .config = *config, .state = state, .observations = memory + scaling_floats(config)};
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

// Columns of rounding noise count as constant.
static void drop_noise(struct scaling *s, const struct replay_rows *rows) {
    int O = s->config.obs_dim;
    for (int j = 0; j < O; j++) {
        float *std = &s->state[O + j];
        double squares = 0;
        for (uint64_t i = 0; i < rows->n && normalizer_is_noise(*std, INFINITY); i++) {
            uint64_t at = i * (uint64_t)O + (uint64_t)j;
            double change = (double)rows->next_obs[at] - (double)rows->obs[at];
            squares += change * change;
        }
        if (normalizer_is_noise(*std, (float)sqrt(squares / (double)rows->n))) {
            *std = 0;
        }
    }
}

void scaling_fit(struct scaling *s, const struct replay *d_env) {
    // D_env keeps every row of the run, so its ring never wraps.
    struct replay_rows rows = replay_part(d_env, 0);
    CHECK(rows.n > 0 && rows.n == d_env->len);
    if (s->config.observations) {
        normalizer_fit(s->state, rows.obs, rows.n, s->config.obs_dim, NULL);
        drop_noise(s, &rows);
    }
    if (s->config.rewards) {
        fit_rewards(s, &rows);
    }
    numbers(s)[IN_USE] = 1;
    numbers(s)[ROWS] = (float)d_env->added;
}

// The spread of the networks' input j.
static float spread(const struct scaling *s, int j) {
    float std = s->state[s->config.obs_dim + j];
    return s->config.standardise ? 1 : fmaxf(SPREAD_MIN, fminf(std, SPREAD_MAX));
}

const float *scaling_observations(const struct scaling *s) {
    int O = s->config.obs_dim;
    memcpy(s->observations, s->state, normalizer_floats(O) * sizeof(float));
    for (int j = 0; j < O && s->config.observations; j++) {
        s->observations[O + j] /= spread(s, j);
    }
    return s->observations;
}

// (rows, O) in place.
static void scale_observations(float *obs, const struct scaling *s, size_t rows) {
    int O = s->config.obs_dim;
    normalizer_apply(obs, s->state, obs, rows, O, NORMALIZER_INPUT_LIMIT);
    for (size_t i = 0; i < rows; i++) {
        for (int j = 0; j < O; j++) {
            obs[i * (size_t)O + (size_t)j] *= spread(s, j);
        }
    }
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
    if (s->config.observations) {
        scale_observations(batch->obs, s, B);
        scale_observations(batch->next_obs, s, B);
    }
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
