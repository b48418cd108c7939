// SPDX-License-Identifier: MIT
// Sub-commands of `spur` and their common functions: usage errors, options, configurations.
//
// A sub-command is a function of its part of the command line (argv[0] is "spur NAME", for
// messages) that returns an exit code of common/base/check.h. Results are printed to standard
// output, errors to standard error.
#ifndef SPUR_CLI_CLI_H
#define SPUR_CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "actor/env/env.h"
#include "common/config/config.h"
#include "common/task/task.h"

int cmd_bench(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_render(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_data(int argc, char **argv);
int cmd_tasks(int argc, char **argv);

// Prints "argv0: text" and a reference to --help; returns EXIT_CODE_USAGE.
int cli_usage_error(char **argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Prints "spur: text", and the hint unless it is NULL; returns code.
int cli_fail(int code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Returns the next option by getopt_long (long options only, and "-h" for --help), or -1 at the
// end. '?': the error has been printed, return EXIT_CODE_USAGE.
int cli_next_option(int argc, char **argv, const struct option *options);
// Parses the value of an option, an integer in [min, max]. Prints an error and returns false
// otherwise.
bool cli_parse_number(uint64_t *out, char **argv, const char *option, const char *text,
                      uint64_t min, uint64_t max);

// ---- tasks and configurations (config_source.c) ----

#define CLI_SETS_MAX 64

// A configuration as given on the command line: task or file, environment, overrides.
struct config_source {
    const char *name;               // NULL: nothing given
    const char *env;                // --env, task.env for short; NULL: not given
    const char *method;             // --method; NULL: not given
    const char *recipe;             // --recipe; NULL: not given
    const char *from;               // --from; NULL: not given
    const char *sets[CLI_SETS_MAX]; // "section.key=value", borrowed
    int set_count;
};

// Adds an override. Prints an error and returns false if there are too many.
bool config_source_set(struct config_source *source, char **argv, const char *assignment);

// Whether name is a file (ends in .yaml, or has a slash) and not a task.
bool cli_is_file(const char *name);

// Whether name is an environment of the user: FILE.so, python:..., a description (FILE.yaml with a
// key `observe`), or a command (a value with blanks, or the path of a program).
bool cli_is_env(const char *name);

// Functions below that return int print their errors and return 0 or an exit code.

// Loads the embedded configuration of a task, or a file, without overrides; the defaults for NULL.
// method: a task may have a file of its own for it; NULL: the task's method.
int cli_load(struct config *c, const char *name, const char *method);
// Applies the source's overrides. If task.env is a file, its path becomes absolute, and run.task
// and the rest of section task are filled in from the file.
int cli_override(struct config *c, const struct config_source *source);
// cli_load, cli_override and config_check; then finds the task, which borrows from c.
int cli_resolve(struct config *c, struct task *task, const struct config_source *source);
// Memory of the environment of a configuration after cli_override; zeros if unknown.
struct env_memory cli_env_memory(const struct config *c);
// Sets run.task; a built-in task gets its canonical spelling.
void cli_name_task(struct config *c, const char *name);

#endif
