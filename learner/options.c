// SPDX-License-Identifier: MIT
#include "learner/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"

#define HINT "spur-learner --help lists all options"

static const char usage[] =
    "usage: spur-learner --config FILE --run-dir DIR --modelserver ENDPOINT --bind ENDPOINT\n"
    "\n"
    "Trains the policy of a run from the rows that the model server sends, and gives\n"
    "it out. Goes on from DIR/checkpoint if there is one.\n"
    "\n"
    "  --config FILE           the run's resolved configuration\n"
    "  --run-dir DIR           checkpoints and policy.safetensors go there\n"
    "  --modelserver ENDPOINT  where spur-modelserver listens: tcp://HOST:PORT or ipc://PATH\n"
    "  --bind ENDPOINT         where actors get policies and `spur status` gets answers\n"
    "  --parent PID            end when this process is no longer the parent\n"
    "  --log FILE              append log lines there (default: standard error)\n"
    "  --verbose               log more\n"
    "  --help, --version\n";

enum {
    OPTION_CONFIG = 1,
    OPTION_RUN_DIR,
    OPTION_MODELSERVER,
    OPTION_BIND,
    OPTION_PARENT,
    OPTION_LOG,
    OPTION_VERBOSE,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"run-dir", required_argument, NULL, OPTION_RUN_DIR},
    {"modelserver", required_argument, NULL, OPTION_MODELSERVER},
    {"bind", required_argument, NULL, OPTION_BIND},
    {"parent", required_argument, NULL, OPTION_PARENT},
    {"log", required_argument, NULL, OPTION_LOG},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static int parse_pid(const char *text) {
    char *end;
    long pid = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || pid <= 0 || pid > 1 << 30) {
        die(EXIT_CODE_USAGE, NULL, "--parent %s: not a process id", text);
    }
    return (int)pid;
}

static void apply(struct options *o, int option) {
    switch (option) {
    case OPTION_CONFIG:
        o->config = optarg;
        break;
    case OPTION_RUN_DIR:
        o->run_dir = optarg;
        break;
    case OPTION_MODELSERVER:
        o->modelserver = optarg;
        break;
    case OPTION_BIND:
        o->bind = optarg;
        break;
    case OPTION_PARENT:
        o->parent = parse_pid(optarg);
        break;
    case OPTION_LOG:
        o->log_path = optarg;
        break;
    case OPTION_VERBOSE:
        o->verbose = true;
        break;
    case OPTION_HELP:
        fputs(usage, stdout);
        exit(EXIT_CODE_OK);
    case OPTION_VERSION:
        puts("spur-learner " SPUR_VERSION);
        exit(EXIT_CODE_OK);
    default: // getopt_long has said what is wrong
        die(EXIT_CODE_USAGE, HINT, "wrong command line");
    }
}

void options_parse(struct options *o, int argc, char *const argv[]) {
    *o = (struct options){0};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        apply(o, option);
    }
    if (optind < argc) {
        die(EXIT_CODE_USAGE, HINT, "%s: not an option", argv[optind]);
    }
    const struct {
        const char *value, *name;
    } needed[] = {{o->config, "--config"},
                  {o->run_dir, "--run-dir"},
                  {o->modelserver, "--modelserver"},
                  {o->bind, "--bind"}};
    for (int i = 0; i < 4; i++) {
        if (!needed[i].value) {
            die(EXIT_CODE_USAGE, HINT, "%s is missing", needed[i].name);
        }
    }
}
