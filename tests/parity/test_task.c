// SPDX-License-Identifier: MIT
// Shows that tasks are found by their names, that a wrong name gives the nearest
// valid one, and that the termination rules on predicted states are right at their
// limits, for every entry, and for NaN.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/task/task.h"

static void names_are_found_in_any_spelling(void **state) {
    (void)state;
    static const char *const spellings[][2] = {
        {"hopper", "hopper"},
        {"Hopper", "hopper"},
        {"HOPPER", "hopper"},
        {"Hopper-v4", "hopper"},
        {"hopper-V4", "hopper"},
        {"inverted_pendulum", "inverted_pendulum"},
        {"InvertedPendulum", "inverted_pendulum"},
        {"InvertedPendulum-v4", "inverted_pendulum"},
        {"invertedpendulum", "inverted_pendulum"},
        {"Inverted_Pendulum-v4", "inverted_pendulum"},
        {"InvertedPendulum-v5", "inverted_pendulum_v5"},
        {"inverted_pendulum_v5", "inverted_pendulum_v5"},
        {"Reacher-v5", "reacher_v5"},
        {"swimmer-v5", "swimmer"}, // the same in v4 and v5
        {"HalfCheetah-v5", "half_cheetah"},
        {"Walker2d_v5", "walker2d_v5"},
        {"walker2d-v4", "walker2d"},
        {"AntTruncatedObs-v2", "ant_truncated_obs"}, // MBPO's name
        {"HumanoidTruncatedObs", "humanoid_truncated_obs"},
        {"Swimmer_v4", "swimmer"},
        {"HopperUnclipped", "hopper_unclipped"},
        {"walker2d-unclipped", "walker2d_unclipped"},
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        const struct task *task = task_find(spellings[i][0]);
        assert_non_null(task);
        assert_string_equal(task->name, spellings[i][1]);
    }
    for (int i = 0; i < task_count(); i++) {
        assert_ptr_equal(task_find(task_at(i)->name), task_at(i));
        assert_ptr_equal(task_find(task_at(i)->title), task_at(i));
    }
}

static void other_names_are_not(void **state) {
    (void)state;
    char endless[5000];
    memset(endless, 'h', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    const char *const wrong[] = {"",        "-v4",       "_",        "hoper",   "hopper ",
                                 " hopper", "hopper-v6", "hopper-v", "hopper2", endless};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(task_find(wrong[i]));
        assert_non_null(task_find(task_nearest(wrong[i])));
    }
}

static void the_nearest_name_is_offered(void **state) {
    (void)state;
    assert_string_equal(task_nearest("hoper"), "hopper");
    assert_string_equal(task_nearest("Hoppper-v4"), "hopper");
    assert_string_equal(task_nearest("chopper"), "hopper");
    assert_string_equal(task_nearest("InvertPendulum"), "inverted_pendulum");
    assert_string_equal(task_nearest("pendulum"), "inverted_pendulum");
    assert_string_equal(task_nearest("inverted"), "inverted_pendulum");
    assert_string_equal(task_nearest("cheetah"), "half_cheetah");
    assert_string_equal(task_nearest("Wlaker2d"), "walker2d");
}

// ---- termination ----

static int done_of(const struct task *task, const float *obs) {
    uint8_t done = 77;
    task_terminated(task, &done, obs, 1);
    return done;
}

// base with entry i set to value terminates if `done`.
static void entry_ends(const struct task *task, const float *base, int i, float value, int done) {
    float obs[TASK_OBS_DIM_MAX];
    memcpy(obs, base, (size_t)task->obs_dim * sizeof *obs);
    obs[i] = value;
    if (done_of(task, obs) != done) {
        fail_msg("%s: obs[%d] = %.9g: done is not %d", task->name, i, (double)value, done);
    }
}

static void inverted_pendulum_ends_by_angle(void **state) {
    (void)state;
    const struct task *task = task_find("inverted_pendulum");
    const float base[4] = {0.5f, 0.0f, -3.0f, 7.0f};
    for (int sign = -1; sign <= 1; sign += 2) {
        entry_ends(task, base, 1, (float)sign * 0.2f, 0); // the limit itself is inside
        entry_ends(task, base, 1, (float)sign * nextafterf(0.2f, 1.0f), 1);
        entry_ends(task, base, 1, (float)sign * 3.0f, 1);
        for (int i = 0; i < 4; i++) {
            entry_ends(task, base, i, (float)sign * INFINITY, 1);
            if (i != 1) { // only the angle has a limit
                entry_ends(task, base, i, (float)sign * 1e30f, 0);
            }
        }
    }
    for (int i = 0; i < 4; i++) {
        entry_ends(task, base, i, NAN, 1);
    }
}

