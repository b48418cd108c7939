// SPDX-License-Identifier: MIT
// Options, the choice of steps, and the tables of `spur data`.
#include "modelserver/data.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "modelserver/storage/row_bounds.h"
#include "modelserver/storage/store_edit.h"

static const char help[] =
    "usage: spur data list RUN_DIR\n"
    "       spur data drop RUN_DIR CHOICE [--dry-run]\n"
    "       spur data restore RUN_DIR [--steps FIRST[-LAST]]\n"
    "\n"
    "Lists the real steps of a stopped run, sets some aside, and puts them back. Steps count from\n"
    "0. A dropped step is kept in the store; learning sees a copy of another step in its place,\n"
    "so that the number of steps and the pacing of the run stay as they are.\n"
    "\n"
    "list prints the range of every number, the steps with wild numbers, and the dropped ones.\n"
    "\n"
    "  --steps FIRST[-LAST]   CHOICE: a range of steps\n"
    "  --wild                 CHOICE: steps that data.bound or data.largest would refuse, judged\n"
    "                         by all steps\n"
    "  --number NAME --above X, --below X\n"
    "                         CHOICE: steps with this number beyond a bound; NAME is obs[I],\n"
    "                         act[I], reward or next_obs[I]\n"
    "  --dry-run              say how many there are, and drop none\n";

static const struct option options[] = {
    {"steps", required_argument, NULL, 's'},  {"wild", no_argument, NULL, 'w'},
    {"number", required_argument, NULL, 'n'}, {"above", required_argument, NULL, 'a'},
    {"below", required_argument, NULL, 'b'},  {"dry-run", no_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},         {0},
};

enum { LISTED_MAX = 20 }; // wild steps and ranges; the rest are counted

_Noreturn static void refuse(enum exit_code code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

_Noreturn static void refuse(enum exit_code code, const char *hint, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fflush(stdout);
    fputs("spur data: ", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", hint ? "\n  hint: " : "", hint ? hint : "");
    exit(code);
}

struct request {
    const char *command, *run_dir, *number;
    uint64_t first, last;
    bool steps, wild, dry_run;
    double above, below; // infinite: not given
};

static double parse_bound(const char *option, const char *text) {
    char *end;
    double x = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || isnan(x)) {
        refuse(EXIT_CODE_USAGE, NULL, "--%s %s: not a number", option, text);
    }
    return x;
}

static void parse_steps(struct request *r, const char *text) {
    char *end = NULL;
    r->steps = true;
    r->first = r->last = strtoull(text, &end, 10);
    if (*end == '-' && end != text) {
        const char *last = end + 1;
        r->last = strtoull(last, &end, 10);
        end = end == last ? NULL : end;
    }
    if (!end || *end != '\0' || end == text || text[0] == '-' || r->last < r->first) {
        refuse(EXIT_CODE_USAGE, NULL, "--steps %s: expected FIRST or FIRST-LAST", text);
    }
}

static void parse(struct request *r, int argc, char *argv[]) {
    *r = (struct request){.above = INFINITY, .below = -INFINITY};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            parse_steps(r, optarg);
            break;
        case 'w':
            r->wild = true;
            break;
        case 'n':
            r->number = optarg;
            break;
        case 'a':
            r->above = parse_bound("above", optarg);
            break;
        case 'b':
            r->below = parse_bound("below", optarg);
            break;
        case 'd':
            r->dry_run = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(file_close_output(EXIT_CODE_OK));
        default:
            exit(EXIT_CODE_USAGE);
        }
    }
    if (argc - optind != 2) {
        refuse(EXIT_CODE_USAGE, "spur data --help", "expected list, drop or restore, and RUN_DIR");
    }
    r->command = argv[optind];
    r->run_dir = argv[optind + 1];
    if (strcmp(r->command, "list") != 0 && strcmp(r->command, "drop") != 0 &&
        strcmp(r->command, "restore") != 0) {
        refuse(EXIT_CODE_USAGE, "spur data --help", "there is no command %s", r->command);
    }
    bool bounded = isfinite(r->above) || isfinite(r->below);
    if ((r->number != NULL) != bounded) {
        refuse(EXIT_CODE_USAGE, NULL, "--number needs --above or --below, and they need it");
    }
    if (strcmp(r->command, "drop") == 0 && r->steps + r->wild + bounded != 1) {
        refuse(EXIT_CODE_USAGE, "spur data --help",
               "drop needs one of --steps, --wild and --number");
    }
}

