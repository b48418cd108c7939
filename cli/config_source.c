// SPDX-License-Identifier: MIT
// Resolves a task name ("hopper") or a file ("my.yaml") to a configuration.
//
// The files of configs/ are embedded in the program, so that `spur run hopper` works in any
// directory. A name with a slash or the suffix .yaml is read from disk.
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actor/env/env_factory.h"
#include "cli/cli.h"
#include "common/base/check.h"
#include "common/base/embed.h"
#include "common/config/keys.h"

EMBED_TABLE(cli_configs);

bool config_source_set(struct config_source *source, char **argv, const char *assignment) {
    if (source->set_count == CLI_SETS_MAX) {
        cli_usage_error(argv, "more than %d --set: use a file instead", CLI_SETS_MAX);
        return false;
    }
    source->sets[source->set_count++] = assignment;
    return true;
}

bool cli_is_file(const char *name) {
    size_t len = strlen(name);
    return strchr(name, '/') || (len > 5 && strcmp(name + len - 5, ".yaml") == 0);
}

// Whether a YAML file has the key `observe`, which a description needs and a configuration lacks.
static bool is_description(const char *path) {
    char line[256];
    bool found = false;
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof(line), f)) {
        found = strncmp(line, "observe:", 8) == 0;
    }
    if (f) {
        fclose(f);
    }
    return found;
}

bool cli_is_env(const char *name) {
    size_t len = strlen(name);
    if (len > 5 && strcmp(name + len - 5, ".yaml") == 0 && !strpbrk(name, " \t")) {
        return is_description(name);
    }
    struct stat about;
    bool program = strchr(name, '/') && access(name, X_OK) == 0 && stat(name, &about) == 0 &&
                   S_ISREG(about.st_mode);
    return env_source_of(name) != ENV_SOURCE_COMMAND || strpbrk(name, " \t") || program;
}

void cli_name_task(struct config *c, const char *name) {
    const struct task *task = task_find(name);
    memset(c->run.task, 0, sizeof(c->run.task));
    snprintf(c->run.task, sizeof(c->run.task), "%s", task ? task->name : name);
}

static int configure(struct task *task, const struct config *c) {
    char err[2048];
    if (task_from_config(task, c, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    return 0;
}

// ---- the user's own environments ----

static void set_text(char out[CONFIG_STRING_MAX], const char *text) {
    // Padded with zeros, so that equal configurations have equal bytes.
    memset(out, 0, CONFIG_STRING_MAX);
    memcpy(out, text, strnlen(text, CONFIG_STRING_MAX - 1));
}

// Paths in a configuration file are relative to its directory: task.env, or task.env_dir for an
// environment in a process.
static int locate_env(struct config *c, const char *file) {
    char path[PATH_MAX];
    const char *slash = strrchr(file, '/');
    bool is_file = env_source_of(c->task.env) == ENV_SOURCE_FILE;
    char *place = is_file ? c->task.env : c->task.env_dir;
    if (c->task.env[0] == '\0' || place[0] == '/' || !slash) {
        return 0;
    }
    int n = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - file), file, place);
    if (n < 0 || n >= CONFIG_STRING_MAX) {
        return cli_fail(
            EXIT_CODE_CONFIG, NULL,
            "%s: task.%s: the path, including the directory of this file, is longer than %d "
            "bytes",
            file, is_file ? "env" : "env_dir", CONFIG_STRING_MAX - 1);
    }
    set_text(place, path);
    return 0;
}

static bool same_ranges(const struct config_list *h, const struct task *task) {
    for (int i = 0; i < task->ranges && h->n == 3 * task->ranges; i++) {
        const struct task_range *r = &task->range[i];
        if ((int)h->v[3 * i] != r->index || (float)h->v[3 * i + 1] != r->low ||
            (float)h->v[3 * i + 2] != r->high) {
            return false;
        }
    }
    return h->n == 3 * task->ranges;
}

