// SPDX-License-Identifier: MIT
// `spur bench`: measures the components of a run, relative to limits of the machine measured at the
// same time.
//
// Cases are measured in rounds, as the speed of a machine drifts; median and range of the rounds
// are printed.
#include "cli/bench/bench.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/host.h"
#include "common/base/log.h"
#include "common/base/stats.h"
#include "common/nn/gemm.h"

#define SECONDS_DEFAULT 30
#define JSON_SCHEMA 1

static const char help[] =
    "usage: spur bench [--envs | --compute | --grow | --links] [--json] [--seconds S] [--dir DIR]\n"
    "\n"
    "Measures the components of a run at Hopper's dimensions: SAC updates, ensemble steps,\n"
    "rollout rows, transitions stored and acknowledged by a spur-modelserver process, and\n"
    "environment steps of every task; each as a share of a limit of this machine,\n"
    "measured in the same rounds.\n"
    "\n"
    "  --envs        environment steps only\n"
    "  --compute     updates, ensemble steps and rollout rows only\n"
    "  --grow        these for several batch sizes, widths, ensembles, rollout lengths and\n"
    "                buffer sizes: how the cost scales\n"
    "  --links       transitions stored and acknowledged over ipc, and over tcp with a token and\n"
    "                with keys\n"
    "  --json        print JSON; see docs/bench.md\n"
    "  --seconds S   total time, approximately (default 30)\n"
    "  --dir DIR     parent of the store's temporary directory (default: the current one),\n"
    "                which determines the disk that is measured\n";

enum {
    OPTION_JSON = 1,
    OPTION_ENVS,
    OPTION_COMPUTE,
    OPTION_GROW,
    OPTION_LINKS,
    OPTION_SECONDS,
    OPTION_DIR
};

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"envs", no_argument, NULL, OPTION_ENVS},
    {"compute", no_argument, NULL, OPTION_COMPUTE},
    {"grow", no_argument, NULL, OPTION_GROW},
    {"links", no_argument, NULL, OPTION_LINKS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"dir", required_argument, NULL, OPTION_DIR},
    {0},
};

struct bench_case *bench_add(struct bench *b, const char *name, const char *unit) {
    CHECK(b->count < BENCH_CASES_MAX);
    struct bench_case *c = &b->cases[b->count++];
    *c = (struct bench_case){.unit = unit, .limit = BENCH_NO_LIMIT, .beside = BENCH_NO_LIMIT};
    snprintf(c->name, sizeof(c->name), "%s", name);
    return c;
}

void bench_config(struct config *c) {
    int rc = cli_load(c, "hopper", "mbpo");
    CHECK(rc == 0);
    config_choose(c);
}

int bench_index(const struct bench *b, const struct bench_case *c) {
    return (int)(c - b->cases);
}

static double repeat(uint64_t (*clock)(void), void (*step)(void *state), void *state, double n,
                     double seconds) {
    uint64_t begin_ns = clock();
    step(state); // warm-up: caches, page faults
    double elapsed = (double)(clock() - begin_ns) / 1e9;
    if (elapsed >= seconds) {
        return n / elapsed; // a single step is long enough
    }
    begin_ns = clock();
    elapsed = 0;
    uint64_t steps = 0, stride = 1;
    while (elapsed < seconds) {
        for (uint64_t i = 0; i < stride; i++) {
            step(state);
        }
        steps += stride;
        elapsed = (double)(clock() - begin_ns) / 1e9;
        // Short steps are timed in batches, to amortise reading the clock.
        if (elapsed < seconds / 64) {
            stride *= 2;
        }
    }
    return (double)steps * n / elapsed;
}

double bench_repeat(void (*step)(void *state), void *state, double n, double seconds) {
    return repeat(clock_ns, step, state, n, seconds);
}

double bench_repeat_cpu(void (*step)(void *state), void *state, double n, double seconds) {
    return repeat(clock_cpu_ns, step, state, n, seconds);
}

// ---- temporary directories ----

