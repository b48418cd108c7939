// SPDX-License-Identifier: MIT
// Tests the configuration of a user environment: its description for processes that
// never load it, its validation, and the termination of predicted rows under each kind
// of termination.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/task/task.h"

static void configure(struct config *c, const char *const *assignments) {
    char err[512];
    config_defaults(c);
    for (; *assignments; assignments++) {
        if (config_set(c, *assignments, err, sizeof(err)) < 0) {
            fail_msg("%s", err);
        }
    }
    config_choose(c);
}

static const char *const pendulum[] = {"run.task=my_pendulum",
                                       "task.env=./pendulum.so",
                                       "task.obs_dim=4",
                                       "task.act_dim=1",
                                       "task.horizon=500",
                                       "task.healthy=[1, -0.2, 0.2]",
                                       NULL};

static void follows_the_configuration(void **state) {
    (void)state;
    struct config c;
    struct task t;
    char err[512];
    configure(&c, pendulum);
    assert_int_equal(config_check(&c, err, sizeof(err)), 0);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), 0);
    assert_string_equal(t.name, "my_pendulum");
    assert_int_equal(t.obs_dim, 4);
    assert_int_equal(t.act_dim, 1);
    assert_int_equal(t.horizon, 500);
}

static void expect_broken(const char *assignment, const char *part) {
    struct config c;
    char err[512];
    configure(&c, pendulum);
    assert_int_equal(config_set(&c, assignment, err, sizeof(err)), 0);
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    if (!strstr(err, part)) {
        fail_msg("%s: says \"%s\", not \"%s\"", assignment, err, part);
    }
}

static void incomplete_descriptions_are_refused(void **state) {
    (void)state;
    expect_broken("task.horizon=0", "needs all three");
    expect_broken("task.act_dim=0", "needs all three");
    expect_broken("task.healthy=[1, -0.2]", "each range needs 3");
    expect_broken("task.healthy=[4, -1, 1]",
                  "observation 4 does not exist; the indices are 0 to 3");
    expect_broken("task.healthy=[0.5, -1, 1]", "observation 0.5 does not exist");
    expect_broken("task.healthy=[1, 0.2, -0.2]",
                  "the lower bound 0.2 is not below the upper bound -0.2");
    expect_broken("task.env=\"\"", "need task.env");
    expect_broken("task.clipped=[1, 2, 10]", "each span needs 4");
    expect_broken("task.clipped=[3, 4, -1, 1]",
                  "observations 3 to 4 do not exist; the indices are 0 to 3");
    expect_broken("task.clipped=[2, 1, -1, 1]", "observations 2 to 1 do not exist");
    expect_broken("task.clipped=[0, 0.5, -1, 1]", "observations 0 to 0.5 do not exist");
    expect_broken("task.clipped=[0, 1, 1, -1]",
                  "the lower bound 1 is not below the upper bound -1");
}

static void names_do_not_clash(void **state) {
    (void)state;
    struct config c;
    struct task t;
    char err[2048];
    configure(&c, pendulum);
    assert_int_equal(config_set(&c, "run.task=Hopper-v4", err, sizeof(err)), 0);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "built-in"));
    config_defaults(&c);
    assert_int_equal(config_set(&c, "run.task=hoper", err, sizeof(err)), 0);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "did you mean hopper?"));
}

static void termination_is_the_rule_or_nothing(void **state) {
    (void)state;
    static const float obs[5][4] = {
        {0, 0.1f, 0, 0}, {0, 0.3f, 0, 0}, {0, -0.2f, 0, 0}, {9, 0, NAN, 0}, {0, NAN, 0, 0}};
    static const uint8_t by_range[5] = {0, 1, 1, 0, 1}, none[5] = {0};
    struct config c;
    struct task t;
    char err[512];
    uint8_t done[5];
    configure(&c, pendulum);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), 0);
    task_terminated(&t, done, obs[0], 5);
    assert_memory_equal(done, by_range, sizeof(done));
    t.termination = TASK_TERMINATION_NEVER;
    task_terminated(&t, done, obs[0], 5);
    assert_memory_equal(done, none, sizeof(done));

    config_defaults(&c); // a built-in task: its own rule, unless it is switched off
    assert_int_equal(config_set(&c, "run.task=hopper", err, sizeof(err)), 0);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), 0);
    float low[11] = {0.1f}, high[11] = {1.2f};
    task_terminated(&t, done, low, 1);
    task_terminated(&t, done + 1, high, 1);
    assert_int_equal(done[0], 1);
    assert_int_equal(done[1], 0);
    assert_int_equal(config_set(&c, "task.termination=never", err, sizeof(err)), 0);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), 0);
    task_terminated(&t, done, low, 1);
    assert_int_equal(done[0], 0);
}

static void predictions_are_clipped_where_the_task_clips(void **state) {
    (void)state;
    float obs[2][4] = {{-3, -3, 3, 3}, {0.5f, NAN, INFINITY, -0.5f}};
    struct config c;
    struct task t;
    char err[512];
    configure(&c, pendulum);
    assert_int_equal(config_set(&c, "task.clipped=[1, 2, -1, 2]", err, sizeof(err)), 0);
    assert_int_equal(config_check(&c, err, sizeof(err)), 0);
    assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), 0);
    task_clip(&t, obs[0], 2);
    static const float first[4] = {-3, -1, 2, 3};
    assert_memory_equal(obs[0], first, sizeof(first));
    assert_true(obs[1][0] == 0.5f && isnan(obs[1][1]) && isinf(obs[1][2]) && obs[1][3] == -0.5f);

    config_defaults(&c); // a built-in task that clips, unless it is switched off
    assert_int_equal(config_set(&c, "run.task=walker2d", err, sizeof(err)), 0);
    float walker[17];
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(task_from_config(&t, &c, err, sizeof(err)), 0);
        for (int i = 0; i < 17; i++) {
            walker[i] = i % 2 ? 11.0f : -11.0f;
        }
        task_clip(&t, walker, 1);
        for (int i = 0; i < 17; i++) {
            float bound = i >= 8 && pass == 0 ? 10.0f : 11.0f;
            assert_true(walker[i] == (i % 2 ? bound : -bound));
        }
        assert_int_equal(config_set(&c, "rollout.clip=false", err, sizeof(err)), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_configuration),
        cmocka_unit_test(incomplete_descriptions_are_refused),
        cmocka_unit_test(names_do_not_clash),
        cmocka_unit_test(termination_is_the_rule_or_nothing),
        cmocka_unit_test(predictions_are_clipped_where_the_task_clips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
