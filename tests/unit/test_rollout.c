// SPDX-License-Identifier: MIT
// Shows that branched rollouts follow the algorithm.
//
// The model is artificial: all weights are zero except the last bias, so member m
// predicts the reward m and a fixed step, with almost no variance. So the reward of a
// row identifies the sampled member and the expected next state.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/nn/normalizer.h"
#include "modelserver/model/rollout.h"
#include "proto/wire.h"

enum { MEMBERS = 4, ENV_ROWS = 50, COUNT = 600, K = 6 };

static const struct task *task;
static struct ensemble e;
static struct policy p;
static struct model model;
static struct policy_version policy;
static struct rollout *rollout;
static struct rollout_rows out;
static struct env_columns env;
static int O, A;

// The step of a member: the pole's angle grows by 0.05, so that from 0.02 the rule (0.2)
// ends a rollout at its fourth step; other numbers change a little.
static float step_of(int member, int j) {
    return j == 1 ? 0.05f : 0.1f * (float)(member + 1);
}

static void set_bias(int member, int j, float mean, float raw_logvar) {
    int last = e.net.layers - 1;
    float *bias = model.params + ensemble_member_offset(&e, member) + mlp_bias_offset(&e.net, last);
    bias[j] = mean;
    bias[e.target_dim + j] = raw_logvar;
}

static int make_world(void **state) {
    (void)state;
    task = task_find("inverted_pendulum");
    CHECK(task);
    O = task->obs_dim;
    A = task->act_dim;
    e = ensemble_make(MEMBERS, O, A, 16, 2);
    p = policy_make(O, A, 16, 2);
    model = (struct model){.refs = 1, .version = 1, .members = MEMBERS, .elites = 3};
    model.elite[0] = 3;
    model.elite[1] = 0;
    model.elite[2] = 2;
    model.params = xfloats(ensemble_params(&e));
    model.normalizer = xfloats(ensemble_normalizer_floats(&e));
    ensemble_normalizer_identity(model.normalizer, &e);
    model.normalizer[e.in_dim] = ENV_ROWS; // std of the cart's position
    for (int j = 0; j < e.target_dim; j++) {
        model.params[ensemble_max_logvar_offset(&e) + (size_t)j] = 0.5f;
        model.params[ensemble_min_logvar_offset(&e) + (size_t)j] = -40;
        for (int m = 0; m < MEMBERS; m++) {
            set_bias(m, j, j == 0 ? (float)m : step_of(m, j - 1), -35);
        }
    }
    policy = (struct policy_version){.refs = 1, .version = 9, .params = xfloats(policy_params(&p))};
    struct rng rng = rng_make(3, RNG_POLICY_INIT, 0);
    policy_init(policy.params, &p, &rng);

    float *obs = xfloats(ENV_ROWS * (size_t)O);
    for (int i = 0; i < ENV_ROWS; i++) {
        obs[i * O] = (float)i; // the cart's position identifies the start state
        obs[i * O + 1] = 0.02f;
    }
    env = (struct env_columns){.obs_dim = (uint32_t)O, .act_dim = (uint32_t)A, .obs = obs};
    rollout = rollout_create(&e, &p, task, 21);
    rollout_rows_init(&out, ROLLOUT_BLOCK * K, (uint32_t)O, (uint32_t)A);
    return 0;
}

static int free_world(void **state) {
    (void)state;
    free(model.params);
    free(model.normalizer);
    free(policy.params);
    free((float *)(uintptr_t)env.obs);
    rollout_destroy(&rollout);
    rollout_rows_deinit(&out);
    return 0;
}

static struct rollout_job some_job(uint64_t number, uint32_t length) {
    return (struct rollout_job){.number = number,
                                .total = COUNT,
                                .count = COUNT,
                                .length = length,
                                .env_rows = ENV_ROWS,
                                .model = &model,
                                .policy = &policy};
}

