// SPDX-License-Identifier: MIT
// Shows that SAC solves problems with known answers: the best action of a bandit, the
// value of a state with and without termination, the direction of the temperature. The
// state is a function of seed and data, equal to the bit, also when continued from a
// copy.
#include "learner/methods/sac.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/nn/gemm.h"
#include "learner/methods/value_bounds.h"

#define B 64

static const struct sac_config base = {
    .obs_dim = 2,
    .act_dim = 1,
    .hidden = {.layers = 2, .width = {32, 32}},
    .batch_size = B,
    .learning_rate = 3e-3,
    .discount = 0.8,
    .tau = 0.05,
    .target_entropy = -2,
    .initial_temperature = 0.2,
    .seed = 11,
};

typedef float reward_fn(const float *obs, float act);

// Rows with random states and actions; next state = state.
static void fill(struct replay *r, reward_fn *reward, uint8_t terminated, uint64_t n) {
    char err[256];
    assert_int_equal(replay_init(r, 2, 1, n, n, err, sizeof(err)), 0);
    struct rng rng = rng_make(5, RNG_TEST, 0);
    for (uint64_t i = 0; i < n; i++) {
        float obs[2] = {(float)rng_range(&rng, -1, 1), (float)rng_range(&rng, -1, 1)};
        float act = (float)rng_range(&rng, -1, 1);
        float value = reward(obs, act);
        replay_add(r, &(struct replay_rows){1, obs, &act, &value, obs, &terminated});
    }
}

static struct sac_metrics train(struct sac *s, const struct replay *r, int updates) {
    struct replay_batch batch;
    int rows = s->config.batch_size;
    replay_batch_init(&batch, rows, 2, 1);
    struct sac_metrics metrics = {0};
    for (int u = 0; u < updates; u++) {
        struct rng rng = rng_make(s->config.seed, RNG_REPLAY_MODEL, s->updates + 1);
        replay_sample(&batch, 0, rows, r, &rng);
        sac_update(&metrics, s, &batch);
        assert_true(isfinite(metrics.critic_loss) && isfinite(metrics.actor_loss));
    }
    replay_batch_deinit(&batch);
    return metrics;
}

// A bandit whose best action depends on the state: 0.6 times the first number.
static float bandit(const float *obs, float act) {
    float miss = act - 0.6f * obs[0];
    return -10 * miss * miss;
}

static void check_finds_the_best_action(const struct sac_config *config) {
    struct replay r;
    fill(&r, bandit, 1, 5000);
    struct sac s;
    sac_init(&s, config);
    train(&s, &r, 3000);
    float *scratch = xfloats(policy_scratch(&s.policy, 1));
    double worst = 0;
    for (float x = -0.8f; x <= 0.81f; x += 0.2f) {
        float obs[2] = {x, 0.3f}, act;
        policy_mean(&act, scratch, &s.policy, s.policy_params, obs, 1);
        worst = fmax(worst, fabs((double)(act - 0.6f * x)));
    }
    if (worst > 0.1) {
        fail_msg("mean action is off by %.3f, seed %llu", worst, (unsigned long long)base.seed);
    }
    free(scratch);
    sac_deinit(&s);
    replay_deinit(&r);
}

static void test_finds_the_best_action(void **state) {
    (void)state;
    check_finds_the_best_action(&base);
}

// Several widths, SiLU, three critics, three learning rates and clipped gradients.
static struct sac_config other_choices(void) {
    struct sac_config config = base;
    config.hidden =
        (struct mlp_hidden){.layers = 3, .width = {40, 24, 33}, .activation = ACTIVATION_SILU};
    config.critics = 3;
    config.critic_learning_rate = 4e-3;
    config.temperature_learning_rate = 1e-3;
    config.gradient_norm_max = 1;
    return config;
}

static void test_finds_it_with_other_choices(void **state) {
    (void)state;
    struct sac_config config = other_choices();
    check_finds_the_best_action(&config);
}

static void test_finds_it_in_bf16_too(void **state) {
    (void)state;
    if (!gemm_use(COMPUTE_BF16)) {
        skip(); // not supported by this processor
    }
    check_finds_the_best_action(&base);
    assert_true(gemm_use(COMPUTE_AUTO));
}

static float one(const float *obs, float act) {
    (void)obs;
    (void)act;
    return 1;
}

