// SPDX-License-Identifier: MIT
// The command line of spur-modelserver.
#ifndef SPUR_MODELSERVER_OPTIONS_H
#define SPUR_MODELSERVER_OPTIONS_H

#include <stdbool.h>

struct options {
    const char *config, *run_dir, *bind;
    const char *log_path; // NULL: standard error
    int parent;           // 0: none
    bool verbose;
};

// Strings point into argv. Prints and exits for --help and --version, and dies
// with what is wrong.
void options_parse(struct options *o, int argc, char *const argv[]);

#endif