static void elites_are_sampled_per_row(void **state) {
    (void)state;
    struct rollout_job job = some_job(1, 1);
    rollout_run(rollout, &out, &job, &env);
    assert_int_equal(out.rows, COUNT);
    int drawn[MEMBERS] = {0};
    for (uint32_t i = 0; i < out.rows; i++) {
        int m = (int)lroundf(out.reward[i]);
        assert_in_range(m, 0, MEMBERS - 1);
        drawn[m]++;
        for (int j = 0; j < O; j++) {
            float from = out.obs[i * (uint32_t)O + (uint32_t)j];
            float to = out.next_obs[i * (uint32_t)O + (uint32_t)j];
            assert_true(fabsf(to - from - step_of(m, j)) < 1e-4f);
        }
        for (int j = 0; j < A; j++) {
            assert_true(fabsf(out.act[i * (uint32_t)A + (uint32_t)j]) <= 1);
        }
    }
    assert_int_equal(drawn[1], 0); // not an elite
    // Each of three with probability 1/3: 200 of 600, sd 11.5.
    assert_in_range(drawn[0], 150, 250);
    assert_in_range(drawn[2], 150, 250);
    assert_in_range(drawn[3], 150, 250);
}

// A distribution rollout repeats its rollouts until it has enough states: the rows of the same
// rollouts one after the other, each start and each state that goes on once.
static void repetitions_are_rollouts_of_their_own(void **state) {
    (void)state;
    enum { PART = 40, ENOUGH = 500 };
    struct rollout_job job = some_job(8, K);
    job.count = PART;
    static float obs[COUNT * K * 4];
    uint32_t rows = 0, parts = 0;
    while (rows < ENOUGH) {
        job.first = (uint64_t)PART * parts++;
        rollout_run(rollout, &out, &job, &env);
        memcpy(obs + rows * (uint32_t)O, out.obs, out.rows * (uint32_t)O * sizeof(float));
        rows += out.rows;
    }
    assert_true(parts > 2 && out.terminated == PART); // by the rule, before K
    job.first = 0;
    job.rows_min = ENOUGH;
    rollout_run(rollout, &out, &job, &env);
    assert_int_equal(out.rows, rows);
    assert_memory_equal(out.obs, obs, rows * (uint32_t)O * sizeof(float));
    for (uint32_t i = 0; i < rows; i++) {
        assert_true(fabsf(out.obs[i * (uint32_t)O + 1]) <= 0.2f); // alive
    }
    job.rows_min = COUNT * K; // more than the repetitions make
    job.count = 1;
    rollout_run(rollout, &out, &job, &env);
    assert_int_equal(out.rows, 4 * ROLLOUT_REPEATS);
}

static void starts_are_uniform_over_all_of_d_env(void **state) {
    (void)state;
    int seen[ENV_ROWS] = {0};
    for (uint64_t number = 0; number < 10; number++) {
        struct rollout_job job = some_job(number, 1);
        job.env_rows = ENV_ROWS - 1; // the newest row is not stored yet
        rollout_run(rollout, &out, &job, &env);
        for (uint32_t i = 0; i < out.rows; i++) {
            seen[(int)out.obs[i * (uint32_t)O]]++;
        }
    }
    assert_int_equal(seen[ENV_ROWS - 1], 0);
    for (int i = 0; i < ENV_ROWS - 1; i++) { // 6000 draws: 122 each, sd 11
        assert_in_range(seen[i], 70, 180);
    }
}

static void the_rule_ends_rollouts(void **state) {
    (void)state;
    struct rollout_job job = some_job(2, K);
    rollout_run(rollout, &out, &job, &env);
    // 0.02 -> 0.07 -> 0.12 -> 0.17 -> 0.22: four rows each, the fourth terminated.
    assert_int_equal(out.rows, 4 * COUNT);
    assert_int_equal(out.terminated, COUNT);
    for (uint32_t i = 0; i < out.rows; i++) {
        assert_int_equal(out.flags[i], i >= 3 * COUNT ? WIRE_TERMINATED : 0);
        if (i >= COUNT) { // no rollout ended before, so rows keep their positions
            const float *was = out.next_obs + (i - COUNT) * (uint32_t)O;
            assert_memory_equal(out.obs + i * (uint32_t)O, was, (size_t)O * sizeof(float));
        }
    }
    job.length = 2;
    rollout_run(rollout, &out, &job, &env);
    assert_int_equal(out.rows, 2 * COUNT);
    assert_int_equal(out.terminated, 0);
}

