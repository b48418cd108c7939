// SPDX-License-Identifier: MIT
// Learning and planning at Hopper's dimensions with the paper's networks: SAC updates, ensemble
// steps, rollout rows. The limit is the time of their matrix products at the peak of the cores
// used.
#include "cli/bench/bench.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench/flops.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/host.h"
#include "common/base/spelling.h"
#include "common/config/config.h"
#include "common/nn/gemm.h"
#include "common/nn/normalizer.h"
#include "common/task/task.h"
#include "learner/methods/sac_method.h"
#include "learner/replay.h"
#include "learner/trainer.h"
#include "modelserver/core/modelserver.h"
#include "modelserver/model/fit.h"
#include "modelserver/model/rollout.h"

#define ENV_ROWS 20000 // start states of rollouts
#define ROLLOUTS 4096
#define TRAINING_STEPS 16 // minimum in one training
#define REPLAY_ROWS 20000

// ---- floating-point operations ----

// Target: policy and both target critics, forward. Critics: forward, weights, activations. Policy:
// forward; both critics forward, one of them backward to the action; weights, activations.
static double sac_gflop(const struct sac *s) {
    const struct mlp *p = &s->policy.net, *q = &s->critic.net;
    double row = bench_forward_flop(p) + 2 * bench_forward_flop(q);
    row += 2 * (2 * bench_forward_flop(q) + bench_backward_flop(q));
    row += bench_forward_flop(p) + 2 * bench_forward_flop(q) + bench_forward_flop(q);
    row += bench_forward_flop(p) + bench_backward_flop(p);
    return row * s->config.batch_size / 1e9;
}

static double ensemble_gflop(const struct ensemble *e, int batch) {
    double row = 2 * bench_forward_flop(&e->net) + bench_backward_flop(&e->net);
    return row * e->members * batch / 1e9;
}

static const struct task *hopper(void) {
    const struct task *task = task_find("hopper");
    CHECK(task);
    return task;
}

// ---- SAC ----

struct sac_bench {
    struct sac sac;
    struct replay replay;
    struct replay_batch batch;
    enum compute_kernels kernels;
};

static void sac_step(void *state) {
    struct sac_bench *s = state;
    struct sac_metrics metrics;
    struct rng rng = rng_make(1, RNG_REPLAY_MODEL, s->sac.updates);
    replay_sample(&s->batch, 0, s->batch.rows, &s->replay, &rng);
    sac_update(&metrics, &s->sac, &s->batch);
}

static double sac_run(struct bench_case *c, double seconds) {
    struct sac_bench *s = c->state;
    CHECK(gemm_use(s->kernels));
    double rate = bench_repeat_of(s->sac.config.threads)(sac_step, s, 1, seconds);
    CHECK(gemm_use(COMPUTE_AUTO));
    return rate;
}

static void sac_close(void *state) {
    struct sac_bench *s = state;
    replay_batch_deinit(&s->batch);
    replay_deinit(&s->replay);
    sac_deinit(&s->sac);
    free(s);
}

// Fills the buffer with repeated rows of noise: the cost depends on their values neither in
// arithmetic nor in memory access.
static void fill(struct replay *r) {
    size_t O = (size_t)r->obs_dim, A = (size_t)r->act_dim, n = r->reserved;
    n = n < REPLAY_ROWS ? n : REPLAY_ROWS;
    float *noise = xfloats(n * (2 * O + A + 1));
    uint8_t *terminated = xcalloc(n, 1);
    struct rng rng = rng_make(1, RNG_BENCH, 1);
    rng_fill_normal(&rng, noise, n * (2 * O + A + 1));
    float *act = noise + n * 2 * O;
    for (size_t i = 0; i < n * A; i++) {
        act[i] = act[i] > 1 ? 1 : act[i] < -1 ? -1 : act[i];
    }
    while (r->len < r->capacity) {
        uint64_t left = r->capacity - r->len;
        replay_add(r, &(struct replay_rows){left < n ? left : n, noise, act, act + n * A,
                                            noise + n * O, terminated});
    }
    free(noise);
    free(terminated);
}

