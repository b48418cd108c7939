// SPDX-License-Identifier: MIT
// The table of options, help texts, parsing and range checks.
#include "daemon/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/spelling.h"
#include "common/config/config.h"

enum kind {
    KIND_STRING,
    KIND_FLAG,
    KIND_PID,
    KIND_ENVS,
    KIND_MIB,
    KIND_WHEN_FULL,
    KIND_SECONDS,
    KIND_HELP,
    KIND_VERSION
};

static const struct {
    const char *name, *value; // value: what --help calls it; NULL: it takes none
    enum kind kind;
    unsigned bit;  // 0: everybody's
    size_t offset; // in struct options
    const char *help;
} table[] = {
    {"config", "FILE", KIND_STRING, OPTION_CONFIG, offsetof(struct options, config),
     "the run's resolved configuration"},
    {"run-dir", "DIR", KIND_STRING, OPTION_RUN_DIR, offsetof(struct options, run_dir),
     "the run's folder: what is kept lies there"},
    {"modelserver", "ENDPOINT", KIND_STRING, OPTION_MODELSERVER,
     offsetof(struct options, modelserver),
     "where spur-modelserver listens: tcp://HOST:PORT or ipc://PATH"},
    {"learner", "ENDPOINT", KIND_STRING, OPTION_LEARNER, offsetof(struct options, learner),
     "where spur-learner gives out policies, if not where the model server says"},
    {"bind", "ENDPOINT", KIND_STRING, OPTION_BIND, offsetof(struct options, bind),
     "where to listen, for peers and for `spur status`"},
    {"evaluate", NULL, KIND_FLAG, OPTION_EVALUATE, offsetof(struct options, evaluate),
     "be the run's evaluator instead"},
    {"standby", NULL, KIND_FLAG, OPTION_STANDBY, offsetof(struct options, standby),
     "wait, and take over from the newest checkpoint when the run has lost its learner"},
    {"envs-per-actor", "N", KIND_ENVS, OPTION_ENVS, offsetof(struct options, envs),
     "environments to step side by side (default: 1)"},
    {"spool", "FILE", KIND_STRING, OPTION_SPOOL, offsetof(struct options, spool),
     "keep rows that are not acknowledged in this file, which outlives the process; needs --id"},
    {"spool-mib", "N", KIND_MIB, OPTION_SPOOL, offsetof(struct options, spool_mib),
     "size of that file when it is made (default: 256)"},
    {"when-full", "WHAT", KIND_WHEN_FULL, OPTION_SPOOL, offsetof(struct options, drop_oldest),
     "without room for a row: block (the default), or drop-oldest, counted in `spur status`"},
    {"id", "NAME", KIND_STRING, OPTION_ID, offsetof(struct options, id),
     "name in the run, one a process (default: host, pid and a random number)"},
    {"task", "NAME", KIND_STRING, OPTION_TASK, offsetof(struct options, task),
     "insist on this task (default: whatever the run's is)"},
    {"env", "FILE", KIND_STRING, OPTION_ENV, offsetof(struct options, env),
     "an environment of your own: FILE.yaml, FILE.so, python:MODULE:FUNCTION or a command, that "
     "the run was begun with"},
    {"env-dir", "DIR", KIND_STRING, OPTION_ENV, offsetof(struct options, env_dir),
     "where its process starts (default: here)"},
    {"env-python", "FILE", KIND_STRING, OPTION_ENV, offsetof(struct options, env_python),
     "the interpreter of python: (default: python3 of $VIRTUAL_ENV or PATH)"},
    {"env-timeout-s", "SECONDS", KIND_SECONDS, OPTION_ENV, offsetof(struct options, env_timeout_s),
     "for each answer of its process (default: 60)"},
    {"no-isolate", NULL, KIND_FLAG, OPTION_ENV, offsetof(struct options, env_shared),
     "load a plug-in into this process (task.isolate: false)"},
    {"keys", "PATH", KIND_STRING, 0, offsetof(struct options, keys),
     "who this process is: a folder of `spur keys` for servers, a key for clients, or the token of "
     "a run on this machine (RUN_DIR/token)"},
    {"parent", "PID", KIND_PID, 0, offsetof(struct options, parent),
     "end when this process is no longer the parent"},
    {"log", "FILE", KIND_STRING, 0, offsetof(struct options, log_path),
     "append log lines there (default: standard error)"},
    {"verbose", NULL, KIND_FLAG, 0, offsetof(struct options, verbose), "log more"},
    {"help", NULL, KIND_HELP, 0, 0, "print this"},
    {"version", NULL, KIND_VERSION, 0, 0, "print the version"},
};

#define TABLE_COUNT ((int)(sizeof(table) / sizeof(table[0])))

static bool taken(const struct options_spec *spec, int row) {
    return table[row].bit == 0 || (table[row].bit & (spec->takes | spec->needs));
}

