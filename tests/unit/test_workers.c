// SPDX-License-Identifier: MIT
// Shows that the model server's threads share D_env concurrently: rows are stored while
// a training and rollouts read earlier rows (also run under TSan), every job completes
// once, and an interrupted training ends soon.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/queue.h"
#include "common/nn/normalizer.h"
#include "modelserver/workers.h"

enum { FIRST_ROWS = 300, BATCHES = 200, BATCH_ROWS = 4 };

static struct config config;
static char dir[64];
static struct workers_setup setup;
static struct workers *workers;
static struct ensemble e;
static struct model_slots models;
static struct policy_slots policies;
static struct queue *news; // one item for each call of ready

static void ready(void *arg) {
    (void)arg;
    CHECK(queue_push(news, &config));
}

static struct work *wait_for_work(void) {
    if (!queue_pop(news, 20000)) {
        fail_msg("nothing came back within 20 s");
    }
    struct work *work = workers_take(workers);
    assert_non_null(work);
    return work;
}

static void path(char *out, const char *name) {
    snprintf(out, WORKERS_PATH_MAX, "%s/%s", dir, name);
}

static int start(void **state) {
    (void)state;
    config_defaults(&config);
    config.model.hidden_width = 32;
    config.model.hidden_layers = 4;
    config.model.epochs_max = 5;
    snprintf(dir, sizeof(dir), "/tmp/spur-workers-XXXXXX");
    CHECK(mkdtemp(dir));
    const struct task *task = task_find("inverted_pendulum");
    e = ms_ensemble(&config, task);
    setup = (struct workers_setup){.task = task,
                                   .policy = ms_policy(&config, task),
                                   .run = {task->name, 1, config.run.seed},
                                   .ready = ready};
    struct store_meta meta = {.run_id = 1,
                              .seed = config.run.seed,
                              .task = "inverted_pendulum",
                              .obs_dim = (uint32_t)task->obs_dim,
                              .act_dim = (uint32_t)task->act_dim};
    char err[512];
    CHECK(store_open(&setup.store, dir, &meta, 4096, err, sizeof(err)) == 0);
    setup.fit = fit_create(&config, &e, 4096, 2);
    setup.rollout = rollout_create(&e, &setup.policy, task, config.run.seed);
    path(setup.progress_path, "progress.csv");
    path(setup.best_path, "best.safetensors");
    path(setup.checkpoint_path, "checkpoint.safetensors");
    model_slots_init(&models, &e, task->termination, 0);
    policy_slots_init(&policies, &setup.policy, 0);
    news = queue_create(4096);
    workers = workers_create(&setup);
    return 0;
}

static int end(void **state) {
    (void)state;
    workers_destroy(&workers);
    queue_destroy(&news);
    rollout_destroy(&setup.rollout);
    fit_destroy(&setup.fit);
    store_close(&setup.store);
    model_slots_deinit(&models);
    policy_slots_deinit(&policies);
    const char *const files[] = {"data.mdb",
                                 "lock.mdb",
                                 "progress.csv",
                                 "best.safetensors",
                                 "checkpoint.safetensors",
                                 "checkpoint.previous.safetensors"};
    for (int i = 0; i < 6; i++) {
        char name[WORKERS_PATH_MAX];
        path(name, files[i]);
        unlink(name);
    }
    return rmdir(dir);
}

// The batch, followed by its rows.
static struct store_batch *new_batch(uint64_t seq, uint32_t rows, struct rng *rng) {
    size_t n = rows, O = (size_t)e.obs_dim, A = (size_t)e.act_dim;
    struct store_batch *b = xmalloc(sizeof(*b) + n * (2 * O + A + 1) * sizeof(float) + n);
    *b = (struct store_batch){.role = WIRE_ROLE_ACTOR};
    float *obs = (float *)(b + 1), *next_obs = obs + n * O, *act = next_obs + n * O;
    b->obs = obs;
    b->next_obs = next_obs;
    b->act = act;
    b->reward = act + n * A;
    b->flags = (const uint8_t *)(b->reward + n);
    snprintf(b->id, sizeof(b->id), "a");
    b->index = STORE_NEW_ACTOR;
    b->incarnation = 1;
    b->seq = seq;
    b->rows = rows;
    for (size_t i = 0; i < n * O; i++) {
        obs[i] = (float)rng_range(rng, -0.1, 0.1);
        next_obs[i] = obs[i] * 0.9f;
    }
    return b;
}