static double mean_value(const struct sac *s) {
    float *scratch = xfloats(critic_scratch(&s->critic, 1));
    float x[3] = {0.1f, -0.2f, 0.3f}, q[2]; // a state and an action
    for (int k = 0; k < 2; k++) {
        critic_forward(&q[k], scratch, &s->critic, s->critic_params, k, x, 1);
    }
    free(scratch);
    return ((double)q[0] + (double)q[1]) / 2;
}

// A constant reward of 1 is worth 1 / (1 - 0.8) = 5, plus the entropy term, which a
// temperature near zero keeps small, and minus the bias of the minimum of two critics;
// a final reward of 1 is worth 1.
static void test_only_termination_ends_the_value(void **state) {
    (void)state;
    struct sac_config config = base;
    config.initial_temperature = 1e-4;
    for (int terminated = 0; terminated < 2; terminated++) {
        struct replay r;
        fill(&r, one, (uint8_t)terminated, 1000);
        struct sac s;
        sac_init(&s, &config);
        train(&s, &r, 1500);
        double value = mean_value(&s), want = terminated ? 1 : 5;
        if (fabs(value - want) > 0.08 * want) {
            fail_msg("terminated %d: value %.3f, must be near %.1f", terminated, value, want);
        }
        sac_deinit(&s);
        replay_deinit(&r);
    }
}

// The temperature rises while the entropy is below its target, and falls above it.
// With bounds the value of the next state counts as 1 at most: 1 + 0.8 * 1.
static void test_targets_are_bounded(void **state) {
    (void)state;
    static const float bounds[VALUE_BOUNDS] = {0, 1, 1};
    struct sac_config config = base;
    config.initial_temperature = 1e-4;
    struct replay r;
    fill(&r, one, 0, 1000);
    struct sac s;
    sac_init(&s, &config);
    s.bounds = bounds;
    train(&s, &r, 1500);
    double value = mean_value(&s);
    if (fabs(value - 1.8) > 0.1) {
        fail_msg("value %.3f, must be near 1.8", value);
    }
    sac_deinit(&s);
    replay_deinit(&r);
}

static void test_temperature_moves_towards_the_target(void **state) {
    (void)state;
    struct replay r;
    fill(&r, bandit, 1, 1000);
    const double targets[2] = {3, -8}; // unreachably high on [-1, 1]; low
    for (int i = 0; i < 2; i++) {
        struct sac_config config = base;
        config.target_entropy = targets[i];
        struct sac s;
        sac_init(&s, &config);
        struct sac_metrics m = train(&s, &r, 200);
        if ((m.temperature > config.initial_temperature) != (targets[i] > 0)) {
            fail_msg("target entropy %.0f, entropy %.2f: temperature went from %.3f to %.3f",
                     targets[i], m.entropy, config.initial_temperature, m.temperature);
        }
        sac_deinit(&s);
    }
    replay_deinit(&r);
}

// The entropy converges to a reachable target.
static void test_entropy_reaches_the_target(void **state) {
    (void)state;
    struct sac_config config = base;
    config.target_entropy = -1;
    struct replay r;
    fill(&r, bandit, 1, 2000);
    struct sac s;
    sac_init(&s, &config);
    train(&s, &r, 2500);
    double sum = 0;
    for (int i = 0; i < 500; i++) {
        sum += train(&s, &r, 1).entropy;
    }
    if (fabs(sum / 500 + 1) > 0.15) {
        fail_msg("entropy %.3f, target -1", sum / 500);
    }
    sac_deinit(&s);
    replay_deinit(&r);
}

// target' = (1 - tau) target + tau source, in every update.
static void test_target_averages(void **state) {
    (void)state;
    struct replay r;
    fill(&r, bandit, 0, 100);
    struct sac s;
    sac_init(&s, &base);
    assert_memory_equal(s.critic_target, s.critic_params, s.critic_n * sizeof(float));
    float *before = xfloats(s.critic_n);
    for (int u = 0; u < 3; u++) {
        memcpy(before, s.critic_target, s.critic_n * sizeof(float));
        train(&s, &r, 1);
        for (size_t i = 0; i < s.critic_n; i++) {
            double want = 0.95 * (double)before[i] + 0.05 * (double)s.critic_params[i];
            assert_true(fabs((double)s.critic_target[i] - want) < 1e-6);
        }
    }
    free(before);
    sac_deinit(&s);
    replay_deinit(&r);
}

