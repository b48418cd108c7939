// SPDX-License-Identifier: MIT
// What the sub-commands of `spur` share.
//
// A sub-command is a function that gets its own part of the command line
// (argv[0] is "spur NAME", for messages) and returns an exit code of
// common/check.h. What it prints for people to read goes to standard output,
// what went wrong to standard error.
#ifndef SPUR_CLI_CLI_H
#define SPUR_CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "common/task/task.h"

int cmd_bench(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_render(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_tasks(int argc, char **argv);

// Prints "argv0: text" and where to find help; returns EXIT_CODE_USAGE.
int cli_usage_error(char **argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Prints "spur: text", and the hint unless it is NULL; returns code.
int cli_fail(int code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// The next option by getopt_long (long options only, "-h" for --help), or -1 at
// the end. '?' has been told to the user: return EXIT_CODE_USAGE.
int cli_next_option(int argc, char **argv, const struct option *options);
// A whole number within [min, max] of an option. false: told to the user.
bool cli_parse_number(uint64_t *out, char **argv, const char *option, const char *text,
                      uint64_t min, uint64_t max);

// ---- tasks and configurations (source.c) ----

#define CLI_SETS_MAX 64

// What the user asked for: a task's name or a file, an environment, and overrides.
struct config_source {
    const char *name;               // NULL: nothing given
    const char *env;                // --env, task.env for short; NULL: not given
    const char *method;             // --method; NULL: not given
    const char *sets[CLI_SETS_MAX]; // "section.key=value", borrowed
    int set_count;
};

// False, and told to the user, when there are too many.
bool config_source_set(struct config_source *source, char **argv, const char *assignment);

// Whether name is a file to read (ends in .yaml, or has a slash) or a task.
bool cli_is_file(const char *name);

// The configuration of a task (from inside the program) or of a file, without
// overrides; the defaults for NULL. 0, or an exit code, told to the user.
int cli_load(struct config *c, const char *name);
// The source's overrides. A task.env that is a file becomes an absolute path, and
// run.task and the rest of section task are filled in from it. 0, or an exit code, told
// to the user.
int cli_override(struct config *c, const struct config_source *source);
// cli_load, cli_override, config_check, and the task it names, which borrows from c.
int cli_resolve(struct config *c, struct task *task, const struct config_source *source);
// Sets run.task, in the one spelling of a built-in task if it is one.
void cli_name_task(struct config *c, const char *name);

#endif
