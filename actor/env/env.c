// SPDX-License-Identifier: MIT
// Calls through an environment's table of functions, with clipped actions.
#include "actor/env/env.h"

#include <ctype.h>
#include <string.h>

#include "actor/env/env_kind.h"

bool env_name_ok(const char *name) {
    size_t len = strlen(name);
    return len < ENV_NAME_MAX && isalpha((unsigned char)name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

void env_destroy(struct env **env) {
    if (*env != NULL) {
        (*env)->kind->destroy(*env);
        *env = NULL;
    }
}

struct env_memory env_memory(const struct env *env) {
    return env->kind->memory ? env->kind->memory(env) : (struct env_memory){0};
}

// ---- stepping ----

void env_reset(struct env *env, struct rng *rng) {
    env->kind->reset(env, rng);
}

struct env_step env_step(struct env *env, const float *action) {
    float clipped[TASK_ACT_DIM_MAX];
    for (int i = 0; i < env->task->act_dim; i++) {
        // A NaN is kept: the environment refuses it.
        clipped[i] = action[i] < -1.0f ? -1.0f : action[i] > 1.0f ? 1.0f : action[i];
    }
    return env->kind->step(env, clipped);
}

bool env_draws(const struct env *env) {
    return env->kind->draw != NULL;
}

int env_prepare_pictures(struct env *env, char *err, size_t err_len) {
    return env->kind->prepare_pictures(env, err, err_len);
}

int env_draw(struct env_picture *picture, struct env *env, char *err, size_t err_len) {
    return env->kind->draw(picture, env, err, err_len);
}

void env_obs_f64(const struct env *env, double *obs) {
    env->kind->observe(env, obs);
}

void env_obs(const struct env *env, float *obs) {
    double wide[TASK_OBS_DIM_MAX];
    env_obs_f64(env, wide);
    for (int i = 0; i < env->task->obs_dim; i++) {
        obs[i] = (float)wide[i];
    }
}
