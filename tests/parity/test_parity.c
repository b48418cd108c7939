// SPDX-License-Identifier: MIT
// Shows that spur-parity detects differences. Small reference files pass. With one
// number changed in any quantity they fail, and the line of that quantity reports
// it. Missing, malformed or hostile parts of a file give a message, never a crash.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[1024], file[64], output[1 << 16];

static json_t *load(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/parity/%s", getenv("SPUR_SOURCE_ROOT"), name);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return root;
}

// Runs spur-parity with these arguments; returns its exit status, its output in
// `output`.
static int run(const char *arguments) {
    char command[2048];
    snprintf(command, sizeof command, "'%s' %s 2>&1", program, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t len = fread(output, 1, sizeof output - 1, pipe);
    output[len] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    // A signal, or a sanitizer's report.
    if (WEXITSTATUS(status) > 100 || strstr(output, "Sanitizer") != NULL ||
        strstr(output, "runtime error:") != NULL) {
        fail_msg("spur-parity crashed: status %d\n%s", WEXITSTATUS(status), output);
    }
    return WEXITSTATUS(status);
}

// The same for a document.
static int run_on(const json_t *root) {
    assert_int_equal(json_dump_file(root, file, JSON_REAL_PRECISION(17)), 0);
    return run(file);
}

static int run_on_text(const char *text) {
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return run(file);
}

// Follows a path such as "trajectories/0/qpos/3/1".
static json_t *at(json_t *node, const char *path) {
    char step[64];
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        assert_true(n < sizeof step);
        snprintf(step, sizeof step, "%.*s", (int)n, path);
        node = json_is_array(node) ? json_array_get(node, (size_t)atol(step))
                                   : json_object_get(node, step);
        if (node == NULL) {
            fail_msg("no %s in the reference file", step);
        }
        path += n + (path[n] == '/');
    }
    return node;
}

// Checks the line of a quantity in the last run's output.
static void line_says(const char *quantity, const char *word) {
    char start[64];
    snprintf(start, sizeof start, ".json: %s ", quantity);
    const char *line = strstr(output, start);
    if (line == NULL) {
        fail_msg("no line about %s in:\n%s", quantity, output);
    }
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
    if (strstr(text, word) == NULL) {
        fail_msg("no \"%s\" in: %s", word, text);
    }
}

static void reference_files_pass(void **state) {
    (void)state;
    static const char *const names[] = {"hopper.json", "inverted_pendulum.json",
                                        "inverted_double_pendulum.json", "reacher.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *root = load(names[i]);
        if (run_on(root) != 0) {
            fail_msg("%s", output);
        }
        static const char *const quantities[] = {
            "task",     "model",        "qpos",        "qvel",          "obs",
            "reward",   "comp",         "terminated",  "reward_v5",     "terminated_v5",
            "warnings", "onestep qpos", "onestep obs", "onestep reward"};
        for (size_t q = 0; q < sizeof quantities / sizeof quantities[0]; q++) {
            line_says(quantities[q], " ok");
        }
        json_decref(root);
    }
}

// A change by `delta` (a flag: inverted) at path must be reported for quantity.
static void change_is_noticed(const char *path, double delta, const char *quantity) {
    json_t *root = load("hopper.json");
    json_t *node = at(root, path);
    if (json_is_real(node)) {
        double x = json_real_value(node);
        json_real_set(node, delta != 0 ? x + delta : nextafter(x, INFINITY));
    } else if (json_is_integer(node)) {
        json_integer_set(node, json_integer_value(node) + 1);
    } else {
        // Booleans are shared constants: replace them in their list.
        char parent[128];
        snprintf(parent, sizeof parent, "%s", path);
        char *slash = strrchr(parent, '/');
        *slash = '\0';
        json_array_set_new(at(root, parent), (size_t)atol(slash + 1),
                           json_boolean(!json_is_true(node)));
    }
    if (run_on(root) != 1) {
        fail_msg("a change of %s was not noticed:\n%s", path, output);
    }
    line_says(quantity, "FAILED");
    json_decref(root);
}