static void hopper_ends_low_leaning_or_huge(void **state) {
    (void)state;
    static const char *const names[] = {"hopper", "hopper_unclipped", "hopper_v5"};
    for (int k = 0; k < 3; k++) {
        const struct task *task = task_find(names[k]);
        const float base[11] = {1.25f, 0.0f, -0.1f, -0.2f, 0.3f, 1, -2, 3, -4, 5, -6};
        entry_ends(task, base, 0, 0.7f, 1); // limits themselves are outside
        entry_ends(task, base, 0, nextafterf(0.7f, 1.0f), 0);
        entry_ends(task, base, 0, 1e30f, 0); // the height has no upper limit
        entry_ends(task, base, 0, INFINITY, 1);
        entry_ends(task, base, 0, -1.0f, 1);
        for (int sign = -1; sign <= 1; sign += 2) {
            entry_ends(task, base, 1, (float)sign * 0.2f, 1);
            entry_ends(task, base, 1, (float)sign * nextafterf(0.2f, 0.0f), 0);
            // Both sides of the bound, for every entry.
            for (int i = 2; i < 11; i++) {
                entry_ends(task, base, i, (float)sign * 100.0f, 1);
                entry_ends(task, base, i, (float)sign * 99.99f, 0);
                entry_ends(task, base, i, (float)sign * 1e9f, 1);
                entry_ends(task, base, i, (float)sign * INFINITY, 1);
            }
        }
        for (int i = 0; i < 11; i++) {
            entry_ends(task, base, i, NAN, 1);
        }
    }
}

// The angles of the two poles (the second relative to the first) as observed.
static int double_pendulum_done(const struct task *task, double lower, double upper) {
    const float obs[11] = {0.1f, sinf((float)lower), sinf((float)upper), cosf((float)lower),
                           cosf((float)upper)};
    return done_of(task, obs);
}

static void inverted_double_pendulum_ends_low(void **state) {
    (void)state;
    static const char *const names[] = {"inverted_double_pendulum", "inverted_double_pendulum_v5"};
    for (int k = 0; k < 2; k++) {
        const struct task *task = task_find(names[k]);
        assert_int_equal(double_pendulum_done(task, 0, 0), 0); // 1.2 high
        // Straight and leaning, its height is 1 at acos(1 / 1.2) = 0.5857.
        assert_int_equal(double_pendulum_done(task, 0.585, 0), 0);
        assert_int_equal(double_pendulum_done(task, 0.586, 0), 1);
        assert_int_equal(double_pendulum_done(task, -0.585, 0), 0);
        assert_int_equal(double_pendulum_done(task, -0.586, 0), 1);
        // Bent, at acos(2 / 3) = 0.8411 of the upper pole; bent back it is high enough.
        assert_int_equal(double_pendulum_done(task, 0, 0.841), 0);
        assert_int_equal(double_pendulum_done(task, 0, -0.842), 1);
        assert_int_equal(double_pendulum_done(task, 0.7, -0.7), 0);
        assert_int_equal(double_pendulum_done(task, 0.7, 0.7), 1);
        assert_int_equal(double_pendulum_done(task, 3.1, 0), 1);
        const float upright[11] = {0, 0, 0, 1, 1};
        for (int i = 1; i <= 4; i++) {
            entry_ends(task, upright, i, NAN, 1);
        }
        entry_ends(task, upright, 0, 1e30f, 0); // the cart has no limit
        // Sine and cosine that match no angle: the upper pole uses their direction.
        entry_ends(task, upright, 4, 0.01f, 0);
        entry_ends(task, upright, 3, 0.5f, 1);
    }
}

