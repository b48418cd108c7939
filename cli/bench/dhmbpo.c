// SPDX-License-Identifier: MIT
// Updates of dhmbpo at Hopper's dimensions with the method's defaults: five steps through policy
// and ensemble, forward and back.
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench/bench.h"
#include "cli/bench/flops.h"
#include "common/base/check.h"
#include "common/base/host.h"
#include "common/base/spelling.h"
#include "common/nn/normalizer.h"
#include "learner/methods/dhmbpo_method.h"

enum { STATES = 5120, THREADS = 2 };

struct dhmbpo_bench {
    struct dhmbpo dhmbpo;
    struct states states;
    struct dynamics dynamics;
    float *observations;
    uint64_t updates;
};

// Forward: policy H + 1 times, members H times, two target critics at the end. Critics: forward,
// weights and activations at the start; forward and to the input at the end. Back: members to their
// inputs, the policy to its input but at the start, and its weights, H + 1 times.
static double gflop_of(const struct dhmbpo_config *c, const struct critic *critic) {
    const struct mlp *p = &c->rollout.policy.net, *m = &c->rollout.ensemble.net, *q = &critic->net;
    double H = c->rollout.horizon, P = bench_forward_flop(p), M = bench_forward_flop(m);
    double Q = bench_forward_flop(q);
    double row = (H + 1) * P + H * M + 2 * Q;
    row += c->critics * (2 * Q + bench_backward_flop(q) + 2 * Q);
    row += H * M + H * P + bench_backward_flop(p) + (H + 1) * P;
    return row * c->rollout.batch / 1e9;
}

static void step(void *state) {
    struct dhmbpo_bench *s = state;
    const struct dhmbpo_source source = {.states = &s->states,
                                         .dynamics = &s->dynamics,
                                         .observations = s->observations,
                                         .reward_scale = 1,
                                         .discount = 0.995};
    struct dhmbpo_metrics metrics;
    dhmbpo_update(&metrics, &s->dhmbpo, &source, ++s->updates);
}

static double run(struct bench_case *c, double seconds) {
    struct dhmbpo_bench *s = c->state;
    return bench_repeat_of(s->dhmbpo.config.rollout.workers)(step, s, 1, seconds);
}

static void close_bench(void *state) {
    struct dhmbpo_bench *s = state;
    dhmbpo_deinit(&s->dhmbpo);
    states_deinit(&s->states);
    dynamics_deinit(&s->dynamics);
    free(s->observations);
    free(s);
}

// A random ensemble of small steps, and states of noise: the cost depends on neither.
static void fill(struct dhmbpo_bench *s, const struct config *config, const struct task *task) {
    size_t O = (size_t)task->obs_dim;
    float *obs = xfloats(STATES * O);
    struct rng rng = rng_make(1, RNG_BENCH, 2);
    rng_fill_normal(&rng, obs, STATES * O);
    states_init(&s->states, task->obs_dim, 1, STATES);
    states_add(&s->states, obs, STATES, 0);
    free(obs);
    s->observations = xfloats(normalizer_floats(task->obs_dim));
    normalizer_identity(s->observations, task->obs_dim);
    dynamics_init(&s->dynamics, config, task);
    struct dynamics *d = &s->dynamics;
    ensemble_init(d->params, &d->ensemble, 1);
    ensemble_normalizer_identity(d->normalizer, &d->ensemble);
    float *std = d->normalizer + ensemble_target_normalizer(&d->ensemble) + d->ensemble.target_dim;
    for (int j = 0; j < d->ensemble.target_dim; j++) {
        std[j] = 0.1f;
    }
    d->version = 1;
    d->elites = d->ensemble.members;
    for (int i = 0; i < d->elites; i++) {
        d->elite[i] = i;
    }
}

static struct bench_case *add(struct bench *b, int peak, const char *name, int threads) {
    struct config config;
    bench_config(&config);
    config_use_method(&config, METHOD_dhmbpo);
    config.compute.learner_threads = threads;
    const struct task *task = task_find("hopper");
    CHECK(task);
    struct bench_case *c = bench_add(b, name, "updates/s");
    struct dhmbpo_bench *s = xcalloc(1, sizeof(*s));
    struct dhmbpo_config dhmbpo = dhmbpo_method_config(&config, task);
    snprintf(c->what, sizeof(c->what), "dhmbpo updates, batch %d, H %d, %d critics, %d thread%s",
             dhmbpo.rollout.batch, dhmbpo.rollout.horizon, dhmbpo.critics, threads,
             plural(threads));
    dhmbpo_init(&s->dhmbpo, &dhmbpo);
    fill(s, &config, task);
    c->state = s;
    c->run = run;
    c->close = close_bench;
    bench_set_limit(c, peak, gflop_of(&dhmbpo, &s->dhmbpo.critic), threads);
    return c;
}

void bench_add_dhmbpo(struct bench *b, int peak) {
    int one = bench_index(b, add(b, peak, "dhmbpo_updates", 1));
    if (host_cores() >= THREADS) {
        add(b, peak, "dhmbpo_updates_2_threads", THREADS)->beside = one;
    }
}
