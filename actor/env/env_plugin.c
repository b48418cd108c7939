// SPDX-License-Identifier: MIT
// Loads a plug-in into this process and validates everything that it returns.
//
// Its struct is validated before any function is called. It writes observations to a buffer that
// reveals unwritten numbers (NaN before each call) and writes beyond the end (a guard pattern). An
// error makes the step bad, and all steps until the next reset. After a write beyond the end all
// later steps are bad.
#include "actor/env/env_plugin.h"

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env_kind.h"
#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "include/spur/env.h"

#define GUARD 64 // floats after the observation
#define GUARD_BYTE 0xa5

_Static_assert(SPUR_ENV_OBS_MAX == TASK_OBS_DIM_MAX, "the limits of spur/env.h are the program's");
_Static_assert(SPUR_ENV_ACT_MAX == TASK_ACT_DIM_MAX, "the limits of spur/env.h are the program's");
_Static_assert(SPUR_ENV_RANGES_MAX == TASK_RANGES_MAX,
               "the limits of spur/env.h are the program's");

struct plugin {
    struct env env;
    void *library;
    const struct spur_env *api;
    void *state; // what its create returned
    struct task task;
    char name[ENV_NAME_MAX];
    int steps;                           // since the reset
    bool bad;                            // since the reset
    bool overrun;                        // permanent
    char fault[256];                     // reason for the last bad step
    float obs[TASK_OBS_DIM_MAX + GUARD]; // the last observation, validated
};

// ---- the struct spur_env ----

static int check_functions(const struct spur_env *api, const char *path, char *err,
                           size_t err_len) {
    const char *missing = !api->create    ? "create"
                          : !api->destroy ? "destroy"
                          : !api->reset   ? "reset"
                          : !api->step    ? "step"
                                          : NULL;
    if (missing) {
        return error_set(err, err_len, -1, "%s: spur_env.%s is not set", path, missing);
    }
    return 0;
}

static int check_dims(const struct spur_env *api, const char *path, char *err, size_t err_len) {
    const struct {
        const char *field;
        uint32_t value, max;
    } wanted[] = {
        {"obs_dim", api->obs_dim, SPUR_ENV_OBS_MAX},
        {"act_dim", api->act_dim, SPUR_ENV_ACT_MAX},
        {"horizon", api->horizon, 1000000000},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (wanted[i].value < 1 || wanted[i].value > wanted[i].max) {
            return error_set(err, err_len, -1, "%s: spur_env.%s is %u; it must be between 1 and %u",
                             path, wanted[i].field, wanted[i].value, wanted[i].max);
        }
    }
    if (!api->act_low || !api->act_high) {
        return error_set(err, err_len, -1,
                         "%s: spur_env.act_low and act_high must be set, %u numbers each", path,
                         api->act_dim);
    }
    for (uint32_t i = 0; i < api->act_dim; i++) {
        float low = api->act_low[i], high = api->act_high[i];
        if (!isfinite(low) || !isfinite(high) || !(low < high)) {
            return error_set(
                err, err_len, -1,
                "%s: spur_env: the bounds of action %u are %g to %g; they must be finite "
                "and the lower one lower",
                path, i, (double)low, (double)high);
        }
    }
    return 0;
}

static int check_ranges(const struct spur_env *api, const char *path, char *err, size_t err_len) {
    if (api->ranges > SPUR_ENV_RANGES_MAX || (api->ranges > 0 && !api->range)) {
        return error_set(err, err_len, -1, "%s: spur_env.ranges is %u; at most %d, with range set",
                         path, api->ranges, SPUR_ENV_RANGES_MAX);
    }
    for (uint32_t i = 0; i < api->ranges; i++) {
        const struct spur_env_range *r = &api->range[i];
        if (r->index >= api->obs_dim) {
            return error_set(
                err, err_len, -1,
                "%s: spur_env.range[%u] is of observation %u; they are numbered 0 to %u", path, i,
                r->index, api->obs_dim - 1);
        }
        if (!(r->low < r->high)) {
            return error_set(err, err_len, -1,
                             "%s: spur_env.range[%u] is the wrong way round: %g to %g", path, i,
                             (double)r->low, (double)r->high);
        }
    }
    return 0;
}

static int check_api(const struct spur_env *api, const char *path, char *err, size_t err_len) {
    if (api->version != SPUR_ENV_VERSION || api->size != sizeof(*api)) {
        return error_set(err, err_len, -1,
                         "%s: it was compiled against version %u of spur/env.h (%u bytes), this "
                         "program has version %d (%zu bytes): compile it again",
                         path, api->version, api->size, SPUR_ENV_VERSION, sizeof(*api));
    }
    if (!api->name || !env_name_ok(api->name)) {
        return error_set(err, err_len, -1, "%s: spur_env.name is \"%.80s\"; %s", path,
                         api->name ? api->name : "", ENV_NAME_RULE);
    }
    if (check_functions(api, path, err, err_len) < 0 || check_dims(api, path, err, err_len) < 0) {
        return -1;
    }
    return check_ranges(api, path, err, err_len);
}

// ---- reset and step ----

// Makes the step or reset bad.
__attribute__((format(printf, 2, 3))) static void fail_step(struct plugin *p, const char *fmt,
                                                            ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->fault, sizeof(p->fault), fmt, args);
    va_end(args);
    log_warn("%s: the plug-in %s", p->name, p->fault);
    p->bad = true;
}

static void prepare_obs(struct plugin *p) {
    for (int i = 0; i < p->task.obs_dim; i++) {
        p->obs[i] = NAN;
    }
    memset(p->obs + p->task.obs_dim, GUARD_BYTE, GUARD * sizeof(float));
}