static void walker2d_ends_low_high_or_leaning(void **state) {
    (void)state;
    static const char *const names[] = {"walker2d", "walker2d_unclipped", "walker2d_v5"};
    for (int k = 0; k < 3; k++) {
        const struct task *task = task_find(names[k]);
        const float base[17] = {1.25f, 0.0f, -0.1f, -0.2f, 0.3f, 1, -2, 3, -4, 5, -6};
        entry_ends(task, base, 0, 0.8f, 1); // limits themselves are outside
        entry_ends(task, base, 0, nextafterf(0.8f, 1.0f), 0);
        entry_ends(task, base, 0, nextafterf(2.0f, 1.0f), 0);
        entry_ends(task, base, 0, 2.0f, 1);
        for (int sign = -1; sign <= 1; sign += 2) {
            entry_ends(task, base, 1, (float)sign, 1);
            entry_ends(task, base, 1, (float)sign * nextafterf(1.0f, 0.0f), 0);
            for (int i = 2; i < 17; i++) { // MBPO bounds nothing else
                entry_ends(task, base, i, (float)sign * 1e9f, 0);
            }
        }
        entry_ends(task, base, 0, NAN, 1);
        entry_ends(task, base, 1, NAN, 1);
    }
}

static void ant_ends_low_high_or_not_finite(void **state) {
    (void)state;
    static const char *const names[] = {"ant", "ant_truncated_obs", "ant_v5"};
    for (int k = 0; k < 3; k++) {
        const struct task *task = task_find(names[k]);
        const float base[TASK_OBS_DIM_MAX] = {0.75f, 1.0f};
        entry_ends(task, base, 0, 0.2f, 0); // limits themselves are inside
        entry_ends(task, base, 0, nextafterf(0.2f, 0.0f), 1);
        entry_ends(task, base, 0, 1.0f, 0);
        entry_ends(task, base, 0, nextafterf(1.0f, 2.0f), 1);
        entry_ends(task, base, 0, -0.5f, 1);
        for (int i = 0; i < task->obs_dim; i++) {
            entry_ends(task, base, i, NAN, 1);
            entry_ends(task, base, i, INFINITY, 1);
            entry_ends(task, base, i, -INFINITY, 1);
            if (i > 0) {
                entry_ends(task, base, i, 1e30f, 0);
            }
        }
    }
}

static void humanoid_ends_low_or_high(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int done_at_limit;
    } variants[] = {{"humanoid", 1}, {"humanoid_truncated_obs", 0}, {"humanoid_v5", 1}};
    for (int k = 0; k < 3; k++) {
        const struct task *task = task_find(variants[k].name);
        const float base[TASK_OBS_DIM_MAX] = {1.4f, 1.0f};
        entry_ends(task, base, 0, 1.0f, variants[k].done_at_limit);
        entry_ends(task, base, 0, 2.0f, variants[k].done_at_limit);
        entry_ends(task, base, 0, nextafterf(1.0f, 0.0f), 1);
        entry_ends(task, base, 0, nextafterf(1.0f, 2.0f), 0);
        entry_ends(task, base, 0, nextafterf(2.0f, 1.0f), 0);
        entry_ends(task, base, 0, nextafterf(2.0f, 3.0f), 1);
        entry_ends(task, base, 0, NAN, 1);
        entry_ends(task, base, task->obs_dim - 1, 1e30f, 0); // only the height matters
    }
}

// NaN terminates in every task that can terminate; nothing is written beyond the
// batch. (test_rules.c judges batches of real observations.)
static void nan_ends_whatever_can_end(void **state) {
    (void)state;
    static float obs[7 * TASK_OBS_DIM_MAX];
    for (size_t i = 0; i < sizeof obs / sizeof obs[0]; i++) {
        obs[i] = NAN;
    }
    for (int k = 0; k < task_count(); k++) {
        const struct task *task = task_at(k);
        uint8_t done[9];
        memset(done, 77, sizeof done);
        task_terminated(task, done + 1, obs, 7);
        for (int b = 0; b < 7; b++) {
            assert_int_equal(done[1 + b], task->terminated != NULL);
        }
        assert_int_equal(done[0], 77);
        assert_int_equal(done[8], 77);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_in_any_spelling),
        cmocka_unit_test(other_names_are_not),
        cmocka_unit_test(the_nearest_name_is_offered),
        cmocka_unit_test(inverted_pendulum_ends_by_angle),
        cmocka_unit_test(hopper_ends_low_leaning_or_huge),
        cmocka_unit_test(inverted_double_pendulum_ends_low),
        cmocka_unit_test(walker2d_ends_low_high_or_leaning),
        cmocka_unit_test(ant_ends_low_high_or_not_finite),
        cmocka_unit_test(humanoid_ends_low_or_high),
        cmocka_unit_test(nan_ends_whatever_can_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