// ---- the run ----

// Locks a file, until the end of the process.
static void lock(const char *run_dir, const char *name) {
    char path[PATH_MAX];
    int pid;
    if (file_join(path, sizeof(path), run_dir, name) < 0) {
        refuse(EXIT_CODE_IO, NULL, "%s: the path is too long", run_dir);
    }
    int fd = file_lock(path, &pid);
    if (fd == -EWOULDBLOCK) {
        refuse(EXIT_CODE_TEMPFAIL, "stop it first", "%s is in use by process %d", run_dir, pid);
    }
    if (fd < 0) {
        refuse(EXIT_CODE_IO, NULL, "%s: cannot be locked: %s", path, strerror(-fd));
    }
}

static void open_run(struct store_edit *e, struct config *c, const char *run_dir) {
    char path[PATH_MAX], err[1024];
    if (file_join(path, sizeof(path), run_dir, "store/data.mdb") < 0 || !file_exists(path)) {
        refuse(EXIT_CODE_USAGE, "name the directory of a run", "%s contains no steps", run_dir);
    }
    lock(run_dir, "lock");
    lock(run_dir, "checkpoint/modelserver.lock");
    config_defaults(c);
    if (file_join(path, sizeof(path), run_dir, "config.yaml") < 0 ||
        (file_exists(path) && config_load(c, path, err, sizeof(err)) < 0)) {
        refuse(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    *strrchr(path, '/') = '\0';
    file_join(path, sizeof(path), run_dir, "store");
    if (store_edit_open(e, path, err, sizeof(err)) != 0) {
        refuse(EXIT_CODE_IO, NULL, "%s", err);
    }
}

// ---- numbers of a step ----

static uint32_t numbers(const struct store_edit *e) {
    return 2 * e->obs_dim + e->act_dim + 1;
}

static void number_name(char out[32], const struct store_edit *e, uint32_t i) {
    uint32_t o = e->obs_dim, a = e->act_dim;
    if (i < o) {
        snprintf(out, 32, "obs[%u]", i);
    } else if (i < o + a) {
        snprintf(out, 32, "act[%u]", i - o);
    } else if (i == o + a) {
        snprintf(out, 32, "reward");
    } else {
        snprintf(out, 32, "next_obs[%u]", i - o - a - 1);
    }
}

static uint32_t find_number(const struct store_edit *e, const char *name) {
    char is[32];
    for (uint32_t i = 0; i < numbers(e); i++) {
        number_name(is, e, i);
        if (strcmp(is, name) == 0) {
            return i;
        }
    }
    refuse(EXIT_CODE_USAGE, NULL,
           "--number %s: this run has obs[0] to obs[%u], act[0] to act[%u], reward, "
           "next_obs[0] to next_obs[%u]",
           name, e->obs_dim - 1, e->act_dim - 1, e->obs_dim - 1);
}

// The bounds that all steps give which are not dropped.
static void find_bounds(struct row_bounds *b, const struct store_edit *e, const struct config *c) {
    row_bounds_init(b, c, e->obs_dim);
    b->bound_rows = 1;
    for (uint64_t i = 0; i < e->rows; i++) {
        if (!e->dropped[i]) {
            const float *x = store_edit_numbers(e, i);
            row_bounds_add(b, x, x[e->obs_dim + e->act_dim]);
        }
    }
}

static bool is_wild(const struct row_bounds *b, const struct store_edit *e, uint64_t place,
                    char *why, size_t why_len) {
    const float *x = store_edit_numbers(e, place);
    uint32_t reward = e->obs_dim + e->act_dim;
    return !row_bounds_admit(b, x, x[reward], x + reward + 1, why, why_len);
}

// ---- commands ----

static void choose(bool *chosen, const struct request *r, const struct store_edit *e,
                   const struct config *c) {
    struct row_bounds b;
    char why[256];
    uint32_t column = r->number ? find_number(e, r->number) : 0;
    find_bounds(&b, e, c);
    for (uint64_t i = 0; i < e->rows; i++) {
        double x = (double)store_edit_numbers(e, i)[column];
        chosen[i] = r->steps    ? i >= r->first && i <= r->last
                    : r->wild   ? is_wild(&b, e, i, why, sizeof(why))
                    : r->number ? x > r->above || x < r->below
                                : true;
    }
    row_bounds_deinit(&b);
}

static void list_numbers(const struct store_edit *e) {
    printf("%-14s %13s %13s %13s   steps of the smallest and the largest\n", "", "smallest", "mean",
           "largest");
    for (uint32_t j = 0; j < numbers(e); j++) {
        char name[32];
        uint64_t low = UINT64_MAX, high = UINT64_MAX, n = 0;
        double sum = 0, least = INFINITY, most = -INFINITY;
        for (uint64_t i = 0; i < e->rows; i++) {
            double x = (double)store_edit_numbers(e, i)[j];
            if (!e->dropped[i]) {
                low = x < least ? i : low;
                high = x > most ? i : high;
                least = fmin(least, x);
                most = fmax(most, x);
                sum += x;
                n++;
            }
        }
        number_name(name, e, j);
        if (n > 0) {
            printf("%-14s %13.6g %13.6g %13.6g   %" PRIu64 ", %" PRIu64 "\n", name, least,
                   sum / (double)n, most, low, high);
        }
    }
}

static void list_wild(const struct store_edit *e, const struct config *c) {
    struct row_bounds b;
    char why[256];
    uint64_t wild = 0;
    find_bounds(&b, e, c);
    for (uint64_t i = 0; i < e->rows; i++) {
        if (!e->dropped[i] && is_wild(&b, e, i, why, sizeof(why)) && wild++ < LISTED_MAX) {
            printf("step %" PRIu64 " is wild: %s\n", i, why);
        }
    }
    printf("%" PRIu64 " wild steps%s\n", wild, wild ? "; spur data drop RUN_DIR --wild" : "");
    row_bounds_deinit(&b);
}

static void list_dropped(const struct store_edit *e) {
    uint64_t dropped = 0, ranges = 0;
    for (uint64_t i = 0; i < e->rows; i++) {
        uint64_t first = i;
        for (; i < e->rows && e->dropped[i]; i++) {
            dropped++;
        }
        if (i > first && ranges++ < LISTED_MAX) {
            printf("dropped: %" PRIu64 "-%" PRIu64 "\n", first, i - 1);
        }
    }
    printf("%" PRIu64 " of %" PRIu64 " steps are dropped\n", dropped, e->rows);
}

static int change(const struct request *r, struct store_edit *e, const struct config *c) {
    bool drop = strcmp(r->command, "drop") == 0;
    bool *chosen = xcalloc(e->rows, sizeof(*chosen));
    uint64_t count = 0;
    char err[256];
    int rc = 0;
    choose(chosen, r, e, c);
    for (uint64_t i = 0; i < e->rows; i++) {
        count += chosen[i] && e->dropped[i] != drop;
    }
    if (!r->dry_run && count > 0) {
        rc = drop ? store_edit_drop(e, chosen, &count, err, sizeof(err))
                  : store_edit_restore(e, chosen, &count, err, sizeof(err));
    }
    free(chosen);
    if (rc != 0) {
        refuse(EXIT_CODE_IO, NULL, "%s: %s", r->run_dir, err);
    }
    printf("%" PRIu64 " steps %s %s\n", count, r->dry_run ? "would be" : "are",
           drop ? "dropped" : "restored");
    return EXIT_CODE_OK;
}

int data_main(int argc, char *argv[]) {
    struct request r;
    struct store_edit e;
    struct config config;
    int rc = EXIT_CODE_OK;
    log_init("spur data", LOG_WARN, -1);
    parse(&r, argc, argv);
    open_run(&e, &config, r.run_dir);
    if (strcmp(r.command, "list") == 0) {
        list_numbers(&e);
        list_wild(&e, &config);
        list_dropped(&e);
    } else {
        rc = change(&r, &e, &config);
    }
    store_edit_close(&e);
    return file_close_output(rc);
}
