// SPDX-License-Identifier: MIT
#include "actor/stepper.h"

#include <math.h>
#include <stdlib.h>

#include "actor/env.h"
#include "common/check.h"
#include "common/rng.h"

// 32-bit words of a stream that one step and one episode may use.
#define WORDS_PER_STEP 128
#define WORDS_PER_EPISODE 4096
_Static_assert(2 * TASK_ACT_DIM_MAX <= WORDS_PER_STEP, "a step's draws fit its share");

struct stepper {
    const struct task *task;
    struct env *env;
    uint64_t seed;
    uint32_t index;
    uint64_t steps, episodes;

    bool in_episode;
    uint64_t episode_length;
    double episode_return;
    float *obs, *next_obs, *act, *noise;
};

struct stepper *stepper_create(const struct task *task, uint64_t seed, uint32_t index,
                               uint64_t steps, uint64_t episodes, char *err, size_t err_len) {
    struct env *env = env_create(task, err, err_len);
    if (!env) {
        return NULL;
    }
    struct stepper *s = xcalloc(1, sizeof(*s));
    s->task = task;
    s->env = env;
    s->seed = seed;
    s->index = index;
    s->steps = steps;
    s->episodes = episodes;
    s->obs = xfloats((size_t)task->obs_dim);
    s->next_obs = xfloats((size_t)task->obs_dim);
    s->act = xfloats((size_t)task->act_dim);
    s->noise = xfloats((size_t)task->act_dim);
    return s;
}

void stepper_destroy(struct stepper **stepper) {
    struct stepper *s = *stepper;
    if (!s) {
        return;
    }
    env_destroy(&s->env);
    free(s->obs);
    free(s->next_obs);
    free(s->act);
    free(s->noise);
    free(s);
    *stepper = NULL;
}

static bool all_finite(const float *x, int n) {
    for (int i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            return false;
        }
    }
    return true;
}

static void begin_episode(struct stepper *s) {
    struct rng rng = rng_make(s->seed, RNG_ENV_RESET, s->index);
    rng.index = s->episodes * WORDS_PER_EPISODE;
    env_reset(s->env, &rng);
    s->episodes++;
    s->episode_length = 0;
    s->episode_return = 0;
    s->in_episode = true;
}

// The next action into s->act. Returns the version of the policy behind it.
static uint64_t choose_action(struct stepper *s, struct pilot *pilot) {
    size_t act_dim = (size_t)s->task->act_dim;
    struct rng rng = rng_make(s->seed, pilot ? RNG_ACT : RNG_EXPLORE, s->index);
    rng.index = s->steps * WORDS_PER_STEP;
    if (pilot) {
        rng_fill_normal(&rng, s->noise, act_dim);
        pilot_sample(pilot, s->act, s->obs, s->noise);
        return pilot->version;
    }
    for (size_t i = 0; i < act_dim; i++) {
        s->act[i] = (float)rng_range(&rng, -1.0, 1.0);
    }
    return 0;
}

enum stepper_result stepper_step(struct stepper *s, struct pilot *pilot, struct stepper_row *out) {
    if (!s->in_episode) {
        begin_episode(s);
    }
    // What the last step led to is where this one starts.
    env_obs(s->env, s->obs);
    uint64_t version = choose_action(s, pilot);
    if (!all_finite(s->act, s->task->act_dim)) {
        return STEPPER_BAD_POLICY;
    }

    struct env_step step = env_step(s->env, s->act);
    env_obs(s->env, s->next_obs);
    float reward = (float)step.reward;
    if (step.bad || !isfinite(reward) || !all_finite(s->next_obs, s->task->obs_dim)) {
        s->in_episode = false;
        return STEPPER_BAD_STEP;
    }
    s->steps++;
    s->episode_length++;
    s->episode_return += step.reward;
    *out = (struct stepper_row){
        .obs = s->obs,
        .act = s->act,
        .next_obs = s->next_obs,
        .reward = reward,
        .flags = step.terminated  ? WIRE_TERMINATED
                 : step.truncated ? WIRE_TRUNCATED
                                  : 0,
        .policy_version = version,
        .episode_length = s->episode_length,
        .episode_return = s->episode_return,
    };
    s->in_episode = out->flags == 0;
    return STEPPER_ROW;
}

uint64_t stepper_steps(const struct stepper *s) {
    return s->steps;
}

uint64_t stepper_episodes(const struct stepper *s) {
    return s->episodes;
}
