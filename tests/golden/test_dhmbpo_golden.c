// SPDX-License-Identifier: MIT
// Shows that one whole update of double-horizon MBPO gives PyTorch's numbers: bounds, targets,
// critics with their gradient, the policy's gradient through three steps of the ensemble, and the
// metrics. make_golden.py computes them in float64 by autograd. A third of the rows ends on the
// way, predictions are clipped, rewards have an offset, and the gradient is limited.
#include "learner/methods/dhmbpo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "tests/golden/golden.h"

// As in make_golden.py.
enum { O = 5, A = 2, T = 1 + O, H = 3, B = 64, WIDTH = 12, MEMBERS = 3, CRITICS = 4 };
#define ALPHA 0.17

// Gradients are relative to their largest number.
#define TOLERANCE 2e-5

static bool leaves(const struct task *task, const float *obs) {
    (void)task;
    return !(obs[1] > -0.9f && obs[1] < 0.8f);
}

static const struct task task = {.name = "golden",
                                 .obs_dim = O,
                                 .act_dim = A,
                                 .terminated = leaves,
                                 .termination = TASK_TERMINATION_RULE,
                                 .clips = 1,
                                 .clip = {{2, 3, -1.1f, 1.1f}}};

static struct dhmbpo_config config_of(int threads) {
    struct mlp_hidden hidden = mlp_hidden_equal(WIDTH, 2, ACTIVATION_SILU);
    struct mlp_hidden critic_hidden = hidden;
    critic_hidden.layer_norm = true;
    return (struct dhmbpo_config){
        .rollout = {.horizon = H,
                    .batch = B,
                    .policy = policy_make_hidden(O, A, &hidden),
                    .ensemble = ensemble_make_hidden(MEMBERS, O, A, &hidden),
                    .heads = termination_make(0, O),
                    .task = &task,
                    .seed = 1,
                    .workers = threads},
        .critic_hidden = critic_hidden,
        .critics = CRITICS,
        .learning_rate = 1e-3,
        .critic_learning_rate = 1e-3,
        .temperature_learning_rate = 1e-3,
        .gradient_norm_max = 0.02,
        .tau = 0.05,
        .policy_tau = 0.25,
        .target_entropy = -1.5,
        .initial_temperature = ALPHA};
}

static void set_dynamics(struct dynamics *d, const struct ensemble *e) {
    d->ensemble = *e;
    d->version = 1;
    d->elites = MEMBERS;
    d->params = xfloats(ensemble_params(e));
    d->normalizer = xfloats(ensemble_normalizer_floats(e));
    golden_copy(d->params, "dhmbpo.model", MEMBERS * mlp_params(&e->net));
    golden_copy(d->params + ensemble_max_logvar_offset(e), "dhmbpo.max_logvar", T);
    golden_copy(d->params + ensemble_min_logvar_offset(e), "dhmbpo.min_logvar", T);
    golden_copy(d->normalizer, "dhmbpo.inputs", 2 * (O + A));
    golden_copy(d->normalizer + ensemble_target_normalizer(e), "dhmbpo.targets", 2 * T);
}

static void set_rollout(struct training_rollout *r) {
    static const int members[H][2] = {{0, 2}, {2, 1}, {1, 0}};
    static float noise[(H + 1) * B * A], target_noise[H * B * T];
    golden_copy(r->step[0].obs, "dhmbpo.obs", B * O);
    golden_copy(noise, "dhmbpo.noise", (H + 1) * B * A);
    golden_copy(target_noise, "dhmbpo.target_noise", H * B * T);
    for (int t = 0; t <= H; t++) {
        memcpy(r->step[t].noise, noise + t * B * A, B * A * sizeof(float));
    }
    for (int t = 0; t < H; t++) {
        memcpy(r->step[t].target_noise, target_noise + t * B * T, B * T * sizeof(float));
        memcpy(r->step[t].member, members[t], sizeof(members[t]));
    }
}

static void expect_metric(const char *metric, double value) {
    char name[64];
    snprintf(name, sizeof(name), "dhmbpo.metrics.%s", metric);
    float got = (float)value;
    golden_expect(name, &got, 1, TOLERANCE);
}

static void expect_metrics(const struct dhmbpo_metrics *m) {
    expect_metric("critic_loss", m->critic_loss);
    expect_metric("actor_loss", m->actor_loss);
    expect_metric("entropy", m->entropy);
    expect_metric("q_mean", m->q_mean);
    expect_metric("gradient_norm", m->gradient_norm);
    expect_metric("alive", m->alive);
}

static double critic_dropout; // 0 in the golden update

// Update number t, from the golden networks.
static struct dhmbpo_metrics update_from_golden(struct dhmbpo *d, uint64_t t) {
    float observations[2 * O];
    static const int pair[2] = {3, 1};
    struct dynamics dynamics = {0};
    set_dynamics(&dynamics, &d->config.rollout.ensemble);
    golden_copy(d->policy_params, "dhmbpo.policy", d->policy_n);
    golden_copy(d->policy_average, "dhmbpo.policy", d->policy_n);
    golden_copy(d->critic_params, "dhmbpo.critic", d->critic_n);
    golden_copy(d->critic_target, "dhmbpo.critic.target", d->critic_n);
    golden_copy(observations, "dhmbpo.observations", 2 * O);
    set_rollout(&d->rollout);
    const struct dhmbpo_source source = {.dynamics = &dynamics,
                                         .observations = observations,
                                         .reward_offset = 0.3,
                                         .reward_scale = 1.7,
                                         .end_value = -0.9,
                                         .discount = 0.9};
    struct dhmbpo_metrics metrics;
    dhmbpo_update_drawn(&metrics, d, &source, t, pair);
    free(dynamics.params);
    free(dynamics.normalizer);
    return metrics;
}

