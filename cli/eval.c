// SPDX-License-Identifier: MIT
// `spur eval`: the returns of a saved policy, by the same code and from the same
// start states as the evaluator's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "actor/evaluation.h"
#include "cli/cli.h"
#include "cli/policy_file.h"
#include "cli/rundir.h"
#include "common/check.h"
#include "common/file.h"
#include "common/stats.h"

static const char help[] =
    "usage: spur eval RUN_DIR [--episodes N] [--seed N] [--policy FILE] [--json]\n"
    "\n"
    "Runs episodes with the saved policy, deterministically (tanh of its mean).\n"
    "\n"
    "  RUN_DIR         a run directory; its policy.safetensors is taken\n"
    "  --policy FILE   another file; RUN_DIR may then be left out\n"
    "  --episodes N    default: eval.episodes of the run, or 10\n"
    "  --seed N        of the start states; default: run.seed of the run, or 1. The run's own\n"
    "                  evaluations start from the same states\n"
    "  --json          one object: task, episodes, return_mean, return_std, returns, lengths, "
    "...\n";

static const struct option options[] = {
    {"episodes", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
    {"policy", required_argument, NULL, 'p'},   {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},           {0},
};

struct request {
    const char *run_dir, *policy;
    uint64_t episodes, seed;
    bool has_episodes, has_seed, json, help;
};

static int parse(struct request *r, int argc, char **argv) {
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        bool ok = true;
        switch (option) {
        case 'n':
            ok = cli_parse_number(&r->episodes, argv, "--episodes", optarg, 1, WIRE_EPISODES_MAX);
            r->has_episodes = true;
            break;
        case 's':
            ok = cli_parse_number(&r->seed, argv, "--seed", optarg, 0, (1ull << 53) - 1);
            r->has_seed = true;
            break;
        case 'p':
            r->policy = optarg;
            break;
        case 'j':
            r->json = true;
            break;
        case 'h':
            r->help = true;
            break;
        default:
            ok = false;
        }
        if (!ok) {
            return EXIT_CODE_USAGE;
        }
    }
    if (!r->help && argc - optind != (r->policy ? argc - optind > 0 : 1)) {
        return cli_usage_error(argv, "expected one run directory, found %d", argc - optind);
    }
    r->run_dir = optind < argc ? argv[optind] : NULL;
    return 0;
}

// What the command line leaves open comes from the run.
static int fill_in(struct request *r, char policy_path[PATH_MAX]) {
    struct config c;
    config_defaults(&c);
    if (r->run_dir) {
        char path[PATH_MAX], err[1024];
        if (!rundir_join(path, r->run_dir, "config.yaml")) {
            return EXIT_CODE_IO;
        }
        if (config_load(&c, path, err, sizeof(err)) < 0) {
            return cli_fail(EXIT_CODE_CONFIG, "is it a run directory?", "%s", err);
        }
        if (!r->policy && !rundir_join(policy_path, r->run_dir, "policy.safetensors")) {
            return EXIT_CODE_IO;
        }
        if (!r->policy && !file_exists(policy_path)) {
            return cli_fail(EXIT_CODE_IO, "the learner writes it with each of its checkpoints",
                            "%s is not there (yet)", policy_path);
        }
    }
    if (r->policy && snprintf(policy_path, PATH_MAX, "%s", r->policy) >= PATH_MAX) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: the path is too long", r->policy);
    }
    if (!r->has_episodes) {
        r->episodes = (uint64_t)c.eval.episodes;
    }
    if (!r->has_seed) {
        r->seed = c.run.seed;
    }
    return 0;
}

// Of the values x: mean, population standard deviation, extremes.
struct spread {
    double mean, std, min, max;
};

static struct spread spread_of(const double *x, int n) {
    struct spread s = {stats_mean(x, n), stats_std(x, n), x[0], x[0]};
    for (int i = 1; i < n; i++) {
        s.min = x[i] < s.min ? x[i] : s.min;
        s.max = x[i] > s.max ? x[i] : s.max;
    }
    return s;
}

static json_t *reals(const double *x, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(list, json_real(x[i]));
    }
    return list;
}

static void print_result(const struct request *r, const struct policy_file *f,
                         const struct evaluation *e) {
    int n = (int)evaluation_episodes(e);
    const double *returns = evaluation_returns(e), *lengths = evaluation_lengths(e);
    struct spread s = spread_of(returns, n);
    double length = stats_mean(lengths, n);
    if (r->json) {
        json_t *o = json_pack(
            "{s:s, s:I, s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "task", f->task->name,
            "seed", (json_int_t)r->seed, "policy_version", (json_int_t)f->policy.version, "updates",
            (json_int_t)f->policy.updates, "episodes", n, "return_mean", s.mean, "return_std",
            s.std, "return_min", s.min, "return_max", s.max, "length_mean", length, "returns",
            reals(returns, n), "lengths", reals(lengths, n));
        CHECK(o);
        json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
        putchar('\n');
        json_decref(o);
        return;
    }
    printf("%s (%s), policy version %llu after %llu updates\n", f->task->name, f->task->title,
           (unsigned long long)f->policy.version, (unsigned long long)f->policy.updates);
    printf("%d episodes, seed %llu: return %.1f ± %.1f, min %.1f, max %.1f; length %.1f\n", n,
           (unsigned long long)r->seed, s.mean, s.std, s.min, s.max, length);
    if (evaluation_broken(e) > 0) {
        printf("%llu of them cut short by a bad step of the simulator\n",
               (unsigned long long)evaluation_broken(e));
    }
}

int cmd_eval(int argc, char **argv) {
    struct request r = {0};
    char path[PATH_MAX], err[1024];
    int rc = parse(&r, argc, argv);
    if (rc != 0) {
        return rc;
    }
    if (r.help) {
        fputs(help, stdout);
        return EXIT_CODE_OK;
    }
    rc = fill_in(&r, path);
    if (rc != 0) {
        return rc;
    }
    struct policy_file file;
    if (policy_file_load(&file, path, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s", err);
    }
    struct evaluation *e = evaluation_create(file.task, err, sizeof(err));
    if (!e) {
        rc = cli_fail(EXIT_CODE_FAILURE, NULL, "%s", err);
        goto out;
    }
    if (evaluation_begin(e, &file.policy, r.seed, (uint32_t)r.episodes, err, sizeof(err)) < 0) {
        rc = cli_fail(EXIT_CODE_IO, NULL, "%s: %s", path, err);
        goto out;
    }
    while (evaluation_step(e)) {
    }
    print_result(&r, &file, e);
out:
    evaluation_destroy(&e);
    policy_file_deinit(&file);
    return rc;
}
