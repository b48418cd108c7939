// SPDX-License-Identifier: MIT
// Shows that an environment in another process is stepped like any other, with a minimal child
// (env_child.py) and with the Python runner (process_envs.py). Every fault of such a process is an
// error message at the start and a bad step later, never a hang, a crash or a row.
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "actor/env/env_factory.h"
#include "actor/env/process/env_process.h"
#include "common/base/clock.h"
#include "common/base/log.h"

static struct env_own own;
static char folder[512], err[1024], text[1 << 18];
static int log_fd;

// What was logged since the last call.
static const char *logged(void) {
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    assert_int_equal(ftruncate(log_fd, 0), 0);
    return text;
}

static void assert_said(const char *said, const char *words) {
    if (!strstr(said, words)) {
        fail_msg("expected \"%s\" in:\n%s", words, said);
    }
}

static struct env_spec spec_of(const char *env) {
    return (struct env_spec){.env = env, .dir = folder, .timeout_s = 5};
}

static int read_own(const char *env, double timeout_s) {
    struct env_spec spec = spec_of(env);
    spec.timeout_s = timeout_s;
    logged();
    return env_own_read(&own, &spec, err, sizeof(err));
}

static const char *child(const char *fault) {
    static char command[256];
    snprintf(command, sizeof(command), "python3 -S -E env_child.py %s", fault);
    return command;
}

static struct env *make(const char *env, double timeout_s) {
    if (read_own(env, timeout_s) < 0) {
        fail_msg("%s: %s", env, err);
    }
    struct env *made = env_create(&own.task, err, sizeof(err));
    if (!made) {
        fail_msg("%s: %s", env, err);
    }
    return made;
}

static void reset(struct env *env, uint64_t episode, double obs[2]) {
    struct rng rng = rng_make(1, RNG_ENV_RESET, episode);
    env_reset(env, &rng);
    env_obs_f64(env, obs);
}

static struct env_step act(struct env *env, float action, double obs[2]) {
    struct env_step step = env_step(env, &action);
    env_obs_f64(env, obs);
    return step;
}

// One whole episode of the counter. Its end is terminated unless said otherwise.
static void assert_episode(struct env *env, bool truncates) {
    double first[2], obs[2];
    reset(env, 5, first);
    assert_true(first[0] >= 0 && first[0] < 2147483648.0 && first[0] == floor(first[0]));
    assert_float_equal(first[1], 0, 0);
    for (int i = 1; i <= 7; i++) {
        struct env_step step = act(env, i == 1 ? -1.0f : i == 2 ? 1.0f : 0.5f, obs);
        assert_false(step.bad);
        // -1 and 1 are the bounds, -1 and 3.
        assert_float_equal(step.reward, i == 1 ? -1 : i == 2 ? 3 : 2, 0);
        assert_float_equal(obs[0], first[0], 0);
        assert_float_equal(obs[1], i, 0);
        assert_int_equal(step.terminated, i == 7 && !truncates);
        assert_int_equal(step.truncated, i == 7 && truncates);
    }
}

static void test_command(void **state) {
    (void)state;
    struct env *env = make(child("none"), 5);
    assert_string_equal(own.name, "child");
    assert_string_equal(own.note, "a note");
    assert_true(own.task.obs_dim == 2 && own.task.act_dim == 1 && own.task.horizon == 50);
    assert_episode(env, false);
    double a[2], b[2], c[2];
    reset(env, 8, a); // in the middle of nothing
    reset(env, 9, b);
    reset(env, 8, c);
    assert_true(a[0] == c[0] && a[0] != b[0]);
    env_destroy(&env);
    assert_said(logged(), "]: closed");

    env = make(child("truncates"), 5);
    assert_episode(env, true);
    env_destroy(&env);
    env = make(child("trickle"), 5); // a reply in single bytes
    assert_episode(env, false);
    env_destroy(&env);
    env = make("FOO=1 python3 env_child.py none; true", 5); // a line of the shell
    assert_episode(env, false);
    env_destroy(&env);
}

