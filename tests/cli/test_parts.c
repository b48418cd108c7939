// SPDX-License-Identifier: MIT
// Tests the parts of `spur` that need no processes: the summary of a run, the
// restart policy for children, the live line, a status as text and JSON (also with
// hostile strings), the memory prediction, and invalid policy files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/play/player.h"
#include "cli/run/display.h"
#include "cli/run/endpoints.h"
#include "cli/run/memory.h"
#include "cli/run/spawn.h"
#include "cli/run/summary.h"
#include "cli/status/status.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/nn/policy.h"
#include "common/nn/safetensors.h"
#include "learner/trainer.h"

static char dir[] = "/tmp/spur-test-cli-XXXXXX";
static char err[1024];

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof(command), "rm -r '%s'", dir);
    return system(command);
}

static const char *in_dir(const char *name) {
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

// ---- figures ----

static void figures(void **state) {
    (void)state;
    char t[TEXT_LEN];
    assert_string_equal(text_count(t, 0), "0");
    assert_string_equal(text_count(t, 999), "999");
    assert_string_equal(text_count(t, 1000), "1,000");
    assert_string_equal(text_count(t, UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(text_duration(t, 59.4), "59 s");
    assert_string_equal(text_duration(t, 151), "2 min 31 s");
    assert_string_equal(text_duration(t, 7260), "2 h 1 min");
    assert_string_equal(text_duration(t, NAN), "?");
    assert_string_equal(text_figure(t, 0.01234), "0.0123");
    assert_string_equal(text_figure(t, -1240.4), "-1,240");
    assert_string_equal(text_figure(t, INFINITY), "-");
}

// ---- summary ----

static void write_progress(const char *text) {
    assert_int_equal(file_write_atomic(in_dir("progress.csv"), text, strlen(text)), 0);
}

static void summary_of_a_run(void **state) {
    (void)state;
    struct config c;
    struct summary s;
    config_defaults(&c);
    c.eval.target = 950;
    c.eval.solved_evaluations = 2;
    c.run.steps = 5000;
    unlink(in_dir("progress.csv"));
    assert_int_equal(summary_read(&s, dir, &c, err, sizeof(err)), 0);
    assert_int_equal(s.curve.evaluations, 0);

    // Columns by name; the last line is still being written.
    write_progress("wall_seconds,env_steps,return_std,return_mean,updates\n1.5,250,0,960,1\n"
                   "2,500,0,10,2\n3,750,0,950,3\n4,1000,0,990.5,4\n5,1250,0,99");
    assert_int_equal(summary_read(&s, dir, &c, err, sizeof(err)), 0);
    assert_int_equal(s.curve.evaluations, 4);
    assert_true(s.curve.solved);
    assert_int_equal(s.curve.solved_env_steps, 1000);
    assert_true(s.curve.return_best == 990.5 && s.curve.return_mean == 990.5 &&
                s.curve.wall_seconds == 4);
    assert_false(s.spent);
    assert_true(summary_finished(&s, &c));
    c.run.stop_when_solved = false;
    assert_false(summary_finished(&s, &c));
    c.run.steps = 1000;
    assert_int_equal(summary_read(&s, dir, &c, err, sizeof(err)), 0);
    assert_true(summary_finished(&s, &c));

    write_progress("env_steps,wall_seconds,return_mean,return_std,updates\n250,1,nan,0,1\n");
    assert_int_equal(summary_read(&s, dir, &c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "progress.csv:2: not a row of numbers"));
    write_progress("a,b\n");
    assert_int_equal(summary_read(&s, dir, &c, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "progress.csv:1: the columns env_steps"));
}

// ---- status ----

static struct wire_status full_status(struct wire_actor_status *actor) {
    struct wire_status s = {.daemon = "modelserver",
                            .version = "0.1.0",
                            .task = "hopper",
                            .method = "mbpo",
                            .run_id = UINT64_MAX,
                            .seed = 3,
                            .pid = 77,
                            .uptime_s = 100,
                            .state = "learning",
                            .warning = "lower the learning rate",
                            .env_steps = 12340,
                            .env_steps_budget = 125000,
                            .explore_steps = 5000,
                            .episodes = 310,
                            .env_steps_per_s = 9.81,
                            .env_rows = 12340,
                            .model_rows = 400000,
                            .model_capacity = 400000,
                            .has_pacing = true,
                            .pacing_mode = "ratio",
                            .updates_per_step = 20,
                            .updates_per_step_achieved = 19.98,
                            .has_learner = true,
                            .learner_state = WIRE_PEER_CONNECTED,
                            .updates = 146800,
                            .updates_per_s = 331,
                            .metrics = {2, {{"critic_loss", NAN}, {"my_figure", 2}}},
                            .has_model = true,
                            .members = 3,
                            .holdout_mse = {0.5, 0.25, 0.75},
                            .elites = 2,
                            .elite = {1, 0},
                            .has_termination = true,
                            .termination_ended = 43,
                            .termination_missed = 0.25,
                            .termination_wrong = 0.001,
                            .rollout_length = 1,
                            .has_ends = true,
                            .ends_terminated = 1500,
                            .ends_unexplained = 30,
                            .ends_contradicted = 4,
                            .ends_advice = "correct task.healthy",
                            .has_eval = true,
                            .eval_target = (double)NAN,
                            .evaluations = 8,
                            .eval_return_last = 1012.3,
                            .eval_return_best = 1100,
                            .actor_count = 1,
                            .actors = actor,
                            .counter_count = 2};
    snprintf(s.counters[0].name, sizeof(s.counters[0].name), "transitions_duplicate");
    s.counters[0].value = 3;
    snprintf(s.counters[1].name, sizeof(s.counters[1].name), "rows_refused_value");
    *actor = (struct wire_actor_status){.id = "actor-0",
                                        .host = "h\x1b[31m\xff",
                                        .pid = 5,
                                        .role = WIRE_ROLE_ACTOR,
                                        .state = WIRE_PEER_LOST,
                                        .steps = 12340,
                                        .waiting = "waiting for credit"};
    return s;
}

static void status_as_text(void **state) {
    (void)state;
    struct wire_actor_status actor;
    struct wire_status s = full_status(&actor);
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    status_print_text(&s, out);
    fclose(out);
    const char *const parts[] = {
        "task hopper, method mbpo, seed 3",
        "12,340 of 125,000, 9.81/s, 310 episodes",
        "D_model 400,000 of 400,000 rows",
        "ratio: 20.0 updates per step wanted, 20.0 achieved",
        "connected: 146,800 updates, 331/s",
        "critic_loss -, my_figure 2\n",
        "holdout error: 0.5 0.25 0.75; elites: 1 0",
        "43 rows ended; missed 0.25 of them",
        ("1,500 rows terminated; the task's rule explains 1,470, and holds "
         "in 4 other rows\n           correct task.healthy\n"),
        "8 of them",
        "best 1,100, no target\n",
        "lost ",
        "transitions_duplicate 3; 1 of 2 are 0",
        "waiting    nobody\nwarning    lower the learning rate\n"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!strstr(text, parts[i])) {
            fail_msg("\"%s\" is missing in:\n%s", parts[i], text);
        }
    }
    assert_null(strchr(text, '\x1b')); // a peer's name cannot control the terminal
    free(text);
}

static void status_as_json(void **state) {
    (void)state;
    struct wire_actor_status actor;
    struct wire_status s = full_status(&actor);
    memcpy(s.counters[1].name, "\xff\xfe", 3);
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    status_print_json(&s, out);
    fclose(out);
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    json_t *learner = json_object_get(o, "learner"), *model = json_object_get(o, "model");
    json_t *first = json_array_get(json_object_get(o, "actors"), 0);
    assert_string_equal(json_string_value(json_object_get(o, "run_id")), "ffffffffffffffff");
    assert_int_equal(json_integer_value(json_object_get(o, "env_steps")), 12340);
    assert_string_equal(json_string_value(json_object_get(o, "warning")),
                        "lower the learning rate");
    json_t *metrics = json_object_get(learner, "metrics");
    assert_true(json_is_null(json_object_get(metrics, "critic_loss"))); // JSON has no NaN
    // Without a target, nothing is counted towards it.
    json_t *evaluation = json_object_get(o, "evaluation");
    assert_true(json_is_null(json_object_get(evaluation, "target")));
    assert_true(json_is_null(json_object_get(evaluation, "solved_in_row")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "ends"), "unexplained")),
                     30);
    assert_true(json_real_value(json_object_get(metrics, "my_figure")) == 2);
    assert_string_equal(json_string_value(json_object_get(o, "method")), "mbpo");
    assert_int_equal(json_integer_value(json_object_get(learner, "updates")), 146800);
    assert_int_equal(json_array_size(json_object_get(model, "holdout_mse")), 3);
    json_t *termination = json_object_get(model, "termination");
    assert_true(json_real_value(json_object_get(termination, "missed")) == 0.25);
    assert_string_equal(json_string_value(json_object_get(first, "state")), "lost");
    assert_string_equal(json_string_value(json_object_get(first, "host")), "h\x1b[31m?");
    assert_int_equal(json_integer_value(
                         json_object_get(json_object_get(o, "counters"), "transitions_duplicate")),
                     3);
    json_decref(o);
    free(text);

    s.has_learner = s.has_model = s.has_eval = s.has_pacing = false;
    out = open_memstream(&text, &len);
    status_print_json(&s, out);
    fclose(out);
    o = json_loads(text, 0, NULL);
    assert_true(json_is_null(json_object_get(o, "learner")));
    assert_true(json_is_null(json_object_get(o, "evaluation")));
    json_decref(o);
    free(text);
}