static void any_changed_number_fails(void **state) {
    (void)state;
    // The last bit of a state counts (delta 0).
    change_is_noticed("trajectories/0/qpos/20/5", 0, "qpos");
    change_is_noticed("trajectories/1/qvel/49/0", 0, "qvel");
    change_is_noticed("trajectories/1/init_qpos/2", 1e-9, "qpos");
    change_is_noticed("trajectories/0/action/0/1", 1e-7, "qpos");
    change_is_noticed("trajectories/0/obs/20/0", 2e-14, "obs");
    change_is_noticed("trajectories/0/init_obs/10", 2e-14, "obs");
    change_is_noticed("trajectories/1/reward/7", 2e-13, "reward");
    change_is_noticed("trajectories/1/comp/7/2", 2e-13, "comp");
    change_is_noticed("trajectories/1/reward_v5/7", 2e-13, "reward_v5");
    change_is_noticed("trajectories/0/terminated/20", 0, "terminated");
    change_is_noticed("trajectories/1/terminated/0", 0, "terminated");
    change_is_noticed("trajectories/0/terminated_v5/3", 0, "terminated_v5");
    change_is_noticed("trajectories/0/onestep/4/qpos/0", 0, "onestep qpos");
    change_is_noticed("trajectories/0/onestep/4/qvel/0", 0, "onestep qvel");
    change_is_noticed("trajectories/0/onestep/4/reward", 2e-13, "onestep reward");
    change_is_noticed("trajectories/0/onestep/4/obs_before/3", 2e-14, "onestep obs");
    change_is_noticed("action_high/2", 0, "task");
    change_is_noticed("dt", 0, "task");
    change_is_noticed("frame_skip", 0, "task");
    change_is_noticed("model/nM", 0, "model");
    change_is_noticed("model/opt/tolerance", 0, "model");
    change_is_noticed("model/stat/meaninertia", 0, "model");
    change_is_noticed("model/body_inertia/3/1", 0, "model");
    assert_non_null(strstr(output, "body_inertia[10]"));
    change_is_noticed("model/geom_condim/0", 0, "model");
    change_is_noticed("model/jnt_range/4/0", 0, "model");
}

// Rounding of derived quantities is allowed; other names are not.
static void tolerances_are_what_they_say(void **state) {
    (void)state;
    json_t *root = load("hopper.json");
    json_t *obs = at(root, "trajectories/0/obs/20/0");
    json_real_set(obs, json_real_value(obs) + 5e-15);
    json_t *reward = at(root, "trajectories/0/reward/20");
    json_real_set(reward, json_real_value(reward) + 5e-14);
    json_integer_set(at(root, "model/nstack"), 1); // has no effect on motion
    assert_int_equal(run_on(root), 0);
    json_string_set(at(root, "model/geom_names/2"), "thumb");
    assert_int_equal(run_on(root), 1);
    assert_non_null(strstr(output, "thumb"));
    json_decref(root);
}

// ---- hostile files ----

// Every key of the object at path: removed, then replaced by other values.
static void spoil(json_t *whole, const char *path) {
    json_t *original = json_deep_copy(at(whole, path));
    json_t *object = at(whole, path);
    const char *key;
    json_t *value;
    json_object_foreach(original, key, value) {
        json_t *others[] = {
            NULL,
            json_null(),
            json_array(),
            json_object(),
            json_integer(-1),
            json_integer(INT64_MAX),
            json_string("\x1b[31m%n%s"),
            json_pack("[[[[i]]]]", 1),
            json_pack("[n,s]", "x"),
        };
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            if (others[i] == NULL) {
                json_object_del(object, key);
            } else {
                json_object_set_new(object, key, others[i]);
            }
            int status = run_on(whole);
            if (status != 0 && status != 1 && status != 74) {
                fail_msg("%s, variant %zu: status %d\n%s", key, i, status, output);
            }
            assert_null(strchr(output, 0x1b));
        }
        json_object_set(object, key, value);
    }
    json_decref(original);
}

static json_t *small_document(void) {
    json_t *root = load("inverted_pendulum.json");
    json_t *list = json_object_get(root, "trajectories");
    while (json_array_size(list) > 1) {
        json_array_remove(list, json_array_size(list) - 1);
    }
    return root;
}

static void nothing_in_a_file_crashes_it(void **state) {
    (void)state;
    json_t *root = small_document();
    json_object_clear(json_object_get(root, "model")); // see the next test
    assert_int_equal(run_on(root), 0);
    spoil(root, "");
    spoil(root, "trajectories/0");
    spoil(root, "trajectories/0/onestep/0");
    json_decref(root);
}

