// SPDX-License-Identifier: MIT
// `spur eval`: evaluates a saved policy with the evaluator's code and start states.
#include <stdio.h>

#include <jansson.h>

#include "actor/evaluation.h"
#include "cli/cli.h"
#include "cli/play/player.h"
#include "common/base/check.h"
#include "common/base/stats.h"

static const char help[] =
    "usage: spur eval RUN_DIR|ENV [--policy WHICH] [--stochastic] [--episodes N] [--seed N]\n"
    "                 [--steps N] [--json]\n"
    "\n"
    "Runs episodes of a saved policy with deterministic actions (tanh of the mean). Prints mean,\n"
    "standard deviation and extremes of the returns, the episode lengths, and the returns\n"
    "discounted by the run's sac.discount.\n"
    "\n" PLAYER_HELP "  --episodes N    default: eval.episodes of the run, or 10\n"
    "  --seed N        seed of the start states; default: run.seed of the run, or 1, as in the\n"
    "                  evaluations of the run\n"
    "  --steps N       cut episodes after N steps; default: eval.steps_max of the run, or 10000\n"
    "  --json          one object: task, seed, actions, policy_version, updates, episodes, "
    "broken,\n"
    "                  cut, return_mean, _std, _min, _max, length_mean, _min, _max, returns,\n"
    "                  lengths, discount, discounted_mean, discounted\n";

static const struct option options[] = {
    {"env", required_argument, NULL, 'v'},
    {"policy", required_argument, NULL, 'p'},
    {"episodes", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"stochastic", no_argument, NULL, 'a'},
    {"steps", required_argument, NULL, 't'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

// Mean, population standard deviation and extremes.
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

static const char *const action_names[] = {[ACTIONS_MEAN] = "mean",
                                           [ACTIONS_SAMPLED] = "sampled",
                                           [ACTIONS_RANDOM] = "random",
                                           [ACTIONS_ZERO] = "zero"};

static json_t *count_or_null(const struct player *p, uint64_t count) {
    return actions_need_policy(p->actions) ? json_integer((json_int_t)count) : json_null();
}

static void print_json(const struct player *p, const struct evaluation *e) {
    int n = (int)evaluation_episodes(e);
    const double *returns = evaluation_returns(e), *lengths = evaluation_lengths(e);
    const double *discounted = evaluation_discounted(e);
    struct spread r = spread_of(returns, n), l = spread_of(lengths, n);
    const struct player_policy *f = &p->saved;
    json_t *o = json_pack(
        "{s:s, s:I, s:s, s:o, s:o, s:i, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, "
        "s:f, s:f, s:o}",
        "task", f->task->name, "seed", (json_int_t)p->seed, "actions", action_names[p->actions],
        "policy_version", count_or_null(p, f->policy.version), "updates",
        count_or_null(p, f->policy.updates), "episodes", n, "broken",
        (json_int_t)evaluation_broken(e), "cut", (int)evaluation_cut(e), "return_mean", r.mean,
        "return_std", r.std, "return_min", r.min, "return_max", r.max, "length_mean", l.mean,
        "length_min", l.min, "length_max", l.max, "returns", reals(returns, n), "lengths",
        reals(lengths, n), "discount", p->config.sac.discount, "discounted_mean",
        stats_mean(discounted, n), "discounted", reals(discounted, n));
    CHECK(o);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(o);
}

static void print_text(const struct player *p, const struct evaluation *e) {
    int n = (int)evaluation_episodes(e);
    struct spread r = spread_of(evaluation_returns(e), n), l = spread_of(evaluation_lengths(e), n);
    const struct player_policy *f = &p->saved;
    printf("%s (%s), ", f->task->name, f->task->title);
    if (actions_need_policy(p->actions)) {
        printf("policy version %llu after %llu updates%s\n", (unsigned long long)f->policy.version,
               (unsigned long long)f->policy.updates,
               p->actions == ACTIONS_SAMPLED ? ", sampled" : "");
    } else {
        printf("%s actions\n", action_names[p->actions]);
    }
    printf("%d episodes, seed %llu: return %.1f ± %.1f, min %.1f, max %.1f; length %.1f, min %.0f, "
           "max %.0f; discounted by %g: %.1f\n",
           n, (unsigned long long)p->seed, r.mean, r.std, r.min, r.max, l.mean, l.min, l.max,
           p->config.sac.discount, stats_mean(evaluation_discounted(e), n));
    if (evaluation_broken(e) > 0) {
        printf("%llu of them ended early by a bad step of the simulator\n",
               (unsigned long long)evaluation_broken(e));
    }
    if (evaluation_cut(e) > 0) {
        printf("%u of them were cut after %llu steps (--steps, or eval.steps_max)\n",
               evaluation_cut(e), (unsigned long long)p->steps_max);
    }
}

int cmd_eval(int argc, char **argv) {
    struct player p = {0};
    bool json = false;
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        if (option == 'h') {
            fputs(help, stdout);
            return EXIT_CODE_OK;
        }
        if (option == 'j') {
            json = true;
        } else if (!player_option(&p, option, argv)) {
            return EXIT_CODE_USAGE;
        }
    }
    int rc = player_load(&p, argc, argv);
    if (rc != 0) {
        return rc;
    }
    char err[1024];
    struct evaluation *e = evaluation_create(p.saved.task, NULL, err, sizeof(err));
    if (!e) {
        rc = cli_fail(EXIT_CODE_FAILURE, NULL, "%s", err);
        goto out;
    }
    const struct evaluation_plan plan = {.seed = p.seed,
                                         .episodes = (uint32_t)p.episodes,
                                         .steps_max = p.steps_max,
                                         .discount = p.config.sac.discount,
                                         .actions = p.actions,
                                         .policy = &p.saved.policy};
    if (evaluation_begin(e, &plan, err, sizeof(err)) < 0) {
        rc = cli_fail(EXIT_CODE_IO, NULL, "%s: %s", p.path, err);
        goto out;
    }
    while (!evaluation_failed(e) && evaluation_step(e)) {
    }
    if (evaluation_failed(e)) {
        rc = cli_fail(EXIT_CODE_CONFIG, NULL, "the environment %s is broken; see the lines above",
                      p.saved.task->name);
        goto out;
    }
    if (json) {
        print_json(&p, e);
    } else {
        print_text(&p, e);
    }
out:
    evaluation_destroy(&e);
    player_deinit(&p);
    return rc;
}
