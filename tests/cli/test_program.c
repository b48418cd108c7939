// SPDX-License-Identifier: MIT
// Tests the output and exit codes of `spur` in an empty folder: help, wrong command
// lines, configurations refused with file and line, unknown tasks, run directories
// in use or of another run, too little memory, a policy evaluated from its file,
// and status without a run.
//
// Also tests its handling of children: shell scripts with the names of the daemons
// beside a copy of spur are killed, fail or hang.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"

static char dir[] = "/tmp/spur-test-program-XXXXXX";
static char output[1 << 16];

static void write_file(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text)), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

// A zombie counts as dead.
#define ALIVE "alive() { grep -qs '^State:[^Z]*$' /proc/$1/status; }; "

// Runs a shell command line in the folder, collects what it prints in output and
// returns its exit code. $spur is the built program.
static int sh(const char *command) {
    char line[2048];
    const char *build = getenv("SPUR_BUILD_ROOT");
    snprintf(line, sizeof(line), "cd %s && spur=%s/bin/spur; " ALIVE "{ %s; } 2>&1", dir,
             build ? build : ".", command);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t n = fread(output, 1, sizeof(output) - 1, pipe);
    output[n] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(const char *command, int code, const char *part) {
    int got = sh(command);
    if (got != code || !strstr(output, part)) {
        fail_msg("%s\nreturned %d (%d expected) and printed:\n%s\nexpected: %s", command, got, code,
                 output, part);
    }
}

// ---- a folder with stand-ins ----

// The end of the model server stops the other processes: here through a file.
static const char modelserver[] = "#!/bin/sh\n"
                                  "trap 'touch over; exit 0' TERM\n"
                                  "echo $$ > ${0##*/}.pid\n"
                                  "while :; do sleep 0.05; done\n";
static const char other[] = "#!/bin/sh\n"
                            "trap 'exit 0' TERM\n"
                            "echo \"0Z ${0##*/} info $*\"\n"
                            "echo $$ > ${0##*/}.pid\n"
                            "while [ ! -e over ]; do sleep 0.05; done\n";

static int make_dir(void **state) {
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    write_file("spur-modelserver", modelserver);
    write_file("spur-learner", other);
    write_file("spur-actor", other);
    return sh("cp $spur spur");
}

static int remove_dir(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof(command), "rm -r '%s'", dir);
    return system(command);
}

// ---- the command line ----

static void command_lines(void **state) {
    (void)state;
    expect("$spur", EXIT_CODE_USAGE, "usage: spur COMMAND");
    expect("$spur --help", 0, "usage: spur COMMAND");
    expect("$spur --version", 0, "spur 0.");
    expect("$spur --version", 0, ", for MuJoCo " SPUR_MUJOCO_VERSION "\n");
    expect("$spur rnu", EXIT_CODE_USAGE, "there is no command \"rnu\"");
    expect("$spur run", EXIT_CODE_USAGE, "expected a task or a file");
    expect("$spur run a b", EXIT_CODE_USAGE, "expected one task or file, found 2");
    expect("$spur run hopper --seed 1x", EXIT_CODE_USAGE, "--seed: expected an integer");
    expect("$spur run hopper --frobnicate", EXIT_CODE_USAGE, "spur run --help");
    expect("$spur tasks", 0, "Hopper-v4");
    expect("$spur tasks --mjcf Pusher-v5", 0, "<mujoco model=\"pusher_v5\">");
    expect("$spur tasks --mjcf reacher_v5", 0, "<mujoco model=\"reacher\">");
    expect("$spur tasks --mjcf Hoper-v4", EXIT_CODE_CONFIG, "did you mean hopper?");
    expect("$spur config", EXIT_CODE_USAGE, "expected one task or file, found 0");
    const char *const commands[] = {"run", "status", "eval", "render", "config", "tasks"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "$spur %s --help", commands[i]);
        expect(line, 0, "usage: spur ");
    }
}