// docs/status.md names every key of the JSON.
static void expect_documented(json_t *o, const char *page) {
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value) {
        char quoted[128];
        snprintf(quoted, sizeof(quoted), "`%s`", key);
        if (!strstr(page, quoted)) {
            fail_msg("docs/status.md does not mention %s", quoted);
        }
        // The names of counters and metrics are the daemon's and the method's.
        bool open = strcmp(key, "counters") == 0 || strcmp(key, "metrics") == 0;
        if (json_is_object(value) && !open) {
            expect_documented(value, page);
        }
        if (json_is_object(json_array_get(value, 0))) {
            expect_documented(json_array_get(value, 0), page);
        }
    }
}

// What does not exist yet is null, not 0.
static void missing_figures_are_null(void **state) {
    (void)state;
    struct wire_actor_status actor = {
        .role = WIRE_ROLE_EVALUATOR, .policy_age_s = (double)NAN, .last_return = (double)NAN};
    struct wire_status s = {.has_pacing = true,
                            .updates_per_step_achieved = (double)NAN,
                            .has_model = true,
                            .rollout_length_mean = (double)NAN,
                            .has_eval = true,
                            .actor_count = 1,
                            .actors = &actor};
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    status_print_json(&s, out);
    fclose(out);
    json_t *o = json_loads(text, 0, NULL);
    static const char *const missing[][2] = {
        {"pacing", "updates_per_step_achieved"},
        {"model", "epochs_last"},
        {"model", "age_s"},
        {"model", "age_steps"},
        {"model", "rollout_length_mean"},
        {"evaluation", "env_steps"},
        {"evaluation", "return_last"},
    };
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        assert_true(
            json_is_null(json_object_get(json_object_get(o, missing[i][0]), missing[i][1])));
    }
    json_t *line = json_array_get(json_object_get(o, "actors"), 0);
    assert_true(json_is_null(json_object_get(line, "index")));
    assert_true(json_is_null(json_object_get(line, "policy_age_s")));
    assert_true(json_is_null(json_object_get(line, "last_return")));
    assert_true(json_is_null(json_object_get(o, "wall_s")));
    json_decref(o);
    free(text);
}

