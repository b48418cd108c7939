// SPDX-License-Identifier: MIT
// Tests every task beyond the reference trajectories: scaling and clipping of
// actions, the time limit, and failures of the simulator. (test_starts.c: start
// states; test_rules.c: termination.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "actor/env/mujoco_internal.h"
#include "common/base/file.h"
#include "common/base/rng.h"

#define SEED 20260131
#define STATE_MAX 64

struct state {
    double qpos[STATE_MAX], qvel[STATE_MAX];
};

static struct env *create(const struct task *task) {
    char err[256];
    struct env *env = env_create(task, err, sizeof err);
    if (env == NULL) {
        fail_msg("%s", err);
    }
    assert_true(env_dims(env).nq <= STATE_MAX && env_dims(env).nv <= STATE_MAX);
    return env;
}

static struct state state_of(const struct env *env) {
    struct state s = {0};
    env_get_state(env, s.qpos, s.qvel);
    return s;
}

static void random_action(float *action, int n, struct rng *rng) {
    for (int i = 0; i < n; i++) {
        action[i] = (float)rng_range(rng, -1.0, 1.0);
    }
}

// ---- reproducibility ----

static void same_seed_same_bits(void **state) {
    (void)state;
    for (int k = 0; k < task_count(); k++) {
        struct state last[2];
        for (int run = 0; run < 2; run++) {
            struct env *env = create(task_at(k));
            struct rng reset = rng_make(SEED, RNG_ENV_RESET, 3),
                       noise = rng_make(SEED, RNG_TEST, 0);
            float action[TASK_ACT_DIM_MAX];
            env_reset(env, &reset);
            for (int t = 0; t < 500; t++) {
                random_action(action, task_at(k)->act_dim, &noise);
                struct env_step step = env_step(env, action);
                if (step.terminated || step.truncated) {
                    env_reset(env, &reset);
                }
            }
            last[run] = state_of(env);
            env_destroy(&env);
        }
        assert_memory_equal(&last[0], &last[1], sizeof last[0]);
    }
}

// ---- actions ----

// One step from the same start: env_step with every action set to `action`, or
// env_step_raw with `ctrl`.
static struct env_step step_once(struct state *after, struct env *env, const float *action,
                                 const double *ctrl) {
    struct rng rng = rng_make(SEED, RNG_ENV_RESET, 1);
    float a[TASK_ACT_DIM_MAX];
    double c[TASK_ACT_DIM_MAX];
    for (int i = 0; i < TASK_ACT_DIM_MAX; i++) {
        a[i] = action != NULL ? *action : 0.0f;
        c[i] = ctrl != NULL ? *ctrl : 0.0;
    }
    env_reset(env, &rng);
    struct env_step step = action != NULL ? env_step(env, a) : env_step_raw(env, c);
    *after = state_of(env);
    return step;
}

static void actions_are_scaled_and_clipped(void **state) {
    (void)state;
    for (int k = 0; k < task_count(); k++) {
        const struct task *task = task_at(k);
        struct env *env = create(task);
        static const float actions[] = {-1.0f, -0.3f, 0.0f, 1e-30f, 0.77f, 1.0f, 2.5f, -1e30f};
        for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
            float clipped = fminf(fmaxf(actions[i], -1.0f), 1.0f);
            double ctrl = (double)clipped * (double)task->act_high;
            struct state ours, raw;
            struct env_step a = step_once(&ours, env, &actions[i], NULL);
            struct env_step b = step_once(&raw, env, NULL, &ctrl);
            assert_memory_equal(&ours, &raw, sizeof ours);
            assert_true(a.reward == b.reward && !a.bad && !b.bad);
        }
        env_destroy(&env);
    }
}

// Outside of the range the simulator clamps the controls, but the reward uses the
// action as given.
static void raw_actions_cost_as_given(void **state) {
    (void)state;
    struct env *env = create(task_find("hopper"));
    struct state at_bound, beyond;
    double one = 1.0, two = 2.0;
    struct env_step a = step_once(&at_bound, env, NULL, &one);
    struct env_step b = step_once(&beyond, env, NULL, &two);
    assert_memory_equal(&at_bound, &beyond, sizeof beyond);
    assert_true(fabs((a.reward - b.reward) - 1e-3 * (3 * 4 - 3 * 1)) < 1e-13);
    env_destroy(&env);
}