static void test_horizon(void **state) {
    (void)state;
    double obs[2];
    read_own(child("none"), 5);
    struct task shorter = own.task;
    shorter.horizon = 3;
    struct env *env = env_create(&shorter, err, sizeof(err));
    assert_non_null(env);
    for (uint64_t episode = 0; episode < 2; episode++) {
        reset(env, episode, obs);
        assert_false(act(env, 0, obs).truncated || act(env, 0, obs).truncated);
        assert_true(act(env, 0, obs).truncated);
    }
    env_destroy(&env);
    shorter.obs_dim = 3;
    assert_null(env_create(&shorter, err, sizeof(err)));
    assert_said(err, "has 2 observations and 1 actions, but the run's task child has 3 and 1");
    assert_int_equal(read_own(child("no_horizon"), 5), 0);
    assert_int_equal(own.task.horizon, 0);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *fault, *words;
    } wanted[] = {
        {"version", "version 2 of the protocol, this program version 1"},
        {"obs_dim", "513 observations"},
        {"act_dim", "0 actions"},
        {"horizon", "2000000000 steps"},
        {"bounds", "the bounds of action 0 are -1 to inf"},
        {"order", "the bounds of action 0 are 3 to 3"},
        {"name", "its name is \"../etc\""},
        {"name_nul", "its name is \"a\""},
        {"name_length", "too few for 1 actions and a name"},
        {"exit_make", "the process ended with code 3 before it answered MAKE"},
        {"garbage_make", "is not a frame of the protocol"},
        {"short_make", "fewer than its head"},
        {"error_make", "make failed: KeyError: 'motor'"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_int_equal(read_own(child(wanted[i].fault), 5), -1);
        assert_said(err, wanted[i].words);
        const char *said = logged();
        if (strcmp(wanted[i].fault, "exit_make") == 0) {
            assert_said(said, "]: no such device");
        } else if (strcmp(wanted[i].fault, "error_make") == 0) {
            assert_said(said, "]:   File \"x.py\", line 7");
        }
    }
    uint64_t before_ms = clock_ms();
    assert_int_equal(read_own(child("hang_make"), 0.3), -1);
    assert_said(err, "no answer to MAKE in time (task.env_timeout_s)");
    assert_true(clock_ms() - before_ms < 3000);
    assert_int_equal(read_own("no_such_program --at all", 5), -1);
    assert_said(err, "neither a FILE.yaml or FILE.so nor python:MODULE:FUNCTION");
    assert_int_equal(read_own("there/is/none.yaml", 5), -1);
    assert_said(err, "the environment's file is not there");
    struct env_spec spec = {.env = child("none"), .dir = "/nonexistent"};
    assert_int_equal(env_own_read(&own, &spec, err, sizeof(err)), -1);
    assert_said(err, "task.env_dir");
}

// A process that is killed before it answers is started again, twice.
static void test_killed_starts(void **state) {
    (void)state;
    char path[] = "/tmp/spur-kills-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    setenv("SPUR_TEST_KILLS", path, 1);
    assert_int_equal(read_own(child("killed_make_2"), 20), 0);
    assert_said(logged(), "was killed by signal 9 (Killed) before it answered MAKE; it is started");
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(read_own(child("killed_make_3"), 20), -1);
    assert_said(err, "was killed by signal 9");
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 3);
    close(fd);
    unlink(path);
}

// The third step fails: it is bad, and the next episode runs in a new process.
static void test_failures(void **state) {
    (void)state;
    static const struct {
        const char *fault, *words;
    } wanted[] = {
        {"exit", "the process ended with code 3 before it answered STEP"},
        {"killed", "was killed by signal 9"},
        {"hang", "no answer to STEP in time"},
        {"chatter", "no answer to STEP in time"}, // prints all the time
        {"garbage", "is not a frame of the protocol"},
        {"giant", "is not a frame of the protocol"},
        {"short", "16 bytes, not the 32 of 2 observations"},
        {"long", "40 bytes, not the 32"},
        {"twice", "the process sent 40 bytes more than its answers"},
        {"type", "answered by a frame of type 16, not 17"},
        {"closes", "closed its end of the reply pipe"},
        {"grandchild", "the process ended with code 4"},
    };
    assert_int_equal(read_own(child("none"), 20), 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        double obs[2];
        bool hangs = strstr(wanted[i].words, "in time") != NULL;
        struct task task = own.task;
        task.env = child(wanted[i].fault);
        task.env_timeout_s = hangs ? 1.5 : 20;
        struct env *env = env_create(&task, err, sizeof(err));
        if (!env) {
            fail_msg("%s: %s", wanted[i].fault, err);
        }
        for (uint64_t episode = 0; episode < 2; episode++) {
            reset(env, episode, obs);
            assert_false(act(env, 0, obs).bad || act(env, 0, obs).bad);
            struct env_step step = act(env, 0, obs);
            if (!step.bad || step.broken || step.terminated || step.truncated) {
                fail_msg("%s, episode %llu: the step was not bad", wanted[i].fault,
                         (unsigned long long)episode);
            }
            assert_true(act(env, 0, obs).bad); // until the reset
        }
        env_destroy(&env);
        const char *said = logged();
        assert_said(said, wanted[i].words);
        assert_said(said, "is started again (failure 2 of 5)");
        if (strcmp(wanted[i].fault, "exit") == 0) {
            assert_said(said, "]: motor on fire"); // without an end of the line
        }
    }
}

