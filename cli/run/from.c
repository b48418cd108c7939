// SPDX-License-Identifier: MIT
// Compares the configurations of two runs, and states what one takes over from the other.
#include "cli/run/from.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/run/summary.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/config/keys.h"
#include "learner/methods/method.h"

// Those of the same shape that compute another function are among them.
#define MODEL_SHAPE_KEYS                                                                           \
    "model.members model.hidden_width model.hidden_layers model.hidden model.noise "               \
    "model.layer_norm model.layer_norm_epsilon"

// The other run.
struct other {
    struct config config;
    struct task task; // borrows from config
    struct summary summary;
};

static int read_other(struct other *o, const char *dir) {
    char path[PATH_MAX], err[1024];
    if (file_join(path, sizeof(path), dir, "config.yaml") < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: the path is too long", dir);
    }
    if (!file_exists(path)) {
        return cli_fail(EXIT_CODE_USAGE, "name the directory of a run",
                        "--from: %s contains no run", dir);
    }
    config_defaults(&o->config);
    if (config_load(&o->config, path, err, sizeof(err)) < 0 ||
        task_from_config(&o->task, &o->config, err, sizeof(err)) < 0 ||
        summary_read(&o->summary, dir, &o->config, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "--from: %s", err);
    }
    return 0;
}

// Refuses the first key of a list, separated by blanks, in which the two differ.
static int same_shapes(const struct config *c, const struct config *other, const char *keys,
                       const char *parts) {
    char has[2048], wants[2048], section[64], name[64];
    for (const char *p = keys; *p; p += strspn(p, " ")) {
        int len = (int)strcspn(p, " "), dot = (int)strcspn(p, ".");
        snprintf(section, sizeof(section), "%.*s", dot, p);
        snprintf(name, sizeof(name), "%.*s", len - dot - 1, p + dot + 1);
        const struct config_key *key = config_key_find(section, name);
        CHECK(key);
        config_key_format(other, key, has, sizeof(has));
        config_key_format(c, key, wants, sizeof(wants));
        if (strcmp(has, wants) != 0) {
            return cli_fail(
                EXIT_CODE_CONFIG, NULL,
                "--from: %s has %s.%s %s, this run %s: --set %s.%s=%s, or start without "
                "its %s",
                other->run.task, section, name, has, wants, section, name, has, parts);
        }
        p += len;
    }
    return 0;
}

// auto: the steps of the same task; their rewards are not those of another one.
static void resolve_rows(struct config *c, const struct other *o) {
    bool same = strcmp(c->run.task, o->config.run.task) == 0 &&
                strcmp(c->task.env, o->config.task.env) == 0;
    if (isnan(c->from.rows)) {
        c->from.rows = same ? (double)o->summary.curve.env_steps : 0;
    }
}

static int check_dims(const struct task *task, const struct other *o) {
    if (task->obs_dim == o->task.obs_dim && task->act_dim == o->task.act_dim) {
        return 0;
    }
    return cli_fail(
        EXIT_CODE_CONFIG, NULL,
        "--from: %s has %d observations and %d actions, but %s has %d and %d: nothing of "
        "that run fits",
        o->task.name, o->task.obs_dim, o->task.act_dim, task->name, task->obs_dim, task->act_dim);
}

static int check_shapes(const struct config *c, const struct config *other) {
    int rc = 0;
    if (c->from.policy || c->from.critics) {
        rc = same_shapes(c, other, method_find(c->method)->shape_keys, "policy and critics");
    }
    if (rc == 0 && c->from.model) {
        rc = same_shapes(c, other, MODEL_SHAPE_KEYS, "model");
    }
    return rc;
}

static void add_part(char *out, size_t out_len, bool taken, const char *what) {
    size_t n = strlen(out);
    if (taken && n < out_len) {
        snprintf(out + n, out_len - n, "%s%s", n ? ", " : "", what);
    }
}

static void describe(char *text, size_t text_len, const struct config *c, const struct other *o) {
    char parts[160] = "", rows[64], step[TEXT_LEN], count[TEXT_LEN];
    const struct learning_curve_history *h = &o->summary.curve;
    snprintf(rows, sizeof(rows), "%s steps", text_count(count, config_rows_taken(c)));
    add_part(parts, sizeof(parts), c->from.policy, "policy");
    add_part(parts, sizeof(parts), c->from.critics, "critics");
    add_part(parts, sizeof(parts), c->from.model, "model");
    add_part(parts, sizeof(parts), c->from.rows > 0, rows);
    int n = snprintf(text, text_len, "from %s", c->from.run);
    if (h->evaluations > 0 && n > 0 && (size_t)n < text_len) {
        n += snprintf(text + n, text_len - (size_t)n, " (step %s, last return %.1f)",
                      text_count(step, h->env_steps), h->return_mean);
    }
    if (n > 0 && (size_t)n < text_len) {
        bool other_task = c->from.rows == 0 && strcmp(c->run.task, o->config.run.task) != 0;
        snprintf(text + n, text_len - (size_t)n, ": %s%s%s%s", parts[0] ? parts : "nothing",
                 other_task ? "; not its steps, whose rewards are of " : "",
                 other_task ? o->config.run.task : "", "");
    }
}

void from_absolute(struct config *c) {
    char real[PATH_MAX];
    if (c->from.run[0] != '\0' && realpath(c->from.run, real) &&
        strlen(real) < sizeof(c->from.run)) {
        memset(c->from.run, 0, sizeof(c->from.run));
        memcpy(c->from.run, real, strlen(real));
    }
}

int from_resolve(struct config *c, const struct task *task, char *text, size_t text_len) {
    static struct other other; // large
    char err[1024];
    from_absolute(c);
    int rc = read_other(&other, c->from.run);
    if (rc != 0) {
        return rc;
    }
    c->from.model = c->from.model && config_has_model(c) && config_has_model(&other.config);
    resolve_rows(c, &other);
    bool anything = c->from.policy || c->from.critics || c->from.model || c->from.rows > 0;
    rc = anything ? check_dims(task, &other) : 0;
    rc = rc ? rc : check_shapes(c, &other.config);
    if (rc == 0 && config_check(c, err, sizeof(err)) < 0) {
        rc = cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    describe(text, text_len, c, &other);
    return rc;
}

bool from_without(const char *parts, const char **sets, int *set_count, int sets_max) {
    static const char *const names[][2] = {{"policy", "from.policy=false"},
                                           {"critics", "from.critics=false"},
                                           {"model", "from.model=false"},
                                           {"store", "from.rows=0"}};
    for (const char *p = parts; *p;) {
        size_t len = strcspn(p, ",");
        const char *set = NULL;
        for (int i = 0; i < 4; i++) {
            if (strlen(names[i][0]) == len && strncmp(p, names[i][0], len) == 0) {
                set = names[i][1];
            }
        }
        if (!set || *set_count == sets_max) {
            return false;
        }
        sets[(*set_count)++] = set;
        p += len + (p[len] == ',');
    }
    return true;
}
