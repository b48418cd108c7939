// SPDX-License-Identifier: MIT
// `spur data`: steps of a stopped run. The model server's program does it, as the only one with the
// library of the store.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run/spawn.h"
#include "common/base/check.h"

int cmd_data(int argc, char **argv) {
    char program[PATH_MAX];
    if (!spawn_find_program(program, "spur-modelserver")) {
        return EXIT_CODE_UNAVAILABLE;
    }
    // argv[-1] is "spur", whose place the program's name takes.
    static char command[] = "data";
    CHECK(argv[argc] == NULL);
    argv[-1] = program;
    argv[0] = command;
    execv(program, argv - 1);
    return cli_fail(EXIT_CODE_UNAVAILABLE, NULL, "%s: %s", program, strerror(errno));
}
