// SPDX-License-Identifier: MIT
// Environment steps as an actor makes them (observe, let the policy decide,
// step, keep the row) beside a bare loop of env_step: what the simulator alone
// allows. The bare loop's actions are drawn beforehand, as spread out as an
// untrained policy's: what a step costs depends on what the body does.
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "actor/env.h"
#include "actor/stepper.h"
#include "common/check.h"
#include "common/config.h"

#define ACTIONS 1024 // of the bare loop, over and over

struct env_bench {
    struct env *env;
    struct rng rng;
    float *act; // (ACTIONS, act_dim)
    size_t act_dim, steps;
    struct stepper *stepper;
    struct pilot pilot;
};

static void bare_step(void *state) {
    struct env_bench *s = state;
    struct env_step step = env_step(s->env, s->act + s->steps++ % ACTIONS * s->act_dim);
    if (step.terminated || step.truncated || step.bad) {
        env_reset(s->env, &s->rng);
    }
}

static double bare_run(struct bench_case *c, double seconds) {
    return bench_repeat(bare_step, c->state, 1, seconds);
}

static void actor_step(void *state) {
    struct env_bench *s = state;
    struct stepper_row row;
    stepper_step(s->stepper, &s->pilot, &row);
}

static double actor_run(struct bench_case *c, double seconds) {
    return bench_repeat(actor_step, c->state, 1, seconds);
}

static void env_close(void *state) {
    struct env_bench *s = state;
    env_destroy(&s->env);
    stepper_destroy(&s->stepper);
    pilot_deinit(&s->pilot);
    free(s->act);
    free(s);
}

// A random policy with the paper's network.
static int load_pilot(struct pilot *pilot, const struct task *task, char *err, size_t err_len) {
    struct config config;
    config_defaults(&config);
    struct policy policy = policy_make(task->obs_dim, task->act_dim, config.sac.hidden_width,
                                       config.sac.hidden_layers);
    struct wire_policy from = {
        .version = 1,
        .obs_dim = (uint32_t)task->obs_dim,
        .act_dim = (uint32_t)task->act_dim,
        .hidden_width = (uint32_t)config.sac.hidden_width,
        .hidden_layers = (uint32_t)config.sac.hidden_layers,
        .params_len = policy_params(&policy),
    };
    float *params = xfloats(from.params_len);
    struct rng rng = rng_make(1, RNG_POLICY_INIT, 0);
    policy_init(params, &policy, &rng);
    from.params = params;
    enum pilot_verdict verdict = pilot_load(pilot, &from, task, 1, 0, err, err_len);
    free(params);
    return verdict == PILOT_TAKEN ? 0 : -1;
}

static void add_task(struct bench *b, const struct task *task) {
    char name[64];
    snprintf(name, sizeof(name), "env_bare_%.40s", task->name);
    struct bench_case *bare = bench_add(b, name, "steps/s");
    snprintf(bare->what, sizeof(bare->what), "%s, bare loop of env_step", task->title);
    snprintf(bare->note, sizeof(bare->note), "this is the limit of the next");
    snprintf(name, sizeof(name), "env_steps_%.40s", task->name);
    struct bench_case *full = bench_add(b, name, "steps/s");
    snprintf(full->what, sizeof(full->what), "%s, steps as an actor makes them", task->title);
    snprintf(full->note, sizeof(full->note), "limit: the bare loop");
    full->limit = bench_index(b, bare);
    full->cost = 1;

    struct env_bench *s = xcalloc(1, sizeof(*s));
    bare->state = full->state = s;
    bare->close = env_close; // of both
    s->env = env_create(task, bare->note, sizeof(bare->note));
    s->stepper = stepper_create(task, 1, 0, 0, 0, full->note, sizeof(full->note));
    if (!s->env || !s->stepper || load_pilot(&s->pilot, task, full->note, sizeof(full->note)) < 0) {
        return;
    }
    s->rng = rng_make(1, RNG_BENCH, 4);
    s->act_dim = (size_t)task->act_dim;
    s->act = xfloats(ACTIONS * s->act_dim);
    for (size_t i = 0; i < ACTIONS * s->act_dim; i++) {
        s->act[i] = (float)rng_range(&s->rng, -1, 1);
    }
    env_reset(s->env, &s->rng);
    bare->run = bare_run;
    full->run = actor_run;
}

void bench_add_env(struct bench *b) {
    for (int i = 0; i < task_count(); i++) {
        // A v5 class costs what its v4 class does.
        if (strstr(task_at(i)->name, "_v5") == NULL) {
            add_task(b, task_at(i));
        }
    }
}
