// SPDX-License-Identifier: MIT
// Learning and planning at Hopper's shapes with the paper's networks: SAC
// updates, ensemble steps, rollout rows. Their limit is the arithmetic that
// they cannot do without, at the peak of the cores that they use.
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/config.h"
#include "common/nn/normalizer.h"
#include "common/process.h"
#include "common/task/task.h"
#include "learner/replay.h"
#include "learner/sac.h"
#include "learner/trainer.h"
#include "modelserver/rollout.h"

#define ROWS 20000
#define ENSEMBLE_BATCH 256
#define ROLLOUTS 4096

// ---- how much arithmetic ----

// One row forward; the same again for the weights' gradients.
static double forward_flop(const struct mlp *m) {
    double sum = 0;
    for (int l = 0; l < m->layers; l++) {
        sum += 2.0 * m->dims[l] * m->dims[l + 1];
    }
    return sum;
}

// One row back through the layers behind the first: the inputs' own gradient is
// not wanted.
static double back_flop(const struct mlp *m) {
    return forward_flop(m) - 2.0 * m->dims[0] * m->dims[1];
}

// Target: policy and both target critics. Critics: forward, weights, back.
// Policy: forward, both critics forward, one of them back to the action,
// weights, back.
static double sac_gflop(const struct sac *s) {
    const struct mlp *p = &s->policy.net, *q = &s->critic.net;
    double row = forward_flop(p) + 2 * forward_flop(q);
    row += 2 * (2 * forward_flop(q) + back_flop(q));
    row += forward_flop(p) + 2 * forward_flop(q) + forward_flop(q);
    row += forward_flop(p) + back_flop(p);
    return row * s->config.batch_size / 1e9;
}

static double ensemble_gflop(const struct ensemble *e) {
    double row = 2 * forward_flop(&e->net) + back_flop(&e->net);
    return row * e->members * ENSEMBLE_BATCH / 1e9;
}

// Limit and its words for a case that takes so much arithmetic on `threads`
// cores.
static void bound(struct bench_case *c, int peak, double gflop, int threads) {
    c->limit = peak;
    c->cost = gflop / threads;
    if (peak == BENCH_NO_LIMIT) {
        snprintf(c->note, sizeof(c->note), "%.4g MFLOP each; no limit: the peak is not measured",
                 gflop * 1e3);
    } else {
        snprintf(c->note, sizeof(c->note), "%.4g MFLOP each; limit: the peak of %d core%s",
                 gflop * 1e3, threads, threads > 1 ? "s" : "");
    }
}

// ---- SAC ----

struct sac_bench {
    struct sac sac;
    struct replay replay;
    struct replay_batch batch;
};

static void sac_step(void *state) {
    struct sac_bench *s = state;
    struct sac_metrics metrics;
    struct rng rng = rng_make(1, RNG_REPLAY_MODEL, s->sac.updates);
    replay_sample(&s->batch, 0, s->batch.rows, &s->replay, &rng);
    sac_update(&metrics, &s->sac, &s->batch);
}

static double sac_run(struct bench_case *c, double seconds) {
    return bench_repeat(sac_step, c->state, 1, seconds);
}

static void sac_close(void *state) {
    struct sac_bench *s = state;
    replay_batch_deinit(&s->batch);
    replay_deinit(&s->replay);
    sac_deinit(&s->sac);
    free(s);
}

// Rows of noise: arithmetic takes as long on them as on others.
static void fill(struct replay *r) {
    size_t O = (size_t)r->obs_dim, A = (size_t)r->act_dim;
    float *noise = xfloats(ROWS * (2 * O + A + 1));
    uint8_t *terminated = xcalloc(ROWS, 1);
    struct rng rng = rng_make(1, RNG_BENCH, 1);
    rng_fill_normal(&rng, noise, ROWS * (2 * O + A + 1));
    float *act = noise + ROWS * 2 * O;
    for (size_t i = 0; i < ROWS * A; i++) {
        act[i] = act[i] > 1 ? 1 : act[i] < -1 ? -1 : act[i];
    }
    replay_add(
        r, &(struct replay_rows){ROWS, noise, act, act + ROWS * A, noise + ROWS * O, terminated});
    free(noise);
    free(terminated);
}

