// SPDX-License-Identifier: MIT
// Options of `spur eval` and `spur render`, and what they load: configuration, policy, environment.
#include "cli/play/player.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/run/rundir.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/nn/policy_file.h"

bool player_option(struct player *p, int option, char **argv) {
    switch (option) {
    case 'n':
        p->has_episodes = true;
        return cli_parse_number(&p->episodes, argv, "--episodes", optarg, 1, WIRE_EPISODES_MAX);
    case 's':
        p->has_seed = true;
        return cli_parse_number(&p->seed, argv, "--seed", optarg, 0, (1ull << 53) - 1);
    case 'p':
        p->policy = optarg;
        p->actions = strcmp(optarg, "random") == 0 ? ACTIONS_RANDOM
                     : strcmp(optarg, "zero") == 0 ? ACTIONS_ZERO
                                                   : ACTIONS_MEAN;
        return true;
    case 'a':
        p->stochastic = true;
        return true;
    case 't':
        return cli_parse_number(&p->steps_max, argv, "--steps", optarg, 1, 1000000000);
    case 'v':
        p->env = optarg;
        return true;
    default:
        return false;
    }
}

// The file in the run directory for --policy; NULL: --policy is a path.
static const char *file_of_run(const struct player *p) {
    if (!p->policy || strcmp(p->policy, "newest") == 0) {
        return "policy.safetensors";
    }
    return strcmp(p->policy, "best") == 0 ? "policy_best.safetensors" : NULL;
}

static int find_policy(struct player *p) {
    const char *name = file_of_run(p);
    if (!name) {
        if (snprintf(p->path, sizeof(p->path), "%s", p->policy) >= (int)sizeof(p->path)) {
            return cli_fail(EXIT_CODE_IO, NULL, "%.60s...: the path is too long", p->policy);
        }
        return 0;
    }
    if (!rundir_join(p->path, p->run_dir, name)) {
        return EXIT_CODE_IO;
    }
    if (!file_exists(p->path)) {
        return cli_fail(EXIT_CODE_IO,
                        p->policy && strcmp(p->policy, "best") == 0
                            ? "the first evaluation writes it; --policy newest may exist already"
                            : "the learner writes it with each checkpoint",
                        "%s does not exist (yet)", p->path);
    }
    return 0;
}

// Fills in values missing on the command line from the run.
static int fill_in(struct player *p) {
    char path[PATH_MAX];
    struct config_source source = {.name = p->task_name, .env = p->env};
    if (p->run_dir) {
        if (!rundir_join(path, p->run_dir, "config.yaml")) {
            return EXIT_CODE_IO;
        }
        if (!file_exists(path)) {
            char hint[256];
            snprintf(hint, sizeof(hint),
                     "is it a run directory? An environment is FILE.yaml, FILE.so, python:MODULE:"
                     "FUNCTION, or a task, such as %s",
                     task_nearest(p->run_dir));
            return cli_fail(EXIT_CODE_CONFIG, hint, "%s does not exist", path);
        }
        source.name = path;
    }
    // A policy file alone names its task; all else is the defaults.
    bool alone = !p->run_dir && !p->env && !p->task_name;
    int rc = alone ? cli_load(&p->config, NULL, NULL) : cli_resolve(&p->config, &p->task, &source);
    if (rc != 0) {
        return rc;
    }
    const struct config *c = &p->config;
    if (!p->has_episodes) {
        p->episodes = (uint64_t)c->eval.episodes;
    }
    if (!p->has_seed) {
        p->seed = c->run.seed;
    }
    if (p->steps_max == 0) {
        p->steps_max = c->eval.steps_max;
    }
    return actions_need_policy(p->actions) ? find_policy(p) : 0;
}

// The task of the policy file; NULL with a message in err.
static const struct task *find_task(const struct policy_file *f, const struct task *own, char *err,
                                    size_t err_len) {
    const struct task *task = own && strcmp(own->name, f->task) == 0 ? own : task_find(f->task);
    if (!task) {
        snprintf(err, err_len,
                 "%s is a policy for the task \"%.60s\", which is not built in: pass its run "
                 "directory, or its environment with --env ENV",
                 f->path, f->task);
        return NULL;
    }
    if (f->policy.obs_dim != task->obs_dim || f->policy.act_dim != task->act_dim) {
        snprintf(err, err_len,
                 "%s is a policy for %d observations and %d actions, but %s has %d and %d", f->path,
                 f->policy.obs_dim, f->policy.act_dim, task->name, task->obs_dim, task->act_dim);
        return NULL;
    }
    return task;
}