static void status_json_is_documented(void **state) {
    (void)state;
    struct wire_actor_status actor;
    struct wire_status s = full_status(&actor);
    char *text, *page, path[1024];
    size_t len;
    FILE *out = open_memstream(&text, &len);
    status_print_json(&s, out);
    fclose(out);
    const char *root = getenv("SPUR_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/docs/status.md", root ? root : ".");
    assert_int_equal(file_read_all(&page, &len, path, 1 << 20), 0);
    json_t *o = json_loads(text, 0, NULL);
    expect_documented(o, page);
    json_decref(o);
    free(text);
    free(page);
}

static void the_live_line(void **state) {
    (void)state;
    struct wire_actor_status actor;
    struct wire_status s = full_status(&actor);
    char line[512];
    display_line(line, sizeof(line), &s, 754, false);
    assert_string_equal(line,
                        "learning 12,340/125,000 | left 12 min 34 s | return 1,012 best 1,100 "
                        "| err 0.375 k 1 | upd 146,800 (20.0/step) | 9.81 step/s 331 upd/s | "
                        "ep 310");
    s = (struct wire_status){.state = "exploring", .env_steps_budget = 5000};
    display_line(line, sizeof(line), &s, NAN, true);
    assert_string_equal(line, "exploring 0/5,000 | 0 step/s | ep 0");
    // The reason is named once the run stands still: it often waits for a few milliseconds.
    snprintf(s.waiting, sizeof(s.waiting), "for an actor: none is connected");
    display_line(line, sizeof(line), &s, NAN, false);
    assert_string_equal(line, "exploring 0/5,000 | 0 step/s | ep 0");
    display_line(line, sizeof(line), &s, NAN, true);
    assert_string_equal(
        line, "exploring 0/5,000 | waits for an actor: none is connected | 0 step/s | ep 0");
    snprintf(s.waiting, sizeof(s.waiting), "nothing could be stored: No space left on device");
    display_line(line, sizeof(line), &s, NAN, true);
    assert_string_equal(line, "exploring 0/5,000 | nothing could be stored: No space left on "
                              "device | 0 step/s | ep 0");
}