static struct dhmbpo_metrics update(struct dhmbpo *d, int threads) {
    struct dhmbpo_config config = config_of(threads);
    config.critic_dropout = critic_dropout;
    dhmbpo_init(d, &config);
    return update_from_golden(d, 1);
}

static void test_update(void **state) {
    (void)state;
    struct dhmbpo d;
    struct dhmbpo_metrics metrics = update(&d, 1);
    golden_expect("dhmbpo.bounds", &d.numbers[VALUE_LOWER], 2, TOLERANCE);
    golden_expect("dhmbpo.target", d.target, B, TOLERANCE);
    float *gradient = xfloats(d.critic_n); // from Adam's first moment after one step
    for (size_t i = 0; i < d.critic_n; i++) {
        gradient[i] = d.critic_m[i] / (1 - 0.9f);
    }
    golden_expect("dhmbpo.critic.gradient", gradient, d.critic_n, TOLERANCE);
    golden_expect("dhmbpo.after.critic", d.critic_params, d.critic_n, TOLERANCE);
    golden_expect("dhmbpo.after.critic.target", d.critic_target, d.critic_n, TOLERANCE);
    golden_expect("dhmbpo.gradient", d.policy_gradient, d.policy_n, TOLERANCE);
    expect_metrics(&metrics);
    free(gradient);
    float *before = xfloats(d.policy_n);
    golden_copy(before, "dhmbpo.policy", d.policy_n);
    for (size_t i = 0; i < d.policy_n; i++) {
        float average = 0.75f * before[i] + 0.25f * d.policy_params[i];
        assert_true(fabsf(d.policy_average[i] - average) < 1e-6f);
    }
    free(before);
    dhmbpo_deinit(&d);
}

// Once the optimisers are made anew, a later update is as the first.
static void test_reset_optimizers(void **state) {
    (void)state;
    struct dhmbpo first, later;
    update(&first, 1);
    update(&later, 1);
    later.numbers[VALUE_BOUNDED] = 0;
    later.numbers[DHMBPO_CRITIC_UPDATES] = 3;
    later.alpha[0] = logf((float)ALPHA);
    dhmbpo_reset_optimizers(&later, 8);
    update_from_golden(&later, 8);
    assert_memory_equal(first.policy_params, later.policy_params, first.policy_n * sizeof(float));
    assert_memory_equal(first.critic_params, later.critic_params, first.critic_n * sizeof(float));
    assert_memory_equal(first.alpha, later.alpha, 3 * sizeof(float));
    dhmbpo_deinit(&first);
    dhmbpo_deinit(&later);
}

static void test_threads(void **state) {
    (void)state;
    struct dhmbpo one, more;
    update(&one, 1);
    for (int threads = 2; threads <= 5; threads++) {
        update(&more, threads);
        assert_memory_equal(one.policy_params, more.policy_params, one.policy_n * sizeof(float));
        assert_memory_equal(one.critic_params, more.critic_params, one.critic_n * sizeof(float));
        assert_memory_equal(one.alpha, more.alpha, 3 * sizeof(float));
        dhmbpo_deinit(&more);
    }
    dhmbpo_deinit(&one);
}

static void test_critic_dropout(void **state) {
    struct dhmbpo without, with;
    update(&without, 1);
    critic_dropout = 0.1;
    update(&with, 1);
    size_t n = mlp_params(&with.critic.net); // each critic has its own
    for (size_t k = 0; k < CRITICS; k++) {
        assert_memory_not_equal(with.critic_m + k * n, without.critic_m + k * n, n * sizeof(float));
    }
    assert_memory_equal(with.target, without.target, B * sizeof(float)); // none in the targets
    test_threads(state);
    critic_dropout = 0;
    dhmbpo_deinit(&without);
    dhmbpo_deinit(&with);
}

static void test_orthogonal_policy(void **state) {
    (void)state;
    struct dhmbpo_config config = config_of(1);
    config.orthogonal = true;
    struct dhmbpo d;
    dhmbpo_init(&d, &config);
    for (int a = 0; a < O; a++) { // the columns of the first layer
        double sum = 0, beside = 0;
        for (int i = 0; i < WIDTH; i++) {
            const float *row = d.policy_params + i * O;
            sum += (double)row[a] * (double)row[a];
            beside += (double)row[a] * (double)row[(a + 1) % O];
        }
        assert_true(fabs(sum - 1) < 1e-5 && fabs(beside) < 1e-5);
    }
    dhmbpo_deinit(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_reset_optimizers),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_critic_dropout),
        cmocka_unit_test(test_orthogonal_policy),
    };
    return cmocka_run_group_tests(tests, golden_open, golden_close);
}
