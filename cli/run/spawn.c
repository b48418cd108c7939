// SPDX-License-Identifier: MIT
// Command lines of the daemons and the restart policy.
#include "cli/run/spawn.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actor/env/env_factory.h"
#include "common/base/check.h"

static const char *const programs[] = {
    [CHILD_MODELSERVER] = "spur-modelserver",
    [CHILD_LEARNER] = "spur-learner",
    [CHILD_EVALUATOR] = "spur-actor",
    [CHILD_ACTOR] = "spur-actor",
};

bool spawn_find_program(char out[PATH_MAX], const char *name) {
    char self[PATH_MAX - 32];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0) {
        cli_fail(EXIT_CODE_FAILURE, "is /proc mounted?", "cannot find the path of this program");
        return false;
    }
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    CHECK(slash);
    *slash = '\0';
    snprintf(out, PATH_MAX, "%s/%s", self, name);
    if (access(out, X_OK) != 0) {
        cli_fail(EXIT_CODE_UNAVAILABLE, "`make build` puts all programs in build/bin/",
                 "%s is missing or cannot be executed", out);
        return false;
    }
    return true;
}

// Builds the command line, NULL-terminated.
static void set_args(struct child *c, const struct rundir *dir, const struct endpoints *e) {
    int n = 0;
    c->args[n++] = c->program;
    switch (c->role) {
    case CHILD_MODELSERVER:
    case CHILD_LEARNER:
        c->args[n++] = "--config";
        c->args[n++] = dir->record_path;
        c->args[n++] = "--run-dir";
        c->args[n++] = dir->path;
        if (c->role == CHILD_LEARNER) {
            c->args[n++] = "--modelserver";
            c->args[n++] = e->modelserver;
        }
        c->args[n++] = "--bind";
        c->args[n++] = c->role == CHILD_LEARNER ? e->learner_bind : e->modelserver_bind;
        break;
    case CHILD_EVALUATOR:
    case CHILD_ACTOR:
        c->args[n++] = "--modelserver";
        c->args[n++] = e->modelserver;
        if (c->role == CHILD_ACTOR) {
            c->args[n++] = "--learner";
            c->args[n++] = e->learner;
            c->args[n++] = "--envs-per-actor";
            c->args[n++] = c->envs;
        } else {
            c->args[n++] = "--evaluate";
        }
        if (dir->config.task.env[0] != '\0') {
            c->args[n++] = "--env";
            c->args[n++] = dir->config.task.env;
        }
        if (env_in_process(&dir->task)) {
            c->args[n++] = "--env-dir";
            c->args[n++] = dir->config.task.env_dir;
            c->args[n++] = "--env-timeout-s";
            c->args[n++] = c->timeout;
        }
        if (dir->config.task.env_python[0] != '\0') {
            c->args[n++] = "--env-python";
            c->args[n++] = dir->config.task.env_python;
        }
        if (!dir->config.task.isolate) {
            c->args[n++] = "--no-isolate";
        }
        c->args[n++] = "--id";
        c->args[n++] = c->name;
        if (c->endpoint[0] != '\0') {
            c->args[n++] = "--bind";
            c->args[n++] = c->endpoint;
        }
        break;
    }
    if (e->keys[0] != '\0') {
        c->args[n++] = "--keys";
        c->args[n++] = e->keys;
    }
    c->args[n++] = "--parent";
    c->args[n++] = c->parent;
    c->args[n++] = NULL;
    CHECK(n <= CHILD_ARGS_MAX);
}

bool child_init(struct child *c, enum child_role role, int number, const struct rundir *dir,
                const struct endpoints *e) {
    *c = (struct child){.role = role};
    if (role == CHILD_ACTOR) {
        snprintf(c->name, sizeof(c->name), "actor-%d", number);
    } else {
        // Program "spur-learner", process "learner".
        snprintf(c->name, sizeof(c->name), "%s",
                 role == CHILD_EVALUATOR ? "evaluator" : programs[role] + strlen("spur-"));
    }
    snprintf(c->envs, sizeof(c->envs), "%d", dir->config.run.envs_per_actor);
    snprintf(c->timeout, sizeof(c->timeout), "%.17g", dir->config.task.env_timeout_s);
    snprintf(c->parent, sizeof(c->parent), "%d", (int)getpid());
    endpoints_of(c->endpoint, e, c->name);
    if (!spawn_find_program(c->program, programs[role])) {
        return false;
    }
    set_args(c, dir, e);
    return true;
}