static void check_equal(const struct sac *a, const struct sac *b) {
    struct sac_block x[SAC_BLOCKS], y[SAC_BLOCKS];
    sac_blocks(x, a);
    sac_blocks(y, b);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        if (memcmp(x[i].data, y[i].data, x[i].n * sizeof(float)) != 0) {
            fail_msg("block %s differs after %llu updates", x[i].name,
                     (unsigned long long)a->updates);
        }
    }
    assert_int_equal(a->updates, b->updates);
}

static void test_same_bits(void **state) {
    (void)state;
    struct replay r;
    fill(&r, bandit, 0, 1000);
    struct sac whole, copy;
    sac_init(&whole, &base);
    sac_init(&copy, &base);
    train(&whole, &r, 30);
    train(&copy, &r, 30);
    check_equal(&whole, &copy);

    // Blocks and update number are the whole state: a fresh instance with them
    // continues with the same bits.
    sac_deinit(&copy);
    sac_init(&copy, &base);
    struct sac_block from[SAC_BLOCKS], to[SAC_BLOCKS];
    sac_blocks(from, &whole);
    sac_blocks(to, &copy);
    for (int i = 0; i < SAC_BLOCKS; i++) {
        memcpy(to[i].data, from[i].data, to[i].n * sizeof(float));
    }
    copy.updates = whole.updates;
    train(&whole, &r, 30);
    train(&copy, &r, 30);
    check_equal(&whole, &copy);

    // Another seed gives other bits.
    struct sac_config config = base;
    config.seed++;
    struct sac other;
    sac_init(&other, &config);
    train(&other, &r, 60);
    assert_memory_not_equal(other.policy_params, whole.policy_params, 64 * sizeof(float));
    sac_deinit(&other);
    sac_deinit(&copy);
    sac_deinit(&whole);
    replay_deinit(&r);
}

// A limit above every norm changes nothing but the order of operations.
static void test_a_generous_limit_changes_nothing(void **state) {
    (void)state;
    struct replay r;
    fill(&r, bandit, 0, 1000);
    struct sac_config config = base;
    struct sac free_of_it, limited;
    sac_init(&free_of_it, &config);
    config.gradient_norm_max = 1e6;
    sac_init(&limited, &config);
    train(&free_of_it, &r, 20);
    train(&limited, &r, 20);
    for (size_t i = 0; i < free_of_it.critic_n; i++) {
        assert_true(fabsf(free_of_it.critic_params[i] - limited.critic_params[i]) < 1e-4f);
    }
    for (size_t i = 0; i < free_of_it.policy_n; i++) {
        assert_true(fabsf(free_of_it.policy_params[i] - limited.policy_params[i]) < 1e-4f);
    }
    sac_deinit(&free_of_it);
    sac_deinit(&limited);
    replay_deinit(&r);
}

// Also with a batch of an odd size.
static void check_threads(struct sac_config config) {
    struct replay r;
    fill(&r, bandit, 0, 1000);
    config.batch_size--;
    struct sac alone, team;
    sac_init(&alone, &config);
    config.threads = SAC_THREADS_MAX;
    sac_init(&team, &config);
    train(&alone, &r, 50);
    train(&team, &r, 50);
    check_equal(&alone, &team);
    sac_deinit(&alone);
    sac_deinit(&team);
    replay_deinit(&r);
}

static void test_threads_do_not_change_bits(void **state) {
    (void)state;
    check_threads(base);
    check_threads(other_choices());
    if (gemm_use(COMPUTE_BF16)) {
        check_threads(base);
    }
    assert_true(gemm_use(COMPUTE_AUTO));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_best_action),
        cmocka_unit_test(test_finds_it_with_other_choices),
        cmocka_unit_test(test_finds_it_in_bf16_too),
        cmocka_unit_test(test_a_generous_limit_changes_nothing),
        cmocka_unit_test(test_only_termination_ends_the_value),
        cmocka_unit_test(test_targets_are_bounded),
        cmocka_unit_test(test_temperature_moves_towards_the_target),
        cmocka_unit_test(test_entropy_reaches_the_target),
        cmocka_unit_test(test_target_averages),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_threads_do_not_change_bits),
    };
    return cmocka_run_group_tests_name("sac", tests, NULL, NULL);
}