static void configurations(void **state) {
    (void)state;
    expect("$spur config hopper > resolved.yaml && $spur config ./resolved.yaml | diff "
           "resolved.yaml - && tail -1 resolved.yaml",
           0, "#   all ");
    expect("$spur config HOPPER-v4 --set run.seed=1e3", 0, "seed: 1000 ");
    // Every task has a valid configuration; v5 tasks use that of v4.
    expect("for t in $($spur tasks | awk 'NR > 1 { print $1 }'); do"
           " $spur config $t | grep -q \"^  task: $t \" || echo none for $t; done; echo seen",
           0, "seen");
    assert_null(strstr(output, "none for"));
    expect("$spur config Reacher-v5", 0, "task: reacher_v5 ");
    expect("$spur config hoper", EXIT_CODE_CONFIG,
           "there is no task \"hoper\"; did you mean hopper? The tasks are: ");
    write_file("bad.yaml", "run:\n  task: hopper\nmodel:\n  hiden_width: 3\n");
    expect("$spur config bad.yaml", EXIT_CODE_CONFIG,
           "bad.yaml:4: model.hiden_width: unknown key; did you mean model.hidden_width?");
    write_file("task.yaml", "run:\n  task: hopping\n");
    expect("$spur run task.yaml", EXIT_CODE_CONFIG, "did you mean hopper?");
    expect("$spur config hopper --set model.elites=9", EXIT_CODE_CONFIG,
           "model.elites is 9, more than model.members, 7");
    expect("$spur config none.yaml", EXIT_CODE_CONFIG, "none.yaml: cannot be read");
    expect("touch empty.yaml; $spur run empty.yaml", EXIT_CODE_CONFIG,
           "empty.yaml:1: the file is empty");
    expect("echo 'run: {seed: 2}' > open.yaml; $spur run open.yaml", EXIT_CODE_CONFIG,
           "run.task is empty: name a task");
}

static void refusals_of_run(void **state) {
    (void)state;
    expect("$spur run hopper --set rollout.retain_epochs=150 --set rollout.schedule=[0,1,15,15] "
           "--run-dir large",
           EXIT_CODE_CONFIG, "D_model");
    assert_non_null(strstr(output, "of memory, but only "));
    expect("test ! -e large", 0, "");
    expect("$spur run hopper --run-dir /proc/nowhere", EXIT_CODE_IO, "cannot be written to");
    expect("$spur run --run-dir nothing", EXIT_CODE_USAGE, "contains no run to resume");
    expect("mkdir -p alone && cp $spur alone/ && cd alone && ./spur run hopper",
           EXIT_CODE_UNAVAILABLE, "spur-modelserver is missing");
}

static void status_of_nothing(void **state) {
    (void)state;
    expect("$spur status", EXIT_CODE_UNAVAILABLE, "no run is active in runs/latest");
    expect("$spur status nowhere://x", EXIT_CODE_USAGE, "nowhere://x");
    uint64_t start = clock_ms();
    expect("$spur status ipc://$PWD/nobody", EXIT_CODE_UNAVAILABLE, "cannot connect to ipc://");
    uint64_t took = clock_ms() - start;
    assert_true(took >= 2500 && took < 8000);
}

static void evaluations(void **state) {
    (void)state;
    expect("$spur eval", EXIT_CODE_USAGE, "expected one run directory");
    expect("$spur eval nowhere", EXIT_CODE_CONFIG, "is it a run directory?");
    expect("$spur eval hoper --policy random", EXIT_CODE_CONFIG, "such as hopper");
    expect("$spur eval hopper", EXIT_CODE_USAGE, "add --policy random, zero, or the policy");
    expect("$spur eval --policy random", EXIT_CODE_USAGE, "expected one run directory or env");
    expect("$spur eval hopper --policy zero --stochastic", EXIT_CODE_USAGE, "zero is none");
    expect("$spur eval hopper --policy zero --episodes 2", EXIT_CODE_OK, "zero actions");
    expect("mkdir -p empty && $spur config inverted_pendulum > empty/config.yaml && $spur eval "
           "empty",
           EXIT_CODE_IO, "policy.safetensors does not exist");
    expect("$spur eval --policy spur", EXIT_CODE_IO, "spur: ");
    expect("$spur eval empty --episodes 0", EXIT_CODE_USAGE, "from 1 to 1024");
}