// ---- the time limit ----

// Steps with zero actions until the end; returns their number and the last step.
static int run_to_end(struct env_step *last, struct env *env, int limit) {
    struct rng rng = rng_make(SEED, RNG_ENV_RESET, 2);
    float action[TASK_ACT_DIM_MAX] = {0};
    env_reset(env, &rng);
    for (int t = 1; t <= limit; t++) {
        *last = env_step(env, action);
        if (last->terminated || last->truncated) {
            return t;
        }
    }
    return -1;
}

static void time_runs_out_unless_the_task_ends_first(void **state) {
    (void)state;
    int falls = 0;
    for (int k = 0; k < task_count(); k++) {
        struct task task = *task_at(k); // with another horizon
        struct env_step last;
        struct env *env = create(&task);
        int fall = run_to_end(&last, env, task.horizon + 1);
        if (!last.terminated) { // no termination, or it stands still (ant)
            assert_int_equal(fall, task.horizon);
            assert_true(last.truncated);
            env_destroy(&env);
            continue;
        }
        falls++;
        assert_true(fall > 2 && fall < task.horizon && task.terminated != NULL);
        assert_false(last.truncated);

        task.horizon = fall; // both at once: termination takes precedence
        assert_int_equal(run_to_end(&last, env, 1000), fall);
        assert_true(last.terminated && !last.truncated);

        task.horizon = fall - 1;
        assert_int_equal(run_to_end(&last, env, 1000), fall - 1);
        assert_true(!last.terminated && last.truncated);
        env_destroy(&env);
    }
    assert_true(falls >= 11);
}

// A pole balanced by a controller for a whole episode is truncated at step 1000
// and not before. The last observation is the state reached, not a new start.
static void a_whole_episode_ends_with_its_true_observation(void **state) {
    (void)state;
    const struct task *task = task_find("inverted_pendulum");
    struct env *env = create(task);
    struct rng rng = rng_make(SEED, RNG_ENV_RESET, 5);
    env_reset(env, &rng);
    struct rng untouched = rng;
    double episode_return = 0;
    for (int t = 1; t <= 1000; t++) {
        double o[4];
        env_obs_f64(env, o);
        // Gains found by trial; the cart moves to 0.3, far from every start state.
        float action = (float)((0.6 * (o[0] - 0.3) + 9.0 * o[1] + 1.0 * o[2] + 1.6 * o[3]) / 3.0);
        struct env_step step = env_step(env, &action);
        episode_return += step.reward;
        assert_false(step.terminated || step.bad);
        assert_int_equal(step.truncated, t == 1000);
    }
    assert_true(episode_return == 1000.0);
    struct state s = state_of(env);
    float obs[4];
    env_obs(env, obs);
    assert_true(obs[0] == (float)s.qpos[0] && obs[1] == (float)s.qpos[1]);
    assert_true(obs[2] == (float)s.qvel[0] && obs[3] == (float)s.qvel[1]);
    assert_true(obs[0] > 0.1f);
    // No start state was sampled, and a reset restarts the time limit.
    assert_memory_equal(&rng, &untouched, sizeof rng);
    env_reset(env, &rng);
    float zero = 0;
    assert_false(env_step(env, &zero).truncated);
    env_destroy(&env);
}

// ---- failures of the simulator ----

// Whether a coordinate of qpos belongs to the rotation of a free root.
static bool is_quaternion(const struct env *env, int i) {
    double type = -1;
    env_model_values(&type, 1, env, "jnt_type");
    return type == mjJNT_FREE && i >= 3 && i < 7;
}

