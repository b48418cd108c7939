// SPDX-License-Identifier: MIT
// Shows that a plug-in is used as it declares (dimensions, bounds, time limit,
// ranges, seeds), and that every fault is refused by name or makes the step bad:
// the variants of faulty.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"

static char err[1024];

static const char *plugin(const char *fault) {
    static char path[4096];
    const char *build = getenv("SPUR_BUILD_ROOT");
    snprintf(path, sizeof(path), "%s/tests/faulty_%s.so", build ? build : ".", fault);
    return path;
}

static struct env *make(struct env_own *file, const char *path) {
    if (env_own_read(file, &(struct env_spec){.env = path}, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
    struct env *env = env_create(&file->task, err, sizeof(err));
    if (!env) {
        fail_msg("%s", err);
    }
    return env;
}

static void steps_as_it_says(void **state) {
    (void)state;
    static struct env_own file;
    struct env *env = make(&file, plugin("none"));
    assert_string_equal(file.name, "counter");
    assert_int_equal(file.env[0], '/');
    assert_int_equal(file.task.obs_dim, 2);
    assert_int_equal(file.task.act_dim, 2);
    assert_int_equal(file.task.horizon, 10);
    assert_int_equal(file.task.ranges, 1);

    struct rng rng = rng_make(1, RNG_TEST, 0), again = rng;
    float first[2], obs[2], act[2] = {0.5f, 3};
    env_reset(env, &rng);
    env_obs(env, first);
    env_reset(env, &again);
    env_obs(env, obs);
    assert_memory_equal(first, obs, sizeof(obs)); // the seed decides
    env_reset(env, &rng);
    env_obs(env, obs);
    assert_true(first[1] != obs[1]);

    for (int i = 1; i <= 10; i++) {
        struct env_step step = env_step(env, act);
        env_obs(env, obs);
        assert_true(step.reward == i && !step.bad && !step.terminated);
        assert_int_equal(step.truncated, i == 10);
        assert_true(obs[0] == (float)i && obs[1] == 4.0f); // 0.5 of [-2, 6]
    }
    env_destroy(&env);

    // The run's own time limit, and the range that ends the episode: 50.
    struct task longer = file.task;
    longer.horizon = 1000;
    env = env_create(&longer, err, sizeof(err));
    assert_non_null(env);
    env_reset(env, &rng);
    int n = 1;
    for (struct env_step step = env_step(env, act); !step.terminated; n++) {
        assert_true(n < 1000);
        step = env_step(env, act);
    }
    assert_int_equal(n, 50);
    env_destroy(&env);
}

static void what_is_wrong_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *fault, *part;
    } wanted[] = {
        {"version", "version 99 of spur/env.h"},
        {"size", "(8 bytes)"},
        {"name", "spur_env.name is \"no/name\"; a name has letters"},
        {"obs_dim", "spur_env.obs_dim is 100000; it must be between 1 and 512"},
        {"act_dim", "spur_env.act_dim is 0; it must be between 1 and 64"},
        {"horizon", "spur_env.horizon is 0"},
        {"bounds", "the bounds of action 0 are -2 to -2"},
        {"range", "spur_env.range[0] is of observation 2; they are numbered 0 to 1"},
        {"function", "spur_env.step is not set"},
        {"symbol", "it exports no symbol spur_env"},
        {"create_fails", "the plug-in's create failed: no licence for the simulator"},
    };
    struct env_own file;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_int_equal(env_own_read(&file, &(struct env_spec){.env = plugin(wanted[i].fault)},
                                      err, sizeof(err)),
                         -1);
        if (!strstr(err, wanted[i].part) || !strstr(err, "faulty_")) {
            fail_msg("%s: says \"%s\", not \"%s\"", wanted[i].fault, err, wanted[i].part);
        }
    }
    assert_int_equal(
        env_own_read(&file, &(struct env_spec){.env = "/nonexistent.so"}, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "/nonexistent.so: the environment's file is not there"));
    assert_int_equal(env_own_read(&file, &(struct env_spec){.env = "/bin/sh"}, err, sizeof(err)),
                     -1);
    assert_non_null(strstr(err, "FILE.yaml"));
}

// The first bad step of an episode; 0: none within 20.
static int first_bad(struct env *env) {
    struct rng rng = rng_make(2, RNG_TEST, 0);
    static const float act[2] = {0, 0};
    float obs[2];
    env_reset(env, &rng);
    for (int i = 1; i <= 20; i++) {
        struct env_step step = env_step(env, act);
        env_obs(env, obs);
        assert_true(isfinite(step.reward) && isfinite(obs[0]) && isfinite(obs[1]));
        if (step.bad) {
            assert_true(env_step(env, act).bad); // until the next reset
            return i;
        }
    }
    return 0;
}

static void what_goes_wrong_makes_the_step_bad(void **state) {
    (void)state;
    static const struct {
        const char *fault;
        int step;
    } wanted[] = {
        {"none", 0},      {"nan_at_reset", 1}, {"nan_in_step", 3}, {"nan_reward", 1},
        {"unwritten", 1}, {"overrun", 1},      {"step_fails", 1},
    };
    static struct env_own file;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct env *env = make(&file, plugin(wanted[i].fault));
        for (int episode = 0; episode < 2; episode++) {
            int step = first_bad(env);
            if (step != wanted[i].step) {
                fail_msg("%s: step %d is bad, not %d", wanted[i].fault, step, wanted[i].step);
            }
        }
        env_destroy(&env);
    }
}

static void a_file_that_changed_is_noticed(void **state) {
    (void)state;
    static struct env_own file;
    struct env *env = make(&file, plugin("none"));
    env_destroy(&env);
    struct task other = file.task;
    other.obs_dim = 3;
    assert_null(env_create(&other, err, sizeof(err)));
    assert_non_null(strstr(err, "has 2 observations and 2 actions, but the run's task counter has "
                                "3 and 2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_as_it_says),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(what_goes_wrong_makes_the_step_bad),
        cmocka_unit_test(a_file_that_changed_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
