// SPDX-License-Identifier: MIT
// Shows that learning in units of the data is learning the same thing: Bellman targets of scaled
// rewards are those of the rewards themselves, policy, values and temperature keep their meaning
// when units change, and the statistics follow D_env.
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
#include "learner/methods/sac.h"
#include "learner/methods/scaling.h"

enum { O = 3, A = 2, ROWS = 400, B = 32 };

static float obs[ROWS * O], act[ROWS * A], reward[ROWS], next_obs[ROWS * O];
static uint8_t terminated[ROWS];
static const struct scaling_config both = {.obs_dim = O, .observations = true, .rewards = true};

// D_env of the first n rows of the arrays.
static struct replay replay_of(int n) {
    struct replay r;
    char err[256];
    assert_int_equal(replay_init(&r, O, A, ROWS, ROWS, err, sizeof(err)), 0);
    const struct replay_rows rows = {(uint64_t)n, obs, act, reward, next_obs, terminated};
    replay_add(&r, &rows);
    return r;
}

// The same after filling them: observations around 1800, rewards around `level`.
static struct replay make_env(int n, double level, int ends) {
    struct rng rng = rng_make(1, RNG_TEST, 70);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < O; j++) {
            obs[i * O + j] = (float)(1800 + 40 * rng_normal(&rng));
            next_obs[i * O + j] = (float)(1800 + 40 * rng_normal(&rng));
        }
        reward[i] = (float)(level + 3 * rng_normal(&rng));
        act[i * A] = act[i * A + 1] = (float)rng_range(&rng, -1, 1);
        terminated[i] = i < ends;
    }
    return replay_of(n);
}

static void statistics_follow_d_env(void **state) {
    (void)state;
    struct replay env = make_env(ROWS, 0.5, 0);
    float numbers[32];
    struct scaling s;
    assert_true(scaling_memory(&both) <= 32);
    scaling_init(&s, &both, numbers);
    assert_true(scaling_due(&s, &env));
    scaling_fit(&s, &env);
    assert_false(scaling_due(&s, &env));
    const float *normalizer = scaling_observations(&s);
    assert_true(fabsf(normalizer[1] - 1800) < 8 && fabsf(normalizer[O + 1] - 40) < 5);
    // Rewards on both sides of 0: no offset, their root mean square.
    assert_true(scaling_value_offset(&s, 0.99) == 0);
    assert_true(fabs(scaling_reward_scale(&s) - sqrt(9.25)) < 0.3);
    replay_deinit(&env);

    // Due again with 5% more rows.
    env = make_env(200, 0.5, 0);
    scaling_fit(&s, &env);
    for (int more = 1; more <= 10; more++) {
        const struct replay_rows row = {1, obs, act, reward, next_obs, terminated};
        replay_add(&env, &row);
        assert_true(scaling_due(&s, &env) == (more == 10));
    }
    replay_deinit(&env);

    // A constant 1,000 counts for nothing, unless an episode can end.
    env = make_env(ROWS, 1000, 0);
    scaling_fit(&s, &env);
    assert_true(fabs(scaling_value_offset(&s, 0.99) - 1e5) < 100);
    assert_true(fabs(scaling_reward_scale(&s) - 3) < 0.3);
    replay_deinit(&env);
    env = make_env(ROWS, 1000, 1);
    scaling_fit(&s, &env);
    assert_true(scaling_value_offset(&s, 0.99) == 0);
    assert_true(fabs(scaling_reward_scale(&s) - 1000) < 1);
    replay_deinit(&env);
}

// Spreads within [0.03, 1] are kept, others become the nearest of these, and values are bounded at
// ten deviations.
static void usual_spreads_are_kept(void **state) {
    (void)state;
    struct replay env = make_env(ROWS, 0, 0);
    replay_deinit(&env);
    static const float spreads[O] = {1e-3f, 0.2f, 100}, expected[O] = {0.03f, 0.2f, 1};
    for (int i = 0; i < ROWS * O; i++) {
        obs[i] = 5 + spreads[i % O] * (obs[i] - 1800) / 40;
    }
    env = replay_of(ROWS);
    float numbers[32];
    struct scaling s;
    scaling_init(&s, &both, numbers);
    scaling_fit(&s, &env);
    for (int j = 0; j < O; j++) {
        float unit = scaling_observations(&s)[O + j] / spreads[j];
        assert_true(fabsf(unit * expected[j] - 1) < 0.1f);
    }
    struct replay_batch batch;
    replay_batch_init(&batch, B, O, A);
    struct rng rng = rng_make(2, RNG_TEST, 73);
    replay_sample(&batch, 0, B, &env, &rng);
    batch.obs[1] = 1e30f;
    batch.next_obs[2] = -1e30f;
    scaling_apply(&batch, &s, 0.99);
    assert_true(fabsf(batch.obs[1] - 2) < 0.2f && fabsf(batch.next_obs[2] + 10) < 1e-3f);
    replay_batch_deinit(&batch);
    replay_deinit(&env);
}