int bench_make_folder(char out[PATH_MAX], const char *where) {
    int n = snprintf(out, PATH_MAX, "%s/spur-bench-XXXXXX", where);
    if (n < 0 || n >= PATH_MAX || !mkdtemp(out)) {
        out[0] = '\0';
        return -1;
    }
    return 0;
}

void bench_remove_folder(const char *path) {
    DIR *d = opendir(path);
    if (!d) {
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        char inside[PATH_MAX];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            file_join(inside, sizeof(inside), path, e->d_name) != 0) {
            continue;
        }
        if (unlink(inside) < 0) {
            bench_remove_folder(inside);
        }
    }
    closedir(d);
    rmdir(path);
}

// ---- measuring ----

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

// Ctrl-C ends the measurement after the current case; processes and files are then cleaned up.
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void run_round(struct bench *b, double seconds) {
    for (int i = b->closed; i < b->count && !interrupted; i++) {
        struct bench_case *c = &b->cases[i];
        if (!c->run) {
            continue;
        }
        double rate = c->run(c, seconds);
        if (rate < 0) { // failed, with the reason in its note: not measured again
            c->run = NULL;
            c->rounds = 0;
            continue;
        }
        const struct bench_case *limit = c->limit == BENCH_NO_LIMIT ? NULL : &b->cases[c->limit];
        c->rate[c->rounds] = rate;
        const struct bench_case *beside = c->beside == BENCH_NO_LIMIT ? NULL : &b->cases[c->beside];
        c->share[c->rounds] =
            limit && limit->rounds > c->rounds ? rate * c->cost / limit->rate[c->rounds] : NAN;
        c->ratio[c->rounds] =
            beside && beside->rounds > c->rounds ? rate / beside->rate[c->rounds] : NAN;
        c->rounds++;
    }
}

// Measures and closes the cases added since the last call. slice: seconds per case and round.
static void measure(struct bench *b, double slice) {
    for (int round = 0; round < BENCH_ROUNDS && !interrupted; round++) {
        run_round(b, slice);
    }
    for (; b->closed < b->count; b->closed++) {
        struct bench_case *c = &b->cases[b->closed];
        if (c->close) {
            c->close(c->state);
        }
    }
}

static double median(const double *x, int n) {
    double copy[BENCH_ROUNDS];
    memcpy(copy, x, (size_t)n * sizeof(copy[0]));
    return n > 0 ? stats_median(copy, n) : NAN;
}

static double extreme(const double *x, int n, int sign) {
    double best = n > 0 ? x[0] : NAN;
    for (int i = 1; i < n; i++) {
        best = sign * x[i] > sign * best ? x[i] : best;
    }
    return best;
}

// ---- output ----

static void print_text(const struct bench *b) {
    char rate[TEXT_LEN], low[TEXT_LEN], high[TEXT_LEN];
    printf("%-66s %12s %-10s %23s %7s\n", "", "MEDIAN", "", "RANGE", "OF LIMIT");
    for (int i = 0; i < b->count; i++) {
        const struct bench_case *c = &b->cases[i];
        if (c->rounds == 0) {
            printf("%-66s %12s %-10s\n", c->what, "-", c->unit);
            printf("    not measured: %s\n", c->note);
            continue;
        }
        double share = median(c->share, c->rounds);
        printf("%-66s %12s %-10s %10s - %10s", c->what,
               text_figure(rate, median(c->rate, c->rounds)), c->unit,
               text_figure(low, extreme(c->rate, c->rounds, -1)),
               text_figure(high, extreme(c->rate, c->rounds, 1)));
        if (isfinite(share)) {
            printf(" %6.0f%%", share * 100);
        }
        printf("\n    %s\n", c->note);
        double ratio = median(c->ratio, c->rounds);
        if (isfinite(ratio)) {
            printf("    %.3g times %s (%.3g - %.3g)\n", ratio, b->cases[c->beside].name,
                   extreme(c->ratio, c->rounds, -1), extreme(c->ratio, c->rounds, 1));
        }
    }
}