static bool same_clips(const struct config_list *l, const struct task *task) {
    for (int i = 0; i < task->clips && l->n == 4 * task->clips; i++) {
        const struct task_clip *c = &task->clip[i];
        const double *v = l->v + 4 * i;
        if ((int)v[0] != c->first || (int)v[1] != c->last || (float)v[2] != c->low ||
            (float)v[3] != c->high) {
            return false;
        }
    }
    return l->n == 4 * task->clips;
}

// The shortest decimal that rounds to this float.
static double decimal(float x) {
    char text[32];
    for (int digits = 6; digits < 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) {
            return strtod(text, NULL);
        }
    }
    return (double)x;
}

// Creates the environment to read its specification. The last one is cached: a process or a large
// model takes seconds, and a configuration is resolved up to three times.
static int read_own(const struct env_own **out, const struct config *c) {
    static struct env_own own;
    char err[2048];
    bool known = own.env[0] != '\0' && strcmp(own.env, c->task.env) == 0 &&
                 strcmp(own.dir, c->task.env_dir) == 0 &&
                 strcmp(own.python, c->task.env_python) == 0 &&
                 own.task.env_shared == !c->task.isolate;
    struct env_spec spec = {.env = c->task.env,
                            .dir = c->task.env_dir,
                            .python = c->task.env_python,
                            .timeout_s = c->task.env_timeout_s,
                            .shared = !c->task.isolate};
    if (!known && env_own_read(&own, &spec, err, sizeof(err)) < 0) {
        own = (struct env_own){0};
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    if (!known && own.note[0] != '\0') {
        fprintf(stderr, "spur: %s: %s\n", own.name, own.note);
    }
    *out = &own;
    return 0;
}

struct env_memory cli_env_memory(const struct config *c) {
    const struct env_own *own;
    if (c->task.env[0] == '\0' || read_own(&own, c) != 0) {
        return (struct env_memory){0};
    }
    return own->memory;
}

// Fills in the keys of section task from the environment. Keys that are set must agree with it, as
// in the configuration of a resumed run, where all are.
static int fill_in_env(struct config *c) {
    const struct env_own *own;
    if (c->task.env[0] == '\0') {
        return 0;
    }
    int rc = read_own(&own, c);
    if (rc != 0) {
        return rc;
    }
    const struct task *t = &own->task;
    bool process = own->dir[0] != '\0';
    bool dims = (c->task.obs_dim == 0 || c->task.obs_dim == t->obs_dim) &&
                (c->task.act_dim == 0 || c->task.act_dim == t->act_dim);
    // Not compared if either is empty: a plug-in cannot specify clips.
    bool clips = c->task.clipped.n == 0 || t->clips == 0 || same_clips(&c->task.clipped, t);
    // A process cannot specify ranges.
    bool ranges = c->task.healthy.n == 0 || process || same_ranges(&c->task.healthy, t);
    if (!dims || !clips || !ranges) {
        return cli_fail(
            EXIT_CODE_CONFIG,
            "omit all four in a configuration of your own; in a resumed run, the "
            "environment has changed since",
            "task.obs_dim %d, task.act_dim %d, task.healthy or task.clipped differs from "
            "%s: %d observations, %d actions, %d healthy ranges, %d clipped spans",
            c->task.obs_dim, c->task.act_dim, own->env, t->obs_dim, t->act_dim, t->ranges,
            t->clips);
    }
    if (t->horizon == 0 && c->task.horizon == 0) {
        return cli_fail(EXIT_CODE_CONFIG,
                        "--set task.horizon=N ends episodes after N steps; in Gymnasium, use "
                        "max_episode_steps of the registration or the wrapper TimeLimit",
                        "the environment %s has no time limit", own->env);
    }
    set_text(c->task.env, own->env);
    set_text(c->task.env_dir, own->dir);
    set_text(c->task.env_python, own->python);
    set_text(c->run.task, own->name);
    c->task.obs_dim = t->obs_dim;
    c->task.act_dim = t->act_dim;
    c->task.horizon = c->task.horizon > 0 ? c->task.horizon : t->horizon;
    if (!process) {
        c->task.healthy = (struct config_list){.n = 3 * t->ranges};
    }
    for (int i = 0; i < t->ranges; i++) {
        c->task.healthy.v[3 * i] = t->range[i].index;
        c->task.healthy.v[3 * i + 1] = decimal(t->range[i].low);
        c->task.healthy.v[3 * i + 2] = decimal(t->range[i].high);
    }
    for (int i = 0; i < t->clips; i++) {
        double *v = c->task.clipped.v + 4 * i;
        v[0] = t->clip[i].first;
        v[1] = t->clip[i].last;
        v[2] = decimal(t->clip[i].low);
        v[3] = decimal(t->clip[i].high);
        c->task.clipped.n = 4 * (i + 1);
    }
    return 0;
}

// Selects the method by name. A change of method resets its keys to the method's defaults.
static int use_method(struct config *c, const char *name) {
    enum method_id id;
    char names[CONFIG_STRING_MAX];
    if (!method_by_name(&id, name)) {
        method_names(names, sizeof(names));
        return cli_fail(EXIT_CODE_CONFIG, NULL, "there is no method \"%.60s\": the methods are %s",
                        name, names);
    }
    if (id != c->method) {
        config_use_method(c, id);
    }
    return 0;
}

static bool sets_method(const char *assignment) {
    return strncmp(assignment, "method=", 7) == 0;
}

// Refuses an assignment to a key that the method does not read.
static int check_used(const struct config *c, const char *assignment) {
    char name[CONFIG_STRING_MAX], text[256];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(assignment, "="), assignment);
    char *dot = strchr(name, '.');
    const struct config_key *key = NULL;
    if (dot) {
        *dot = '\0';
        key = config_key_find(name, dot + 1);
    }
    if (!key || config_key_used(key, c->method)) {
        return 0;
    }
    config_key_unused_text(text, sizeof(text), key, c->method);
    return cli_fail(EXIT_CODE_CONFIG, NULL, "--set %s", text);
}