static void give_back(struct work *work) {
    if (work->kind == WORK_STORE) {
        assert_int_equal(work->batch->error, 0);
        free(work->batch);
    }
    workers_give_back(workers, work);
}

static void all_at_once(void **state) {
    (void)state;
    struct rng rng = rng_make(1, RNG_TEST, 0);
    workers_store(workers, new_batch(1, FIRST_ROWS, &rng));
    give_back(wait_for_work());
    assert_int_equal(store_rows(setup.store), FIRST_ROWS);

    struct model *current = model_take(&models);
    struct policy_version *policy = policy_take(&policies);
    policy->version = 3;
    ensemble_normalizer_identity(current->normalizer, &e);
    memcpy(current->params, fit_state(setup.fit).weights, models.params * sizeof(float));
    current->elites = 1;
    struct ms_fit_job fit = {.out = model_take(&models), .rows = FIRST_ROWS, .number = 0};
    struct rollout_block block = {.job = {.number = 1,
                                          .total = 4000,
                                          .count = 4000,
                                          .length = 5,
                                          .env_rows = FIRST_ROWS,
                                          .model = current,
                                          .policy = policy}};
    rollout_rows_init(&block.out, 20000, (uint32_t)e.obs_dim, (uint32_t)e.act_dim);
    struct ms_save_job save = {.state = {.trainings = 7}};
    struct ms_evaluation evaluation = {
        .row = {.env_steps = 300, .return_mean = 5}, .best = policy, .best_number = 3};

    workers_fit(workers, &fit);
    workers_save(workers, &save);
    workers_rollout(workers, &block);
    for (uint64_t seq = 2; seq < 2 + BATCHES; seq++) {
        workers_store(workers, new_batch(seq, BATCH_ROWS, &rng));
        if (seq == 100) {
            workers_evaluation(workers, &evaluation);
        }
    }
    int back[5] = {0};
    for (int i = 0; i < BATCHES + 4; i++) {
        struct work *work = wait_for_work();
        assert_false(work->failed);
        back[work->kind]++;
        give_back(work);
    }
    assert_int_equal(back[WORK_STORE], BATCHES);
    for (int kind = WORK_EVALUATION; kind <= WORK_ROLLOUT; kind++) {
        assert_int_equal(back[kind], 1);
    }
    assert_null(workers_take(workers));
    assert_int_equal(store_rows(setup.store), FIRST_ROWS + BATCHES * BATCH_ROWS);
    assert_int_equal(fit.result, FIT_DONE);
    assert_true(fit.out->epochs > 0);
    assert_true(block.out.rows > 4000);
    char name[WORKERS_PATH_MAX];
    const char *const files[] = {"progress.csv", "best.safetensors", "checkpoint.safetensors"};
    for (int i = 0; i < 3; i++) {
        path(name, files[i]);
        assert_int_equal(access(name, R_OK), 0);
    }
    rollout_rows_deinit(&block.out);
}

static void an_interrupted_training_ends_soon(void **state) {
    (void)state;
    struct rng rng = rng_make(1, RNG_TEST, 0);
    workers_store(workers, new_batch(1, 4000, &rng));
    give_back(wait_for_work());
    struct ms_fit_job fit = {.out = model_take(&models), .rows = 4000, .number = 0};
    workers_fit(workers, &fit);
    workers_interrupt(workers);
    uint64_t start_ms = clock_ms();
    struct work *work = wait_for_work();
    assert_ptr_equal(work->fit, &fit);
    assert_int_equal(fit.result, FIT_STOPPED);
    assert_true(clock_ms() - start_ms < 5000);
    give_back(work);
}

static void a_disk_error_is_handed_back(void **state) {
    (void)state;
    struct ms_evaluation evaluation = {.row = {.env_steps = 300}};
    char name[WORKERS_PATH_MAX];
    path(name, "progress.csv");
    assert_int_equal(symlink("/nowhere/at/all", name), 0);
    workers_evaluation(workers, &evaluation);
    struct work *work = wait_for_work();
    assert_true(work->failed);
    assert_non_null(strstr(work->err, "progress.csv"));
    give_back(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_at_once, start, end),
        cmocka_unit_test_setup_teardown(an_interrupted_training_ends_soon, start, end),
        cmocka_unit_test_setup_teardown(a_disk_error_is_handed_back, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
