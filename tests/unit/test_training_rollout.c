// SPDX-License-Identifier: MIT
// Shows what test dhmbpo_golden, which brings its own noise and members, leaves open: how a
// training rollout draws them, how termination heads end rows, and that new units leave policy and
// values as they were.
#include "learner/methods/dhmbpo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/nn/normalizer.h"
#include "common/nn/reparam.h"

enum { O = 3, A = 2, T = 1 + O, H = 4, B = 128, TILES = 4, MEMBERS = 6, ELITES = 5 };

static const struct task task = {.name = "test", .obs_dim = O, .act_dim = A};

static struct dhmbpo d;
static struct dynamics dynamics;
static float observations[2 * O];

static struct dhmbpo_config config_of(bool heads) {
    struct mlp_hidden hidden = mlp_hidden_equal(16, 2, ACTIVATION_SILU);
    struct mlp_hidden critic_hidden = hidden;
    critic_hidden.layer_norm = true;
    return (struct dhmbpo_config){
        .rollout = {.horizon = H,
                    .batch = B,
                    .policy = policy_make_hidden(O, A, &hidden),
                    .ensemble = ensemble_make_hidden(MEMBERS, O, A, &hidden),
                    .heads = termination_make(heads ? MEMBERS : 0, O),
                    .task = &task,
                    .seed = 7,
                    .workers = 1},
        .critic_hidden = critic_hidden,
        .critics = 3,
        .learning_rate = 1e-3,
        .critic_learning_rate = 1e-3,
        .temperature_learning_rate = 1e-3,
        .tau = 0.05,
        .target_entropy = -2,
        .initial_temperature = 0.1,
    };
}

static void set_up(bool heads) {
    struct dhmbpo_config config = config_of(heads);
    dhmbpo_init(&d, &config);
    const struct ensemble *e = &config.rollout.ensemble;
    dynamics = (struct dynamics){.ensemble = *e,
                                 .heads = config.rollout.heads,
                                 .version = 1,
                                 .params = xfloats(ensemble_params(e)),
                                 .normalizer = xfloats(ensemble_normalizer_floats(e)),
                                 .termination = xfloats(termination_params(&config.rollout.heads)),
                                 .elites = ELITES,
                                 .elite = {5, 0, 3, 1, 4}};
    ensemble_init(dynamics.params, e, 3);
    ensemble_normalizer_identity(dynamics.normalizer, e);
    normalizer_identity(observations, O);
    struct rng rng = rng_make(2, RNG_TEST, 0);
    rng_fill_normal(&rng, d.rollout.step[0].obs, B * O);
}

static void tear_down(void) {
    dhmbpo_deinit(&d);
    free(dynamics.params);
    free(dynamics.normalizer);
    free(dynamics.termination);
}

static struct training_rollout_view view(void) {
    return (struct training_rollout_view){.policy = d.policy_params,
                                          .observations = observations,
                                          .dynamics = &dynamics,
                                          .reward_scale = 1,
                                          .discount = 0.9,
                                          .alpha = 0.1};
}

static void roll(uint64_t draw) {
    struct training_rollout_view v = view();
    for (int t = 0; t <= H; t++) {
        training_rollout_draw(&d.rollout, &dynamics, draw, t);
    }
    for (int tile = 0; tile < TILES; tile++) {
        training_rollout_forward(&d.rollout, &v, tile, 0);
    }
}

// Standard normals, another one for every draw and step; none for the reward.
static void noise_is_normal_and_new(void **state) {
    (void)state;
    set_up(false);
    double sum = 0, squares = 0;
    int n = 0;
    float first = 0;
    for (uint64_t draw = 1; draw <= 20; draw++) {
        roll(draw);
        for (int t = 0; t < H; t++) {
            const struct training_rollout_step *s = &d.rollout.step[t];
            assert_true(s->noise[0] != first);
            first = s->noise[0];
            for (int i = 0; i < B; i++) {
                assert_true(s->target_noise[i * T] == 0);
                for (int j = 1; j < T; j++, n++) {
                    sum += (double)s->target_noise[i * T + j];
                    squares += pow((double)s->target_noise[i * T + j], 2);
                }
            }
        }
    }
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 5 * sqrt(2.0 / n));
    tear_down();
}

// Each step gives the tiles members of their own, in a new order, elites alone and all of them
// equally often.
static void members_are_permuted(void **state) {
    (void)state;
    enum { DRAWS = 500 };
    set_up(false);
    int count[MEMBERS] = {0}, same = 0;
    for (uint64_t draw = 1; draw <= DRAWS; draw++) {
        for (int t = 0; t < 2; t++) {
            training_rollout_draw(&d.rollout, &dynamics, draw, t);
        }
        const int *now = d.rollout.step[0].member, *next = d.rollout.step[1].member;
        same += memcmp(now, next, TILES * sizeof(*now)) == 0;
        for (int i = 0; i < TILES; i++) {
            count[now[i]]++;
            for (int k = 0; k < i; k++) {
                assert_true(now[i] != now[k]);
            }
        }
    }
    assert_int_equal(count[2], 0); // no elite
    for (int m = 0; m < MEMBERS; m++) {
        // 4 of 5 elites a draw: 400 of 500, with a standard deviation of 9.
        assert_true(m == 2 || (count[m] > 355 && count[m] < 445));
    }
    assert_true(same < 20); // 1 of 120 orders
    tear_down();
}

