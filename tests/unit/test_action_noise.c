// SPDX-License-Identifier: MIT
// Shows that the noise of actions has the distribution it names: a standard normal at every step,
// with spectrum 1/f (pink), correlation (1 - theta)^lag (ou), or none (white, to the bit the
// normals of its stream). Periodograms are averaged over episodes and fitted on log-log axes.
#include "actor/action_noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

enum { EPISODES = 400, STEPS = 1024, STATE_MAX = ACTION_NOISE_PROCESSES_MAX * 3 };

static float noise_of[EPISODES][2 * STEPS];

// Fills noise_of with the first `steps` of each episode, one action, each from a stream of its own.
static void make(const struct action_noise *n, int steps) {
    float state[STATE_MAX] = {0};
    for (int e = 0; e < EPISODES; e++) {
        struct rng rng = rng_make(1, RNG_TEST, (uint64_t)e);
        for (int t = 0; t < steps; t++) {
            action_noise_step(&noise_of[e][t], state, n, &rng, 1, t == 0);
        }
    }
}

// Mean over episodes of x_t x_(t + lag).
static double covariance(int t, int lag) {
    double sum = 0;
    for (int e = 0; e < EPISODES; e++) {
        sum += (double)noise_of[e][t] * (double)noise_of[e][t + lag];
    }
    return sum / EPISODES;
}

// Mean over episodes of the power at `cycles` per STEPS steps.
static double power(int cycles) {
    double sum = 0;
    for (int e = 0; e < EPISODES; e++) {
        double re = 0, im = 0;
        for (int t = 0; t < STEPS; t++) {
            double angle = 6.283185307179586 * cycles * t / STEPS;
            re += noise_of[e][t] * cos(angle);
            im += noise_of[e][t] * sin(angle);
        }
        sum += (re * re + im * im) / STEPS;
    }
    return sum / EPISODES;
}