// After exploration steps wait for thousands of updates: their rate is not that of the run.
static void the_time_left(void **state) {
    (void)state;
    struct display d = {0};
    struct wire_status s = {.has_learner = true, .explore_steps = 5000, .env_steps_budget = 10000};
    s.env_steps = 4000;
    assert_true(isnan(display_time_left_s(&d, 1000, &s)));
    s.env_steps = 5000;
    s.updates_allowed = 5000;
    for (uint64_t i = 1; i <= 100; i++) {
        s.env_steps += i % 10 == 0;
        s.updates = 45 * i;
        assert_true(isnan(display_time_left_s(&d, 1000 + 1000 * i, &s)) || s.updates > 4000);
    }
    d.marks = d.next_mark = 0;
    s.updates = s.updates_allowed;
    for (uint64_t i = 0; i < 10; i++) { // 20 steps/s
        s.env_steps = 6000 + 20 * i;
        double left = display_time_left_s(&d, 200000 + 1000 * i, &s);
        assert_true(i == 0 ? isnan(left) : fabs(left - (double)(4000 - 20 * i) / 20) < 1e-9);
    }
}

// ---- memory ----

static uint64_t bytes_of(const struct memory *m, const char *process, const char *what) {
    for (int i = 0; i < m->count; i++) {
        if (strcmp(m->parts[i].process, process) == 0 && strcmp(m->parts[i].what, what) == 0) {
            return m->parts[i].bytes;
        }
    }
    fail_msg("no part \"%s\" of %s", what, process);
    return 0;
}