struct bench_case *bench_add_sac(struct bench *b, int peak, const char *name,
                                 const struct config *config, uint32_t rows) {
    struct bench_case *c = bench_add(b, name, "updates/s");
    struct sac_bench *s = xcalloc(1, sizeof(*s));
    struct sac_config sac = sac_method_config(config, hopper());
    s->kernels = config->compute.kernels;
    c->state = s;
    c->close = sac_close;
    char count[TEXT_LEN];
    snprintf(c->what, sizeof(c->what), "SAC updates, batch %d, %d x %d, %d thread%s%s, %s rows",
             sac.batch_size, sac.hidden.layers, sac.hidden.width[0], sac.threads,
             plural(sac.threads), s->kernels == COMPUTE_BF16 ? ", bf16" : "",
             text_count(count, rows));
    sac_init(&s->sac, &sac);
    replay_batch_init(&s->batch, sac.batch_size, sac.obs_dim, sac.act_dim);
    if (replay_init(&s->replay, sac.obs_dim, sac.act_dim, rows, rows, c->note, sizeof(c->note)) <
        0) {
        return c;
    }
    c->run = sac_run;
    fill(&s->replay);
    bench_set_limit(c, peak, sac_gflop(&s->sac), sac.threads);
    return c;
}

// ---- ensemble ----

struct ensemble_bench {
    struct fit *fit;
    struct model_slots models;
    struct model *model;
    struct env_columns env;
    float *rows;
    uint64_t env_rows, trainings, steps; // steps: per training
    int threads;
    atomic_bool stop; // stays false
};

// One training by the model server's code, with a limited number of steps.
static void ensemble_train(void *state) {
    struct ensemble_bench *s = state;
    enum fit_result result =
        fit_train(s->fit, s->model, &s->env, s->env_rows, s->trainings++, &s->stop);
    CHECK(result == FIT_DONE);
}

static double ensemble_run(struct bench_case *c, double seconds) {
    struct ensemble_bench *s = c->state;
    return bench_repeat_of(s->threads)(ensemble_train, s, (double)s->steps, seconds);
}

static void ensemble_close(void *state) {
    struct ensemble_bench *s = state;
    fit_destroy(&s->fit);
    model_drop(&s->model);
    model_slots_deinit(&s->models);
    free(s->rows);
    free(s);
}

struct bench_case *bench_add_ensemble(struct bench *b, int peak, const char *name,
                                      const struct config *config, uint32_t rows) {
    struct bench_case *c = bench_add(b, name, "steps/s");
    struct ensemble_bench *s = xcalloc(1, sizeof(*s));
    const struct task *task = hopper();
    struct ensemble e = ms_ensemble(config, task);
    int threads = config->compute.modelserver_threads;
    struct config training = *config;
    double held = rows * config->model.holdout_ratio;
    held = held < (double)config->model.holdout_rows_max ? held
                                                         : (double)config->model.holdout_rows_max;
    uint64_t batch = (uint64_t)config->model.batch_size;
    uint64_t steps = (rows - (uint64_t)held + batch - 1) / batch; // in an epoch
    training.model.epochs_max = (int)((TRAINING_STEPS + steps - 1) / steps);
    training.model.patience_epochs = training.model.epochs_max;
    s->steps = steps * (uint64_t)training.model.epochs_max;
    s->env_rows = rows;
    s->threads = threads;
    size_t O = (size_t)task->obs_dim, A = (size_t)task->act_dim, n = rows * (2 * O + A + 1);
    s->rows = xfloats(n);
    struct rng rng = rng_make(1, RNG_BENCH, 2);
    rng_fill_normal(&rng, s->rows, n);
    s->env = (struct env_columns){.obs_dim = (uint32_t)O,
                                  .act_dim = (uint32_t)A,
                                  .obs = s->rows,
                                  .next_obs = s->rows + rows * O,
                                  .act = s->rows + 2 * rows * O,
                                  .reward = s->rows + rows * (2 * O + A)};
    s->fit = fit_create(&training, &e, rows, threads);
    model_slots_init(&s->models, &e, task->termination, 0);
    s->model = model_take(&s->models);
    c->run = ensemble_run;
    c->state = s;
    c->close = ensemble_close;
    char count[TEXT_LEN];
    snprintf(c->what, sizeof(c->what),
             "ensemble steps, %d x (%d x %d), batch %d, %d thread%s, %s rows", e.members,
             config->model.hidden_layers, config->model.hidden_width, config->model.batch_size,
             threads, plural(threads), text_count(count, rows));
    bench_set_limit(c, peak, ensemble_gflop(&e, config->model.batch_size), threads);
    return c;
}

// ---- rollouts ----

