// SPDX-License-Identifier: MIT
// spur-parity FILE...: compares our environments with reference trajectories.
//
// A file contains trajectories of one task, recorded by another implementation: start states,
// actions, and the resulting states, observations, rewards and flags; and the compiled model.
// Each trajectory is replayed (a reset to the start state, then the recorded actions) and
// compared: states and model to the bit, values computed from them within rounding. The output
// has one line per quantity with its largest error.
//
// Exit code: 0 all within tolerance, 1 otherwise, 64 usage, 74 an invalid file. Files are not
// trusted: missing fields and wrong shapes are reported by name.
#include <stdio.h>
#include <string.h>

#include "actor/env/parity/parity.h"
#include "common/base/file.h"
#include "common/base/log.h"

static int run(int argc, char **argv) {
    static const char usage[] =
        "usage: spur-parity FILE...\n"
        "Replays reference trajectories (JSON) in our environments and prints the largest\n"
        "error of every quantity. Exits with 0 if all are within tolerance, 1 if not, 74 if a\n"
        "file is invalid.\n";
    log_init("spur-parity", LOG_WARN, -1);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_CODE_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("spur-parity %s, for MuJoCo %s\n", SPUR_VERSION, SPUR_MUJOCO_VERSION);
        return EXIT_CODE_OK;
    }
    if (argc < 2 || argv[1][0] == '-') {
        fputs(usage, stderr);
        return EXIT_CODE_USAGE;
    }
    enum exit_code code = EXIT_CODE_OK;
    for (int i = 1; i < argc; i++) {
        enum exit_code one = parity_check_file(argv[i], stdout, stderr);
        code = one > code ? one : code;
    }
    return code;
}

int main(int argc, char **argv) {
    return file_close_output(run(argc, argv));
}