// The angle of the fourth step, 0.22, exceeds the rule's 0.2 and is clipped to 0.16 nevertheless:
// the rule judges the unclipped prediction.
static void observations_are_clipped_as_the_environments_own(void **state) {
    (void)state;
    struct task clipped = *task;
    clipped.clips = 2;
    clipped.clip[0] = (struct task_clip){0, 0, 0, 20};
    clipped.clip[1] = (struct task_clip){1, 1, -0.16f, 0.16f};
    struct rollout *r = rollout_create(&e, &p, &clipped, 21);
    struct rollout_job job = some_job(2, K);
    rollout_run(r, &out, &job, &env);
    rollout_destroy(&r);
    assert_int_equal(out.rows, 4 * COUNT);
    assert_int_equal(out.terminated, COUNT);
    int held_back = 0;
    for (uint32_t i = 0; i < out.rows; i++) {
        const float *from = out.obs + i * (uint32_t)O, *to = out.next_obs + i * (uint32_t)O;
        int m = (int)lroundf(out.reward[i]);
        assert_true(fabsf(to[0] - fminf(from[0] + step_of(m, 0), 20)) < 1e-4f);
        assert_true(fabsf(to[1] - fminf(from[1] + step_of(m, 1), 0.16f)) < 1e-4f);
        assert_true(fabsf(to[2] - from[2] - step_of(m, 2)) < 1e-4f);
        held_back += to[0] == 20;
        if (i >= COUNT) { // and the rollout continues from there
            const float *was = out.next_obs + (i - COUNT) * (uint32_t)O;
            assert_memory_equal(from, was, (size_t)O * sizeof(float));
        }
    }
    assert_true(held_back > COUNT);
}

static void members_change_within_a_rollout(void **state) {
    (void)state;
    struct rollout_job job = some_job(3, 3);
    rollout_run(rollout, &out, &job, &env);
    int changes = 0;
    for (uint32_t i = COUNT; i < 3 * COUNT; i++) {
        changes += lroundf(out.reward[i]) != lroundf(out.reward[i - COUNT]);
    }
    assert_in_range(changes, 700, 900); // two of three draws differ: 800 of 1200
}

static void blocks_do_not_change_rows(void **state) {
    (void)state;
    struct rollout_job job = some_job(4, 1);
    rollout_run(rollout, &out, &job, &env);
    size_t obs_bytes = COUNT * (size_t)O * sizeof(float),
           act_bytes = COUNT * (size_t)A * sizeof(float);
    float *obs = xmalloc(obs_bytes), *next = xmalloc(obs_bytes), *act = xmalloc(act_bytes);
    memcpy(obs, out.obs, obs_bytes);
    memcpy(next, out.next_obs, obs_bytes);
    memcpy(act, out.act, act_bytes);
    rollout_run(rollout, &out, &job, &env); // the same number, the same bits
    assert_memory_equal(out.next_obs, next, obs_bytes);
    assert_memory_equal(out.act, act, act_bytes);
    for (uint64_t first = 0; first < COUNT; first += 200) {
        job.first = first;
        job.count = 200;
        rollout_run(rollout, &out, &job, &env);
        assert_int_equal(out.rows, 200);
        for (size_t i = 0; i < 200 * (size_t)O; i++) {
            assert_true(out.obs[i] == obs[first * (size_t)O + i]);
            assert_true(fabsf(out.next_obs[i] - next[first * (size_t)O + i]) < 1e-5f);
        }
        for (size_t i = 0; i < 200 * (size_t)A; i++) {
            assert_true(fabsf(out.act[i] - act[first * (size_t)A + i]) < 1e-5f);
        }
    }
    job = some_job(5, 1);
    rollout_run(rollout, &out, &job, &env);
    assert_memory_not_equal(out.next_obs, next, obs_bytes); // another number, other rows
    free(obs);
    free(next);
    free(act);
}

static void noise_has_the_models_variance(void **state) {
    (void)state;
    for (int m = 0; m < MEMBERS; m++) {
        set_bias(m, 0, 5, -2); // log-variance -2, far from both bounds
    }
    struct rollout_job job = some_job(6, 1);
    rollout_run(rollout, &out, &job, &env);
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < out.rows; i++) {
        sum += (double)out.reward[i];
        squares += (double)out.reward[i] * (double)out.reward[i];
    }
    double mean = sum / COUNT, sd = sqrt(squares / COUNT - mean * mean);
    // The softplus of the upper bound lowers it slightly: 0.5 - softplus(2.5) = -2.079.
    double expected = exp(0.5 * (0.5 - log1p(exp(2.5))));
    assert_true(fabs(mean - 5) < 4 * expected / sqrt(COUNT));
    assert_true(fabs(sd / expected - 1) < 0.12);
    for (int m = 0; m < MEMBERS; m++) {
        set_bias(m, 0, (float)m, -35);
    }
}