static void a_broken_simulation_is_reported(void **state) {
    (void)state;
    static const double poison[] = {NAN, INFINITY, -INFINITY, 1e11, -1e300};
    for (int k = 0; k < task_count(); k++) {
        struct env *env = create(task_at(k));
        struct env_dims dims = env_dims(env);
        struct rng rng = rng_make(SEED, RNG_ENV_RESET, 6);
        float zero[TASK_ACT_DIM_MAX] = {0};
        for (int i = 0; i < dims.nq + dims.nv; i++) {
            for (size_t j = 0; j < sizeof poison / sizeof poison[0]; j++) {
                env_reset(env, &rng);
                assert_false(env_step(env, zero).bad);
                struct state s = state_of(env);
                *(i < dims.nq ? &s.qpos[i] : &s.qvel[i - dims.nq]) = poison[j];
                if (is_quaternion(env, i) && isfinite(poison[j])) {
                    continue; // MuJoCo normalises it
                }
                env_set_state(env, s.qpos, s.qvel);
                // MuJoCo has restored its state by now; the flag remains.
                assert_true(env_step(env, zero).bad);
                assert_true(env_step(env, zero).bad);
            }
        }
        for (int i = 0; i < dims.nu; i++) {
            float action[TASK_ACT_DIM_MAX] = {0};
            action[i] = NAN;
            env_reset(env, &rng);
            assert_true(env_step(env, action).bad);
        }
        env_reset(env, &rng);
        assert_false(env_step(env, zero).bad);
        env_destroy(&env);
    }
    // By default MuJoCo logs each of these to a file in the current folder.
    assert_false(file_exists("MUJOCO_LOG.TXT"));
}

// An error inside MuJoCo, which would end the process, makes the step bad.
static void fail_inside(const mjModel *model, mjData *data) {
    (void)model;
    (void)data;
    mju_error("broken on purpose");
}

static void an_error_inside_mujoco_is_survived(void **state) {
    (void)state;
    for (int k = 0; k < task_count(); k++) {
        struct env *env = create(task_at(k));
        struct rng rng = rng_make(SEED, RNG_ENV_RESET, 8);
        float zero[TASK_ACT_DIM_MAX] = {0};
        env_reset(env, &rng);
        mjcb_passive = fail_inside;
        assert_true(env_step(env, zero).bad);
        env_reset(env, &rng); // fails as well
        mjcb_passive = NULL;
        assert_true(env_step(env, zero).bad);
        // The next episode is normal.
        struct rng again = rng;
        env_reset(env, &rng);
        assert_false(env_step(env, zero).bad);
        struct state after = state_of(env);
        struct env *fresh = create(task_at(k));
        env_reset(fresh, &again);
        env_step(fresh, zero);
        struct state expected = state_of(fresh);
        assert_memory_equal(&after, &expected, sizeof after);
        env_destroy(&env);
        env_destroy(&fresh);
    }
    assert_false(file_exists("MUJOCO_LOG.TXT"));
}

static void a_task_without_environment_is_refused(void **state) {
    (void)state;
    struct task task = *task_at(0);
    task.name = "juggler";
    char err[256] = "";
    assert_null(env_create(&task, err, sizeof err));
    assert_non_null(strstr(err, "juggler"));
}

// ---- Gymnasium's v5 classes ----

// The observation of v5 is that of v4 without the numbers that are always 0.
static void v5_observes_the_same_without_zeros(void **state) {
    (void)state;
    static const char *const names[] = {"inverted_double_pendulum", "reacher"};
    for (int k = 0; k < 2; k++) {
        const struct task *v4 = task_find(names[k]);
        char name[64];
        snprintf(name, sizeof name, "%s-v5", names[k]);
        const struct task *v5 = task_find(name);
        assert_true(v5->obs_dim < v4->obs_dim);
        struct env *env[2] = {create(v4), create(v5)};
        struct rng noise = rng_make(SEED, RNG_EXPLORE, 9);
        for (int i = 0; i < 2; i++) {
            struct rng reset = rng_make(SEED, RNG_ENV_RESET, 9);
            env_reset(env[i], &reset);
        }
        for (int t = 0; t < 40; t++) {
            float action[TASK_ACT_DIM_MAX];
            double obs[2][TASK_OBS_DIM_MAX];
            random_action(action, v4->act_dim, &noise);
            for (int i = 0; i < 2; i++) {
                env_step(env[i], action);
                env_obs_f64(env[i], obs[i]);
            }
            assert_memory_equal(obs[0], obs[1], (size_t)v5->obs_dim * sizeof(double));
            for (int i = v5->obs_dim; i < v4->obs_dim; i++) {
                assert_true(obs[0][i] == 0.0);
            }
        }
        env_destroy(&env[0]);
        env_destroy(&env[1]);
    }
}

