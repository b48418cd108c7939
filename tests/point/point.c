// SPDX-License-Identifier: MIT
// A point on a line, pushed left and right, as a plug-in. Macros select the units of observation
// and reward, further columns and faults of the sensor; the task itself stays the same, so that
// all variants can be compared in the units of the plain one. tests/point/train.py builds them.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "spur/env.h"

#ifndef OBS_SCALE // observation = OBS_OFFSET + OBS_SCALE * state
#define OBS_SCALE 1.0
#endif
#ifndef OBS_OFFSET
#define OBS_OFFSET 0.0
#endif
#ifndef REWARD_SCALE // reward = REWARD_OFFSET + REWARD_SCALE * plain reward
#define REWARD_SCALE 1.0
#endif
#ifndef REWARD_OFFSET
#define REWARD_OFFSET 0.0
#endif
#ifndef CONSTANT_COLUMNS // columns that are always CONSTANT
#define CONSTANT_COLUMNS 0
#endif
#ifndef CONSTANT
#define CONSTANT 0.0
#endif
#ifndef NOISE // their spread
#define NOISE 0.0
#endif
#ifndef WILD_AT // the number of the one observation of this process that is WILD; 0: none
#define WILD_AT 0
#endif
#ifndef WILD
#define WILD 1e6
#endif
#ifndef HORIZON
#define HORIZON 50
#endif
#ifndef ENDS_BEYOND // the position is unstable, the reward is 1, and an episode ends beyond this
#define ENDS_BEYOND 0.0
#endif

enum { STATE_DIM = 2, OBS_DIM = STATE_DIM + CONSTANT_COLUMNS };

struct point {
    double position, velocity;
};

static unsigned long observations; // made by this process
static uint64_t noise = 7;         // random state

static double uniform(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = (*state ^ (*state >> 31)) * 0xd6e8feb86659fd93u;
    return (double)((z ^ (z >> 29)) >> 11) * 0x1p-53;
}

static void observe(const struct point *p, float *obs) {
    obs[0] = (float)(OBS_OFFSET + OBS_SCALE * p->position);
    obs[1] = (float)(OBS_OFFSET + OBS_SCALE * p->velocity);
    for (int i = STATE_DIM; i < OBS_DIM; i++) {
        obs[i] = (float)(CONSTANT + NOISE * uniform(&noise));
    }
    observations++;
    if (observations == WILD_AT) {
        obs[0] = (float)(WILD);
    }
}

static void *create(char *err, size_t err_len) {
    (void)err, (void)err_len;
    return calloc(1, sizeof(struct point));
}

static void destroy(void *env) {
    free(env);
}

static void reset(void *env, float *obs, uint64_t seed) {
    struct point *p = env;
    p->position = 2 * uniform(&seed) - 1;
    p->velocity = 0;
    observe(p, obs);
}

static int step(void *env, float *obs, double *reward, int *terminated, const float *action) {
    struct point *p = env;
    p->velocity = 0.8 * p->velocity + 0.2 * (double)action[0];
    p->position = fmin(fmax(p->position + 0.3 * p->velocity, -2), 2);
    double plain = -p->position * p->position;
    *terminated = 0;
    if (ENDS_BEYOND > 0) {
        p->position += 0.12 * p->position;
        *terminated = fabs(p->position) > ENDS_BEYOND;
        plain = 1;
    }
    *reward = REWARD_OFFSET + REWARD_SCALE * plain;
    observe(p, obs);
    return 0;
}

static const float low[] = {-1}, high[] = {1};

const struct spur_env spur_env = {
    .version = SPUR_ENV_VERSION,
    .size = sizeof(struct spur_env),
    .name = "point",
    .obs_dim = OBS_DIM,
    .act_dim = 1,
    .horizon = HORIZON,
    .act_low = low,
    .act_high = high,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .step = step,
};