static int read_policy(struct player_policy *p, const struct policy_file *f, const struct task *own,
                       char *err, size_t err_len) {
    p->task = find_task(f, own, err, err_len);
    if (!p->task) {
        return -1;
    }
    size_t n = policy_params(&f->policy);
    if (n > WIRE_PARAMS_MAX) {
        snprintf(err, err_len, "%s: a policy of %zu parameters exceeds the maximum", f->path, n);
        return -1;
    }
    p->params = xfloats(n);
    p->policy = (struct wire_policy){
        .version = f->version ? f->version : 1, // 0 means "no policy" in messages
        .updates = f->updates,
        .obs_dim = (uint32_t)f->policy.obs_dim,
        .act_dim = (uint32_t)f->policy.act_dim,
        .params_len = n,
        .params = p->params,
    };
    const struct mlp *net = &f->policy.net;
    wire_policy_hidden(&p->policy, net->layers - 1, net->dims + 1,
                       net->activation == ACTIVATION_SILU ? WIRE_ACTIVATION_SILU
                                                          : WIRE_ACTIVATION_RELU);
    return policy_file_params(p->params, f, err, err_len);
}

int player_policy_load(struct player_policy *p, const char *path, const struct task *own, char *err,
                       size_t err_len) {
    *p = (struct player_policy){0};
    struct policy_file file;
    if (policy_file_open(&file, path, err, err_len) != 0) {
        return -1;
    }
    int rc = read_policy(p, &file, own, err, err_len);
    policy_file_close(&file);
    if (rc != 0) {
        player_policy_deinit(p);
    }
    return rc;
}

void player_policy_deinit(struct player_policy *p) {
    free(p->params);
    *p = (struct player_policy){0};
}

// The argument: an environment, a task or a configuration file; otherwise a run directory.
static void take_argument(struct player *p, const char *text) {
    struct stat about;
    bool dir = stat(text, &about) == 0 && S_ISDIR(about.st_mode);
    if (!dir && cli_is_env(text) && !p->env) {
        p->env = text;
    } else if (!dir && (task_find(text) || file_exists(text))) {
        p->task_name = text;
    } else {
        p->run_dir = text;
    }
}

static int check_arguments(struct player *p, int argc, char **argv) {
    int given = argc - optind;
    if (given == 1) {
        take_argument(p, argv[optind]);
    }
    bool of_run = actions_need_policy(p->actions) && file_of_run(p);
    if (given > 1 || (given == 0 && (of_run || (!p->env && !actions_need_policy(p->actions))))) {
        return cli_usage_error(argv, "expected one run directory%s, found %d",
                               of_run ? "" : " or environment", given);
    }
    if (of_run && !p->run_dir) {
        return cli_usage_error(argv,
                               "%s is an environment: add --policy random, zero, or the "
                               "policy.safetensors of a run",
                               argv[optind]);
    }
    if (p->stochastic && !actions_need_policy(p->actions)) {
        return cli_usage_error(argv, "--stochastic samples a policy; --policy %s is none",
                               p->policy);
    }
    p->actions = p->stochastic ? ACTIONS_SAMPLED : p->actions;
    return 0;
}

int player_load(struct player *p, int argc, char **argv) {
    int rc = check_arguments(p, argc, argv);
    if (rc == 0) {
        rc = fill_in(p);
    }
    if (rc != 0) {
        return rc;
    }
    if (!actions_need_policy(p->actions)) {
        p->saved.task = &p->task;
        return 0;
    }
    char err[1024];
    const struct task *own = p->task.name ? &p->task : NULL;
    if (player_policy_load(&p->saved, p->path, own, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_IO, "a run has two policies: --policy newest and --policy best",
                        "%s", err);
    }
    return 0;
}

void player_deinit(struct player *p) {
    player_policy_deinit(&p->saved);
}