// n normals of the stream that a job has for one use, at the place of a rollout at a step.
static void normals_of(float *numbers, int n, enum rng_use use, const struct rollout_job *job,
                       uint64_t rollout_index, uint64_t step) {
    uint64_t blocks = ((uint64_t)n + 3) / 4;
    struct rng rng = rng_make(21, use, job->number);
    rng.index = (step * job->total + rollout_index) * blocks * 4;
    rng_fill_normal(&rng, numbers, (size_t)n);
}

// Each row against its own noise, written down a second time: actions and predictions have a
// stream each, and every number of a row is used once.
static void noise_comes_from_each_rows_own_place(void **state) {
    (void)state;
    enum { STEPS = 2, DIM_MAX = 16 };
    for (int m = 0; m < MEMBERS; m++) {
        for (int j = 0; j < e.target_dim; j++) { // all members equal; the angle without noise
            set_bias(m, j, 0.01f * (float)j, j == 2 ? -35 : -2);
        }
    }
    struct rollout_job job = some_job(12, STEPS);
    rollout_run(rollout, &out, &job, &env);
    assert_int_equal(out.rows, STEPS * COUNT);
    float mean[DIM_MAX], logvar[DIM_MAX], noise[DIM_MAX], act[DIM_MAX];
    float *x = xfloats((size_t)e.in_dim), *scratch = xfloats(ensemble_scratch(&e, 1));
    float *policy_space = xfloats(policy_scratch(&p, 1));
    ensemble_predict(mean, logvar, scratch, &e, model.params, 0, x, 1);
    for (uint64_t i = 0; i < out.rows; i++) {
        const float *obs = out.obs + i * (size_t)O, *next = out.next_obs + i * (size_t)O;
        normals_of(noise, A, RNG_ROLLOUT_ACT, &job, i % COUNT, i / COUNT);
        policy_infer(act, NULL, policy_space, &p, policy.params, obs, noise, 1);
        for (int j = 0; j < A; j++) {
            assert_true(fabsf(out.act[i * (size_t)A + (size_t)j] - act[j]) < 1e-5f);
        }
        normals_of(noise, e.target_dim, RNG_ROLLOUT_NEXT, &job, i % COUNT, i / COUNT);
        assert_true(fabsf(out.reward[i] - mean[0] - expf(0.5f * logvar[0]) * noise[0]) < 1e-5f);
        for (int j = 0; j < O; j++) {
            float change = mean[1 + j] + expf(0.5f * logvar[1 + j]) * noise[1 + j];
            assert_true(fabsf(next[j] - obs[j] - change) < 1e-5f);
        }
    }
    free(x);
    free(scratch);
    free(policy_space);
    for (int m = 0; m < MEMBERS; m++) {
        for (int j = 0; j < e.target_dim; j++) {
            set_bias(m, j, j == 0 ? (float)m : step_of(m, j - 1), -35);
        }
    }
}

// A start 1,000 standard deviations away, a sensor's fault: no row, and counted.
static void states_far_outside_the_data_are_not_predicted(void **state) {
    (void)state;
    float *starts = (float *)(uintptr_t)env.obs;
    for (int i = 0; i < ENV_ROWS; i++) {
        starts[i * O] += i % 2 == 0 ? 0 : 1000.0f * ENV_ROWS;
    }
    struct rollout_job job = some_job(12, 1);
    rollout_run(rollout, &out, &job, &env);
    for (int i = 0; i < ENV_ROWS; i++) {
        starts[i * O] = (float)i;
    }
    assert_int_equal(out.rows + out.not_finite, COUNT);
    assert_in_range(out.not_finite, COUNT / 3, COUNT * 2 / 3);
    for (size_t i = 0; i < out.rows; i++) {
        assert_true(out.obs[i * (size_t)O] < ENV_ROWS);
    }
}

static void not_finite_rows_are_dropped_and_counted(void **state) {
    (void)state;
    set_bias(2, 1, INFINITY, -35);
    struct rollout_job job = some_job(7, 3);
    rollout_run(rollout, &out, &job, &env);
    set_bias(2, 1, step_of(2, 0), -35);
    assert_true(out.not_finite > 300); // about 1 - (2/3)^3 of the rollouts sample it
    assert_true(out.rows < 3 * COUNT);
    for (size_t i = 0; i < out.rows * (size_t)O; i++) {
        assert_true(isfinite(out.next_obs[i]));
    }
    for (uint32_t i = 0; i < out.rows; i++) {
        // The columns of a compacted row still belong together.
        int m = (int)lroundf(out.reward[i]);
        assert_true(m != 2);
        for (int j = 0; j < O; j++) {
            float from = out.obs[i * (uint32_t)O + (uint32_t)j];
            float to = out.next_obs[i * (uint32_t)O + (uint32_t)j];
            assert_true(fabsf(to - from - step_of(m, j)) < 1e-4f);
        }
    }
}

