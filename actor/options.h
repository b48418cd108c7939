// SPDX-License-Identifier: MIT
// The command line of spur-actor.
#ifndef SPUR_ACTOR_OPTIONS_H
#define SPUR_ACTOR_OPTIONS_H

#include <stdbool.h>

#include "common/task/task.h"

struct options {
    const char *modelserver, *learner, *bind, *log_path; // NULL when not given
    char id[128];
    const struct task *task; // NULL: the run's
    bool evaluate, verbose;
    int parent; // pid to end with; 0: none
};

// Exits by itself on --help, --version and on anything wrong, with a sentence
// and EXIT_CODE_USAGE.
void options_parse(struct options *o, int argc, char *const argv[]);

#endif