// The method of the command line replaces all that a task's file says for its own.
static void every_task_takes_every_method(void **state) {
    (void)state;
    static const char *const methods[] = {"mbpo", "sac", "dhmbpo", NULL};
    for (int i = 0; i < task_count(); i++) {
        for (int k = 0; k < 4; k++) {
            struct config c;
            struct task task;
            const struct config_source source = {.name = task_at(i)->name, .method = methods[k]};
            assert_int_equal(cli_resolve(&c, &task, &source), 0);
        }
    }
}

static void memory_is_predicted(void **state) {
    (void)state;
    struct config c;
    struct memory m;
    struct env_memory unknown = {0};
    const struct task *hopper = task_find("hopper");
    assert_non_null(hopper);
    assert_int_equal(cli_load(&c, "hopper", "mbpo"), 0);
    config_choose(&c);
    memory_predict(&m, &c, hopper, unknown, 2);
    // 6,000,000 rows of 2 * 11 + 3 + 1 floats and a byte.
    assert_int_equal(bytes_of(&m, "learner", "D_model"), 6000000ull * 105);
    assert_int_equal(bytes_of(&m, "learner", "D_env"), (125000ull + 16384) * 105);
    // The learner's log has the same figure.
    uint64_t real, model, networks;
    trainer_memory(&real, &model, &networks, &c, hopper);
    assert_int_equal(bytes_of(&m, "learner", "D_env"), real);
    assert_int_equal(bytes_of(&m, "learner", "D_model"), model);
    uint64_t sum = 0;
    for (int i = 0; i < m.count; i++) {
        sum += m.parts[i].bytes;
    }
    assert_int_equal(m.total, sum);
    // Such a run held 851.6 MiB, measured on 21 November 2026.
    assert_true(m.total > 0.95 * 851.6 * 0x1p20 && m.total < 1.05 * 851.6 * 0x1p20);
    uint64_t one_actor = m.total;
    memory_predict(&m, &c, hopper, unknown, 4); // one more training thread with its own workspace
    assert_true(m.total > one_actor);
    c.run.actors = 3;
    memory_predict(&m, &c, hopper, unknown, 2);
    assert_true(m.total > one_actor);
    uint64_t environments = bytes_of(&m, "actors and evaluator", "environments");
    c.run.envs_per_actor = 5; // 12 more environments; the evaluator has the same
    memory_predict(&m, &c, hopper, unknown, 2);
    uint64_t twelve_more = bytes_of(&m, "actors and evaluator", "environments") - environments;
    assert_true(twelve_more > 12 * (3ull << 20) && twelve_more < 12 * (5ull << 20));
    // 3 actors and the evaluator have a model each; 3 * 5 + 16 environments.
    struct env_memory large = {.shared = 40ull << 20, .each = 6ull << 20};
    memory_predict(&m, &c, hopper, large, 2);
    assert_int_equal(bytes_of(&m, "actors and evaluator", "MuJoCo models"), 4 * large.shared);
    uint64_t of_envs = bytes_of(&m, "actors and evaluator", "environments");
    assert_true(of_envs > 31 * large.each && of_envs < 31 * (large.each + (1 << 20)));
    char text[TEXT_LEN];
    assert_string_equal(text_bytes(text, 1536), "1.5 KiB");
    assert_string_equal(text_bytes(text, 3ull << 20), "3.0 MiB");
    assert_string_equal(text_bytes(text, 6ull << 30), "6.0 GiB");
}