// An ERROR in reply to STEP drops the episode; the process goes on, and a traceback is logged once.
static void test_errors(void **state) {
    (void)state;
    double obs[2];
    struct env *env = make(child("error"), 20);
    for (uint64_t episode = 0; episode < 10; episode++) {
        reset(env, episode, obs);
        assert_false(act(env, 0, obs).bad || act(env, 0, obs).bad);
        struct env_step step = act(env, 0, obs);
        assert_true(step.bad && !step.broken);
        assert_true(act(env, 0, obs).bad); // until the reset
    }
    env_destroy(&env);
    const char *said = logged();
    assert_null(strstr(said, "started again"));
    assert_said(said, "step failed: ZeroDivisionError: division by zero; the episode is dropped");
    const char *traceback = strstr(said, "]: Traceback");
    assert_non_null(traceback);
    assert_null(strstr(traceback + 1, "]: Traceback"));
}

// A number that is not finite is a bad step, but no fault of the process.
static void test_numbers(void **state) {
    (void)state;
    static const char *const faults[] = {"nan", "huge", "reward"};
    for (size_t i = 0; i < 3; i++) {
        double obs[2];
        struct env *env = make(child(faults[i]), 5);
        for (uint64_t episode = 0; episode < 10; episode++) {
            reset(env, episode, obs);
            assert_false(act(env, 0, obs).bad || act(env, 0, obs).bad);
            struct env_step step = act(env, 0, obs);
            assert_true(step.bad && !step.broken && isfinite(obs[1]));
        }
        env_destroy(&env);
        const char *said = logged();
        assert_said(said, "not finite");
        assert_null(strstr(said, "started again"));
    }
}

static void test_bound(void **state) {
    (void)state;
    double obs[2];
    struct env *env = make(child("exit"), 5);
    for (uint64_t episode = 0; episode < ENV_PROCESS_FAILURES_MAX; episode++) {
        reset(env, episode, obs);
        act(env, 0, obs);
        act(env, 0, obs);
        struct env_step step = act(env, 0, obs);
        assert_true(step.bad);
        assert_int_equal(step.broken, episode == ENV_PROCESS_FAILURES_MAX - 1);
    }
    assert_said(logged(), "the process is not started again");
    reset(env, 9, obs);
    assert_true(act(env, 0, obs).broken);
    env_destroy(&env);

    // With enough good steps between them failures do not add up.
    int failures = 0;
    bool begins = true;
    env = make(child("exit_rarely"), 5);
    for (uint64_t i = 0; failures < ENV_PROCESS_FAILURES_MAX + 1; i++) {
        if (begins) {
            reset(env, i, obs);
        }
        struct env_step step = act(env, 0, obs);
        assert_false(step.broken);
        failures += step.bad;
        begins = step.bad || step.terminated;
    }
    const char *said = logged();
    assert_said(said, "(failure 1 of 5)");
    assert_null(strstr(said, "failure 2"));
    float broken = NAN; // refused here, which is no failure of the process
    reset(env, 0, obs);
    assert_true(env_step(env, &broken).bad);
    assert_null(strstr(logged(), "failure"));
    env_destroy(&env);
}

static void test_prints(void **state) {
    (void)state;
    struct env *env = make(child("prints"), 5);
    assert_episode(env, false);
    env_destroy(&env);
    const char *said = logged();
    assert_said(said, "]: line 7 ?[31mred");
    assert_null(strstr(said, "]: line 1999"));
}

struct patience {
    int calls, calls_max;
};

static bool count(void *arg, uint64_t now_ms, uint64_t since_ms) {
    assert_true(since_ms < now_ms);
    struct patience *p = arg;
    return ++p->calls < p->calls_max;
}

