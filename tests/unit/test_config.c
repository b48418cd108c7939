// SPDX-License-Identifier: MIT
// Shows that a configuration is read exactly or refused with file, line, expected
// value and nearest key; that printing and reading gives the same bits; that the
// committed files have the paper's values and the documentation matches the table of
// keys; and that rollout length and discount follow their schedules.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/config/config.h"
#include "common/config/resume.h"

static char err[1024];

static int parse(struct config *c, const char *text) {
    config_defaults(c);
    err[0] = '\0';
    return config_parse(c, text, strlen(text), "t.yaml", err, sizeof(err));
}

static void expect_refusal(const char *text, const char *message) {
    struct config c, defaults;
    config_defaults(&defaults);
    int rc = parse(&c, text);
    if (rc != -1 || strcmp(err, message) != 0) {
        print_error("for:\n%s\nrefused with: %s\nexpected:     %s\n", text, rc ? err : "(not)",
                    message);
        fail();
    }
    assert_memory_equal(&c, &defaults, sizeof(c)); // no partial result
}

static void expect_set_refusal(const char *assignment, const char *message) {
    struct config c;
    config_defaults(&c);
    err[0] = '\0';
    assert_int_equal(config_set(&c, assignment, err, sizeof(err)), -1);
    assert_string_equal(err, message);
}

static char *source_path(const char *name) {
    static char path[1024];
    const char *root = getenv("SPUR_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/%s", root ? root : ".", name);
    return path;
}

static void defaults_hold(void **state) {
    (void)state;
    struct config c;
    config_defaults(&c);
    assert_string_equal(c.run.task, "");
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "run.task is empty: name a task"));
    assert_int_equal(config_set(&c, "run.task=hopper", err, sizeof(err)), 0);
    assert_int_equal(c.model.members, 7);
    assert_int_equal(c.model.weight_decay.n, 5);
    assert_true(c.model.weight_decay.v[0] == 2.5e-5);
    assert_true(c.sac.learning_rate == 3e-4);
    assert_int_equal(c.pacing.mode, PACING_RATIO);
    assert_true(c.run.stop_when_solved);
    // Nothing of a single task: a target return, its entropy, its schedules.
    assert_false(config_has_target(&c));
    assert_true(isnan(c.sac.target_entropy));
    assert_int_equal(config_rollout_length_max(&c), 1);
    assert_true(config_discount(&c, 0) == c.sac.discount);
    config_choose(&c);
    assert_int_equal(c.run.explore_steps, 5000);
    assert_int_equal(config_check(&c, err, sizeof(err)), 0);
}

// explore_steps 0 for a number of steps.
static uint64_t chosen_exploration(const char *steps) {
    struct config c;
    config_defaults(&c);
    assert_int_equal(config_set(&c, steps, err, sizeof(err)), 0);
    config_choose(&c);
    return c.run.explore_steps;
}

static void open_values_are_chosen(void **state) {
    (void)state;
    assert_int_equal(chosen_exploration("run.steps=1e6"), 5000);
    assert_int_equal(chosen_exploration("run.steps=1500"), 150);
    assert_int_equal(chosen_exploration("run.steps=5"), 2);

    struct config c;
    config_defaults(&c); // built in: its rule
    config_choose(&c);
    assert_int_equal(c.task.termination, TASK_TERMINATION_RULE);
    config_defaults(&c); // an environment without a rule: learned
    assert_int_equal(config_set(&c, "task.env=./x.so", err, sizeof(err)), 0);
    config_choose(&c);
    assert_int_equal(c.task.termination, TASK_TERMINATION_LEARNED);
    config_defaults(&c); // with one
    assert_int_equal(config_set(&c, "task.env=./x.so", err, sizeof(err)), 0);
    assert_int_equal(config_set(&c, "task.healthy=[0, 1, 2]", err, sizeof(err)), 0);
    config_choose(&c);
    assert_int_equal(c.task.termination, TASK_TERMINATION_RULE);
    config_defaults(&c); // as the user says
    assert_int_equal(config_set(&c, "task.env=./x.so", err, sizeof(err)), 0);
    assert_int_equal(config_set(&c, "task.termination=never", err, sizeof(err)), 0);
    assert_int_equal(config_set(&c, "run.explore_steps=700", err, sizeof(err)), 0);
    config_choose(&c);
    assert_int_equal(c.task.termination, TASK_TERMINATION_NEVER);
    assert_int_equal(c.run.explore_steps, 700);
}