const char *child_program(const struct child *c) {
    return programs[c->role];
}

bool child_is_vital(const struct child *c) {
    return c->role == CHILD_MODELSERVER || c->role == CHILD_LEARNER;
}

static enum child_verdict again_in(struct child *c, uint64_t now_ms, uint64_t pause_ms) {
    c->again_ms = now_ms + pause_ms;
    return CHILD_AGAIN;
}

// The run has another learner, which may be lost too.
static enum child_verdict stand_by(struct child *c, uint64_t now_ms) {
    int n = 0;
    while (c->args[n]) {
        n++;
    }
    if (!c->standby) {
        CHECK(n + 1 < CHILD_ARGS_MAX);
        c->args[n] = "--standby";
        c->args[n + 1] = NULL;
    }
    c->standby = true;
    return again_in(c, now_ms, CHILD_PAUSE_MS);
}

static uint64_t pause_ms(const struct child *c) {
    uint64_t pause = CHILD_PAUSE_MS;
    for (int i = 1; i < c->crashes && pause < CHILD_PAUSE_MS_MAX; i++) {
        pause *= 2;
    }
    return pause < CHILD_PAUSE_MS_MAX ? pause : CHILD_PAUSE_MS_MAX;
}

enum child_verdict child_judge(struct child *c, uint64_t now_ms, int exit_status, int term_signal) {
    c->again_ms = 0;
    if (now_ms - c->started_ms >= CHILD_STEADY_MS) {
        c->crashes = 0;
    }
    if (term_signal == 0 && exit_status == EXIT_CODE_OK) {
        if (c->role == CHILD_MODELSERVER) {
            return CHILD_RUN_OVER;
        }
        // At the end of a run the learner exits before the model server. If the model server does
        // not follow, only the learner was stopped.
        return c->role == CHILD_LEARNER ? again_in(c, now_ms, CHILD_LEARNER_AWAY_MS) : CHILD_AWAY;
    }
    // Replaced by another actor with the same id.
    if (term_signal == 0 && exit_status == EXIT_CODE_PROTOCOL && c->role == CHILD_ACTOR) {
        return CHILD_AWAY;
    }
    // The run directory is locked by a process of a killed `spur run`, still saving its checkpoint.
    bool busy = term_signal == 0 && exit_status == EXIT_CODE_TEMPFAIL;
    bool learner = c->role == CHILD_LEARNER;
    bool replaced = term_signal == 0 && exit_status == EXIT_CODE_PROTOCOL && learner;
    c->crashes++;
    if (busy && learner && c->crashes > CHILD_BUSY_MAX) {
        c->crashes = 0;
        return stand_by(c, now_ms);
    }
    if (replaced && c->crashes <= CHILD_CRASHES_MAX) {
        return stand_by(c, now_ms);
    }
    bool hopeless =
        term_signal == 0 && !busy &&
        (exit_status == EXIT_CODE_USAGE || exit_status == EXIT_CODE_CONFIG ||
         exit_status == EXIT_CODE_PROTOCOL || exit_status == EXIT_CODE_DENIED || child_is_vital(c));
    // Without its evaluator a run cannot end. Actors of other hosts may replace this one.
    bool needed = c->role == CHILD_EVALUATOR || c->endpoint[0] != '\0';
    bool fails = term_signal == 0 && needed && c->crashes > CHILD_FAILURES_MAX;
    if (hopeless || fails ||
        (child_is_vital(c) && c->crashes > (busy ? CHILD_BUSY_MAX : CHILD_CRASHES_MAX))) {
        return CHILD_FATAL;
    }
    return again_in(c, now_ms, pause_ms(c));
}

void child_hurry(struct child *c, uint64_t now_ms) {
    if (c->crashes == 0 && c->again_ms > now_ms + CHILD_PAUSE_MS) {
        c->again_ms = now_ms + CHILD_PAUSE_MS;
    }
}

void child_describe_end(char *out, size_t out_len, int exit_status, int term_signal) {
    if (term_signal != 0) {
        snprintf(out, out_len, "was killed by signal %d (%s)", term_signal, strsignal(term_signal));
    } else {
        snprintf(out, out_len, "ended with code %d", exit_status);
    }
}
