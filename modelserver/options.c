// SPDX-License-Identifier: MIT
#include "modelserver/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"

#define HINT "spur-modelserver --help lists all options"

static const char usage[] =
    "usage: spur-modelserver --config FILE --run-dir DIR --bind ENDPOINT\n"
    "\n"
    "Stores a run's real transitions, trains its model, feeds its learner and paces\n"
    "everybody. Goes on from DIR if there is a run in it.\n"
    "\n"
    "  --config FILE    the run's resolved configuration\n"
    "  --run-dir DIR    store, checkpoint, progress.csv and policy_best.safetensors\n"
    "  --bind ENDPOINT  where everybody finds it: tcp://HOST:PORT or ipc://PATH\n"
    "  --parent PID     end when this process is no longer the parent\n"
    "  --log FILE       append log lines there (default: standard error)\n"
    "  --verbose        log more\n"
    "  --help, --version\n";

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"run-dir", required_argument, NULL, 'r'},
    {"bind", required_argument, NULL, 'b'},
    {"parent", required_argument, NULL, 'p'},
    {"log", required_argument, NULL, 'l'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
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
    case 'c':
        o->config = optarg;
        break;
    case 'r':
        o->run_dir = optarg;
        break;
    case 'b':
        o->bind = optarg;
        break;
    case 'p':
        o->parent = parse_pid(optarg);
        break;
    case 'l':
        o->log_path = optarg;
        break;
    case 'v':
        o->verbose = true;
        break;
    case 'h':
        fputs(usage, stdout);
        exit(EXIT_CODE_OK);
    case 'V':
        puts("spur-modelserver " SPUR_VERSION);
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
    } needed[] = {{o->config, "--config"}, {o->run_dir, "--run-dir"}, {o->bind, "--bind"}};
    for (int i = 0; i < 3; i++) {
        if (!needed[i].value) {
            die(EXIT_CODE_USAGE, HINT, "%s is missing", needed[i].name);
        }
    }
}