// Applies --method and --set. The method comes first, so that other assignments override its
// defaults.
static int apply_sets(struct config *c, const struct config_source *source) {
    char err[1024];
    int rc = source->method ? use_method(c, source->method) : 0;
    for (int i = 0; i < source->set_count && rc == 0; i++) {
        if (sets_method(source->sets[i])) {
            rc = use_method(c, source->sets[i] + 7);
        }
    }
    for (int i = 0; i < source->set_count && rc == 0; i++) {
        if (sets_method(source->sets[i])) {
            continue;
        }
        if (config_set(c, source->sets[i], err, sizeof(err)) < 0) {
            return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
        }
        rc = check_used(c, source->sets[i]);
    }
    return rc;
}

// --env is relative to the current directory. The interpreter is kept if this machine has it.
static int use_env(struct config *c, const char *env) {
    if (strlen(env) >= CONFIG_STRING_MAX) {
        return cli_fail(EXIT_CODE_USAGE, NULL, "--env %.60s...: longer than %d bytes", env,
                        CONFIG_STRING_MAX - 1);
    }
    const char *removed = config_env_removed(env);
    if (removed) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "--env %s: %s", env, removed);
    }
    set_text(c->task.env, env);
    set_text(c->task.env_dir, "");
    if (access(c->task.env_python, X_OK) != 0) {
        set_text(c->task.env_python, "");
    }
    return 0;
}

// Another run than that of a file, with all of its parts.
static int use_from(struct config *c, const char *dir) {
    struct config defaults;
    if (strlen(dir) >= CONFIG_STRING_MAX) {
        return cli_fail(EXIT_CODE_USAGE, NULL, "--from %.60s...: longer than %d bytes", dir,
                        CONFIG_STRING_MAX - 1);
    }
    config_defaults(&defaults);
    c->from = defaults.from;
    set_text(c->from.run, dir);
    return 0;
}

static const struct embed_file *file_named(const char *name) {
    for (int i = 0; i < cli_configs_count; i++) {
        if (strcmp(cli_configs[i].name, name) == 0) {
            return &cli_configs[i];
        }
    }
    return NULL;
}