static json_t *number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *case_json(const struct bench *b, const struct bench_case *c) {
    const char *limit = c->limit == BENCH_NO_LIMIT ? NULL : b->cases[c->limit].name;
    const char *beside = c->beside == BENCH_NO_LIMIT ? NULL : b->cases[c->beside].name;
    json_t *rounds = json_array();
    for (int i = 0; i < c->rounds; i++) {
        json_array_append_new(rounds, number(c->rate[i]));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s?, s:o, s:s?, s:o, s:s, s:b}", "name", c->name,
        "what", c->what, "unit", c->unit, "median", number(median(c->rate, c->rounds)), "min",
        number(extreme(c->rate, c->rounds, -1)), "max", number(extreme(c->rate, c->rounds, 1)),
        "rounds", rounds, "limit", limit, "share_of_limit", number(median(c->share, c->rounds)),
        "beside", beside, "ratio", number(median(c->ratio, c->rounds)), "note", c->note, "measured",
        c->rounds > 0);
}

static void print_json(const struct bench *b) {
    json_t *cases = json_array();
    for (int i = 0; i < b->count; i++) {
        json_array_append_new(cases, case_json(b, &b->cases[i]));
    }
    json_t *root = json_pack("{s:i, s:s, s:s, s:i, s:i, s:o}", "schema", JSON_SCHEMA, "version",
                             SPUR_VERSION, "kernels", gemm_name(), "cores", host_cores(), "rounds",
                             BENCH_ROUNDS, "cases", cases);
    CHECK(root);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

// Adds and measures the cases selected by `only`, an option or 0.
static void measure_all(struct bench *b, int only, double seconds, const char *where) {
    bool computes = only != OPTION_ENVS && only != OPTION_LINKS;
    int peak = computes ? bench_add_peak(b) : BENCH_NO_LIMIT;
    if (only == OPTION_LINKS) {
        bench_add_links(b, where);
    } else if (only == OPTION_GROW) {
        bench_add_growth(b, peak);
    } else if (only != OPTION_ENVS) {
        bench_add_compute(b, peak, where);
    }
    if (only == 0) {
        bench_add_store(b, where);
    }
    int env_cases = 0;
    for (int i = 0; i < task_count() && (only == 0 || only == OPTION_ENVS); i++) {
        env_cases += bench_has_env(task_at(i)) ? BENCH_ENV_CASES : 0;
    }
    double slice = seconds / (BENCH_ROUNDS * (b->count + env_cases));
    measure(b, slice);
    for (int i = 0; i < task_count() && env_cases > 0 && !interrupted; i++) {
        if (bench_has_env(task_at(i))) {
            bench_add_env(b, task_at(i));
            measure(b, slice);
        }
    }
}

int cmd_bench(int argc, char **argv) {
    static struct bench bench;
    bool json = false;
    int only = 0; // option that selects the cases; 0: all except --grow
    uint64_t seconds = SECONDS_DEFAULT;
    const char *where = ".";
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        switch (option) {
        case 'h':
            fputs(help, stdout);
            return EXIT_CODE_OK;
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_ENVS:
        case OPTION_COMPUTE:
        case OPTION_GROW:
        case OPTION_LINKS:
            if (only != 0 && only != option) {
                return cli_usage_error(argv, "takes one of --envs, --compute, --grow and --links");
            }
            only = option;
            break;
        case OPTION_SECONDS:
            if (!cli_parse_number(&seconds, argv, "--seconds", optarg, 1, 3600)) {
                return EXIT_CODE_USAGE;
            }
            break;
        case OPTION_DIR:
            where = optarg;
            break;
        default:
            return EXIT_CODE_USAGE;
        }
    }
    if (optind != argc) {
        return cli_usage_error(argv, "takes no arguments, found \"%.60s\"", argv[optind]);
    }
    char slow[256];
    if (gemm_is_slow(slow, sizeof(slow))) {
        fprintf(stderr, "spur: %s\n", slow);
    }

    catch_signals();
    log_init("spur", LOG_WARN, -1); // hides the actors' messages
    measure_all(&bench, only, (double)seconds, where);
    if (interrupted) {
        fprintf(stderr, "spur: stopped by a signal\n");
    } else if (json) {
        print_json(&bench);
    } else {
        print_text(&bench);
    }
    return interrupted ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}