// A column of 1e-9 that jumps from observation to observation is noise; one that moves on slowly is
// a signal.
static void tiny_noise_is_constant_and_a_tiny_signal_is_not(void **state) {
    (void)state;
    struct rng rng = rng_make(3, RNG_TEST, 74);
    for (int i = 0; i < ROWS; i++) {
        obs[i * O] = (float)(1e-9 * rng_normal(&rng));
        next_obs[i * O] = (float)(1e-9 * rng_normal(&rng));
        obs[i * O + 1] = (float)(1e-9 * sin(0.1 * i));
        next_obs[i * O + 1] = (float)(1e-9 * sin(0.1 * (i + 1)));
    }
    struct replay env = replay_of(ROWS);
    float numbers[32];
    struct scaling s;
    scaling_init(&s, &both, numbers);
    scaling_fit(&s, &env);
    assert_true(scaling_observations(&s)[O] == 0 && scaling_observations(&s)[O + 1] > 0);
    replay_deinit(&env);
}

// Q = offset + scale q solves r + discount (1 - ended) Q' exactly where q solves the scaled one.
static void bellman_targets_agree(void **state) {
    (void)state;
    const double discount = 0.95;
    struct replay env = make_env(ROWS, 1000, 0);
    float numbers[32];
    struct scaling s;
    scaling_init(&s, &both, numbers);
    scaling_fit(&s, &env);
    struct replay_batch batch;
    replay_batch_init(&batch, B, O, A);
    struct rng rng = rng_make(2, RNG_TEST, 71);
    replay_sample(&batch, 0, B, &env, &rng);
    float raw[B];
    memcpy(raw, batch.reward, sizeof(raw));
    double scale = scaling_reward_scale(&s), offset = scaling_value_offset(&s, discount);
    for (int i = 0; i < B; i++) {
        batch.terminated[i] = i % 3 == 0; // of a model rollout
    }
    scaling_apply(&batch, &s, discount);
    for (int i = 0; i < B; i++) {
        double ended = (double)batch.terminated[i], next = 0.1 * i; // q of the next state
        double q = (double)batch.reward[i] + discount * (1 - ended) * next;
        double expected = (double)raw[i] + discount * (1 - ended) * (offset + scale * next);
        assert_true(fabs(offset + scale * q - expected) < 1e-2);
    }
    replay_batch_deinit(&batch);
    replay_deinit(&env);
}

static void policy_values_and_temperature_keep_their_meaning(void **state) {
    (void)state;
    struct sac_config config = {.obs_dim = O,
                                .act_dim = A,
                                .hidden = {.layers = 2, .width = {16, 16}},
                                .batch_size = B,
                                .learning_rate = 1e-3,
                                .discount = 0.99,
                                .tau = 0.005,
                                .target_entropy = -A,
                                .initial_temperature = 1,
                                .seed = 5};
    struct sac sac;
    sac_init(&sac, &config);
    const float first[] = {10, -3, 0, 2, 1, 0.5f}, second[] = {12, -2, 1, 4, 3, 0.4f};
    const struct sac_units from = {first, {-7, 2}}, to = {second, {100, 9}};
    float x[B * (O + A)], o[B * O], a[B * A], q[2][B], act_before[B * A], act_after[B * A];
    struct rng rng = rng_make(3, RNG_TEST, 72);
    for (int i = 0; i < B * O; i++) {
        o[i] = (float)(3 * rng_normal(&rng));
    }
    for (int i = 0; i < B * A; i++) {
        a[i] = (float)rng_range(&rng, -1, 1);
    }
    float *folded = xfloats(sac.policy_n);
    float *scratch = xfloats(policy_scratch(&sac.policy, B) + critic_scratch(&sac.critic, B));
    double temperature = 2 * exp((double)sac.alpha[0]);
    for (int i = 0; i < 2; i++) {
        const struct sac_units *units = i == 0 ? &from : &to;
        float z[B * O];
        normalizer_apply(z, units->observations, o, B, O, INFINITY);
        critic_concat(x, &sac.critic, z, a, B);
        critic_infer(q[i], scratch, &sac.critic, sac.critic_target, 1, x, B);
        for (int k = 0; k < B; k++) {
            q[i][k] = units->values[0] + units->values[1] * q[i][k];
        }
        sac_fold_policy(folded, &sac, units->observations);
        policy_mean(i == 0 ? act_before : act_after, scratch, &sac.policy, folded, o, B);
        if (i == 0) {
            sac_change_units(&sac, &from, &to);
        }
    }
    for (int k = 0; k < B; k++) {
        assert_true(fabsf(q[1][k] - q[0][k]) < 1e-4f);
    }
    for (int k = 0; k < B * A; k++) {
        assert_true(fabsf(act_after[k] - act_before[k]) < 1e-5f);
    }
    assert_true(fabs(9 * exp((double)sac.alpha[0]) - temperature) < 1e-5);
    free(folded);
    free(scratch);
    sac_deinit(&sac);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_follow_d_env),
        cmocka_unit_test(usual_spreads_are_kept),
        cmocka_unit_test(tiny_noise_is_constant_and_a_tiny_signal_is_not),
        cmocka_unit_test(bellman_targets_agree),
        cmocka_unit_test(policy_values_and_temperature_keep_their_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