static void values_are_read(void **state) {
    (void)state;
    struct config c;
    assert_int_equal(parse(&c, "run:\n  steps: 1e5 # one\n  task: \"a b\"\n  stop_when_solved: "
                               "false\nmodel: # none\npacing: {mode: lockstep}\nsac:\n  tau: 1\n"
                               "rollout:\n  schedule:\n    - 1\n    - 15\n    - 1\n    - 2e0\n"),
                     0);
    assert_int_equal(c.run.steps, 100000);
    assert_string_equal(c.run.task, "a b");
    assert_false(c.run.stop_when_solved);
    assert_int_equal(c.pacing.mode, PACING_LOCKSTEP);
    assert_true(c.sac.tau == 1);
    assert_int_equal(c.rollout.schedule.n, 4);
    assert_true(c.rollout.schedule.v[3] == 2);
    assert_int_equal(c.model.members, 7); // absent keys keep their defaults
    for (int i = 0; i < 3; i++) {
        static const char *const empty[] = {"", "# only a comment\n", "~\n"};
        expect_refusal(empty[i], "t.yaml:1: the file is empty: a configuration names at least a "
                                 "task, as in \"run: {task: hopper}\"");
    }
}

// Other programs' names of keys are known; a word without any likeness suggests nothing.
static void other_names_of_keys_are_known(void **state) {
    (void)state;
    static const struct {
        const char *word, *key;
    } cases[] = {
        {"algo", "method"},
        {"algorithm", "method"},
        {"alpha", "sac.initial_temperature"},
        {"batch", "sac.batch_size"},
        {"ensemble_size", "model.members"},
        {"ent_coef", "sac.initial_temperature"},
        {"eval_freq", "eval.every_steps"},
        {"gamma", "sac.discount"},
        {"sac.gamma", "sac.discount"},
        {"model.gamma", "sac.discount"},
        {"gradient_steps", "pacing.updates_per_step"},
        {"layers", "sac.hidden_layers"},
        {"model.layers", "model.hidden_layers"},
        {"learning_starts", "run.explore_steps"},
        {"lr", "sac.learning_rate"},
        {"LR", "sac.learning_rate"},
        {"model.lr", "model.learning_rate"},
        {"max_episode_steps", "task.horizon"},
        {"n_envs", "run.envs_per_actor"},
        {"n_eval_episodes", "eval.episodes"},
        {"net_arch", "sac.hidden_width"},
        {"num_envs", "run.envs_per_actor"},
        {"polyak", "sac.tau"},
        {"temperature", "sac.initial_temperature"},
        {"threads", "compute.learner_threads"},
        {"timesteps", "run.steps"},
        {"total_timesteps", "run.steps"},
        {"utd", "pacing.updates_per_step"},
        {"utd_ratio", "pacing.updates_per_step"},
        {"width", "sac.hidden_width"},
    };
    char assignment[64], refusal[160];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(assignment, sizeof(assignment), "%s=1", cases[i].word);
        snprintf(refusal, sizeof(refusal), "--set %s: unknown key; did you mean %s?", cases[i].word,
                 cases[i].key);
        expect_set_refusal(assignment, refusal);
    }
    expect_set_refusal("zebra=1", "--set zebra: unknown key; `spur config TASK` prints all keys");
    expect_set_refusal("model.zebra=1",
                       "--set model.zebra: unknown key; `spur config TASK` prints all keys");
}

static void unknown_keys_name_the_nearest(void **state) {
    (void)state;
    expect_refusal("run:\n  task: hopper\nmodel:\n  hiden_width: 3\n",
                   "t.yaml:4: model.hiden_width: unknown key; did you mean model.hidden_width?");
    expect_refusal("modle:\n  members: 3\n",
                   "t.yaml:1: modle: unknown section; did you mean model?");
    expect_refusal("\nseed: 3\n", "t.yaml:2: seed: unknown key; did you mean run.seed?");
    expect_refusal("sac:\n  elites: 3\n",
                   "t.yaml:2: sac.elites: unknown key; did you mean model.elites?");
}