// Values on top of those of the task: of a file, or of one of configs/.
static int use_recipe(struct config *c, const char *name) {
    char err[1024], file_name[CONFIG_STRING_MAX];
    if (cli_is_file(name)) {
        return config_load(c, name, err, sizeof(err)) < 0
                   ? cli_fail(EXIT_CODE_CONFIG, NULL, "--recipe %s", err)
                   : 0;
    }
    snprintf(file_name, sizeof(file_name), "%.60s.yaml", name);
    const struct embed_file *file = file_named(file_name);
    if (!file) {
        return cli_fail(EXIT_CODE_CONFIG, "dhmbpo-paper is one; a file's name ends in .yaml",
                        "there is no recipe \"%.60s\" in this program", name);
    }
    if (config_parse(c, (const char *)file->data, file->len, file->name, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    return 0;
}

int cli_override(struct config *c, const struct config_source *source) {
    int rc = source->recipe ? use_recipe(c, source->recipe) : 0;
    rc = rc == 0 && source->env ? use_env(c, source->env) : rc;
    rc = rc == 0 && source->from ? use_from(c, source->from) : rc;
    rc = rc != 0 ? rc : apply_sets(c, source);
    rc = rc != 0 ? rc : fill_in_env(c);
    if (rc == 0) {
        config_choose(c);
    }
    return rc;
}

// ---- configurations ----

// The file of a task: TASK.METHOD.yaml if there is one, else TASK.yaml. Gymnasium's v5 tasks use
// the configuration of v4.
static const struct embed_file *find_file(const char *task, const char *method) {
    char name[CONFIG_STRING_MAX + 64];
    int len = (int)strlen(task);
    if (len > 3 && strcmp(task + len - 3, "_v5") == 0) {
        len -= 3;
    }
    snprintf(name, sizeof(name), "%.*s.%.40s.yaml", len, task, method ? method : "");
    const struct embed_file *file = method ? file_named(name) : NULL;
    snprintf(name, sizeof(name), "%.*s.yaml", len, task);
    return file ? file : file_named(name);
}

int cli_load(struct config *c, const char *name, const char *method) {
    char err[1024];
    config_defaults(c);
    if (!name) {
        return 0;
    }
    if (cli_is_file(name)) {
        if (config_load(c, name, err, sizeof(err)) < 0) {
            return cli_fail(EXIT_CODE_CONFIG,
                            strstr(name, ".env.yaml")
                                ? "this is an environment, not a configuration: pass it with --env"
                                : NULL,
                            "%s", err);
        }
        return locate_env(c, name);
    }
    struct task task;
    cli_name_task(c, name);
    int rc = configure(&task, c);
    if (rc != 0) {
        return rc;
    }
    const struct embed_file *file = find_file(c->run.task, method);
    if (!file) {
        return cli_fail(EXIT_CODE_CONFIG,
                        "write a configuration file and pass it instead of the task",
                        "there is no configuration for the task %s in this program", task.name);
    }
    if (config_parse(c, (const char *)file->data, file->len, file->name, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    cli_name_task(c, name); // the file may be that of v4
    return 0;
}

// The method of the command line; NULL: the configuration's.
static const char *method_of(const struct config_source *source) {
    const char *method = source->method;
    for (int i = 0; i < source->set_count; i++) {
        method = sets_method(source->sets[i]) ? source->sets[i] + 7 : method;
    }
    return method;
}

int cli_resolve(struct config *c, struct task *task, const struct config_source *source) {
    int rc = cli_load(c, source->name, method_of(source));
    if (rc != 0) {
        return rc;
    }
    if (source->env && source->name && !cli_is_file(source->name)) {
        c->eval.target = (double)NAN; // of the task's returns, not of this environment's
    }
    rc = cli_override(c, source);
    if (rc != 0) {
        return rc;
    }
    char err[1024];
    if (config_check(c, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    char name[CONFIG_STRING_MAX];
    memcpy(name, c->run.task, sizeof(name));
    cli_name_task(c, name); // to the canonical spelling
    return configure(task, c);
}
