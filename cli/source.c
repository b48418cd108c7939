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

void cli_name_task(struct config *c, const char *name) {
    const struct task *task = task_find(name);
    memset(c->run.task, 0, sizeof(c->run.task));
    snprintf(c->run.task, sizeof(c->run.task), "%s", task ? task->name : name);
}

static int configure(struct task *task, const struct config *c) {
    char err[2048];
    if (task_configure(task, c, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    return 0;
}

// The file of a task. One of Gymnasium's v5 classes learns with the numbers of v4.
static const struct embed_file *find_file(const char *task) {
    size_t len = strlen(task);
    if (len > 3 && strcmp(task + len - 3, "_v5") == 0) {
        len -= 3;
    }
    for (int i = 0; i < cli_configs_count; i++) {
        const char *file = cli_configs[i].name;
        if (strncmp(file, task, len) == 0 && strcmp(file + len, ".yaml") == 0) {
            return &cli_configs[i];
        }
    }
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
    struct task task;
    cli_name_task(c, name);
    int rc = configure(&task, c);
    if (rc != 0) {
        return rc;
    }
    const struct embed_file *file = find_file(c->run.task);
    if (!file) {
        return cli_fail(EXIT_CODE_CONFIG,
                        "write a file of your own and name it in place of the task",
                        "there is no configuration for the task %s in this program", task.name);
    }
    if (config_parse(c, (const char *)file->data, file->len, file->name, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    cli_name_task(c, name); // the file may be another's
    return 0;
}

int cli_resolve(struct config *c, struct task *task, const struct cli_source *source) {
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
    char name[CONFIG_STRING_MAX];
    memcpy(name, c->run.task, sizeof(name));
    cli_name_task(c, name); // one spelling from here on, whichever the user chose
    return configure(task, c);
}