static void add_sac(struct bench *b, int peak, const struct config *config, const struct task *task,
                    int threads) {
    struct bench_case *c =
        bench_add(b, threads > 1 ? "sac_updates_2_threads" : "sac_updates", "updates/s");
    struct sac_bench *s = xcalloc(1, sizeof(*s));
    struct sac_config sac = trainer_sac_config(config, task);
    sac.threads = threads;
    c->run = sac_run;
    c->state = s;
    c->close = sac_close;
    snprintf(c->what, sizeof(c->what), "SAC updates, batch %d, %d x %d, %d thread%s",
             sac.batch_size, sac.hidden_layers, sac.hidden_width, threads, threads > 1 ? "s" : "");
    sac_init(&s->sac, &sac);
    replay_batch_init(&s->batch, sac.batch_size, sac.obs_dim, sac.act_dim);
    if (replay_init(&s->replay, sac.obs_dim, sac.act_dim, ROWS, ROWS, c->note, sizeof(c->note)) <
        0) {
        c->run = NULL;
        return;
    }
    fill(&s->replay);
    bound(c, peak, sac_gflop(&s->sac), threads);
}

// ---- ensemble ----

struct ensemble_bench {
    struct ensemble ensemble;
    struct adam adam;
    uint64_t steps;
    float *params, *m, *v, *gradient, *scratch;
    float *x, *y; // (ENSEMBLE_BATCH, in_dim), (ENSEMBLE_BATCH, T)
    float decay[MLP_LAYERS_MAX];
};

// As in training: every member on a batch of its own, then one step of all.
static void ensemble_step(void *state) {
    struct ensemble_bench *s = state;
    const struct ensemble *e = &s->ensemble;
    memset(s->gradient, 0, ensemble_params(e) * sizeof(float));
    for (int member = 0; member < e->members; member++) {
        ensemble_member_loss(NULL, s->gradient, s->scratch, e, s->params, member, s->x, s->y,
                             ENSEMBLE_BATCH);
    }
    ensemble_bounds_loss(s->gradient, e, s->params);
    ensemble_adam(s->params, s->m, s->v, s->gradient, e, &s->adam, s->decay, ++s->steps);
}

static double ensemble_run(struct bench_case *c, double seconds) {
    return bench_repeat(ensemble_step, c->state, 1, seconds);
}

static void ensemble_close(void *state) {
    struct ensemble_bench *s = state;
    float *blocks[] = {s->params, s->m, s->v, s->gradient, s->scratch, s->x, s->y};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        free(blocks[i]);
    }
    free(s);
}

static void add_ensemble(struct bench *b, int peak, const struct config *config,
                         const struct ensemble *e) {
    struct bench_case *c = bench_add(b, "ensemble_steps", "steps/s");
    struct ensemble_bench *s = xcalloc(1, sizeof(*s));
    size_t n = ensemble_params(e);
    s->ensemble = *e;
    s->adam = adam_make(config->model.learning_rate);
    s->params = xfloats(n);
    s->m = xfloats(n);
    s->v = xfloats(n);
    s->gradient = xfloats(n);
    s->scratch = xfloats(ensemble_scratch(e, ENSEMBLE_BATCH));
    s->x = xfloats((size_t)ENSEMBLE_BATCH * (size_t)e->in_dim);
    s->y = xfloats((size_t)ENSEMBLE_BATCH * (size_t)e->target_dim);
    for (int l = 0; l < config->model.weight_decay.n && l < MLP_LAYERS_MAX; l++) {
        s->decay[l] = (float)config->model.weight_decay.v[l];
    }
    ensemble_init(s->params, e, 1);
    struct rng rng = rng_make(1, RNG_BENCH, 2);
    rng_fill_normal(&rng, s->x, (size_t)ENSEMBLE_BATCH * (size_t)e->in_dim);
    rng_fill_normal(&rng, s->y, (size_t)ENSEMBLE_BATCH * (size_t)e->target_dim);
    c->run = ensemble_run;
    c->state = s;
    c->close = ensemble_close;
    snprintf(c->what, sizeof(c->what), "ensemble steps, %d x (%d x %d), batch %d each, one thread",
             e->members, config->model.hidden_layers, config->model.hidden_width, ENSEMBLE_BATCH);
    bound(c, peak, ensemble_gflop(e), 1);
}