static void a_spoilt_model_is_a_difference(void **state) {
    (void)state;
    json_t *root = small_document(), *copy = json_deep_copy(root);
    json_t *model = json_object_get(root, "model");
    const char *key;
    json_t *value;
    long fields = 0;
    json_object_foreach(json_object_get(copy, "model"), key, value) {
        json_object_set_new(model, key, fields++ % 2 == 0 ? json_string("x") : json_null());
    }
    assert_int_equal(run_on(root), 1);
    line_says("model", "FAILED");
    json_object_clear(model);
    json_object_set_new(model, "body_flavour", json_array());
    assert_int_equal(run_on(root), 1);
    assert_non_null(strstr(output, "body_flavour"));
    json_decref(root);
    json_decref(copy);
}

// A missing key is named.
static void missing_things_are_named(void **state) {
    (void)state;
    static const char *const top[] = {"env",     "frame_skip", "dt",          "obs_dim",
                                      "act_dim", "action_low", "action_high", "trajectories"};
    static const char *const inside[] = {"steps",  "init_qpos",  "init_qvel", "init_obs",
                                         "action", "qpos",       "qvel",      "obs",
                                         "reward", "terminated", "comp",      "terminated_v5"};
    for (size_t i = 0; i < sizeof top / sizeof top[0] + sizeof inside / sizeof inside[0]; i++) {
        json_t *root = small_document();
        size_t n = sizeof top / sizeof top[0];
        const char *key = i < n ? top[i] : inside[i - n];
        json_object_del(i < n ? root : at(root, "trajectories/0"), key);
        if (run_on(root) != 74 || strstr(output, key) == NULL) {
            fail_msg("without %s:\n%s", key, output);
        }
        json_decref(root);
    }
}

static void wrong_lengths_are_refused(void **state) {
    (void)state;
    static const char *const lists[] = {"action", "qpos", "qvel",       "obs",
                                        "reward", "comp", "terminated", "reward_v5"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (int longer = 0; longer < 2; longer++) {
            json_t *root = small_document();
            json_t *list = json_object_get(at(root, "trajectories/0"), lists[i]);
            if (longer) {
                json_array_append(list, json_array_get(list, 0));
            } else {
                json_array_remove(list, 0);
            }
            if (run_on(root) != 74 || strstr(output, lists[i]) == NULL) {
                fail_msg("%s, longer %d:\n%s", lists[i], longer, output);
            }
            json_decref(root);
        }
    }
    json_t *root = small_document();
    json_array_append_new(at(root, "trajectories/0/qpos/2"), json_real(0));
    assert_int_equal(run_on(root), 74);
    json_decref(root);
    // Another task's file under this name.
    root = small_document();
    json_string_set(json_object_get(root, "env"), "Hopper");
    assert_int_equal(run_on(root), 74);
    json_string_set(json_object_get(root, "env"), "Hoper");
    assert_int_equal(run_on(root), 74);
    assert_non_null(strstr(output, "nearest is hopper"));
    json_decref(root);
}

static void other_files_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "\"Hopper\"",
                                        "{\"env\":\"hopper\"}",
                                        "{\"env\":1e999}",
                                        "\xff\xfe",
                                        "{\"env\":\"\\u0000\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(run_on_text(texts[i]), 74);
        assert_non_null(strstr(output, file));
    }
    char deep[8192];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(run_on_text(deep), 74);
    assert_int_equal(run("/nonexistent.json"), 74);
    assert_non_null(strstr(output, "/nonexistent.json"));
    assert_int_equal(run("/"), 74);
    // A good file does not hide a bad one.
    json_t *root = small_document();
    assert_int_equal(run_on(root), 0);
    char both[256];
    snprintf(both, sizeof both, "/nonexistent.json %s", file);
    assert_int_equal(run(both), 74);
    line_says("qpos", " ok");
    json_decref(root);
}

static void usage(void **state) {
    (void)state;
    assert_int_equal(run(""), 64);
    assert_int_equal(run("--frobnicate"), 64);
    assert_int_equal(run("--help"), 0);
    assert_non_null(strstr(output, "usage:"));
    assert_int_equal(run("--version"), 0);
}

int main(void) {
    snprintf(program, sizeof program, "%s/bin/spur-parity", getenv("SPUR_BUILD_ROOT"));
    snprintf(file, sizeof file, "/tmp/test_parity.%d.json", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_files_pass),
        cmocka_unit_test(any_changed_number_fails),
        cmocka_unit_test(tolerances_are_what_they_say),
        cmocka_unit_test(nothing_in_a_file_crashes_it),
        cmocka_unit_test(a_spoilt_model_is_a_difference),
        cmocka_unit_test(missing_things_are_named),
        cmocka_unit_test(wrong_lengths_are_refused),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(usage),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