static void wrong_types_say_what_was_found(void **state) {
    (void)state;
    expect_refusal("sac:\n  batch_size: many\n",
                   "t.yaml:2: sac.batch_size: expected a whole number, found \"many\"");
    expect_refusal("sac:\n  batch_size: 2.5\n",
                   "t.yaml:2: sac.batch_size: expected a whole number, found \"2.5\"");
    expect_refusal("sac:\n  batch_size: \"256\"\n",
                   "t.yaml:2: sac.batch_size: expected a whole number, found the quoted text "
                   "\"256\"");
    expect_refusal("sac:\n  tau: nan\n", "t.yaml:2: sac.tau: expected a number, found \"nan\"");
    expect_refusal("sac:\n  tau: 0x1\n", "t.yaml:2: sac.tau: expected a number, found \"0x1\"");
    expect_refusal("sac:\n  tau: 1e999\n", "t.yaml:2: sac.tau: expected a number, found \"1e999\"");
    expect_refusal("sac:\n  tau:\n", "t.yaml:2: sac.tau: expected a number, found nothing");
    expect_refusal("sac:\n  tau: [1]\n", "t.yaml:2: sac.tau: expected a number, found a list");
    expect_refusal("run:\n  task: {a: b}\n", "t.yaml:2: run.task: expected text, found a mapping");
    expect_refusal("run:\n  stop_when_solved: yes\n",
                   "t.yaml:2: run.stop_when_solved: expected true or false, found \"yes\"");
    expect_refusal("eval:\n  target: auto\n",
                   "t.yaml:2: eval.target: expected a number or none, found \"auto\"");
    expect_refusal("pacing:\n  mode: fast\n",
                   "t.yaml:2: pacing.mode: expected lockstep, ratio or free, found \"fast\"");
    expect_refusal("rollout:\n  schedule: 5\n",
                   "t.yaml:2: rollout.schedule: expected a list of numbers, as in [1, 2.5], found "
                   "\"5\"");
    expect_refusal("rollout:\n  schedule: [1, x]\n",
                   "t.yaml:2: rollout.schedule: expected a number as item 2 of the list, found "
                   "\"x\"");
    expect_refusal("rollout:\n  schedule: [1, [2]]\n",
                   "t.yaml:2: rollout.schedule: expected a number as item 2 of the list, found no "
                   "number");
    expect_refusal("rollout:\n  schedule: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                   "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]\n",
                   "t.yaml:2: rollout.schedule: expected at most 48 numbers in the list, found 49");
    expect_refusal("run: 5\n", "t.yaml:1: run: expected keys of this section, found a value");
    expect_refusal("- run\n", "t.yaml:1: expected sections such as \"run:\", found a list");
}

static void ranges_are_named(void **state) {
    (void)state;
    expect_refusal("sac:\n  # gamma\n  discount: 1.5\n",
                   "t.yaml:3: sac.discount: 1.5 is out of range; it must be between 0 and 1");
    expect_refusal("run:\n  actors: -1\n",
                   "t.yaml:2: run.actors: -1 is out of range; it must be between 0 and 4096");
    expect_refusal("model:\n  weight_decay: [0, 2]\n",
                   "t.yaml:2: model.weight_decay: 2 is out of range; it must be between 0 and 1");
    expect_refusal("run:\n  seed: 99999999999999999999\n",
                   "t.yaml:2: run.seed: 99999999999999999999 is out of range; it must be between 0 "
                   "and 9007199254740991");
}

