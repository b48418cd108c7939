// SPDX-License-Identifier: MIT
// spur: the user's hands. Finds the sub-command and leaves the rest to it.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/check.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *meaning;
} commands[] = {
    {"run", cmd_run, "train on a task: starts all processes on this machine"},
    {"status", cmd_status, "show a running system"},
    {"eval", cmd_eval, "evaluate the policy of a run directory"},
    {"config", cmd_config, "print a configuration, resolved, and the memory it needs"},
    {"tasks", cmd_tasks, "list the tasks"},
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
          "`spur COMMAND --help` tells more. To begin with: spur run inverted_pendulum\n",
          out);
}

int cli_fail(int code, const char *hint, const char *fmt, ...) {
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "spur: %s\n", text);
    if (hint) {
        fprintf(stderr, "  hint: %s\n", hint);
    }
    return code;
}

int cli_usage_error(char **argv, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n  see: %s --help\n", argv[0], text, argv[0]);
    return EXIT_CODE_USAGE;
}

int cli_next_option(int argc, char **argv, const struct option *options) {
    // getopt prints its own message, headed by argv[0].
    int option = getopt_long(argc, argv, "h", options, NULL);
    if (option == '?') {
        fprintf(stderr, "  see: %s --help\n", argv[0]);
    }
    return option;
}

bool cli_parse_number(uint64_t *out, char **argv, const char *option, const char *text,
                      uint64_t min, uint64_t max) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    // 19 digits cannot overflow.
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 19 ||
        value < min || value > max) {
        cli_usage_error(argv, "%s: expected a whole number between %llu and %llu, found \"%.60s\"",
                        option, (unsigned long long)min, (unsigned long long)max, text);
        return false;
    }
    *out = value;
    return true;
}

int main(int argc, char **argv) {
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
        printf("spur %s\n", SPUR_VERSION);
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
    fprintf(stderr, "spur: there is no command \"%.60s\"; these are there:\n\n", name);
    print_help(stderr);
    return EXIT_CODE_USAGE;
}
