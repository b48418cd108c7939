// SPDX-License-Identifier: MIT
// `spur run`: one training run on this machine, from the command line to the summary.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "actor/env/env_factory.h"
#include "cli/cli.h"
#include "cli/run/endpoints.h"
#include "cli/run/from.h"
#include "cli/run/memory.h"
#include "cli/run/rundir.h"
#include "cli/run/summary.h"
#include "cli/run/supervisor.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/host.h"
#include "common/config/thread_plan.h"
#include "common/nn/gemm.h"
#include "common/nn/safetensors.h"

static const char help[] =
    "usage: spur run TASK|FILE [--env ENV] [--seed N] [--run-dir DIR] [--actors N]\n"
    "                [--envs-per-actor N] [--method NAME] [--recipe NAME|FILE]\n"
    "                [--set section.key=value]... [--listen tcp://HOST:PORT [--keys DIR]]\n"
    "                [--require-solved]\n"
    "       spur run --run-dir DIR\n"
    "       spur run [TASK|FILE] --from RUN_DIR [--without PART,...] --run-dir DIR ...\n"
    "\n"
    "Trains on a task with real processes on this machine: a model server, a learner, actors and\n"
    "an evaluator. If the run directory already contains a run, it is resumed.\n"
    "\n"
    "  TASK                    as `spur tasks` lists them\n"
    "  FILE                    a configuration: a file ending in .yaml, or a path\n"
    "  --env ENV               task.env: an environment of your own: FILE.yaml (a description),\n"
    "                          FILE.so (a plug-in), python:MODULE:FUNCTION (Python, Gymnasium's\n"
    "                          interface; python:gym:ID makes one of Gymnasium's own), or a\n"
    "                          command (docs/environments/plugins.md); a TASK then gives its\n"
    "                          settings except eval.target, and may be left out\n"
    "  --method NAME           mbpo, dhmbpo, or sac, which learns from real steps only; a task\n"
    "                          names a method that learns it (docs/methods.md)\n"
    "  --recipe NAME|FILE      values on top of the task's: dhmbpo-paper, or a configuration\n"
    "  --seed N                run.seed; the same seed in lockstep gives the same bits\n"
    "  --run-dir DIR           default: runs/TASK-seedN, or runs/TASK-METHOD-seedN\n"
    "  --from RUN_DIR          starts from the policy, critics, model and stored steps of another\n"
    "                          run, by default with its configuration; of another task the steps\n"
    "                          are left out, as their rewards are not the new task's\n"
    "  --without PART,...      leaves out policy, critics, model or store\n"
    "  --actors N              run.actors\n"
    "  --envs-per-actor N      run.envs_per_actor\n"
    "  --set section.key=value overrides one key; may be given many times. A resumed run may\n"
    "                          change its budget, evaluations, checkpoints and processes:\n"
    "                          spur run --run-dir DIR --set run.steps=N\n"
    "  --listen tcp://HOST:PORT  lets actors on other hosts join (the learner gets PORT + 1)\n"
    "  --keys DIR              their keys (`spur keys`; docs/security.md); default:\n"
    "                          ~/.config/spur/keys. A loopback address needs none\n"
    "  --require-solved        a run that spends its steps without reaching eval.target exits\n"
    "                          with 3 instead of 0\n"
    "\n"
    "Ctrl-C stops all processes after a checkpoint; a second Ctrl-C stops them at once.\n"
    "\n"
    "Exit codes (all of them: docs/machines.md):\n"
    "  0             finished: solved, or the steps are spent\n"
    "  3             with --require-solved: the steps are spent, not solved\n"
    "  130, 143, 129 stopped in order by SIGINT, SIGTERM, SIGHUP; can be resumed\n"
    "  64, 78        wrong command line; wrong configuration\n"
    "  69, 71        something needed is missing; out of memory, threads, files\n"
    "  74            a file, a checkpoint or the output could not be written\n"
    "  75            the run directory is in use\n"
    "  1             any other failure\n";