// Heads of probability 1 end every row, of probability p a share of p each step, none without.
static void heads_end_rows(void **state) {
    (void)state;
    static const float shifts[] = {-INFINITY, 0, 50};
    static const double alive_at_2[] = {1, 0.25, 0};
    for (int k = 0; k < 3; k++) {
        set_up(true);
        const struct termination *heads = &dynamics.heads;
        normalizer_identity(dynamics.termination + termination_normalizer_offset(heads), O);
        for (int m = 0; m < MEMBERS; m++) {
            float *calibration = dynamics.termination + termination_calibration_offset(heads, m);
            calibration[0] = 0; // scale
            calibration[1] = shifts[k];
        }
        roll(3);
        int alive = 0;
        for (int i = 0; i < B; i++) {
            assert_true(d.rollout.step[0].alive[i] == 1);
            alive += d.rollout.step[2].alive[i] > 0;
            for (int t = 1; t <= H; t++) { // nobody rises again
                assert_true(d.rollout.step[t].alive[i] <= d.rollout.step[t - 1].alive[i]);
            }
        }
        // 32 of 128, with a standard deviation of 5.
        assert_true(fabs(alive - alive_at_2[k] * B) <= (k == 1 ? 22 : 0));
        tear_down();
    }
}

// A prediction far outside the data ends its row, and stays finite.
static void predictions_far_out_end(void **state) {
    (void)state;
    set_up(false);
    float *targets = dynamics.normalizer + ensemble_target_normalizer(&dynamics.ensemble);
    targets[1] = 1e6f; // mean change of the first observation
    roll(4);
    for (int i = 0; i < B; i++) {
        assert_true(d.rollout.step[1].alive[i] == 0);
        assert_true(fabsf(d.rollout.step[H].obs[i * O]) < 10);
    }
    tear_down();
}

// An episode may end and be worth 0: with rewards of 5 and more the lower bound of values is 0 less
// what entropy may cost, and with rewards of -5 the upper one.
static void zero_is_within_the_bounds(void **state) {
    (void)state;
    static const int pair[2] = {0, 1};
    for (int sign = -1; sign <= 1; sign += 2) {
        set_up(false);
        float *targets = dynamics.normalizer + ensemble_target_normalizer(&dynamics.ensemble);
        targets[0] = 5.0f * (float)sign;
        targets[T] = 0.1f; // std
        for (int t = 0; t <= H; t++) {
            training_rollout_draw(&d.rollout, &dynamics, 6, t);
        }
        const struct dhmbpo_source source = {.dynamics = &dynamics,
                                             .observations = observations,
                                             .reward_scale = 1,
                                             .discount = 0.9};
        struct dhmbpo_metrics metrics;
        dhmbpo_update_drawn(&metrics, &d, &source, 1, pair);
        const double entropy = 0.1 * 2 / (1 - 0.9); // temperature times target, for ever
        double near = (double)d.numbers[sign > 0 ? VALUE_LOWER : VALUE_UPPER] * sign;
        double far = (double)d.numbers[sign > 0 ? VALUE_UPPER : VALUE_LOWER] * sign;
        assert_true(fabs(near + entropy) < 1e-4);
        assert_true(far > 5 / (1 - 0.9) && far < 6 / (1 - 0.9) + entropy);
        tear_down();
    }
}

// Statistics and scale of rewards change: actions, log-probabilities, values and temperature, in
// the environment's units, do not.
static void new_units_change_nothing(void **state) {
    (void)state;
    set_up(false);
    const float to[2 * O] = {0.3f, -0.2f, 1, 0.5f, 2, 1.5f};
    const double before[2] = {0, 1}, after[2] = {40, 3};
    struct rng rng = rng_make(9, RNG_TEST, 0);
    critic_init(d.critic_params, &d.critic, &rng); // not zero in the last layer
    d.numbers[VALUE_LOWER] = -10;
    d.numbers[VALUE_UPPER] = 30;
    memcpy(d.policy_average, d.policy_params, d.policy_n * sizeof(float));
    roll(5);
    struct training_rollout_step *s = &d.rollout.step[0];
    float act[B * A], q[B], x[B * (O + A)];
    float *scratch = xfloats(critic_scratch(&d.critic, B));
    double alpha = exp((double)d.alpha[0]);
    memcpy(act, s->act, sizeof(act));
    critic_concat(x, &d.critic, s->x, s->act, B);
    critic_infer(q, scratch, &d.critic, d.critic_params, 1, x, B);
    dhmbpo_change_units(&d, observations, to, before, after);
    memcpy(observations, to, sizeof(to));
    assert_memory_equal(d.policy_average, d.policy_params, d.policy_n * sizeof(float));
    roll(5);
    double lower = 40 + 3 * (double)d.numbers[VALUE_LOWER];
    double upper = 40 + 3 * (double)d.numbers[VALUE_UPPER];
    assert_true(fabs(lower + 10) < 1e-4 && fabs(upper - 30) < 1e-4);
    assert_true(fabs(3 * exp((double)d.alpha[0]) - alpha) < 1e-6);
    float own[B];
    critic_concat(x, &d.critic, s->x, s->act, B);
    critic_infer(own, scratch, &d.critic, d.critic_params, 1, x, B);
    for (int i = 0; i < B; i++) {
        assert_true(fabsf(own[i] - q[i]) < 1e-4f); // of the bounds, which are the same
        for (int j = 0; j < A; j++) {
            assert_true(fabsf(s->act[i * A + j] - act[i * A + j]) < 1e-5f);
        }
    }
    free(scratch);
    tear_down();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_is_normal_and_new),
        cmocka_unit_test(members_are_permuted),
        cmocka_unit_test(heads_end_rows),
        cmocka_unit_test(predictions_far_out_end),
        cmocka_unit_test(zero_is_within_the_bounds),
        cmocka_unit_test(new_units_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