// Without one usable prediction the states of a distribution rollout are its starts, since a run
// waits for them.
static void states_are_never_missing(void **state) {
    (void)state;
    for (int i = 0; i < model.elites; i++) {
        set_bias(model.elite[i], 1, INFINITY, -35);
    }
    struct rollout_job job = some_job(9, 3);
    job.count = 20;
    job.rows_min = 30;
    rollout_run(rollout, &out, &job, &env);
    for (int i = 0; i < model.elites; i++) {
        set_bias(model.elite[i], 1, step_of(model.elite[i], 0), -35);
    }
    assert_int_equal(out.not_finite, 20 * ROLLOUT_REPEATS);
    assert_int_equal(out.rows, 20);
    for (uint32_t i = 0; i < out.rows; i++) {
        assert_true(out.obs[i * (uint32_t)O + 1] == 0.02f); // of D_env
    }
}

// With random weights and inputs that need the normaliser: every row must be the
// prediction of one of the elites.
static void rows_are_an_elites_prediction(void **state) {
    (void)state;
    float *by_hand = model.params;
    model.params = xfloats(ensemble_params(&e));
    ensemble_init(model.params, &e, 5);
    for (int j = 0; j < e.target_dim; j++) {
        model.params[ensemble_max_logvar_offset(&e) + (size_t)j] = -20; // almost no noise
        model.params[ensemble_min_logvar_offset(&e) + (size_t)j] = -40;
    }
    model.normalizer[0] = 25; // mean and std of the cart's position
    model.normalizer[e.in_dim] = 15;
    float *target_mean = model.normalizer + ensemble_target_normalizer(&e);
    float *target_std = target_mean + e.target_dim;
    target_mean[0] = 2; // the reward
    target_std[0] = 3;
    target_mean[3] = -1; // the change of the cart's velocity
    target_std[3] = 0.5f;
    struct rollout_job job = some_job(8, 2);
    rollout_run(rollout, &out, &job, &env);
    assert_true(out.rows > COUNT);
    float *x = xfloats((size_t)e.in_dim), *mean = xfloats((size_t)e.target_dim);
    float *scratch = xfloats(ensemble_scratch(&e, 1));
    for (size_t i = 0; i < out.rows; i++) {
        memcpy(x, out.obs + i * (size_t)O, (size_t)O * sizeof(float));
        memcpy(x + O, out.act + i * (size_t)A, (size_t)A * sizeof(float));
        normalizer_apply(x, model.normalizer, x, 1, e.in_dim, NORMALIZER_INPUT_LIMIT);
        float nearest = INFINITY;
        for (int k = 0; k < model.elites; k++) {
            ensemble_predict(mean, NULL, scratch, &e, model.params, model.elite[k], x, 1);
            for (int j = 0; j < e.target_dim; j++) {
                mean[j] = target_mean[j] + target_std[j] * mean[j];
            }
            float error = fabsf(out.reward[i] - mean[0]);
            for (size_t j = 0; j < (size_t)O; j++) {
                float step = out.next_obs[i * (size_t)O + j] - out.obs[i * (size_t)O + j];
                error += fabsf(step - mean[1 + j]);
            }
            nearest = fminf(nearest, error);
        }
        assert_true(nearest < 2e-3f);
    }
    free(x);
    free(mean);
    free(scratch);
    free(model.params);
    model.params = by_hand;
    ensemble_normalizer_identity(model.normalizer, &e);
    model.normalizer[e.in_dim] = ENV_ROWS;
}

// ---- learned termination ----

// The same model with heads that the test sets.
struct judged {
    struct task task;
    struct termination heads;
    struct model model;
    struct rollout *rollout;
};

static struct judged make_judged(void) {
    struct judged j = {.task = *task, .heads = model_heads(&e, TASK_TERMINATION_LEARNED)};
    j.task.termination = TASK_TERMINATION_LEARNED;
    j.model = model;
    j.model.termination = xfloats(termination_params(&j.heads));
    normalizer_identity(j.model.termination + termination_normalizer_offset(&j.heads), O);
    return j;
}

static void end_judged(struct judged *j) {
    free(j->model.termination);
    rollout_destroy(&j->rollout);
}

