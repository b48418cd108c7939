// SPDX-License-Identifier: MIT
// From what the user typed, "hopper" or "my.yaml", to a configuration.
//
// The files of configs/ travel inside the program, so that `spur run hopper`
// works from any folder; whatever looks like a file is read from disk.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "common/check.h"
#include "common/embed.h"

EMBED_TABLE(cli_configs);

bool cli_source_set(struct cli_source *source, char **argv, const char *assignment) {
    if (source->set_count == CLI_SETS_MAX) {
        cli_usage_error(argv, "more than %d --set: write a file instead", CLI_SETS_MAX);
        return false;
    }
    source->sets[source->set_count++] = assignment;
    return true;
}

bool cli_is_file(const char *name) {
    size_t len = strlen(name);
    return strchr(name, '/') || (len > 5 && strcmp(name + len - 5, ".yaml") == 0);
}

const struct task *cli_find_task(const char *name) {
    const struct task *task = task_find(name);
    if (task) {
        return task;
    }
    char all[1024];
    size_t n = 0;
    all[0] = '\0';
    for (int i = 0; i < task_count() && n < sizeof(all); i++) {
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", task_at(i)->name);
    }
    cli_fail(EXIT_CODE_CONFIG, NULL,
             "there is no task \"%.60s\"; did you mean %s? The tasks are: %s", name,
             task_nearest(name), all);
    return NULL;
}

int cli_load(struct config *c, const char *name) {
    char err[1024];
    config_defaults(c);
    if (cli_is_file(name)) {
        if (config_load(c, name, err, sizeof(err)) < 0) {
            return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
        }
        return 0;
    }
    const struct task *task = cli_find_task(name);
    if (!task) {
        return EXIT_CODE_CONFIG;
    }
    char file[128];
    snprintf(file, sizeof(file), "%s.yaml", task->name);
    for (int i = 0; i < cli_configs_count; i++) {
        const struct embed_file *f = &cli_configs[i];
        if (strcmp(f->name, file) == 0) {
            if (config_parse(c, (const char *)f->data, f->len, file, err, sizeof(err)) < 0) {
                return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
            }
            return 0;
        }
    }
    return cli_fail(EXIT_CODE_CONFIG, "write a file of your own and name it in place of the task",
                    "there is no configuration for the task %s in this program", task->name);
}

int cli_resolve(struct config *c, const struct task **task, const struct cli_source *source) {
    int rc = cli_load(c, source->name);
    if (rc != 0) {
        return rc;
    }
    char err[1024];
    for (int i = 0; i < source->set_count; i++) {
        if (config_set(c, source->sets[i], err, sizeof(err)) < 0) {
            return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
        }
    }
    if (config_check(c, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    *task = cli_find_task(c->run.task);
    if (!*task) {
        return EXIT_CODE_CONFIG;
    }
    // One spelling from here on, whichever the user chose.
    snprintf(c->run.task, sizeof(c->run.task), "%s", (*task)->name);
    return 0;
}