// ---- rollouts ----

struct rollout_bench {
    struct rollout *rollout;
    struct rollout_rows out;
    struct rollout_job job;
    struct model_slots models;
    struct policy_slots policies;
    struct store_columns env;
    float *obs;
    double rows;
};

static void rollout_step(void *state) {
    struct rollout_bench *s = state;
    rollout_run(s->rollout, &s->out, &s->job, &s->env);
    s->job.number++;
    s->rows += s->out.rows;
}

static double rollout_measure(struct bench_case *c, double seconds) {
    struct rollout_bench *s = c->state;
    s->rows = 0;
    uint64_t before = s->job.number;
    double blocks_per_s = bench_repeat(rollout_step, s, 1, seconds);
    return blocks_per_s * s->rows / (double)(s->job.number - before);
}

static void rollout_close(void *state) {
    struct rollout_bench *s = state;
    rollout_destroy(&s->rollout);
    rollout_rows_deinit(&s->out);
    model_slots_deinit(&s->models);
    policy_slots_deinit(&s->policies);
    free(s->obs);
    free(s);
}

static void add_rollout(struct bench *b, int peak, const struct config *config,
                        const struct task *task, const struct ensemble *e) {
    struct bench_case *c = bench_add(b, "rollout_rows", "rows/s");
    struct rollout_bench *s = xcalloc(1, sizeof(*s));
    struct policy policy = policy_make(task->obs_dim, task->act_dim, config->sac.hidden_width,
                                       config->sac.hidden_layers);
    model_slots_init(&s->models, e, task->termination);
    policy_slots_init(&s->policies, &policy);
    struct model *model = model_take(&s->models);
    ensemble_init(model->params, e, 1);
    normalizer_identity(model->normalizer, e->in_dim);
    struct termination heads = model_heads(e, task->termination);
    termination_init(model->termination, &heads, 1);
    model->members = e->members;
    model->elites = config->model.elites;
    for (int i = 0; i < model->elites; i++) {
        model->elite[i] = i;
    }
    struct policy_version *version = policy_take(&s->policies);
    struct rng rng = rng_make(1, RNG_POLICY_INIT, 0);
    policy_init(version->params, &policy, &rng);

    size_t O = (size_t)task->obs_dim;
    s->obs = xfloats(ROWS * O);
    rng = rng_make(1, RNG_BENCH, 3);
    rng_fill_normal(&rng, s->obs, ROWS * O);
    s->env = (struct store_columns){
        .obs_dim = (uint32_t)task->obs_dim, .act_dim = (uint32_t)task->act_dim, .obs = s->obs};
    s->rollout = rollout_create(e, &policy, task, 1);
    rollout_rows_init(&s->out, ROLLOUTS, (uint32_t)task->obs_dim, (uint32_t)task->act_dim);
    s->job = (struct rollout_job){
        .total = ROLLOUTS,
        .count = ROLLOUTS,
        .length = 1,
        .env_rows = ROWS,
        .model = model,
        .policy = version,
    };
    c->run = rollout_measure;
    c->state = s;
    c->close = rollout_close;
    snprintf(c->what, sizeof(c->what), "rollout rows, k = 1, %d elites, one thread", model->elites);
    bound(c, peak, (forward_flop(&e->net) + forward_flop(&policy.net)) / 1e9, 1);
}

void bench_add_compute(struct bench *b, int peak) {
    struct config config;
    config_defaults(&config);
    const struct task *task = task_find("hopper");
    CHECK(task);
    struct ensemble e = ensemble_make(config.model.members, task->obs_dim, task->act_dim,
                                      config.model.hidden_width, config.model.hidden_layers);
    add_sac(b, peak, &config, task, 1);
    if (process_cores() >= SAC_THREADS_MAX) {
        add_sac(b, peak, &config, task, SAC_THREADS_MAX);
    }
    add_ensemble(b, peak, &config, &e);
    add_rollout(b, peak, &config, task, &e);
}
