// SPDX-License-Identifier: MIT
// `spur check`: plays an environment with random and with zero actions, before any training, and
// prints what a user should know about its numbers.
#include <stdio.h>
#include <stdlib.h>

#include "actor/env/env_factory.h"
#include "cli/check/findings.h"
#include "cli/check/picture.h"
#include "cli/check/report.h"
#include "cli/check/trial.h"
#include "cli/cli.h"
#include "common/base/check.h"

static const char help[] =
    "usage: spur check ENV [--set section.key=value]... [--episodes N] [--steps N] [--seed N]\n"
    "                  [--seconds N] [--json] [--png FILE]\n"
    "\n"
    "Plays episodes of an environment with random actions and with actions of 0, without "
    "training.\n"
    "Prints range, mean and spread of every observation and of the reward, returns, lengths and\n"
    "ends of the episodes, and the speed. Warns about what is unusual: constant observations, "
    "large\n"
    "numbers, ends that the termination rule does not explain, rewards for standing still, start\n"
    "states that never vary, seeds that do not repeat, actions without effect.\n"
    "\n"
    "  ENV                     a task, FILE.yaml (a description or a configuration), FILE.so,\n"
    "                          python:MODULE:FUNCTION, or a command\n"
    "  --env ENV               your own environment, with a configuration as ENV\n"
    "  --set section.key=value override a key of its configuration; repeatable\n"
    "  --episodes N            with each kind of action; default: 10\n"
    "  --steps N               cut episodes after N steps; default: 1000\n"
    "  --seconds N             end each of the two after that time; default: 30\n"
    "  --seed N                of start states and actions; default: 1\n"
    "  --json                  one object: docs/environments/check.md\n"
    "  --png FILE              also draw a start state, if the environment can be drawn\n"
    "\n"
    "Exit code: 0, also with warnings; 1 with errors; 78 if the environment cannot be created.\n";

static const struct option options[] = {
    {"env", required_argument, NULL, 'v'},      {"set", required_argument, NULL, 's'},
    {"episodes", required_argument, NULL, 'n'}, {"steps", required_argument, NULL, 't'},
    {"seconds", required_argument, NULL, 'l'},  {"seed", required_argument, NULL, 'r'},
    {"json", no_argument, NULL, 'j'},           {"png", required_argument, NULL, 'g'},
    {"help", no_argument, NULL, 'h'},           {0},
};

struct request {
    struct config_source source;
    uint64_t episodes, steps, seconds, seed;
    const char *png;
    bool json, help;
};

static bool parse(struct request *r, int option, char **argv) {
    switch (option) {
    case 'v':
        r->source.env = optarg;
        return true;
    case 's':
        return config_source_set(&r->source, argv, optarg);
    case 'n':
        return cli_parse_number(&r->episodes, argv, "--episodes", optarg, 1, TRIAL_EPISODES_MAX);
    case 't':
        return cli_parse_number(&r->steps, argv, "--steps", optarg, 1, 1000000000);
    case 'l':
        return cli_parse_number(&r->seconds, argv, "--seconds", optarg, 1, 86400);
    case 'r':
        return cli_parse_number(&r->seed, argv, "--seed", optarg, 0, (1ull << 53) - 1);
    case 'g':
        r->png = optarg;
        return true;
    case 'j':
        r->json = true;
        return true;
    case 'h':
        r->help = true;
        return true;
    default:
        return false;
    }
}

static void measure(struct measured *m, struct env *env, const struct request *r) {
    for (int i = 0; i < CHECK_TRIALS; i++) {
        const struct trial_plan plan = {.actions =
                                            i == CHECK_RANDOM ? ACTIONS_RANDOM : ACTIONS_ZERO,
                                        .seed = r->seed,
                                        .episodes = (int)r->episodes,
                                        .steps_max = r->steps,
                                        .seconds_max = (double)r->seconds};
        trial_play(&m->trial[i], &m->obs, env, m->task, &plan);
    }
    if (!m->trial[CHECK_RANDOM].broken && !m->trial[CHECK_ZERO].broken) {
        probe_run(&m->probe, env, m->task, r->seed);
    }
}

static int check(const struct request *r, const struct config *config, const struct task *task) {
    static struct measured m; // large
    static struct findings f;
    char err[1024];
    int rc = EXIT_CODE_OK;
    struct env *env = env_create(task, err, sizeof(err));
    if (!env) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    m.task = task;
    m.config = config;
    m.obs.all = xcalloc((size_t)task->obs_dim, sizeof(*m.obs.all));
    m.obs.start = xcalloc((size_t)task->obs_dim, sizeof(*m.obs.start));
    measure(&m, env, r);
    findings_collect(&f, &m);
    if (r->json) {
        report_json(&m, &f);
    } else {
        report_text(&m, &f);
    }
    if (r->png && picture_write(r->png, env, task->name, r->seed, err, sizeof(err)) < 0) {
        rc = cli_fail(EXIT_CODE_FAILURE, NULL, "--png %s: %s", r->png, err);
    }
    free(m.obs.all);
    free(m.obs.start);
    env_destroy(&env);
    return f.errors > 0 ? EXIT_CODE_FAILURE : rc;
}

int cmd_check(int argc, char **argv) {
    struct request r = {.episodes = 10, .steps = 1000, .seconds = 30, .seed = 1};
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        if (!parse(&r, option, argv)) {
            return EXIT_CODE_USAGE;
        }
    }
    if (r.help) {
        fputs(help, stdout);
        return EXIT_CODE_OK;
    }
    if (argc - optind > 1 || (argc == optind && !r.source.env)) {
        return cli_usage_error(argv, "expected one environment, found %d", argc - optind);
    }
    if (optind < argc && cli_is_env(argv[optind])) {
        r.source.env = argv[optind];
    } else if (optind < argc) {
        r.source.name = argv[optind];
    }
    static struct config config;
    struct task task;
    int rc = cli_resolve(&config, &task, &r.source);
    return rc != 0 ? rc : check(&r, &config, &task);
}