static void checks(void **state) {
    (void)state;
    expect("$spur check inverted_pendulum --episodes 2 --seconds 20", EXIT_CODE_OK,
           "the rule explains 4 of 4 ends, and holds in 0 other observations");
    expect("$spur check inverted_pendulum --episodes 2 --json | python3 -c 'import json,sys; "
           "o = json.load(sys.stdin); print(len(o[\"observations\"]), o[\"reproducible\"], "
           "o[\"errors\"])'",
           EXIT_CODE_OK, "4 True []");
    expect("$spur check hopper --episodes 1", EXIT_CODE_OK, "\n  ctrl_cost ");
    expect("$spur check", EXIT_CODE_USAGE, "expected one environment, found 0");
    expect("$spur check ./nothing.so", EXIT_CODE_CONFIG, "the environment's file is not there");
    expect("$spur check hoper", EXIT_CODE_CONFIG, "did you mean hopper?");
    expect("$spur check ${spur%/bin/spur}/tests/faulty_nan_reward.so", EXIT_CODE_FAILURE,
           "error: 20 of 20 steps were bad");
}

// ---- children ----

// $spur is the copy with scripts as children. Prints its exit code. The steps run
// one second after its start.
static void expect_run(const char *steps, int code, const char *part, const char *other_part) {
    char command[1024];
    snprintf(command, sizeof(command),
             "rm -f *.pid over out; ./spur run inverted_pendulum --run-dir r >> out 2>&1 & pid=$!; "
             "sleep 1; %s; "
             "wait $pid; code=$?; cat out; exit $code",
             steps);
    expect(command, code, part);
    if (!strstr(output, other_part)) {
        fail_msg("after %s:\n%s\nexpected: %s", steps, output, other_part);
    }
    // No process remains, and no temporary file of the run.
    expect("sleep 0.3; for p in *.pid; do ! alive $(cat $p) || echo left $p; done; "
           "test ! -e r/endpoints || echo endpoints left",
           0, "");
    if (strstr(output, "left")) {
        fail_msg("after %s:\n%s", steps, output);
    }
}

static void stopped_in_order(void **state) {
    (void)state;
    expect_run("kill -INT $pid", 130, "to resume: spur run --run-dir r", "(new)");
    expect("cat r/log", 0,
           "spur-learner info --config r/checkpoint/config.yaml --run-dir r --modelserver ipc");
    expect("head -1 r/config.yaml", 0, "task inverted_pendulum (InvertedPendulum-v4), seed 1");
    // Two signals at once count as one: timeout and make forward signals this way.
    expect_run("kill -INT $pid; kill -TERM $pid", 130, "(resumed)",
               "stopping: a checkpoint is being saved");
}

static void twice_means_at_once(void **state) {
    (void)state;
    write_file("spur-modelserver", "#!/bin/sh\ntrap '' TERM\necho $$ > ${0##*/}.pid\n"
                                   "while :; do sleep 0.05; done\n");
    uint64_t start = clock_ms();
    expect_run("kill -INT $pid; sleep 1; kill -INT $pid", EXIT_CODE_FAILURE, "stopping at once",
               "to resume");
    assert_true(clock_ms() - start < 10000);
    write_file("spur-modelserver", modelserver);
}

static void dead_children_are_restarted(void **state) {
    (void)state;
    expect_run("kill -KILL $(cat spur-learner.pid); sleep 2; alive $(cat spur-learner.pid) && echo "
               "raised >> out; kill -INT $pid",
               130, "raised", "learner was killed by signal 9 (Killed); restarting in");
}

static void a_failure_ends_the_run(void **state) {
    (void)state;
    write_file("spur-learner", "#!/bin/sh\necho '0Z learner error the disk is full'\nexit 74\n");
    expect_run(":", EXIT_CODE_IO, "learner ended with code 74: the run is stopped",
               "the disk is full");
    write_file("spur-learner", other);
}

static void the_parent_dies(void **state) {
    (void)state;
    expect(
        "rm -f *.pid over out; ./spur run inverted_pendulum --run-dir r >> out 2>&1 & pid=$!; "
        "sleep 1; "
        "kill -KILL $pid; for i in $(seq 100); do some=; for p in *.pid; do ! alive $(cat $p) || "
        "some=$p; done; test $some || break; sleep 0.1; done; test ! $some || echo left $some; "
        "ls *.pid | wc -l",
        0, "3\n");
    assert_null(strstr(output, "left"));
}