static const struct option options[] = {
    {"env", required_argument, NULL, 'v'},
    {"method", required_argument, NULL, 'm'},
    {"seed", required_argument, NULL, 'e'},
    {"run-dir", required_argument, NULL, 'd'},
    {"actors", required_argument, NULL, 'a'},
    {"envs-per-actor", required_argument, NULL, 'p'},
    {"set", required_argument, NULL, 's'},
    {"listen", required_argument, NULL, 'l'},
    {"keys", required_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {"require-solved", no_argument, NULL, 'r'},
    {"from", required_argument, NULL, 'f'},
    {"without", required_argument, NULL, 'w'},
    {"recipe", required_argument, NULL, 'c'},
    {0},
};

enum { SIGNAL_EXIT_BASE = 128 }; // as shells report the end by a signal

struct request {
    struct config_source source;
    const char *run_dir, *listen, *keys, *without;
    char seed[48], actors[48], envs[48]; // as assignments
    bool require_solved, help;
};

// --seed, --actors and --envs-per-actor are short for --set.
static bool set_number(struct request *r, char **argv, char out[48], const char *option,
                       const char *key, uint64_t max) {
    uint64_t value;
    if (!cli_parse_number(&value, argv, option, optarg, 0, max)) {
        return false;
    }
    snprintf(out, 48, "%s=%llu", key, (unsigned long long)value);
    return config_source_set(&r->source, argv, out);
}

static int check_from(struct request *r, char **argv) {
    if (r->keys && !r->listen) {
        return cli_usage_error(argv, "--keys needs --listen tcp://HOST:PORT");
    }
    if (r->source.from && !r->run_dir) {
        return cli_usage_error(argv, "--from %s: name the directory of the new run with --run-dir",
                               r->source.from);
    }
    if (r->without && !r->source.from) {
        return cli_usage_error(argv, "--without needs --from DIR");
    }
    if (r->without &&
        !from_without(r->without, r->source.sets, &r->source.set_count, CLI_SETS_MAX)) {
        return cli_usage_error(argv, "--without %s: the parts are policy, critics, model and store",
                               r->without);
    }
    return 0;
}

static int parse(struct request *r, int argc, char **argv) {
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        bool ok = true;
        switch (option) {
        case 'e':
            ok = set_number(r, argv, r->seed, "--seed", "run.seed", (1ull << 53) - 1);
            break;
        case 'a':
            ok = set_number(r, argv, r->actors, "--actors", "run.actors", 4096);
            break;
        case 'v':
            r->source.env = optarg;
            break;
        case 'm':
            r->source.method = optarg;
            break;
        case 'c':
            r->source.recipe = optarg;
            break;
        case 'p':
            ok = set_number(r, argv, r->envs, "--envs-per-actor", "run.envs_per_actor",
                            CONFIG_ENVS_PER_ACTOR_MAX);
            break;
        case 'd':
            r->run_dir = optarg;
            break;
        case 's':
            ok = config_source_set(&r->source, argv, optarg);
            break;
        case 'l':
            r->listen = optarg;
            break;
        case 'k':
            r->keys = optarg;
            break;
        case 'r':
            r->require_solved = true;
            break;
        case 'f':
            r->source.from = optarg;
            break;
        case 'w':
            r->without = optarg;
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
    if (argc - optind > 1) {
        return cli_usage_error(argv, "expected one task or file, found %d", argc - optind);
    }
    r->source.name = optind < argc ? argv[optind] : NULL;
    if (!r->help && !r->source.name && !r->source.env && !r->run_dir && !r->source.from) {
        return cli_usage_error(argv, "expected a task or a file; `spur tasks` lists the tasks");
    }
    return check_from(r, argv);
}

// Prints threads and kernels; refuses kernels that the processor lacks.
static int announce_compute(const struct config *c) {
    char text[600];
    if (!gemm_use(c->compute.kernels)) {
        gemm_missing(text, sizeof(text), c->compute.kernels);
        return cli_fail(EXIT_CODE_CONFIG, "set it to auto", "compute.kernels: %s", text);
    }
    thread_plan_describe(text, sizeof(text), c, "");
    printf("%s; actors and evaluator share them; products by %s\n", text, gemm_name());
    fflush(stdout);
    if (gemm_is_slow(text, sizeof(text))) {
        fprintf(stderr, "spur: %s\n", text);
    }
    return 0;
}

// Creates a built-in task's environment once: without MuJoCo every actor would fail. (Other kinds
// were created when the configuration was read.)
static int check_environment(const struct task *task) {
    char err[1024];
    if (task->env) {
        return 0;
    }
    struct env *env = env_create(task, err, sizeof(err));
    if (!env) {
        return cli_fail(EXIT_CODE_UNAVAILABLE, NULL, "%s", err);
    }
    env_destroy(&env);
    return 0;
}

// Prints the settings of the run and the predicted memory; refuses a run that does not fit.
static int announce(const struct rundir *dir) {
    const struct config *c = &dir->config;
    int actors = c->run.actors;
    char steps[TEXT_LEN], needed[TEXT_LEN], limit[TEXT_LEN];
    printf("spur %s: %s (%s), method %s, seed %llu, %s steps, %s, %d actor%s\n", SPUR_VERSION,
           dir->task.name, dir->task.title, method_info(c->method)->name,
           (unsigned long long)c->run.seed, text_count(steps, c->run.steps), config_pacing_name(c),
           actors, actors == 1 ? "" : "s");
    printf("run directory: %s (%s)\n", dir->path, dir->resumed ? "resumed" : "new");
    if (dir->from[0] != '\0') {
        printf("%s\n", dir->from);
    }

    struct memory memory;
    memory_predict(&memory, c, &dir->task, cli_env_memory(c), host_cores());
    uint64_t limit_bytes = host_memory_limit();
    printf("memory, predicted at most: ");
    memory_print_short(&memory, stdout);
    printf("; %s of %s\n", text_bytes(needed, memory.total), text_bytes(limit, limit_bytes));
    fflush(stdout);
    if (memory.total > limit_bytes) {
        memory_print(&memory, stderr, "  ");
        return cli_fail(EXIT_CODE_CONFIG,
                        "D_model depends on rollout.retain_epochs, rollout.per_step and k, D_env "
                        "on run.steps, actors on run.actors",
                        "this run needs %s of memory, but only %s are available", needed, limit);
    }
    int rc = check_environment(&dir->task);
    env_free_unused(); // the environments are those of the actors
    return rc ? rc : announce_compute(c);
}

// Prints the command for starting further actors.
static void print_join(const struct config *c, const struct endpoints *e) {
    if (e->folder[0] == '\0' || c->run.actors == 0) {
        char modelserver[2 * NET_ENDPOINT_MAX], learner[2 * NET_ENDPOINT_MAX], keys[2 * PATH_MAX];
        struct stat st;
        bool folder = stat(e->keys, &st) == 0 && S_ISDIR(st.st_mode);
        printf("actors join with: spur-actor --modelserver %s --learner %s%s%s%s\n",
               text_shell(modelserver, sizeof(modelserver), e->modelserver_join),
               text_shell(learner, sizeof(learner), e->learner_join), e->keys[0] ? " --keys " : "",
               folder       ? "NAME.key"
               : e->keys[0] ? text_shell(keys, sizeof(keys), e->keys)
                            : "",
               folder ? "  (spur keys add NAME makes it)" : "");
    }
    fflush(stdout);
}

// The exit code of a finished run.
static int finished_code(const struct summary *s, const struct request *r) {
    return r->require_solved && !s->curve.solved ? EXIT_CODE_UNSOLVED : EXIT_CODE_OK;
}

// Prints a command that goes on from here, if there is one that works.
static void print_next(const struct rundir *dir, bool finished) {
    char quoted[2 * PATH_MAX], policy[PATH_MAX];
    const char *path = text_shell(quoted, sizeof(quoted), dir->path);
    if (!finished) {
        printf("to resume: spur run --run-dir %s\n", path);
    } else if (rundir_join(policy, dir->path, "policy.safetensors") && file_exists(policy)) {
        printf("to evaluate the policy: spur eval %s\n", path); // a full disk has none
    }
}

// Prints the summary. Returns the exit code.
static int conclude(const struct request *r, const struct rundir *dir,
                    const struct supervisor_result *result) {
    struct summary summary;
    char err[1024], text[512];
    if (summary_read(&summary, dir->path, &dir->config, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s", err);
    }
    summary_sentence(&summary, result->wall_s, text, sizeof(text));
    bool finished = summary_finished(&summary, &dir->config);
    printf("%s\nrun directory: %s\n", text, dir->path);
    print_next(dir, finished);
    if (result->end == SUPERVISOR_DONE && !finished) {
        return cli_fail(EXIT_CODE_UNAVAILABLE, "a resumed run makes it",
                        "the last evaluation is missing: no evaluator was connected at the end; "
                        "%s/log says why",
                        dir->path);
    }
    switch (result->end) {
    case SUPERVISOR_DONE:
        return finished_code(&summary, r);
    case SUPERVISOR_STOPPED:
        return SIGNAL_EXIT_BASE + result->signal;
    case SUPERVISOR_UNSAVED:
        return cli_fail(result->exit_code,
                        result->killed ? NULL : "free space on its disk, then resume",
                        "the last checkpoint could not be saved; the run resumes from the one "
                        "before");
    case SUPERVISOR_KILLED:
        return EXIT_CODE_FAILURE;
    case SUPERVISOR_FAILED:
        return result->exit_code;
    }
    return EXIT_CODE_FAILURE;
}

static int supervise(const struct request *r, const struct rundir *dir) {
    struct endpoints e;
    endpoints_clear(dir->path);
    int rc = r->listen ? endpoints_listen(&e, r->listen, r->keys, dir->path)
                       : endpoints_private(&e, dir->path);
    if (rc != 0) {
        return rc;
    }
    rc = endpoints_write(&e, dir->path);
    if (rc == 0) {
        print_join(&dir->config, &e);
        struct supervisor_result result = supervisor_run(dir, &e);
        endpoints_unwrite(dir->path);
        rc = conclude(r, dir, &result);
    }
    endpoints_remove(&e);
    return rc;
}

// A budget below what is done already is refused.
static int check_steps(const struct rundir *dir, const struct summary *s) {
    uint64_t done = s->curve.env_steps, steps = config_steps_max(&dir->config);
    if (!dir->resumed || steps >= config_steps_max(&dir->stored) || steps >= done) {
        return 0;
    }
    return cli_fail(
        EXIT_CODE_CONFIG, NULL,
        "run.steps=%llu: %s was evaluated at step %llu already, and steps are not undone",
        (unsigned long long)dir->config.run.steps, dir->path, (unsigned long long)done);
}

// In lockstep: whether the learner's checkpoint is older than the last evaluation, because the run
// was killed between the two.
static bool lacks_checkpoint(const struct rundir *dir, const struct summary *s) {
    char path[PATH_MAX], err[256];
    uint64_t step = 0;
    if (dir->config.pacing.mode != PACING_LOCKSTEP ||
        !rundir_join(path, dir->path, "checkpoint/learner.safetensors")) {
        return false;
    }
    struct safetensors *file = safetensors_open(path, err, sizeof(err));
    bool known = file && safetensors_copy_u64(file, "step", &step, 1, err, sizeof(err)) == 0;
    safetensors_close(&file);
    return known && step < s->curve.env_steps;
}

int cmd_run(int argc, char **argv) {
    struct request r = {0};
    int rc = parse(&r, argc, argv);
    if (rc != 0) {
        return rc;
    }
    if (r.help) {
        fputs(help, stdout);
        return EXIT_CODE_OK;
    }
    struct rundir dir;
    rc = rundir_find(&dir, &r.source, r.run_dir);
    if (rc != 0) {
        return rc;
    }
    struct summary summary;
    char err[1024], text[512], quoted[2 * PATH_MAX], config[2 * PATH_MAX];
    if (summary_read(&summary, dir.path, &dir.config, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s", err);
    }
    rc = check_steps(&dir, &summary);
    if (rc != 0) {
        return rc;
    }
    if (summary_finished(&summary, &dir.config) && !lacks_checkpoint(&dir, &summary)) {
        summary_sentence(&summary, 0, text, sizeof(text));
        printf("this run is finished: %s\nrun directory: %s\n"
               "to go on: spur run --run-dir %s --set %s\n"
               "for a new run like it: spur run %s --seed N, or --run-dir DIR\n",
               text, dir.path, text_shell(quoted, sizeof(quoted), dir.path),
               summary.spent ? "run.steps=N" : "run.stop_when_solved=false",
               text_shell(config, sizeof(config), dir.config_path));
        return finished_code(&summary, &r);
    }
    // A new run that is refused for its size leaves no directory. A run in use is refused before
    // anything is printed.
    rc = dir.resumed ? rundir_open(&dir) : 0;
    if (rc == 0) {
        rc = announce(&dir);
    }
    if (rc == 0) {
        rc = dir.resumed ? rundir_store_changes(&dir) : rundir_open(&dir);
    }
    if (rc == 0) {
        rc = supervise(&r, &dir);
    }
    rundir_close(&dir);
    return rc;
}