static void text_is_checked(void **state) {
    (void)state;
    expect_refusal("run:\n  task: \"a\\0b\"\n",
                   "t.yaml:2: run.task: expected plain text, found a control character in it");
    expect_refusal("run:\n  task: \"a\\nb\"\n",
                   "t.yaml:2: run.task: expected plain text, found a control character in it");
    char text[400];
    snprintf(text, sizeof(text), "run:\n  task: %0300d\n", 7);
    expect_refusal(text, "t.yaml:2: run.task: expected at most 255 bytes of text, found 300");
    expect_refusal("task:\n  env: wire\n",
                   "t.yaml:2: task.env: the value wire was removed: name the environment itself, "
                   "as --env python:MODULE:FUNCTION or --env \"COMMAND ARGUMENTS\"; "
                   "docs/protocol.md describes actors of your own");
}

// ---- methods ----

static void a_method_brings_its_defaults(void **state) {
    (void)state;
    struct config c;
    assert_int_equal(parse(&c, "pacing:\n  updates_per_step: 20\n"), 0);
    assert_int_equal(c.method, METHOD_mbpo);
    assert_true(config_has_model(&c));
    // Wherever the method is, the file's other keys win over its defaults.
    assert_int_equal(parse(&c, "method: sac\n"), 0);
    assert_int_equal(c.method, METHOD_sac);
    assert_true(c.pacing.updates_per_step == 1 && c.sac.discount == 0.99);
    assert_true(isnan(c.sac.target_entropy)); // auto
    assert_false(config_has_model(&c));
    assert_int_equal(config_model_rows(&c, 100000), 0);
    assert_int_equal(parse(&c, "pacing:\n  updates_per_step: 4\nmethod: sac\n"), 0);
    assert_true(c.pacing.updates_per_step == 4);
    assert_int_equal(config_set(&c, "method=mbpo", err, sizeof(err)), 0);
    assert_int_equal(c.method, METHOD_mbpo);
}

static void deep_brackets_are_refused_at_once(void **state) {
    (void)state;
    static char text[500001];
    memset(text, '[', sizeof(text) - 1);
    expect_refusal(text, "t.yaml:1: brackets are nested more than 64 deep");
}

static void keys_of_other_methods_are_refused(void **state) {
    (void)state;
    expect_refusal("sac:\n  target_entropy: car\n",
                   "t.yaml:2: sac.target_entropy: expected a number or auto, found \"car\"");
    expect_refusal("method: dreamer\n",
                   "t.yaml:1: method: expected mbpo, sac or dhmbpo, found \"dreamer\"");
    expect_refusal("method: sac\nmodel:\n  members: 3\n",
                   "t.yaml:3: model.members: method sac does not use it; used by: mbpo, dhmbpo");
    expect_refusal("sac:\n  real_ratio: 0.5\nmethod: sac\n",
                   "t.yaml:2: sac.real_ratio: method sac does not use it; used by: mbpo");
    expect_refusal("\"\":\n  method: sac\n",
                   "t.yaml:1: : unknown section; `spur config TASK` prints all");
    struct config c;
    assert_int_equal(parse(&c, "method: mbpo\nmodel:\n  members: 8\n"), 0);
    assert_int_equal(parse(&c, "method: sac\nrollout:\n  epoch_steps: 50\n"), 0);
}

static void only_keys_that_are_used_are_printed(void **state) {
    (void)state;
    struct config c, back;
    assert_int_equal(parse(&c, "method: sac\nsac:\n  tau: 0.25\n"), 0);
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    config_print(&c, out, true);
    fclose(out);
    assert_memory_equal(text, "method: sac", 11);
    assert_null(strstr(text, "\nmodel:"));
    assert_null(strstr(text, "real_ratio"));
    assert_non_null(strstr(text, "tau: 0.25"));
    assert_int_equal(parse(&back, text), 0);
    assert_memory_equal(&c, &back, sizeof(c));
    free(text);
}

static void twins_and_bad_yaml(void **state) {
    (void)state;
    expect_refusal("run:\n  seed: 1\n  steps: 5\n  seed: 2\n",
                   "t.yaml:4: run.seed: given twice; first on line 2");
    expect_refusal("run:\n  seed: 1\nsac:\nrun:\n  steps: 5\n",
                   "t.yaml:4: run: given twice; first on line 1");
    expect_refusal("run:\n  seed: 1\n---\nrun:\n", "t.yaml:4: a second document; a file has one");
    struct config c;
    assert_int_equal(parse(&c, "run:\n  seed: 1\n   steps: 5\n"), -1);
    assert_non_null(strstr(err, "t.yaml:3: not valid YAML: "));
    assert_int_equal(parse(&c, "run:\n  seed: 1\n  task: \xff\xfe\n"), -1);
    assert_non_null(strstr(err, "t.yaml:3: not valid YAML: "));
    assert_int_equal(config_load(&c, "/nonexistent.yaml", err, sizeof(err)), -1);
    assert_string_equal(err, "/nonexistent.yaml: cannot be read: No such file or directory");
}