// Validates obs after a call and replaces invalid numbers by 0.
static void check_obs(struct plugin *p, const char *function) {
    const unsigned char *guard = (const unsigned char *)(p->obs + p->task.obs_dim);
    for (size_t i = 0; i < GUARD * sizeof(float) && !p->overrun; i++) {
        if (guard[i] != GUARD_BYTE) {
            p->overrun = true;
            fail_step(p, "wrote beyond its %d observations in %s: it cannot continue",
                      p->task.obs_dim, function);
        }
    }
    for (int i = 0; i < p->task.obs_dim; i++) {
        if (!isfinite(p->obs[i])) {
            if (!p->bad) {
                fail_step(p, "left observation %d non-finite or unwritten in %s", i, function);
            }
            p->obs[i] = 0.0f;
        }
    }
}

void env_plugin_reset(struct env *env, uint64_t seed) {
    struct plugin *p = (struct plugin *)env;
    p->steps = 0;
    p->bad = false;
    prepare_obs(p);
    if (p->overrun) {
        fail_step(p, "wrote beyond its %d observations before: it cannot continue",
                  p->task.obs_dim);
    } else {
        p->api->reset(p->state, p->obs, seed);
    }
    check_obs(p, "reset");
}

static void plugin_reset(struct env *env, struct rng *rng) {
    env_plugin_reset(env, rng_u64(rng));
}

void env_plugin_bounds(const struct env *env, const float **low, const float **high) {
    const struct plugin *p = (const struct plugin *)env;
    *low = p->api->act_low;
    *high = p->api->act_high;
}

const char *env_plugin_fault(const struct env *env) {
    return ((const struct plugin *)env)->fault;
}

struct env_step env_plugin_step(struct env *env, const float *action) {
    struct plugin *p = (struct plugin *)env;
    if (p->bad) {
        return (struct env_step){.bad = true};
    }
    double reward = NAN;
    int terminated = 0;
    prepare_obs(p);
    int rc = p->api->step(p->state, p->obs, &reward, &terminated, action);
    p->steps++;
    if (rc != 0) {
        fail_step(p, "reports that step %d of the episode failed (%d)", p->steps, rc);
    } else if (!isfinite(reward)) {
        fail_step(p, "returned a reward that is non-finite or unwritten: %g", reward);
    }
    check_obs(p, "step");
    return (struct env_step){
        .reward = p->bad ? 0.0 : reward,
        .terminated = !p->bad && (terminated != 0 || task_outside_ranges(&p->task, p->obs)),
        .bad = p->bad,
    };
}

static struct env_step plugin_step(struct env *env, const float *action) {
    struct plugin *p = (struct plugin *)env;
    float act[TASK_ACT_DIM_MAX];
    for (int i = 0; i < p->task.act_dim; i++) {
        double low = (double)p->api->act_low[i], high = (double)p->api->act_high[i];
        act[i] = (float)(0.5 * (high + low) + 0.5 * (high - low) * (double)action[i]);
    }
    struct env_step step = env_plugin_step(env, act);
    step.truncated = !step.bad && !step.terminated && p->steps >= env->task->horizon;
    return step;
}

static void plugin_observe(const struct env *env, double *obs) {
    const struct plugin *p = (const struct plugin *)env;
    for (int i = 0; i < p->task.obs_dim; i++) {
        obs[i] = (double)p->obs[i];
    }
}

// ---- create and destroy ----

static void plugin_destroy(struct env *env) {
    struct plugin *p = (struct plugin *)env;
    p->api->destroy(p->state);
    dlclose(p->library);
    free(p);
}

static const struct env_kind plugin_kind = {
    .destroy = plugin_destroy,
    .reset = plugin_reset,
    .step = plugin_step,
    .observe = plugin_observe,
};

static struct plugin *make(void *library, const struct spur_env *api, const char *path, char *err,
                           size_t err_len) {
    char why[256] = "it gives no reason";
    void *state = api->create(why, sizeof(why));
    if (!state) {
        why[sizeof(why) - 1] = '\0';
        error_set(err, err_len, -1, "%s: the plug-in's create failed: %s", path, why);
        return NULL;
    }
    struct plugin *p = xcalloc(1, sizeof(*p));
    p->library = library;
    p->api = api;
    p->state = state;
    snprintf(p->name, sizeof(p->name), "%s", api->name);
    p->task = (struct task){
        .name = p->name,
        .title = p->name,
        .env = path,
        .obs_dim = (int)api->obs_dim,
        .act_dim = (int)api->act_dim,
        .act_low = -1.0f,
        .act_high = 1.0f,
        .horizon = (int)api->horizon,
        .ranges = (int)api->ranges,
    };
    for (int i = 0; i < p->task.ranges; i++) {
        p->task.range[i] =
            (struct task_range){(int)api->range[i].index, api->range[i].low, api->range[i].high};
    }
    p->env = (struct env){.kind = &plugin_kind, .task = &p->task};
    return p;
}

struct env *env_plugin_create(const char *path, char *err, size_t err_len) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        error_set(err, err_len, -1, "%s: cannot be loaded: %s", path, dlerror());
        return NULL;
    }
    const struct spur_env *api = dlsym(library, "spur_env");
    struct plugin *p = NULL;
    if (!api) {
        error_set(err, err_len, -1,
                  "%s: it exports no symbol spur_env: define `const struct spur_env spur_env`, as "
                  "spur/env.h shows",
                  path);
    } else if (check_api(api, path, err, err_len) == 0) {
        p = make(library, api, path, err, err_len);
    }
    if (!p) {
        dlclose(library);
        return NULL;
    }
    return &p->env;
}