// A wait calls the callback, and ends when the callback returns false.
static void test_wait(void **state) {
    (void)state;
    struct patience patience = {.calls_max = 1000000};
    double obs[2];
    struct env_wait wait = {.arg = &patience, .fn = count};
    read_own(child("hang"), 60);
    struct env *env = env_create_waiting(&own.task, &wait, err, sizeof(err));
    assert_non_null(env);
    reset(env, 0, obs);
    act(env, 0, obs);
    act(env, 0, obs);
    patience = (struct patience){.calls_max = 3};
    assert_true(act(env, 0, obs).bad);
    assert_int_equal(patience.calls, 3);
    assert_null(strstr(logged(), "failure")); // which is not held against the process
    env_destroy(&env);
}

static void test_pictures(void **state) {
    (void)state;
    struct env_picture picture;
    double obs[2];
    const char *const envs[] = {child("pictures"), "python:process_envs:Draws"};
    char first[256];
    snprintf(first, sizeof(first), "%s", envs[0]);
    for (int i = 0; i < 2; i++) {
        struct env *env = make(i == 0 ? first : envs[1], 5);
        assert_true(env_draws(env));
        assert_int_equal(env_prepare_pictures(env, err, sizeof(err)), 0);
        reset(env, 0, obs);
        if (env_draw(&picture, env, err, sizeof(err)) < 0) {
            fail_msg("%s", err);
        }
        assert_int_equal(picture.width, i == 0 ? 4 : 6);
        assert_int_equal(picture.height, i == 0 ? 3 : 4);
        assert_float_equal(picture.fps, i == 0 ? 25 : 20, 0);
        assert_int_equal(picture.rgb[35], 35);
        env_destroy(&env);
    }
    struct env *env = make(child("none"), 5);
    assert_int_equal(env_draw(&picture, env, err, sizeof(err)), -1);
    assert_said(err, "a picture of 4x3 in 43 bytes");
    env_destroy(&env);
    env = make("python:process_envs:Counter", 5);
    assert_int_equal(env_draw(&picture, env, err, sizeof(err)), -1);
    assert_said(err, "Counter has no render()");
    env_destroy(&env);
}

// A process that does not close is killed after a while, and nothing of it is left.
static void test_close(void **state) {
    (void)state;
    assert_int_equal(read_own(child("none"), 20), 0);
    struct task task = own.task;
    task.env = child("no_close");
    struct env *env = env_create(&task, err, sizeof(err));
    assert_non_null(env);
    uint64_t before_ms = clock_ms();
    env_destroy(&env);
    uint64_t took_ms = clock_ms() - before_ms;
    assert_true(took_ms >= ENV_PROCESS_GRACE_MS && took_ms < ENV_PROCESS_GRACE_MS + 2000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // no child of ours is left, of all tests
}

static void test_python(void **state) {
    (void)state;
    double obs[4];
    struct env *env = make("python:process_envs:Counter", 5);
    assert_string_equal(own.name, "process_envs");
    assert_int_equal(own.task.horizon, 50);
    assert_episode(env, false);
    env_destroy(&env);

    env = make("python:process_envs:Prints", 5);
    assert_episode(env, false);
    env_destroy(&env);
    assert_said(logged(), "]: step 4 of the user");

    env = make("python:process_envs:Nested", 5);
    assert_said(own.note, "4 numbers in this order: ['a']['x'] (1), ['a']['y'] (2), ['b'] (1)");
    reset(env, 0, obs);
    float action = 0;
    env_step(env, &action);
    env_obs_f64(env, obs);
    assert_true(obs[0] == 1 && obs[1] == 2 && obs[2] == 1 && obs[3] == 4);
    env_destroy(&env);

    env = make("python:process_envs:Raises", 5);
    reset(env, 0, obs);
    assert_false(act(env, 0, obs).bad || act(env, 0, obs).bad || act(env, 0, obs).bad);
    assert_true(act(env, 0, obs).bad);
    const char *said = logged();
    assert_said(said, "]: Traceback (most recent call last):");
    assert_said(said, "]: RuntimeError: the arm is stuck");
    assert_said(said, "step failed: RuntimeError: the arm is stuck; the episode is dropped");
    env_destroy(&env);

    static const struct {
        const char *name, *words;
    } shapes[] = {{"WrongShape", "returned an observation of 1 numbers; observation_space says 2"},
                  {"OldReset", "reset(seed=...) must return (obs, info)"}};
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof(name), "python:process_envs:%s", shapes[i].name);
        env = make(name, 5);
        reset(env, 0, obs);
        assert_true(act(env, 0, obs).bad);
        env_destroy(&env);
        const char *numpy = "returned an observation of shape (1,); observation_space says (2,)";
        said = logged();
        if (i == 1 || !strstr(said, numpy)) {
            assert_said(said, shapes[i].words);
        }
    }
}

