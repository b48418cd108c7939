// SPDX-License-Identifier: MIT
#include "cli/play/player.h"

#include <stdio.h>
#include <string.h>

#include "cli/run/rundir.h"
#include "common/base/check.h"
#include "common/base/file.h"

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
        return true;
    case 'v':
        p->env = optarg;
        return true;
    default:
        return false;
    }
}

// The file in the run directory that --policy names; NULL: it names another file.
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
                            ? "it is written at the first evaluation; --policy newest may be there"
                            : "the learner writes it with each of its checkpoints",
                        "%s is not there (yet)", p->path);
    }
    return 0;
}

// What the command line leaves open comes from the run.
static int fill_in(struct player *p) {
    char path[PATH_MAX];
    struct config_source source = {.env = p->env};
    if (p->run_dir) {
        if (!rundir_join(path, p->run_dir, "config.yaml")) {
            return EXIT_CODE_IO;
        }
        if (!file_exists(path)) {
            return cli_fail(EXIT_CODE_CONFIG, "is it a run directory?", "%s is not there", path);
        }
        source.name = path;
    }
    int rc = cli_resolve(&p->config, &p->task, &source);
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
    return find_policy(p);
}

int player_load(struct player *p, int argc, char **argv) {
    int given = argc - optind;
    if (given > 1 || (given == 0 && file_of_run(p))) {
        return cli_usage_error(argv, "expected one run directory, found %d", given);
    }
    p->run_dir = given ? argv[optind] : NULL;
    int rc = fill_in(p);
    if (rc != 0) {
        return rc;
    }
    char err[1024];
    if (policy_file_load(&p->file, p->path, &p->task, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s", err);
    }
    return 0;
}

void player_deinit(struct player *p) {
    policy_file_deinit(&p->file);
}