// Least-squares slope of log power by log frequency, at powers of 2 from 2 to STEPS / 2 cycles.
static double slope(double log_power[16]) {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (int k = 1; 2 << k <= STEPS; k++) {
        log_power[k] = log(power(1 << k));
        double f = log((double)(1 << k));
        n++;
        x += f;
        y += log_power[k];
        xx += f * f;
        xy += f * log_power[k];
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

static void pink_noise_has_a_spectrum_of_1_over_f(void **state) {
    (void)state;
    struct action_noise n = action_noise_make(WIRE_NOISE_PINK, STEPS, 0);
    make(&n, STEPS);
    double log_power[16], measured = slope(log_power);
    printf("slope %.3f\n", measured);
    assert_true(fabs(measured + 1) < 0.06);
    // And straight, within what 400 episodes can show (5%; at STEPS / 2 cycles 7%).
    for (int k = 2; 2 << k <= STEPS; k++) {
        double step = log_power[k] - log_power[k - 1];
        printf("octave %d: power falls by %.2f (2 is right)\n", k, exp(-step));
        assert_true(exp(-step) > 1.4 && exp(-step) < 2.8);
    }
}

static void white_noise_is_flat(void **state) {
    (void)state;
    struct action_noise n = action_noise_make(WIRE_NOISE_DEFAULT, STEPS, 0);
    make(&n, STEPS);
    double log_power[16];
    assert_true(fabs(slope(log_power)) < 0.03);
}

static void every_step_is_a_standard_normal(void **state) {
    (void)state;
    for (int kind = WIRE_NOISE_WHITE; kind <= WIRE_NOISE_OU; kind++) {
        struct action_noise n = action_noise_make((enum wire_noise)kind, STEPS, 0.15);
        make(&n, 2 * STEPS);
        // At the start, later, and beyond the horizon; 400 episodes: standard errors .05 and .07.
        const int at[] = {0, 1, 100, STEPS, 2 * STEPS - 1};
        for (int i = 0; i < 5; i++) {
            double mean = 0, within = 0;
            for (int e = 0; e < EPISODES; e++) {
                mean += (double)noise_of[e][at[i]] / EPISODES;
                within += (fabsf(noise_of[e][at[i]]) < 0.67449f) / (double)EPISODES;
            }
            double variance = covariance(at[i], 0);
            if (fabs(mean) > 0.2 || fabs(variance - 1) > 0.28 || fabs(within - 0.5) > 0.1) {
                fail_msg("kind %d, step %d: mean %g, variance %g, within quartiles %g", kind, at[i],
                         mean, variance, within);
            }
        }
    }
}

static void ou_noise_forgets_at_rate_theta(void **state) {
    (void)state;
    struct action_noise n = action_noise_make(WIRE_NOISE_OU, STEPS, 0.15);
    make(&n, STEPS);
    for (int lag = 1; lag <= 16; lag *= 2) {
        double sum = 0;
        for (int t = 0; t + lag < STEPS; t += 16) {
            sum += covariance(t, lag);
        }
        double mean = sum / ((STEPS - lag + 15) / 16);
        assert_true(fabs(mean - pow(0.85, lag)) < 0.03);
    }
}

static void white_noise_is_the_stream(void **state) {
    (void)state;
    struct action_noise n = action_noise_make(WIRE_NOISE_WHITE, 1000, 0);
    float processes[STATE_MAX] = {0}, out[3], expected[3];
    struct rng a = rng_make(5, RNG_ACT, 9), b = a;
    for (int t = 0; t < 10; t++) {
        a.index = b.index = (uint64_t)t * 128;
        action_noise_step(out, processes, &n, &a, 3, t == 0);
        rng_fill_normal(&b, expected, 3);
        assert_memory_equal(out, expected, sizeof(out));
    }
}

static void a_sequence_does_not_repeat(void **state) {
    (void)state;
    struct action_noise n = action_noise_make(WIRE_NOISE_PINK, STEPS, 0);
    make(&n, 2 * STEPS);
    // One horizon later the noise is another: nearly uncorrelated, and no value comes again.
    double sum = 0;
    for (int t = 0; t < STEPS; t++) {
        sum += covariance(t, STEPS) / STEPS;
        assert_true(noise_of[0][t] != noise_of[0][t + STEPS]);
        assert_true(noise_of[0][t] != noise_of[1][t]); // nor in another episode
    }
    assert_true(fabs(sum) < 0.15);
}

// A new episode depends on its stream alone, not on the state that the last one left.
static void an_episode_begins_anew(void **state) {
    (void)state;
    struct action_noise n = action_noise_make(WIRE_NOISE_PINK, 50, 0);
    float used[STATE_MAX] = {0}, fresh[STATE_MAX] = {0}, x[3], y[3];
    struct rng r = rng_make(1, RNG_TEST, 1);
    for (int t = 0; t < 100; t++) {
        action_noise_step(x, used, &n, &r, 3, t == 0);
    }
    struct rng a = rng_make(1, RNG_TEST, 2), b = a;
    for (int t = 0; t < 100; t++) {
        action_noise_step(x, used, &n, &a, 3, t == 0);
        action_noise_step(y, fresh, &n, &b, 3, t == 0);
        assert_memory_equal(x, y, sizeof(x));
    }
    assert_true(x[0] != x[1] && x[1] != x[2]); // actions are independent
}

static void any_horizon_is_possible(void **state) {
    (void)state;
    const uint64_t horizons[] = {0, 1, 50, 1000, 1000000000, UINT64_MAX};
    for (int i = 0; i < 6; i++) {
        struct action_noise n = action_noise_make(WIRE_NOISE_PINK, horizons[i], 0);
        assert_true(n.count > 1 && n.count <= ACTION_NOISE_PROCESSES_MAX);
        for (int k = 0; k < n.count; k++) {
            assert_true(n.keep[k] >= 0 && n.keep[k] < 1);
            assert_true(n.fresh[k] > 0 && n.fresh[k] <= 1);
        }
    }
}

static void random_actions_are_uniform(void **state) {
    (void)state;
    struct rng rng = rng_make(3, RNG_TEST, 0);
    int bins[8] = {0};
    enum { N = 40000 };
    for (int i = 0; i < N; i++) {
        float u = action_noise_uniform((float)rng_normal(&rng));
        assert_true(u >= -1 && u <= 1);
        bins[(int)((u + 1) * 3.9999f)]++;
    }
    for (int i = 0; i < 8; i++) {
        assert_in_range(bins[i], N / 8 - 300, N / 8 + 300); // standard deviation 66
    }
    assert_true(action_noise_uniform(0) == 0);
    assert_true(action_noise_uniform(40) == 1 && action_noise_uniform(-40) == -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pink_noise_has_a_spectrum_of_1_over_f),
        cmocka_unit_test(white_noise_is_flat),
        cmocka_unit_test(every_step_is_a_standard_normal),
        cmocka_unit_test(ou_noise_forgets_at_rate_theta),
        cmocka_unit_test(white_noise_is_the_stream),
        cmocka_unit_test(a_sequence_does_not_repeat),
        cmocka_unit_test(an_episode_begins_anew),
        cmocka_unit_test(any_horizon_is_possible),
        cmocka_unit_test(random_actions_are_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
