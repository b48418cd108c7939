// SPDX-License-Identifier: MIT
// `spur tasks`: what can be learnt.
#include <stdio.h>

#include "cli/cli.h"
#include "common/check.h"

static const char help[] = "usage: spur tasks\n"
                           "\n"
                           "Lists the tasks with their dimensions: what `spur run` can train on.\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {0},
};

int cmd_tasks(int argc, char **argv) {
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        if (option != 'h') {
            return EXIT_CODE_USAGE;
        }
        fputs(help, stdout);
        return EXIT_CODE_OK;
    }
    if (optind != argc) {
        return cli_usage_error(argv, "takes no arguments, found \"%.60s\"", argv[optind]);
    }
    printf("%-20s %-22s %12s %8s %16s %12s\n", "TASK", "GYMNASIUM", "OBSERVATIONS", "ACTIONS",
           "ACTION BOUNDS", "EPISODE MAX");
    for (int i = 0; i < task_count(); i++) {
        const struct task *t = task_at(i);
        char bounds[32];
        snprintf(bounds, sizeof(bounds), "[%g, %g]", (double)t->act_low, (double)t->act_high);
        printf("%-20s %-22s %12d %8d %16s %12d\n", t->name, t->title, t->obs_dim, t->act_dim,
               bounds, t->horizon);
    }
    return EXIT_CODE_OK;
}