// ---- velocities that are not clipped ----

// Both tasks are in the same state, and their observations are its numbers after the first: as
// they are, and with velocities within 10. Returns the largest velocity that was observed.
static double compare_observations(struct env *const env[2], int obs_dim) {
    struct state s = state_of(env[0]), unclipped = state_of(env[1]);
    double obs[2][TASK_OBS_DIM_MAX], largest = 0;
    assert_memory_equal(&s, &unclipped, sizeof s);
    env_obs_f64(env[0], obs[0]);
    env_obs_f64(env[1], obs[1]);
    int angles = env_dims(env[0]).nq - 1;
    for (int i = 0; i < obs_dim; i++) {
        double x = i < angles ? s.qpos[i + 1] : s.qvel[i - angles];
        assert_true(obs[0][i] == (i < angles ? x : fmin(fmax(x, -10.0), 10.0)));
        assert_true(obs[1][i] == x);
        largest = i < angles ? largest : fmax(largest, fabs(x));
    }
    return largest;
}

// A start state with one joint in fast motion.
static void start_fast(struct env *env, struct rng *rng) {
    env_reset(env, rng);
    struct state s = state_of(env);
    s.qvel[env_dims(env).nv - 1] = 30.0;
    env_set_state(env, s.qpos, s.qvel);
}

// Steps both tasks alongside. States, rewards and ends are equal to the bit, so parity with
// Gymnasium's class holds for both. Returns the largest velocity that was observed.
static double step_alongside(const struct task *clipped, const struct task *unclipped) {
    struct env *env[2] = {create(clipped), create(unclipped)};
    struct rng noise = rng_make(SEED, RNG_EXPLORE, 10);
    struct rng reset[2] = {rng_make(SEED, RNG_ENV_RESET, 10), rng_make(SEED, RNG_ENV_RESET, 10)};
    double largest = 0;
    bool ended = true;
    for (int t = 0; t < 1000; t++) {
        for (int i = 0; i < 2 && ended; i++) {
            start_fast(env[i], &reset[i]);
        }
        largest = fmax(largest, compare_observations(env, clipped->obs_dim));
        float action[TASK_ACT_DIM_MAX];
        random_action(action, clipped->act_dim, &noise);
        struct env_step a = env_step(env[0], action), b = env_step(env[1], action);
        assert_true(a.reward == b.reward && a.terminated == b.terminated);
        ended = a.terminated || a.truncated;
    }
    env_destroy(&env[0]);
    env_destroy(&env[1]);
    return largest;
}

static void unclipped_differs_in_large_velocities_alone(void **state) {
    (void)state;
    static const char *const names[][2] = {{"hopper", "hopper_unclipped"},
                                           {"walker2d", "walker2d_unclipped"}};
    for (int k = 0; k < 2; k++) {
        const struct task *clipped = task_find(names[k][0]), *unclipped = task_find(names[k][1]);
        assert_int_equal(unclipped->clips, 0); // predictions are not clipped either
        assert_int_equal(clipped->obs_dim, unclipped->obs_dim);
        double largest = step_alongside(clipped, unclipped);
        print_message("%s: velocities up to %.1f\n", names[k][1], largest);
        assert_true(largest > 10.0);
    }
}

int main(void) {
    // An empty folder, to detect files that are written.
    char dir[] = "/tmp/test_env.XXXXXX";
    if (mkdtemp(dir) == NULL || chdir(dir) != 0) {
        perror(dir);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(actions_are_scaled_and_clipped),
        cmocka_unit_test(raw_actions_cost_as_given),
        cmocka_unit_test(time_runs_out_unless_the_task_ends_first),
        cmocka_unit_test(a_whole_episode_ends_with_its_true_observation),
        cmocka_unit_test(a_broken_simulation_is_reported),
        cmocka_unit_test(an_error_inside_mujoco_is_survived),
        cmocka_unit_test(a_task_without_environment_is_refused),
        cmocka_unit_test(v5_observes_the_same_without_zeros),
        cmocka_unit_test(unclipped_differs_in_large_velocities_alone),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink("MUJOCO_LOG.TXT");
    rmdir(dir);
    return failed;
}
