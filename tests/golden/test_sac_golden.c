// SPDX-License-Identifier: MIT
// Shows that two whole updates of soft actor-critic give PyTorch's numbers: every
// parameter of policy, critics, targets and temperature, every moment of Adam, and
// the metrics of both updates. make_golden.py does the same updates in float64
// with PyTorch's autograd and Adam, with noise from its own Philox: the noise of
// next actions and of the policy's actions comes from two different streams. Some
// rows of both batches are terminated, and the targets differ from the critics.
#include "learner/methods/sac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/golden/golden.h"

// As in make_golden.py.
enum { O = 5, A = 2, H = 8, B = 8, FIRST = 4, UPDATES = 2 };

static const struct sac_config config = {
    .obs_dim = O,
    .act_dim = A,
    .hidden = {.layers = 2, .width = {H, H}},
    .batch_size = B,
    .learning_rate = 3e-3,
    .tau = 0.05,
    .discount = 0.9,
    .target_entropy = -1.5,
    .initial_temperature = 1, // the golden state has 0.2
    .seed = 17,
};

// Measured: parameters differ by 9e-8 of the largest, moments by 3.4e-7, metrics by
// 1.8e-7. The margin is for other vector units, whose tanh and exp differ in
// the last place. The smallest relevant fault, a bias correction that is late by
// one update, changes the parameters by more than 1e-4.
#define PARAMETERS_TOLERANCE 1e-6
#define MOMENTS_TOLERANCE 5e-6
#define METRICS_TOLERANCE 2e-6

static void set_state(struct sac *s, const char *prefix) {
    struct sac_block blocks[SAC_BLOCKS];
    sac_blocks(blocks, s);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.%s", prefix, blocks[i].name);
        golden_copy(blocks[i].data, name, blocks[i].n);
    }
    s->updates = FIRST - 1;
}

static void set_batch(struct replay_batch *batch, const char *prefix, int update) {
    const struct {
        const char *name;
        float *data;
        size_t n;
    } columns[] = {{"obs", batch->obs, B * O},
                   {"act", batch->act, B * A},
                   {"reward", batch->reward, B},
                   {"next_obs", batch->next_obs, B * O},
                   {"terminated", batch->terminated, B}};
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.batch%d.%s", prefix, update, columns[i].name);
        golden_copy(columns[i].data, name, columns[i].n);
    }
}

static void expect_metric(const char *prefix, int update, const char *metric, double value) {
    char name[64];
    snprintf(name, sizeof(name), "%s.metrics%d.%s", prefix, update, metric);
    float got = (float)value;
    golden_expect(name, &got, 1, METRICS_TOLERANCE);
}

static void expect_state(const struct sac *s, const char *prefix) {
    struct sac_block blocks[SAC_BLOCKS];
    sac_blocks(blocks, s);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.after.%s", prefix, blocks[i].name);
        bool moments = strstr(name, "adam") != NULL;
        golden_expect(name, blocks[i].data, blocks[i].n,
                      moments ? MOMENTS_TOLERANCE : PARAMETERS_TOLERANCE);
    }
    assert_int_equal(s->updates, FIRST - 1 + UPDATES);
}

// prefix: of the tensors' names.
static void check_two_updates(const char *prefix, struct sac_config of, int threads) {
    of.threads = threads;
    struct sac s;
    sac_init(&s, &of);
    set_state(&s, prefix);
    struct replay_batch batch;
    replay_batch_init(&batch, B, O, A);
    for (int update = FIRST; update < FIRST + UPDATES; update++) {
        set_batch(&batch, prefix, update);
        struct sac_metrics m;
        sac_update(&m, &s, &batch);
        expect_metric(prefix, update, "critic_loss", m.critic_loss);
        expect_metric(prefix, update, "actor_loss", m.actor_loss);
        expect_metric(prefix, update, "temperature", m.temperature);
        expect_metric(prefix, update, "entropy", m.entropy);
        expect_metric(prefix, update, "q_mean", m.q_mean);
    }
    expect_state(&s, prefix);
    replay_batch_deinit(&batch);
    sac_deinit(&s);
}

static void test_two_updates(void **state) {
    (void)state;
    check_two_updates("sac", config, 1);
}

static void test_two_updates_by_two_threads(void **state) {
    (void)state;
    check_two_updates("sac", config, 2);
}

// Three learning rates, and gradients that are longer than allowed.
static void test_clipped_updates(void **state) {
    (void)state;
    struct sac_config clipped = config;
    clipped.learning_rate = 1e-3;
    clipped.critic_learning_rate = 4e-3;
    clipped.temperature_learning_rate = 2e-3;
    clipped.gradient_norm_max = 0.1;
    for (int threads = 1; threads <= 2; threads++) {
        check_two_updates("clipped_sac", clipped, threads);
    }
}

// Four critics: their minimum in both losses.
static void test_four_critics(void **state) {
    (void)state;
    struct sac_config four = config;
    four.critics = 4;
    for (int threads = 1; threads <= 2; threads++) {
        check_two_updates("four_sac", four, threads);
    }
}

// SiLU, and critics that normalise the inputs of their layers.
static void test_layer_norm(void **state) {
    (void)state;
    struct sac_config norm = config;
    norm.hidden.activation = ACTIVATION_SILU;
    norm.layer_norm = true;
    for (int threads = 1; threads <= 2; threads++) {
        check_two_updates("norm_sac", norm, threads);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_two_updates),
        cmocka_unit_test(test_two_updates_by_two_threads),
        cmocka_unit_test(test_clipped_updates),
        cmocka_unit_test(test_four_critics),
    };
    return cmocka_run_group_tests_name("sac golden", tests, golden_open, golden_close);
}