static void test_python_refused(void **state) {
    (void)state;
    static const struct {
        const char *env, *words;
    } wanted[] = {
        {"python:process_envs", "expected python:MODULE:FUNCTION"},
        {"python:no_such_module:make", "there is no module no_such_module in "},
        {"python:process_envs:nothing", "process_envs has no nothing; it has "},
        {"python:process_envs:not_callable", "is of type int, which is not callable"},
        {"python:process_envs:fails", "make failed: OSError: no robot at 10.0.0.7"},
        {"python:process_envs:NoStep", "which has no step()"},
        {"python:process_envs:HalfOpen", "the bounds of action 0 are 0 to inf"},
        {"python:process_envs:Discrete", "spur learns continuous actions"},
        {"python:process_envs:Pixels", "these are pixels, from which spur does not learn"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_int_equal(read_own(wanted[i].env, 5), -1);
        assert_said(err, wanted[i].words);
    }
    assert_int_equal(read_own("python:process_envs:fails", 5), -1);
    const char *said = logged();
    assert_said(said, "process_envs.py\", line ");
    assert_null(strstr(said, "spur_env.py"));
    struct env_spec spec = spec_of("python:process_envs:Counter");
    spec.python = "/nonexistent/python3";
    assert_int_equal(env_own_read(&own, &spec, err, sizeof(err)), -1);
    assert_said(err, "task.env_python: /nonexistent/python3 is not a program");
}

// The process does not outlive the one that started it, even if that is killed while it hangs.
static void test_orphans(void **state) {
    (void)state;
    int pids[2];
    assert_int_equal(pipe(pids), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct env_spec spec = spec_of("python3 -c 'import os,time; print(\"pid\", os.getpid(), "
                                       "flush=True); time.sleep(1000)'");
        dup2(pids[1], 2);
        log_init("parent", LOG_INFO, -1);
        env_own_read(&own, &spec, err, sizeof(err));
        _exit(0);
    }
    close(pids[1]);
    char line[256] = "";
    size_t len = 0;
    while (len < sizeof(line) - 1 && !strchr(line, '\n')) {
        ssize_t n = read(pids[0], line + len, sizeof(line) - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    const char *at = strstr(line, "pid ");
    assert_non_null(at);
    pid_t pid = (pid_t)strtol(at + 4, NULL, 10);
    assert_int_equal(kill(pid, 0), 0);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) {
        usleep(10000);
        char stat[64], status[256] = "";
        snprintf(stat, sizeof(stat), "/proc/%d/stat", (int)pid);
        int fd = open(stat, O_RDONLY);
        if (fd >= 0) {
            assert_true(read(fd, status, sizeof(status) - 1) >= 0);
            close(fd);
        }
        if (strstr(status, ") Z ")) { // dead, and nobody here reaps it
            break;
        }
        assert_true(i < 499);
    }
    close(pids[0]);
}

int main(void) {
    char path[] = "/tmp/spur-test-process-XXXXXX";
    snprintf(folder, sizeof(folder), "%s/tests/own", getenv("SPUR_SOURCE_ROOT"));
    log_fd = mkstemp(path);
    unlink(path);
    if (log_fd < 0 || fcntl(log_fd, F_SETFL, O_APPEND) < 0) {
        return 1;
    }
    log_init("test", LOG_INFO, log_fd);
    unsetenv("VIRTUAL_ENV");
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),        cmocka_unit_test(test_horizon),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_killed_starts),
        cmocka_unit_test(test_killed_starts),  cmocka_unit_test(test_failures),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bound),          cmocka_unit_test(test_prints),
        cmocka_unit_test(test_wait),           cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_python),         cmocka_unit_test(test_close),
        cmocka_unit_test(test_python_refused), cmocka_unit_test(test_orphans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
