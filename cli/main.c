// SPDX-License-Identifier: MIT
// The command `spur`: dispatches to its sub-commands.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/rlimits.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *meaning;
} commands[] = {
    {"run", cmd_run, "train on a task: starts all processes on this machine"},
    {"status", cmd_status, "show a running system"},
    {"eval", cmd_eval, "evaluate the policy of a run directory"},
    {"render", cmd_render, "record a video of the policy of a run directory"},
    {"check", cmd_check, "try an environment before training: numbers, ends, speed, warnings"},
    {"keys", cmd_keys, "make and list the keys of runs across machines"},
    {"config", cmd_config, "print a configuration, resolved, and the memory it needs"},
    {"data", cmd_data, "list the real steps of a stopped run, set some aside, put them back"},
    {"tasks", cmd_tasks, "list the tasks"},
    {"bench", cmd_bench, "measure this machine, relative to its limits"},
};

static void print_help(FILE *out) {
    fputs("spur: distributed model-based reinforcement learning (MBPO)\n"
          "\n"
          "usage: spur COMMAND [ARGUMENTS]\n"
          "\n",
          out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].meaning);
    }
    fputs("\n"
          "`spur COMMAND --help` prints details. To start: spur run inverted_pendulum\n",
          out);
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_CODE_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_CODE_OK;
    }
    if (strcmp(name, "--version") == 0) {
        printf("spur %s, for MuJoCo %s\n", SPUR_VERSION, SPUR_MUJOCO_VERSION);
        return EXIT_CODE_OK;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            char program[32];
            snprintf(program, sizeof(program), "spur %s", name);
            argv[1] = program;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "spur: there is no command \"%.60s\"; the commands are:\n\n", name);
    print_help(stderr);
    return EXIT_CODE_USAGE;
}

int main(int argc, char **argv) {
    rlimits_start();
    check_libraries();
    return file_close_output(dispatch(argc, argv));
}
