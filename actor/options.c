// SPDX-License-Identifier: MIT
#include "actor/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"

static const char usage[] =
    "usage: spur-actor --modelserver ENDPOINT [--learner ENDPOINT] [options]\n"
    "\n"
    "Steps the run's environment with the newest policy and streams what it sees to\n"
    "the model server. May join a run and leave it at any time.\n"
    "\n"
    "  --modelserver ENDPOINT  where spur-modelserver listens: tcp://HOST:PORT or ipc://PATH\n"
    "  --learner ENDPOINT      where spur-learner gives out policies; needed to act after\n"
    "                          exploration, not by an evaluator\n"
    "  --evaluate              be the run's evaluator instead\n"
    "  --id NAME               name in the run, one a process (default: host-pid)\n"
    "  --task NAME             insist on this task (default: whatever the run's is)\n"
    "  --bind ENDPOINT         answer `spur status` there\n"
    "  --parent PID            end when this process is no longer the parent\n"
    "  --log FILE              append log lines there (default: standard error)\n"
    "  --verbose               log more\n"
    "  --help, --version\n";

enum {
    OPTION_MODELSERVER = 1,
    OPTION_LEARNER,
    OPTION_EVALUATE,
    OPTION_ID,
    OPTION_TASK,
    OPTION_BIND,
    OPTION_PARENT,
    OPTION_LOG,
    OPTION_VERBOSE,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"modelserver", required_argument, NULL, OPTION_MODELSERVER},
    {"learner", required_argument, NULL, OPTION_LEARNER},
    {"evaluate", no_argument, NULL, OPTION_EVALUATE},
    {"id", required_argument, NULL, OPTION_ID},
    {"task", required_argument, NULL, OPTION_TASK},
    {"bind", required_argument, NULL, OPTION_BIND},
    {"parent", required_argument, NULL, OPTION_PARENT},
    {"log", required_argument, NULL, OPTION_LOG},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static const struct task *parse_task(const char *name) {
    char all[512] = "";
    const struct task *task = task_find(name);
    if (task) {
        return task;
    }
    for (int i = 0; i < task_count(); i++) {
        size_t len = strlen(all);
        snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", task_at(i)->name);
    }
    die(EXIT_CODE_USAGE, NULL, "--task %s: there is no such task; nearest: %s; all: %s", name,
        task_nearest(name), all);
}

static int parse_pid(const char *text) {
    char *end;
    long pid = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || pid <= 0 || pid > 1 << 30) {
        die(EXIT_CODE_USAGE, NULL, "--parent %s: not a process id", text);
    }
    return (int)pid;
}

static void default_id(char *out, size_t out_len) {
    char host[64];
    if (gethostname(host, sizeof(host))) {
        snprintf(host, sizeof(host), "host");
    }
    host[sizeof(host) - 1] = '\0';
    snprintf(out, out_len, "%s-%d", host, (int)getpid());
}

static void parse_id(struct options *o, const char *text) {
    if (*text == '\0' || strlen(text) >= sizeof(o->id)) {
        die(EXIT_CODE_USAGE, NULL, "--id: 1 to %zu characters, not %zu", sizeof(o->id) - 1,
            strlen(text));
    }
    snprintf(o->id, sizeof(o->id), "%s", text);
}

static void apply(struct options *o, int option) {
    switch (option) {
    case OPTION_MODELSERVER:
        o->modelserver = optarg;
        break;
    case OPTION_LEARNER:
        o->learner = optarg;
        break;
    case OPTION_EVALUATE:
        o->evaluate = true;
        break;
    case OPTION_ID:
        parse_id(o, optarg);
        break;
    case OPTION_TASK:
        o->task = parse_task(optarg);
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
        puts("spur-actor " SPUR_VERSION);
        exit(EXIT_CODE_OK);
    default: // getopt_long has said what is wrong
        die(EXIT_CODE_USAGE, "spur-actor --help lists all options", "wrong command line");
    }
}

void options_parse(struct options *o, int argc, char *const argv[]) {
    *o = (struct options){0};
    default_id(o->id, sizeof(o->id));
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        apply(o, option);
    }
    if (optind < argc) {
        die(EXIT_CODE_USAGE, "spur-actor --help lists all options", "%s: not an option",
            argv[optind]);
    }
    if (!o->modelserver) {
        die(EXIT_CODE_USAGE, "spur-actor --help lists all options", "--modelserver is missing");
    }
}