static void paths_are_words_of_a_shell(void **state) {
    (void)state;
    char out[64], small[8];
    assert_string_equal(text_shell(out, sizeof(out), "runs/hopper-seed1"), "runs/hopper-seed1");
    assert_string_equal(text_shell(out, sizeof(out), "tcp://10.0.0.1:7000"), "tcp://10.0.0.1:7000");
    assert_string_equal(text_shell(out, sizeof(out), "my runs/a"), "'my runs/a'");
    assert_string_equal(text_shell(out, sizeof(out), "a$b;c"), "'a$b;c'");
    assert_string_equal(text_shell(out, sizeof(out), "it's"), "'it'\\''s'");
    assert_string_equal(text_shell(out, sizeof(out), "-x"), "./'-x'");
    assert_string_equal(text_shell(out, sizeof(out), ""), "''");
    assert_string_equal(text_shell(small, sizeof(small), "far too long"), "far too long");
}

// ---- endpoints ----

static void leave_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

// The socket directory goes where it can be made: $TMPDIR, and at last the run directory.
static void sockets_need_no_tmp(void **state) {
    (void)state;
    struct endpoints e;
    char expected[PATH_MAX];
    unsetenv("XDG_RUNTIME_DIR");
    setenv("TMPDIR", dir, 1);
    assert_int_equal(endpoints_private(&e, "/proc"), 0);
    assert_int_equal(file_join(expected, sizeof(expected), dir, "spur-"), 0);
    assert_int_equal(strncmp(e.folder, expected, strlen(expected)), 0);
    endpoints_remove(&e);
    // A directory that does not exist, or is too long for a socket, is passed over.
    char deep[PATH_MAX];
    memset(deep, 'x', sizeof(deep));
    memcpy(deep, "/tmp/", 5);
    deep[150] = '\0';
    assert_int_equal(mkdir(deep, 0700), 0);
    setenv("TMPDIR", deep, 1);
    assert_int_equal(endpoints_private(&e, dir), 0);
    assert_int_equal(strncmp(e.folder, "/tmp/spur-", 10), 0);
    endpoints_remove(&e);
    rmdir(deep);
    unsetenv("TMPDIR");
}