static void overrides(void **state) {
    (void)state;
    struct config c;
    config_defaults(&c);
    assert_int_equal(config_set(&c, "run.steps=2e3", err, sizeof(err)), 0);
    assert_int_equal(c.run.steps, 2000);
    assert_int_equal(config_set(&c, "rollout.schedule=[1, 2, 3, 4]", err, sizeof(err)), 0);
    assert_true(c.rollout.schedule.v[3] == 4);
    assert_int_equal(config_set(&c, "run.task=a=b", err, sizeof(err)), 0);
    assert_string_equal(c.run.task, "a=b");
    expect_set_refusal("run.stepz=5", "--set run.stepz: unknown key; did you mean run.steps?");
    expect_set_refusal("seed=5", "--set seed: unknown key; did you mean run.seed?");
    expect_set_refusal("run.seed", "--set run.seed: expected section.key=value");
    expect_set_refusal("run.seed=", "--set run.seed: expected a whole number, found nothing");
    expect_set_refusal("sac.tau=2", "--set sac.tau: 2 is out of range; it must be between 0 and 1");
}

static void expect_broken_rule(const char *assignment, const char *part) {
    struct config c;
    config_defaults(&c);
    assert_int_equal(config_set(&c, "run.task=hopper", err, sizeof(err)), 0);
    config_choose(&c);
    assert_int_equal(config_set(&c, "pacing.mode=lockstep", err, sizeof(err)), 0);
    assert_int_equal(config_set(&c, assignment, err, sizeof(err)), 0);
    err[0] = '\0';
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    if (!strstr(err, part)) {
        fail_msg("%s: says \"%s\", not \"%s\"", assignment, err, part);
    }
}

static void rules_over_several_keys(void **state) {
    (void)state;
    struct config c;
    expect_broken_rule("model.elites=8", "model.elites is 8, more than model.members, 7");
    expect_broken_rule("model.hidden_layers=3", "model.weight_decay has 5 values; it needs");
    expect_broken_rule("model.hidden=[64, 32]", "model.weight_decay has 5 values; it needs");
    expect_broken_rule("sac.hidden=[64, 32.5]", "sac.hidden: 32.5 is not a whole number");
    expect_broken_rule("sac.hidden=[1,2,3,4,5,6,7,8,9,10,11,12]", "sac.hidden has 12 layers");
    expect_broken_rule("rollout.schedule=[1, 2, 3]", "rollout.schedule has 3 values");
    expect_broken_rule("rollout.schedule=[5, 2, 1, 1]", "the first epoch 5 is after the last, 2");
    expect_broken_rule("rollout.schedule=[1, 2, 0, 1]", "k must be between 1 and 1000");
    expect_broken_rule("rollout.schedule=[1, 2.5, 1, 1]", "2.5 is not a whole number");
    expect_broken_rule("rollout.epoch_steps=1e7", "D_model would have 4e+09 rows");
    expect_broken_rule("run.explore_steps=2e5", "more than the budget run.steps, 100000");
    expect_broken_rule("run.explore_steps=1", "run.explore_steps is 1; a model needs at least 2");
    expect_broken_rule("run.actors=2", "lockstep allows one actor");
    expect_broken_rule("run.envs_per_actor=64", "lockstep allows one environment");
    expect_broken_rule("model.lag_trainings=1", "a resumed run has not");
    expect_broken_rule("rollout.policy_lag_updates=20", "a resumed run has not");
    expect_broken_rule("run.task=\"\"", "run.task is empty");
    expect_broken_rule("sac.discount_rise=[1, 2]", "sac.discount_rise has 2 values; 3 are needed");
    expect_broken_rule("sac.discount_rise=[5, 2, 0.9]", "the first epoch 5 is after the last, 2");
    expect_broken_rule("sac.discount_rise=[1, 2, 1.5]", "gamma 1.5 must be between 0 and 1");
    config_defaults(&c);
    config_use_method(&c, METHOD_dhmbpo);
    assert_int_equal(config_set(&c, "run.task=hopper", err, sizeof(err)), 0);
    config_choose(&c);
    assert_int_equal(config_set(&c, "dhmbpo.error_sum=0.2", err, sizeof(err)), 0);
    assert_int_equal(config_check(&c, err, sizeof(err)), 0);
    c.model.targets = MODEL_TARGETS_RAW;
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "dhmbpo.error_sum is 0.2"));
    c.model.targets = MODEL_TARGETS_NORMALIZED;
    c.sac.bound_values = false;
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "sac.bound_values is false"));
    c.sac.bound_values = true;
    c.sac.discount = 1;
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "the discount is 1; sac.bound_values needs less than 1"));
    c.method = METHOD_mbpo; // whatever the method
    assert_int_equal(config_check(&c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "sac.bound_values needs less than 1"));
    expect_broken_rule("network.lost_after_ms=900", "at least twice network.heartbeat_ms, 500");
    expect_broken_rule("network.unacked_rows_max=9", "less than one message");
}

