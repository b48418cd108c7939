// SPDX-License-Identifier: MIT
// `spur config`: prints the configuration of a run and its predicted memory.
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run/memory.h"
#include "common/base/check.h"
#include "common/base/host.h"

static const char help[] =
    "usage: spur config TASK|FILE [--env ENV] [--method NAME] [--recipe NAME|FILE]\n"
    "                   [--set section.key=value]...\n"
    "       spur config --doc\n"
    "\n"
    "Prints the configuration for `spur run` as YAML, with meaning, unit and range of each key,\n"
    "and the predicted memory of each process. `spur run` reads the output as a file.\n"
    "\n"
    "  TASK                    a task listed by `spur tasks`\n"
    "  FILE                    a file ending in .yaml, or a path\n"
    "  --env ENV               task.env: an environment of your own; makes TASK optional\n"
    "  --method NAME           mbpo, dhmbpo or sac\n"
    "  --recipe NAME|FILE      values on top of the task's: dhmbpo-paper, or a file\n"
    "  --set section.key=value override a key; repeatable\n"
    "  --doc                   print docs/configuration.md\n";

static const struct option options[] = {
    {"env", required_argument, NULL, 'v'},
    {"method", required_argument, NULL, 'm'},
    {"recipe", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, 's'},
    {"doc", no_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

int cmd_config(int argc, char **argv) {
    struct config_source source = {0};
    bool doc = false;
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        switch (option) {
        case 's':
            if (!config_source_set(&source, argv, optarg)) {
                return EXIT_CODE_USAGE;
            }
            break;
        case 'v':
            source.env = optarg;
            break;
        case 'm':
            source.method = optarg;
            break;
        case 'c':
            source.recipe = optarg;
            break;
        case 'd':
            doc = true;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_CODE_OK;
        default:
            return EXIT_CODE_USAGE;
        }
    }
    if (doc) {
        config_document(stdout);
        return EXIT_CODE_OK;
    }
    if (argc - optind != 1 && (argc != optind || !source.env)) {
        return cli_usage_error(argv, "expected one task or file, found %d", argc - optind);
    }
    source.name = optind < argc ? argv[optind] : NULL;

    struct config c;
    struct task task;
    int rc = cli_resolve(&c, &task, &source);
    if (rc != 0) {
        return rc;
    }
    config_print(&c, stdout, true);
    struct memory memory;
    memory_predict(&memory, &c, &task, cli_env_memory(&c), host_cores());
    printf("\n# Memory, predicted:\n");
    memory_print(&memory, stdout, "#   ");
    return EXIT_CODE_OK;
}
