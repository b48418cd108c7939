// SPDX-License-Identifier: MIT
// The command lines of the daemons: one table of options, of which each daemon
// names those that it takes and those that it needs.
#ifndef SPUR_DAEMON_OPTIONS_H
#define SPUR_DAEMON_OPTIONS_H

#include <stdbool.h>

// As bits. --parent, --log, --verbose, --help and --version are everybody's.
enum option_bit {
    OPTION_CONFIG = 1 << 0,
    OPTION_RUN_DIR = 1 << 1,
    OPTION_MODELSERVER = 1 << 2,
    OPTION_LEARNER = 1 << 3,
    OPTION_BIND = 1 << 4,
    OPTION_ID = 1 << 5,
    OPTION_TASK = 1 << 6,
    OPTION_EVALUATE = 1 << 7,
    OPTION_ENV = 1 << 8,
    OPTION_ENVS = 1 << 9,
    OPTION_SPOOL = 1 << 10,
    OPTION_STANDBY = 1 << 11,
};

struct options_spec {
    const char *program;   // "spur-learner"
    const char *about;     // what it does; lines for --help
    const char *built_for; // follows the version: ", for MuJoCo 2.2.2"; NULL: nothing
    unsigned takes, needs;
};

// Strings are argv's; NULL when not given.
struct options {
    const char *config, *run_dir, *modelserver, *learner, *bind, *id, *task, *env, *log_path, *keys;
    const char *env_dir, *env_python;
    double env_timeout_s; // 0: not given
    bool evaluate, standby, verbose, env_shared;
    const char *spool;
    int spool_mib; // 0: not given
    bool drop_oldest;
    int envs;   // 1 to CONFIG_ENVS_PER_ACTOR_MAX; 0: not given
    int parent; // pid to end with; 0: nobody's child
};

// Dies (EXIT_CODE_USAGE) with what is wrong; --help and --version print and exit.
void options_parse(struct options *o, const struct options_spec *spec, int argc,
                   char *const argv[]);

// Opens the log that was asked for, under a name for the lines.
void options_open_log(const struct options *o, const char *name);

#endif