static void printed_reads_back(void **state) {
    (void)state;
    const char *const odd[] = {"run.task=\"t\\\\ \\\"quoted\\\" : #\"",
                               "sac.tau=0.1234567890123456",
                               "run.seed=9007199254740991",
                               "sac.target_entropy=-1e-300",
                               "rollout.schedule=[0, 1, 0.1, 1e6]",
                               "pacing.mode=lockstep",
                               "eval.target=none",
                               "run.stop_when_solved=false"};
    for (int round = 0; round < 3; round++) {
        bool comments = round > 0;
        struct config c, back;
        config_defaults(&c);
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
            assert_int_equal(config_set(&c, odd[i], err, sizeof(err)), 0);
        }
        if (round == 2) {
            assert_int_equal(config_set(&c, "run.task=\"null\"", err, sizeof(err)), 0);
        }
        char *text;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        config_print(&c, out, comments);
        fclose(out);
        assert_true(comments == (strchr(text, '(') != NULL));
        config_defaults(&back);
        int rc = config_parse(&back, text, len, "printed", err, sizeof(err));
        if (rc < 0) {
            fail_msg("%s", err);
        }
        assert_memory_equal(&c, &back, sizeof(c));
        free(text);
    }
}

static void load_committed(struct config *c, const char *name) {
    config_defaults(c);
    if (config_load(c, source_path(name), err, sizeof(err)) < 0 ||
        config_check(c, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
}

static void committed_files_are_the_papers(void **state) {
    (void)state;
    struct config c;
    load_committed(&c, "configs/hopper.yaml");
    assert_string_equal(c.run.task, "hopper");
    assert_int_equal(c.run.steps, 125000);
    assert_int_equal(c.run.explore_steps, 5000);
    assert_true(c.pacing.updates_per_step == 20);
    assert_int_equal(config_model_rows(&c, 0), 400000);
    assert_int_equal(config_env_rows_max(&c), 125000 + 16384);
    assert_int_equal(config_model_rows(&c, 125000), 6000000);
    assert_true(c.sac.target_entropy == -1);
    assert_true(config_discount(&c, 25000) == 0.99); // here, and 0.995 later
    assert_int_equal(c.model.stop, MODEL_STOP_BUDGET);
    load_committed(&c, "configs/inverted_pendulum.mbpo.yaml");
    assert_string_equal(c.run.task, "inverted_pendulum");
    assert_int_equal(c.run.explore_steps, 500);
    assert_true(c.pacing.updates_per_step == 10);
    assert_int_equal(config_model_rows(&c, 5000), 100000);
    assert_int_equal(config_rollout_length(&c, 5000), 1);
    assert_true(c.sac.target_entropy == -0.05);
    assert_int_equal(c.model.stop, MODEL_STOP_PAPER);
}

// The recipe is read on top of any task's file.
static void the_recipe_goes_with_every_task(void **state) {
    (void)state;
    static const char *const tasks[] = {"hopper_unclipped", "half_cheetah", "inverted_pendulum",
                                        "humanoid_truncated_obs"};
    for (int i = 0; i < 4; i++) {
        struct config c, task;
        char path[128];
        snprintf(path, sizeof(path), "configs/%s.yaml", tasks[i]);
        load_committed(&task, path);
        c = task;
        assert_int_equal(
            config_load(&c, source_path("configs/dhmbpo-paper.yaml"), err, sizeof(err)), 0);
        assert_int_equal(config_check(&c, err, sizeof(err)), 0);
        assert_string_equal(c.run.task, task.run.task);
        assert_int_equal(c.run.steps, task.run.steps);
        assert_int_equal(c.method, METHOD_dhmbpo);
        assert_int_equal(c.model.noise, MODEL_NOISE_FREE);
        assert_int_equal(c.model.stop, MODEL_STOP_PAIRED_TEST);
        assert_int_equal(c.pacing.training, PACING_TRAINING_PHASE);
        assert_int_equal(c.model.hidden.n, 3);
        assert_true(c.sac.hidden.v[2] == 256 && c.sac.discount == 0.995);
    }
}

// The file of a task with unclipped velocities has the values of the task that it belongs to.
static void unclipped_files_have_the_same_values(void **state) {
    (void)state;
    static const char *const names[][2] = {{"hopper", "hopper_unclipped"},
                                           {"walker2d", "walker2d_unclipped"}};
    for (int k = 0; k < 2; k++) {
        struct config c[2];
        for (int i = 0; i < 2; i++) {
            char path[64];
            snprintf(path, sizeof(path), "configs/%s.yaml", names[k][i]);
            load_committed(&c[i], path);
            assert_string_equal(c[i].run.task, names[k][i]);
            memset(c[i].run.task, 0, sizeof(c[i].run.task));
        }
        assert_memory_equal(&c[0], &c[1], sizeof(c[0]));
    }
}

static void documentation_is_up_to_date(void **state) {
    (void)state;
    char *text, *committed;
    size_t len, committed_len;
    FILE *out = open_memstream(&text, &len);
    config_document(out);
    fclose(out);
    assert_int_equal(
        file_read_all(&committed, &committed_len, source_path("docs/configuration.md"), 1 << 20),
        0);
    if (strcmp(text, committed) != 0) {
        fail_msg("docs/configuration.md differs from the table; regenerate it with "
                 "`spur config --doc > docs/configuration.md`");
    }
    free(text);
    free(committed);
}

static void rollout_length_follows_the_schedule(void **state) {
    (void)state;
    struct config c;
    // Epochs 20 to 100, k 1 to 15, epochs of 1000 from step 5000 on.
    load_committed(&c, "configs/hopper.yaml");
    const struct {
        uint64_t steps;
        int k;
    } wanted[] = {
        {0, 1},     {5000, 1},    {25000, 1},   {30999, 1},   {31000, 2},   {65000, 8},
        {64999, 7}, {104999, 14}, {105000, 15}, {104000, 14}, {125000, 15}, {1000000, 15},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        int k = config_rollout_length(&c, wanted[i].steps);
        if (k != wanted[i].k) {
            fail_msg("k at step %llu is %d, not %d", (unsigned long long)wanted[i].steps, k,
                     wanted[i].k);
        }
        assert_int_equal(config_model_rows(&c, wanted[i].steps), 400000 * (uint64_t)k);
    }
    assert_int_equal(config_rollout_length_max(&c), 15);
    c.rollout.schedule = (struct config_list){.n = 4, .v = {3, 3, 9, 2}}; // a decrease
    assert_int_equal(config_rollout_length(&c, 7999), 9);
    assert_int_equal(config_rollout_length(&c, 8000), 2);
    assert_int_equal(config_rollout_length_max(&c), 9);
}

static void discount_rises(void **state) {
    (void)state;
    struct config c;
    config_defaults(&c);
    config_choose(&c);
    c.sac.discount = 0.995;
    assert_true(config_discount(&c, 0) == 0.995); // constant without a rise
    c.sac.discount_rise = (struct config_list){.n = 3, .v = {20, 40, 0.985}};
    assert_true(config_discount(&c, 0) == 0.985);
    assert_true(config_discount(&c, 5000 + 20999) == 0.985); // 5,000 steps of exploration first
    assert_true(fabs(config_discount(&c, 5000 + 21000) - 0.9855) < 1e-15);
    assert_true(fabs(config_discount(&c, 5000 + 30500) - 0.99) < 1e-15);
    assert_true(config_discount(&c, 5000 + 40000) == 0.995);
    assert_true(config_discount(&c, UINT64_MAX) == 0.995);
    c.sac.discount_rise = (struct config_list){.n = 3, .v = {7, 7, 0.9}}; // at one step
    assert_true(config_discount(&c, 5000 + 6999) == 0.9);
    assert_true(config_discount(&c, 5000 + 7000) == 0.995);
}

static void what_a_resumed_run_may_change(void **state) {
    (void)state;
    struct config run, wanted;
    const struct config_key *fixed;
    char text[512];
    config_defaults(&run);
    wanted = run;
    assert_int_equal(config_change(&run, &wanted, &fixed), 0);
    config_changes_text(text, sizeof(text), &run, &wanted);
    assert_string_equal(text, "");

    const char *const allowed[] = {"run.steps=200000",     "eval.target=-1.5",
                                   "explore.noise=pink",   "run.actors=4",
                                   "checkpoint.every_s=9", "run.stop_when_solved=false"};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(config_set(&wanted, allowed[i], err, sizeof(err)), 0);
    }
    config_changes_text(text, sizeof(text), &run, &wanted);
    assert_string_equal(text, "run.steps 100000 to 200000, run.actors 1 to 4, "
                              "run.stop_when_solved true to false, explore.noise white to pink, "
                              "eval.target none to -1.5, checkpoint.every_s 300 to 9");
    assert_int_equal(config_change(&run, &wanted, &fixed), 0);
    assert_memory_equal(&run, &wanted, sizeof(run));

    // One that may not change: nothing is taken over. run.steps is no prefix of its neighbours.
    const char *const refused[] = {"run.seed=2", "sac.tau=0.5", "run.explore_steps=100",
                                   "model.steps_max=7", "pacing.updates_per_step=1"};
    for (int i = 0; i < 5; i++) {
        struct config before = run;
        wanted = run;
        assert_int_equal(config_set(&wanted, "eval.episodes=3", err, sizeof(err)), 0);
        assert_int_equal(config_set(&wanted, refused[i], err, sizeof(err)), 0);
        assert_int_equal(config_change(&run, &wanted, &fixed), -1);
        config_key_name(fixed, text, sizeof(text));
        assert_int_equal(strncmp(refused[i], text, strlen(text)), 0);
        assert_memory_equal(&run, &before, sizeof(run));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(open_values_are_chosen),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(other_names_of_keys_are_known),
        cmocka_unit_test(wrong_types_say_what_was_found),
        cmocka_unit_test(ranges_are_named),
        cmocka_unit_test(text_is_checked),
        cmocka_unit_test(a_method_brings_its_defaults),
        cmocka_unit_test(deep_brackets_are_refused_at_once),
        cmocka_unit_test(keys_of_other_methods_are_refused),
        cmocka_unit_test(only_keys_that_are_used_are_printed),
        cmocka_unit_test(twins_and_bad_yaml),
        cmocka_unit_test(overrides),
        cmocka_unit_test(rules_over_several_keys),
        cmocka_unit_test(printed_reads_back),
        cmocka_unit_test(committed_files_are_the_papers),
        cmocka_unit_test(the_recipe_goes_with_every_task),
        cmocka_unit_test(unclipped_files_have_the_same_values),
        cmocka_unit_test(documentation_is_up_to_date),
        cmocka_unit_test(rollout_length_follows_the_schedule),
        cmocka_unit_test(discount_rises),
        cmocka_unit_test(what_a_resumed_run_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