struct rollout_bench {
    struct rollout *rollout;
    struct rollout_rows out;
    struct rollout_job job;
    struct model_slots models;
    struct policy_slots policies;
    struct env_columns env;
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
    double blocks_per_s = bench_repeat_cpu(rollout_step, s, 1, seconds);
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

struct bench_case *bench_add_rollouts(struct bench *b, int peak, const char *name,
                                      const struct config *config, uint32_t length) {
    struct bench_case *c = bench_add(b, name, "rows/s");
    struct rollout_bench *s = xcalloc(1, sizeof(*s));
    const struct task *task = hopper();
    struct ensemble e = ms_ensemble(config, task);
    struct policy policy = ms_policy(config, task);
    model_slots_init(&s->models, &e, task->termination, 0);
    policy_slots_init(&s->policies, &policy, 0);
    struct model *model = model_take(&s->models);
    ensemble_init(model->params, &e, 1);
    ensemble_normalizer_identity(model->normalizer, &e);
    struct termination heads = model_heads(&e, task->termination);
    termination_init(model->termination, &heads, 1);
    model->members = e.members;
    model->elites = config->model.elites;
    for (int i = 0; i < model->elites; i++) {
        model->elite[i] = i;
    }
    struct policy_version *version = policy_take(&s->policies);
    struct rng rng = rng_make(1, RNG_POLICY_INIT, 0);
    policy_init(version->params, &policy, &rng);

    // Upright and at rest, so that rollouts do not terminate at once.
    size_t O = (size_t)task->obs_dim;
    s->obs = xfloats(ENV_ROWS * O);
    rng = rng_make(1, RNG_BENCH, 3);
    rng_fill_normal(&rng, s->obs, ENV_ROWS * O);
    for (size_t i = 0; i < ENV_ROWS * O; i++) {
        s->obs[i] = (i % O == 0 ? 1.25f : 0.0f) + 0.01f * s->obs[i];
    }
    s->env = (struct env_columns){
        .obs_dim = (uint32_t)task->obs_dim, .act_dim = (uint32_t)task->act_dim, .obs = s->obs};
    s->rollout = rollout_create(&e, &policy, task, 1);
    rollout_rows_init(&s->out, ROLLOUTS * length, (uint32_t)task->obs_dim, (uint32_t)task->act_dim);
    s->job = (struct rollout_job){
        .total = ROLLOUTS,
        .count = ROLLOUTS,
        .length = length,
        .env_rows = ENV_ROWS,
        .model = model,
        .policy = version,
    };
    c->run = rollout_measure;
    c->state = s;
    c->close = rollout_close;
    snprintf(c->what, sizeof(c->what), "rollout rows, k = %u, %d elites, 1 thread", length,
             model->elites);
    bench_set_limit(c, peak, (bench_forward_flop(&e.net) + bench_forward_flop(&policy.net)) / 1e9,
                    1);
    return c;
}

// ---- the cases of `spur bench` ----

// With almost no holdout rows, so that the steps dominate.
static void add_ensemble_steps(struct bench *b, int peak, struct config *config) {
    config->model.holdout_ratio = 0.001;
    uint32_t rows = 8 * (uint32_t)config->model.batch_size + 2;
    int one = bench_index(b, bench_add_ensemble(b, peak, "ensemble_steps", config, rows));
    if (host_cores() >= 2) {
        config->compute.modelserver_threads = 2;
        bench_add_ensemble(b, peak, "ensemble_steps_2_threads", config, rows)->beside = one;
    }
}

void bench_add_compute(struct bench *b, int peak, const char *where) {
    struct config config;
    bench_config(&config);
    config.compute.learner_threads = config.compute.modelserver_threads = 1;
    struct bench_case *alone = bench_add_sac(b, peak, "sac_updates", &config, REPLAY_ROWS);
    bench_add_system(b, alone, where);
    if (host_cores() >= SAC_THREADS_MAX) {
        config.compute.learner_threads = SAC_THREADS_MAX;
        bench_add_sac(b, peak, "sac_updates_2_threads", &config, REPLAY_ROWS)->beside =
            bench_index(b, alone);
    }
    if (gemm_use(COMPUTE_BF16)) {
        CHECK(gemm_use(COMPUTE_AUTO));
        int peak_bf16 = bench_add_peak_bf16(b);
        config.compute.learner_threads = 1;
        config.compute.kernels = COMPUTE_BF16;
        bench_add_sac(b, peak_bf16, "sac_updates_bf16", &config, REPLAY_ROWS)->beside =
            bench_index(b, alone);
        config.compute.kernels = COMPUTE_AUTO;
    }
    config.compute.learner_threads = 1;
    bench_add_dhmbpo(b, peak);
    add_ensemble_steps(b, peak, &config);
    bench_add_rollouts(b, peak, "rollout_rows", &config, 1);
}
