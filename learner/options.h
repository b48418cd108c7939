// SPDX-License-Identifier: MIT
// The command line of spur-learner.
#ifndef SPUR_LEARNER_OPTIONS_H
#define SPUR_LEARNER_OPTIONS_H

#include <stdbool.h>

// Strings are argv's.
struct options {
    const char *config, *run_dir, *modelserver, *bind, *log_path;
    int parent; // 0: nobody's child
    bool verbose;
};

// Dies with what is wrong; --help and --version print and exit.
void options_parse(struct options *o, int argc, char *const argv[]);

#endif
