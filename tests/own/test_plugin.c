// SPDX-License-Identifier: MIT
// Shows that a plug-in is used as it declares (dimensions, bounds, time limit, ranges, seeds), and
// that every fault is refused by name or makes the step bad: the variants of faulty.c. Both in a
// process of its own and in this one, with equal numbers; and that in its own process a plug-in
// changes nothing here and may crash, exit or hang.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "common/base/log.h"

static char err[1024];
static bool shared; // the plug-ins of this test are loaded into this process
static int log_fd;

// What was logged since the last call.
static const char *logged(void) {
    static char text[1 << 16];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    assert_int_equal(ftruncate(log_fd, 0), 0);
    return text;
}

static void assert_logged(const char *words) {
    const char *said = logged();
    if (!strstr(said, words)) {
        fail_msg("expected \"%s\" in:\n%s", words, said);
    }
}

static int in_a_process(void **state) {
    (void)state;
    shared = false;
    return 0;
}

static int in_this_process(void **state) {
    (void)state;
    shared = true;
    return 0;
}

static const char *plugin(const char *fault) {
    static char path[4096];
    const char *build = getenv("SPUR_BUILD_ROOT");
    snprintf(path, sizeof(path), "%s/tests/faulty_%s.so", build ? build : ".", fault);
    return path;
}

static struct env *make(struct env_own *file, const char *path) {
    if (env_own_read(file, &(struct env_spec){.env = path, .shared = shared}, err, sizeof(err)) <
        0) {
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
    assert_int_equal(env_in_process(&file.task), !shared);
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
        struct env_spec spec = {.env = plugin(wanted[i].fault), .shared = shared};
        assert_int_equal(env_own_read(&file, &spec, err, sizeof(err)), -1);
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

// The same seeds and actions give the same numbers, to the bit, in both places.
static void both_places_give_equal_numbers(void **state) {
    (void)state;
    static struct env_own files[2];
    struct env *envs[2];
    for (int i = 0; i < 2; i++) {
        shared = i == 1;
        envs[i] = make(&files[i], plugin("none"));
    }
    assert_memory_equal(files[0].task.range, files[1].task.range, sizeof(files[0].task.range));
    for (uint64_t episode = 0; episode < 3; episode++) {
        struct rng rngs[2] = {rng_make(7, RNG_TEST, episode), rng_make(7, RNG_TEST, episode)};
        struct rng acts = rng_make(8, RNG_TEST, episode);
        bool over = false;
        env_reset(envs[0], &rngs[0]);
        env_reset(envs[1], &rngs[1]);
        assert_memory_equal(&rngs[0], &rngs[1], sizeof(rngs[0]));
        while (!over) {
            float act[2] = {(float)rng_range(&acts, -1, 1), (float)rng_range(&acts, -1, 1)};
            double obs[2][2];
            struct env_step steps[2];
            for (int i = 0; i < 2; i++) {
                env_obs_f64(envs[i], obs[i]);
                steps[i] = env_step(envs[i], act);
            }
            assert_memory_equal(obs[0], obs[1], sizeof(obs[0]));
            assert_true(steps[0].reward == steps[1].reward &&
                        steps[0].terminated == steps[1].terminated &&
                        steps[0].truncated == steps[1].truncated);
            over = steps[0].terminated || steps[0].truncated;
        }
    }
    env_destroy(&envs[0]);
    env_destroy(&envs[1]);
}

struct process_state {
    char dir[4096], locale[256];
    const char *variable;
    void (*handlers[NSIG])(int);
    sigset_t mask;
    mode_t umask;
    int rounding, in, out;
};

static void read_state(struct process_state *s) {
    memset(s, 0, sizeof(*s));
    assert_non_null(getcwd(s->dir, sizeof(s->dir)));
    snprintf(s->locale, sizeof(s->locale), "%s", setlocale(LC_ALL, NULL));
    s->variable = getenv("LC_ALL");
    for (int i = 1; i < NSIG; i++) {
        struct sigaction action;
        s->handlers[i] = sigaction(i, NULL, &action) == 0 ? action.sa_handler : NULL;
    }
    sigprocmask(SIG_BLOCK, NULL, &s->mask);
    s->umask = umask(0);
    umask(s->umask);
    s->rounding = fegetround();
    s->in = fcntl(STDIN_FILENO, F_GETFD);
    s->out = fcntl(STDOUT_FILENO, F_GETFD);
}

static void nothing_here_is_changed(void **state) {
    (void)state;
    static struct env_own file;
    static struct process_state before, after;
    static const float act[2] = {0, 0};
    struct rng rng = rng_make(2, RNG_TEST, 0);
    unsetenv("LC_ALL");
    read_state(&before);
    struct env *env = make(&file, plugin("meddles"));
    env_reset(env, &rng);
    for (int i = 0; i < 10; i++) {
        assert_false(env_step(env, act).bad);
    }
    env_destroy(&env);
    read_state(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_logged("]: a banner");
}

// The third step ends or stops the process: it is bad, and the next episode is as good as the
// first.
static void its_process_may_end(void **state) {
    (void)state;
    static const struct {
        const char *fault, *words;
    } wanted[] = {
        {"crashes", "was killed by signal 11 (Segmentation fault) before it answered STEP"},
        {"exits", "the process ended with code 0 before it answered STEP"},
        {"hangs", "no answer to STEP in time (task.env_timeout_s)"},
    };
    static struct env_own file;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct env *env = make(&file, plugin(wanted[i].fault));
        env_destroy(&env);
        file.task.env_timeout_s = 0.5;
        env = env_create(&file.task, err, sizeof(err));
        assert_non_null(env);
        for (int episode = 0; episode < 2; episode++) {
            assert_int_equal(first_bad(env), 3);
        }
        env_destroy(&env);
        assert_logged(wanted[i].words);
    }
}

int main(void) {
    char path[] = "/tmp/spur-test-plugin-XXXXXX";
    log_fd = mkstemp(path);
    unlink(path);
    if (log_fd < 0 || fcntl(log_fd, F_SETFL, O_APPEND) < 0) {
        return 1;
    }
    log_init("test", LOG_INFO, log_fd);
#define IN_BOTH(test)                                                                              \
    cmocka_unit_test_setup(test, in_a_process), cmocka_unit_test_setup(test, in_this_process)
    const struct CMUnitTest tests[] = {
        IN_BOTH(steps_as_it_says),
        IN_BOTH(what_is_wrong_is_refused),
        IN_BOTH(what_goes_wrong_makes_the_step_bad),
        IN_BOTH(a_file_that_changed_is_noticed),
        cmocka_unit_test(both_places_give_equal_numbers),
        cmocka_unit_test_setup(nothing_here_is_changed, in_a_process),
        cmocka_unit_test_setup(its_process_may_end, in_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