static void print_help(const struct options_spec *spec) {
    printf("usage: %s", spec->program);
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (table[i].bit & spec->needs) {
            printf(" --%s %s", table[i].name, table[i].value ? table[i].value : "");
        }
    }
    printf(" [options]\n\n%s\n\n", spec->about);
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (taken(spec, i)) {
            char left[64];
            snprintf(left, sizeof(left), "--%s %s", table[i].name,
                     table[i].value ? table[i].value : "");
            printf("  %-24s%s\n", left, table[i].help);
        }
    }
}

static int parse_pid(const char *text) {
    char *end;
    long pid = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || pid <= 0 || pid > 1 << 30) {
        die(EXIT_CODE_USAGE, NULL, "--parent %s: not a process id", text);
    }
    return (int)pid;
}

static int parse_envs(const char *text) {
    char *end;
    long envs = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || envs < 1 || envs > CONFIG_ENVS_PER_ACTOR_MAX) {
        die(EXIT_CODE_USAGE, NULL, "--envs-per-actor %s: expected a whole number from 1 to %d",
            text, CONFIG_ENVS_PER_ACTOR_MAX);
    }
    return (int)envs;
}

static int parse_mib(const char *text) {
    char *end;
    long mib = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || mib < 1 || mib > 1 << 20) {
        die(EXIT_CODE_USAGE, NULL, "--spool-mib %s: expected a whole number from 1 to 1048576",
            text);
    }
    return (int)mib;
}

static bool parse_when_full(const char *text) {
    bool drops = strcmp(text, "drop-oldest") == 0;
    if (!drops && strcmp(text, "block") != 0) {
        die(EXIT_CODE_USAGE, NULL, "--when-full %s: expected block or drop-oldest", text);
    }
    return drops;
}

static double parse_seconds(const char *text) {
    char *end;
    double seconds = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(seconds >= 0.1 && seconds <= 86400)) {
        die(EXIT_CODE_USAGE, NULL, "--env-timeout-s %s: expected a number from 0.1 to 86400", text);
    }
    return seconds;
}

static void apply(struct options *o, const struct options_spec *spec, int row) {
    void *field = (char *)o + table[row].offset;
    switch (table[row].kind) {
    case KIND_STRING:
        *(const char **)field = optarg;
        break;
    case KIND_FLAG:
        *(bool *)field = true;
        break;
    case KIND_PID:
        *(int *)field = parse_pid(optarg);
        break;
    case KIND_ENVS:
        *(int *)field = parse_envs(optarg);
        break;
    case KIND_MIB:
        *(int *)field = parse_mib(optarg);
        break;
    case KIND_WHEN_FULL:
        *(bool *)field = parse_when_full(optarg);
        break;
    case KIND_SECONDS:
        *(double *)field = parse_seconds(optarg);
        break;
    case KIND_HELP:
        print_help(spec);
        exit(file_close_output(EXIT_CODE_OK));
    case KIND_VERSION:
        printf("%s %s%s\n", spec->program, SPUR_VERSION, spec->built_for ? spec->built_for : "");
        exit(file_close_output(EXIT_CODE_OK));
    }
}

void options_parse(struct options *o, const struct options_spec *spec, int argc,
                   char *const argv[]) {
    log_init(spec->program, LOG_INFO, -1);
    char hint[128];
    snprintf(hint, sizeof(hint), "%s --help lists all options", spec->program);
    struct option known[TABLE_COUNT + 1] = {0};
    int rows[TABLE_COUNT], count = 0;
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (taken(spec, i)) {
            known[count] = (struct option){
                .name = table[i].name, .has_arg = table[i].value ? required_argument : no_argument};
            rows[count++] = i;
        }
    }
    *o = (struct options){0};
    int at = 0;
    for (int got; (got = getopt_long(argc, argv, "", known, &at)) != -1;) {
        if (got != 0) { // getopt_long has said what is wrong
            const char *near = optopt == 0 ? spelling_option(argv[optind - 1], known) : NULL;
            die(EXIT_CODE_USAGE, hint, "wrong command line%s%s%s", near ? ": did you mean --" : "",
                near ? near : "", near ? "?" : "");
        }
        apply(o, spec, rows[at]);
    }
    if (optind < argc) {
        die(EXIT_CODE_USAGE, hint, "%s: not an option", argv[optind]);
    }
    for (int i = 0; i < TABLE_COUNT; i++) {
        if ((table[i].bit & spec->needs) && !*(const char **)((char *)o + table[i].offset)) {
            die(EXIT_CODE_USAGE, hint, "--%s is missing", table[i].name);
        }
    }
}

void options_open_log(const struct options *o, const char *name) {
    enum log_level level = o->verbose ? LOG_DEBUG : LOG_INFO;
    log_init(name, level, -1);
    if (!o->log_path) {
        return;
    }
    int fd = open(o->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        die(EXIT_CODE_IO, NULL, "--log %s cannot be opened: %s", o->log_path, strerror(errno));
    }
    log_init(name, level, fd);
}
