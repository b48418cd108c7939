// SPDX-License-Identifier: MIT
// `spur tasks`: lists the built-in tasks, or prints a task's MuJoCo model.
#include <stdio.h>

#include "actor/env/mujoco_internal.h"
#include "cli/cli.h"
#include "common/base/check.h"

static const char help[] =
    "usage: spur tasks [--mjcf NAME]\n"
    "\n"
    "Lists the built-in tasks for `spur run`, with their dimensions.\n"
    "\n"
    "  --mjcf NAME  print the MuJoCo model of this task instead, for inspection or as the\n"
    "               basis of an environment of your own\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"mjcf", required_argument, NULL, 'm'},
    {0},
};

static int print_model(const char *name) {
    const struct task *task = task_find(name);
    if (!task) {
        const char *similar = task_similar(name);
        return cli_fail(EXIT_CODE_CONFIG, "`spur tasks` lists them",
                        "there is no task \"%.60s\"%s%s%s", name, similar ? "; did you mean " : "",
                        similar ? similar : "", similar ? "?" : "");
    }
    const char *text = env_model_text(task);
    CHECK(text);
    fputs(text, stdout);
    return EXIT_CODE_OK;
}

static void print_tasks(void) {
    printf("%-28s %-28s %12s %8s %16s %12s\n", "TASK", "GYMNASIUM", "OBSERVATIONS", "ACTIONS",
           "ACTION BOUNDS", "EPISODE MAX");
    for (int i = 0; i < task_count(); i++) {
        const struct task *t = task_at(i);
        char bounds[32];
        snprintf(bounds, sizeof(bounds), "[%g, %g]", (double)t->act_low, (double)t->act_high);
        char title[64];
        snprintf(title, sizeof(title), "%s%s", t->title, t->title_v5 ? ", -v5" : "");
        printf("%-28s %-28s %12d %8d %16s %12d\n", t->name, title, t->obs_dim, t->act_dim, bounds,
               t->horizon);
    }
}

int cmd_tasks(int argc, char **argv) {
    const char *model_of = NULL;
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        switch (option) {
        case 'h':
            fputs(help, stdout);
            return EXIT_CODE_OK;
        case 'm':
            model_of = optarg;
            break;
        default:
            return EXIT_CODE_USAGE;
        }
    }
    if (optind != argc) {
        return cli_usage_error(argv, "takes no arguments, found \"%.60s\"", argv[optind]);
    }
    if (model_of) {
        return print_model(model_of);
    }
    print_tasks();
    return EXIT_CODE_OK;
}