static void one_run_a_directory(void **state) {
    (void)state;
    expect_run("$spur run --run-dir r >> out 2>&1; kill -INT $pid", 130,
               "r is in use by another spur run (process ", "to resume");
    expect("./spur run inverted_pendulum --run-dir r --seed 2", EXIT_CODE_CONFIG,
           "r contains a run with run.seed 1, not 2");
    expect("./spur run --run-dir r --set sac.tau=0.5", EXIT_CODE_CONFIG,
           "r contains a run with sac.tau 0.005, not 0.5");
    expect("./spur run hopper --run-dir r", EXIT_CODE_CONFIG,
           "r contains a run with run.task inverted_pendulum, not hopper");
}

static void changes_are_stored(void **state) {
    (void)state;
    static const char command[] =
        "rm -f *.pid over; ./spur run --run-dir r %s > out 2>&1 & pid=$!; sleep 1; "
        "kill -INT $pid; wait $pid; code=$?; cat out r/config.yaml; exit $code";
    char line[512];
    snprintf(line, sizeof(line), command, "--set run.steps=9000 --set eval.episodes=4");
    expect(line, 130, "changed: run.steps 5000 to 9000, eval.episodes 10 to 4");
    assert_non_null(strstr(output, "UTC: run.steps 5000 to 9000, eval.episodes 10 to 4.\n"));
    assert_non_null(strstr(output, "task inverted_pendulum (InvertedPendulum-v4), seed 1"));
    assert_non_null(strstr(output, "  steps: 9000 "));
    assert_non_null(strstr(output, "  episodes: 4 "));
    expect("tail -n 40 r/log", 0, "the configuration is changed: run.steps 5000 to 9000");
    // Later starts keep the changes. A second change is recorded below the first.
    snprintf(line, sizeof(line), command, "--set run.steps=5000");
    expect(line, 130, "changed: run.steps 9000 to 5000\n");
    assert_non_null(strstr(output, "to 4.\n# Changed "));
    snprintf(line, sizeof(line), command, "");
    expect(line, 130, "  episodes: 4 ");
    assert_null(strstr(output, "changed: "));
}

static void latest_is_followed(void **state) {
    (void)state;
    expect("mkdir -p runs/one && $spur config inverted_pendulum > runs/one/config.yaml && "
           "ln -sfn one runs/latest",
           0, "");
    // As a run directory the link is followed and then recreated, not onto itself.
    expect("rm -f over *.pid; (sleep 1; kill -INT $(cat runs/one/lock)) & "
           "./spur run --run-dir runs/latest",
           130, "/runs/one (resumed)");
    expect("readlink runs/latest", 0, "one\n");
    expect_run("kill -INT $pid", 130, "to resume", "run directory: r");
    expect("readlink runs/latest", 0, "/r\n");
}

static void a_run_that_is_over(void **state) {
    (void)state;
    write_file("r/progress.csv", "env_steps,wall_seconds,return_mean,return_std,updates\n"
                                 "1000,10,960,3,9\n1250,20,970,3,9\n1500,21,1000,0,9\n");
    expect("./spur run inverted_pendulum --run-dir r", 0,
           "this run is finished: solved at step 1,500; best return 1000.0");
    expect("./spur run --run-dir r", 0,
           "to go on: spur run --run-dir r --set run.stop_when_solved=false");
    expect("./spur run --run-dir r --set run.stop_when_solved=false --set run.steps=1400 --set "
           "run.explore_steps=1000",
           EXIT_CODE_CONFIG, "a resumed run may change run.steps, run.actors");
    expect("./spur run --run-dir r --set run.stop_when_solved=false --set run.steps=1400",
           EXIT_CODE_CONFIG, "run.steps=1400: r was evaluated at step 1500 already");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines),
        cmocka_unit_test(configurations),
        cmocka_unit_test(refusals_of_run),
        cmocka_unit_test(status_of_nothing),
        cmocka_unit_test(evaluations),
        cmocka_unit_test(checks),
        cmocka_unit_test(stopped_in_order),
        cmocka_unit_test(twice_means_at_once),
        cmocka_unit_test(dead_children_are_restarted),
        cmocka_unit_test(a_failure_ends_the_run),
        cmocka_unit_test(the_parent_dies),
        cmocka_unit_test(one_run_a_directory),
        cmocka_unit_test(changes_are_stored),
        cmocka_unit_test(latest_is_followed),
        cmocka_unit_test(a_run_that_is_over),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