static void calibrate(struct judged *j, int member, float scale, float shift) {
    float *c = j->model.termination + termination_calibration_offset(&j->heads, member);
    c[0] = scale;
    c[1] = shift;
}

// Zero networks: a member's shift is its log-odds for every prediction.
static void the_sampled_members_head_ends_a_rollout(void **state) {
    (void)state;
    struct judged j = make_judged();
    j.rollout = rollout_create(&e, &p, &j.task, 21);
    calibrate(&j, 0, 0, -INFINITY);
    calibrate(&j, 2, 0, logf(0.3f / 0.7f));
    calibrate(&j, 3, 0, 100);
    struct rollout_job job = some_job(9, 1);
    job.model = &j.model;
    rollout_run(j.rollout, &out, &job, &env);
    int rows[MEMBERS] = {0}, ended[MEMBERS] = {0};
    for (uint32_t i = 0; i < out.rows; i++) {
        int m = (int)lroundf(out.reward[i]);
        rows[m]++;
        ended[m] += out.flags[i] == WIRE_TERMINATED;
    }
    assert_int_equal(ended[0], 0);
    assert_int_equal(ended[3], rows[3]);
    // 200 with probability 0.3: 60, sd 6.5
    assert_in_range(ended[2], rows[2] * 3 / 10 - 30, rows[2] * 3 / 10 + 30);
    assert_int_equal(out.terminated, ended[2] + ended[3]);
    // The same in blocks, and ended rollouts do not continue.
    uint8_t flags[COUNT];
    memcpy(flags, out.flags, sizeof(flags));
    job.first = 200;
    job.count = 200;
    job.length = 2;
    rollout_run(j.rollout, &out, &job, &env);
    assert_memory_equal(out.flags, flags + 200, 200);
    uint32_t on = 0;
    for (int i = 200; i < 400; i++) {
        on += flags[i] == 0;
    }
    assert_int_equal(out.rows, 200 + on);
    end_judged(&j);
}

// Heads that end rollouts with the cart beyond 25: each row must be judged by its own
// predicted state, whichever member was sampled.
static void a_head_judges_the_predicted_observation(void **state) {
    (void)state;
    struct judged j = make_judged();
    j.rollout = rollout_create(&e, &p, &j.task, 21);
    float std = ENV_ROWS / 9.0f, limit = 25 / std;
    for (int l = 0; l < j.heads.net.layers - 1; l++) {
        limit /= 1 + expf(-limit); // SiLU
    }
    for (int m = 0; m < MEMBERS; m++) {
        for (int l = 0; l < j.heads.net.layers; l++) { // passes on the first number
            j.model.termination[termination_member_offset(&j.heads, m) +
                                mlp_weight_offset(&j.heads.net, l)] = 1;
        }
        calibrate(&j, m, 1000, -1000 * limit);
    }
    j.model.termination[termination_normalizer_offset(&j.heads) + (size_t)O] = std;
    struct rollout_job job = some_job(10, 1);
    job.model = &j.model;
    rollout_run(j.rollout, &out, &job, &env);
    assert_int_equal(out.rows, COUNT);
    uint32_t ended = 0;
    for (uint32_t i = 0; i < out.rows; i++) {
        bool over = out.next_obs[i * (uint32_t)O] > 25;
        assert_int_equal(out.flags[i], over ? WIRE_TERMINATED : 0);
        ended += over;
    }
    assert_in_range(ended, COUNT / 3, COUNT * 2 / 3);
    end_judged(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elites_are_sampled_per_row),
        cmocka_unit_test(repetitions_are_rollouts_of_their_own),
        cmocka_unit_test(starts_are_uniform_over_all_of_d_env),
        cmocka_unit_test(the_rule_ends_rollouts),
        cmocka_unit_test(observations_are_clipped_as_the_environments_own),
        cmocka_unit_test(members_change_within_a_rollout),
        cmocka_unit_test(blocks_do_not_change_rows),
        cmocka_unit_test(noise_has_the_models_variance),
        cmocka_unit_test(noise_comes_from_each_rows_own_place),
        cmocka_unit_test(rows_are_an_elites_prediction),
        cmocka_unit_test(states_far_outside_the_data_are_not_predicted),
        cmocka_unit_test(not_finite_rows_are_dropped_and_counted),
        cmocka_unit_test(states_are_never_missing),
        cmocka_unit_test(the_sampled_members_head_ends_a_rollout),
        cmocka_unit_test(a_head_judges_the_predicted_observation),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