static void endpoints_of_a_run(void **state) {
    (void)state;
    struct endpoints e;
    char back[NET_ENDPOINT_MAX], keys[PATH_MAX];
    assert_int_equal(endpoints_private(&e, dir), 0);
    assert_int_equal(strncmp(e.modelserver, "ipc:///", 7), 0);
    assert_true(strlen(e.modelserver) - strlen("ipc://") < 107);
    assert_int_equal(endpoints_write(&e, dir), 0);
    assert_int_equal(endpoints_read(back, keys, dir, err, sizeof(err)), 0);
    assert_string_equal(back, e.modelserver);
    endpoints_unwrite(dir);
    assert_int_equal(endpoints_read(back, keys, dir, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "no run is active in"));
    // Files of a killed process in the folder are removed with it.
    char folder[PATH_MAX], left[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s", e.folder);
    assert_int_equal(file_join(left, sizeof(left), folder, "actor-0"), 0);
    leave_socket(left);
    endpoints_remove(&e);
    assert_false(file_exists(folder));

    // The same after spur itself was killed and the run is resumed.
    assert_int_equal(endpoints_private(&e, dir), 0);
    snprintf(folder, sizeof(folder), "%s", e.folder);
    leave_socket(e.modelserver + strlen("ipc://"));
    assert_int_equal(endpoints_write(&e, dir), 0);
    endpoints_clear(dir);
    assert_false(file_exists(folder));
    assert_int_equal(endpoints_read(back, keys, dir, err, sizeof(err)), -1);
    // Only sockets are removed, and no folder with another name.
    assert_int_equal(endpoints_private(&e, dir), 0);
    assert_int_equal(file_join(left, sizeof(left), e.folder, "letter"), 0);
    assert_int_equal(file_write_atomic(left, "", 0), 0);
    assert_int_equal(endpoints_write(&e, dir), 0);
    endpoints_clear(dir);
    assert_true(file_exists(left));
    unlink(left);
    rmdir(e.folder);

    assert_string_equal(keys, ""); // the folder is its user's
    const char *const wrong[] = {"127.0.0.1:7100", "tcp://:1",   "tcp://a",       "tcp://a:0",
                                 "tcp://a:65535",  "tcp://a:1x", "ipc:///tmp/x:5"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(endpoints_listen(&e, wrong[i], NULL, dir), EXIT_CODE_USAGE);
    }
}

// ---- policy files ----

// Writes a policy for inverted_pendulum (4 -> 3 -> 2) with one fault or none.
enum fault { FAULT_NONE, FAULT_TASK, FAULT_DIMS, FAULT_SHAPE, FAULT_NAN, FAULT_META };

static const char *write_policy(enum fault fault) {
    float w0[12] = {0}, b0[3] = {0}, w1[6] = {0}, b1[2] = {0};
    if (fault == FAULT_NAN) {
        b1[1] = NAN;
    }
    uint64_t shape0[2] = {3, 4}, shape1[2] = {2, 3};
    if (fault == FAULT_SHAPE) {
        shape0[0] = 4;
        shape0[1] = 3;
    }
    struct tensor tensors[] = {
        tensor_make("policy.0.weight", TENSOR_F32, w0, 2, shape0),
        tensor_f32("policy.0.bias", b0, 3),
        tensor_make("policy.1.weight", TENSOR_F32, w1, 2, shape1),
        tensor_f32("policy.1.bias", b1, 2),
    };
    struct safetensors_meta meta[] = {
        {"task", fault == FAULT_TASK ? "no_such_task" : "inverted_pendulum"},
        {"obs_dim", fault == FAULT_DIMS ? "5" : "4"},
        {"act_dim", "1"},
        {"hidden_width", "3"},
        {"hidden_layers", fault == FAULT_META ? "-1" : "1"},
        {"version", "7"},
        {"updates", "70"},
    };
    const char *path = in_dir("policy.safetensors");
    assert_int_equal(safetensors_write(path, tensors, 4, meta, 7, err, sizeof(err)), 0);
    return path;
}

static void policy_files(void **state) {
    (void)state;
    struct player_policy f;
    assert_int_equal(player_policy_load(&f, write_policy(FAULT_NONE), NULL, err, sizeof(err)), 0);
    assert_string_equal(f.task->name, "inverted_pendulum");
    assert_int_equal(f.policy.version, 7);
    assert_int_equal(f.policy.params_len, 12 + 3 + 6 + 2);
    player_policy_deinit(&f);
    const struct {
        enum fault fault;
        const char *part;
    } wrong[] = {
        {FAULT_TASK, "no_such_task"},      {FAULT_DIMS, "5 observations"},
        {FAULT_SHAPE, "the shape (3, 4)"}, {FAULT_NAN, "not finite"},
        {FAULT_META, "hidden_layers"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(
            player_policy_load(&f, write_policy(wrong[i].fault), NULL, err, sizeof(err)), -1);
        if (!strstr(err, wrong[i].part)) {
            fail_msg("\"%s\" does not tell of \"%s\"", err, wrong[i].part);
        }
        assert_null(f.params);
    }
    assert_int_equal(player_policy_load(&f, "/nonexistent", NULL, err, sizeof(err)), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures),
        cmocka_unit_test(summary_of_a_run),
        cmocka_unit_test(status_as_text),
        cmocka_unit_test(status_as_json),
        cmocka_unit_test(status_json_is_documented),
        cmocka_unit_test(missing_figures_are_null),
        cmocka_unit_test(the_live_line),
        cmocka_unit_test(the_time_left),
        cmocka_unit_test(every_task_takes_every_method),
        cmocka_unit_test(memory_is_predicted),
        cmocka_unit_test(paths_are_words_of_a_shell),
        cmocka_unit_test(endpoints_of_a_run),
        cmocka_unit_test(sockets_need_no_tmp),
        cmocka_unit_test(policy_files),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
