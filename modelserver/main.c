// SPDX-License-Identifier: MIT
// spur-modelserver: joins the core (core/modelserver.h) to the daemon's loop and
// sockets, and to the threads that do the work (workers.h).
//
// The loop's thread answers within milliseconds whatever the workers do; they
// wake it when a result is ready.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/host.h"
#include "common/base/rlimits.h"
#include "common/base/log.h"
#include "common/config/thread_plan.h"
#include "common/nn/gemm.h"
#include "common/nn/normalizer.h"
#include "daemon/daemon.h"
#include "modelserver/core/modelserver.h"
#include "modelserver/data.h"
#include "modelserver/storage/checkpoint.h"
#include "modelserver/storage/store_size.h"
#include "modelserver/workers.h"

enum {
    MESSAGE_ROOM = 1 << 20,   // beside rows or weights; more than any other message
    QUEUE_MESSAGES_MAX = 256, // the cores limit the bytes
};

struct app {
    struct daemon daemon;
    struct ensemble ensemble;
    struct policy policy;
    int threads; // of training
    struct store_meta meta;
    struct store *store;
    struct fit *fit;
    struct rollout *rollout;
    struct workers *workers;
    struct modelserver *core;
    bool curve_failed; // an evaluation is missing from progress.csv
};

// ---- jobs ----

static void job_store(void *arg, struct store_batch *batch) {
    workers_store(((struct app *)arg)->workers, batch);
}

static void job_fit(void *arg, struct ms_fit_job *job) {
    workers_fit(((struct app *)arg)->workers, job);
}

static void job_rollout(void *arg, struct rollout_block *block) {
    workers_rollout(((struct app *)arg)->workers, block);
}

static void job_save(void *arg, struct ms_save_job *job) {
    workers_save(((struct app *)arg)->workers, job);
}

static void job_evaluated(void *arg, const struct ms_evaluation *evaluation) {
    workers_evaluation(((struct app *)arg)->workers, evaluation);
}

static void take_one(struct app *app, uint64_t now, struct work *work) {
    switch (work->kind) {
    case WORK_STORE:
        ms_on_stored(app->core, now, work->batch, work->err);
        break;
    case WORK_FIT:
        ms_on_fit(app->core, now, work->fit);
        break;
    case WORK_SAVE:
        ms_on_save(app->core, now, work->save);
        break;
    case WORK_ROLLOUT:
        ms_on_rollout(app->core, now, work->block);
        break;
    case WORK_EVALUATION:
        app->curve_failed |= work->failed;
        break;
    }
    if (work->failed) {
        log_error("%s", work->err);
    }
    workers_give_back(app->workers, work);
}

// ---- the daemon's events ----

static void on_message(void *arg, uint64_t now_ms, enum port_socket socket,
                       const struct net_peer *from, const struct wire_msg *msg) {
    (void)socket;
    ms_on_message(((struct app *)arg)->core, now_ms, from, msg);
}

static void on_garbage(void *arg, uint64_t now_ms, enum port_socket socket,
                       const struct net_peer *from, enum wire_refusal code, const char *text,
                       const struct wire_msg *msg) {
    (void)socket;
    ms_on_unparsable(((struct app *)arg)->core, now_ms, from, code, text, msg);
}

static void on_wake(void *arg, uint64_t now_ms) {
    struct app *app = arg;
    for (struct work *work; (work = workers_take(app->workers));) {
        take_one(app, now_ms, work);
    }
}

static void on_tick(void *arg, uint64_t now_ms) {
    ms_on_tick(((struct app *)arg)->core, now_ms);
}

static void on_stop(void *arg, uint64_t now_ms, const char *why) {
    ms_stop(((struct app *)arg)->core, now_ms, false, why);
}

static bool finished(void *arg) {
    struct app *app = arg;
    if (ms_phase(app->core) != MS_RUNNING) {
        workers_interrupt(app->workers);
    }
    uint64_t step;
    return ms_phase(app->core) == MS_STOPPED || ms_starts_again(app->core, &step);
}

// ---- start ----

static void add_part(char *out, size_t out_len, const char *what, uint64_t bytes, uint64_t *sum) {
    size_t n = strlen(out);
    snprintf(out + n, out_len - n, "%s%s %.1f MiB", n ? ", " : "", what, (double)bytes / (1 << 20));
    *sum += bytes;
}

// Everything large is allocated at start-up, so its size is known in advance.
static void predict_memory(const struct app *app) {
    const struct config *c = &app->daemon.config;
    const struct task *task = &app->daemon.task;
    uint32_t o = (uint32_t)task->obs_dim, a = (uint32_t)task->act_dim;
    uint64_t sum = 0, limit = host_memory_limit();
    char text[512] = "";
    add_part(text, sizeof(text), "D_env", store_memory_bytes(config_env_rows_max(c), o, a), &sum);
    if (config_has_model(c)) {
        add_part(text, sizeof(text), "training",
                 fit_memory_bytes(c, &app->ensemble, config_env_rows_max(c), app->threads), &sum);
        add_part(text, sizeof(text), "rollouts",
                 rollout_memory_bytes(&app->ensemble, &app->policy, c->task.termination), &sum);
    }
    add_part(text, sizeof(text), "buffers", ms_memory_bytes(c, task), &sum);
    uint64_t disk = store_disk_bytes(config_env_rows_max(c), o, a);
    log_info("memory: %.1f MiB predicted (%s); disk: at most %.1f MiB", (double)sum / (1 << 20),
             text, (double)disk / (1 << 20));
    if (sum > limit) {
        die(EXIT_CODE_CONFIG, "lower run.steps, model.hidden_width or the rollout length",
            "this run needs %.1f MiB, but this machine or container provides %.1f MiB",
            (double)sum / (1 << 20), (double)limit / (1 << 20));
    }
    // The store's file is mapped.
    if (rlimits_check(0, 0, sum + disk, text, sizeof(text)) != 0) {
        die(EXIT_CODE_RESOURCES, "raise the limit, or lower run.steps or model.hidden_width", "%s",
            text);
    }
}

// A new run begins with the steps of another one.
static void take_rows(struct app *app) {
    const struct config *c = &app->daemon.config;
    uint64_t rows = config_rows_taken(c);
    char dir[PATH_MAX], err[1024];
    if (c->from.run[0] == '\0' || rows == 0 || store_rows(app->store) > 0) {
        return;
    }
    if (file_join(dir, sizeof(dir), c->from.run, "store") < 0) {
        die(EXIT_CODE_IO, NULL, "%s/store: the path is too long", c->from.run);
    }
    if (store_take_rows(app->store, dir, rows, err, sizeof(err)) != 0) {
        die(EXIT_CODE_IO,
            "--without store starts without its steps, --set from.rows=N with the first N", "%s",
            err);
    }
    log_info("%llu real steps taken over from %s", (unsigned long long)rows, dir);
}

static void open_store(struct app *app) {
    char dir[PATH_MAX], err[1024];
    daemon_path(dir, sizeof(dir), &app->daemon, "store");
    snprintf(app->meta.task, sizeof(app->meta.task), "%s", app->daemon.task.name);
    app->meta.seed = app->daemon.config.run.seed;
    app->meta.obs_dim = (uint32_t)app->daemon.task.obs_dim;
    app->meta.act_dim = (uint32_t)app->daemon.task.act_dim;
    CHECK(getrandom(&app->meta.run_id, sizeof(app->meta.run_id), 0) == sizeof(app->meta.run_id));
    app->meta.run_id = app->meta.run_id >> 12 | 1; // not 0, and exact as a double
    if (store_open(&app->store, dir, &app->meta, config_env_rows_max(&app->daemon.config), err,
                   sizeof(err)) != 0) {
        die(EXIT_CODE_IO, NULL, "%s", err);
    }
    take_rows(app);
    // The learner's copy of D_env has room for the budget.
    uint64_t rows = store_rows(app->store), rows_max = config_env_rows_max(&app->daemon.config);
    if (rows > rows_max) {
        die(EXIT_CODE_CONFIG, "raise run.steps",
            "%s contains %llu real steps, but run.steps %llu and network.unacked_rows_max allow "
            "for %llu",
            dir, (unsigned long long)rows, (unsigned long long)app->daemon.config.run.steps,
            (unsigned long long)rows_max);
    }
}

// The model of a new run begins with the weights of another one.
static void take_model(const struct config *c, const struct fit_state *fit) {
    char path[PATH_MAX], err[1024];
    if (c->from.run[0] == '\0' || !c->from.model) {
        return;
    }
    if (file_join(path, sizeof(path), c->from.run, "checkpoint/modelserver.safetensors") < 0) {
        die(EXIT_CODE_IO, NULL, "%s: the path is too long", c->from.run);
    }
    if (ms_checkpoint_take_over(path, fit, err, sizeof(err)) != 0) {
        die(EXIT_CODE_IO, "--without model starts with another one", "%s", err);
    }
    log_info("the model's weights are taken over from %s", path);
}

// A store whose newest pages are lost is whole, but older than the rest of the run.
static void check_rows(const struct app *app, const struct ms_setup *setup) {
    uint64_t rows = store_rows(app->store), known = setup->history.env_steps;
    known = setup->state && setup->state->trained_for > known ? setup->state->trained_for : known;
    if (rows < known) {
        die(EXIT_CODE_IO,
            "put a copy of the store back, or begin a new run: spur run --from RUN_DIR "
            "--without store --run-dir NEW_DIR",
            "%s/store contains %llu real steps, but the run has learned from %llu",
            app->daemon.options.run_dir, (unsigned long long)rows, (unsigned long long)known);
    }
}

// Creates the threads and the core, which resumes from the store and the checkpoint.
static void start_core(struct app *app) {
    char err[1024];
    struct workers_setup workers = {
        .store = app->store,
        .task = &app->daemon.task,
        .policy = app->policy,
        .run = {app->daemon.task.name, app->meta.run_id, app->meta.seed},
        .ready = daemon_wake,
        .arg = &app->daemon};
    daemon_path(workers.progress_path, sizeof(workers.progress_path), &app->daemon, "progress.csv");
    daemon_path(workers.best_path, sizeof(workers.best_path), &app->daemon,
                "policy_best.safetensors");
    daemon_path(workers.checkpoint_path, sizeof(workers.checkpoint_path), &app->daemon,
                "checkpoint/modelserver.safetensors");
    if (config_has_model(&app->daemon.config)) {
        app->fit = fit_create(&app->daemon.config, &app->ensemble, store_rows_max(app->store),
                              app->threads);
        app->rollout = rollout_create(&app->ensemble, &app->policy, &app->daemon.task,
                                      app->daemon.config.run.seed);
    }
    workers.fit = app->fit;
    workers.rollout = app->rollout;

    struct ms_setup setup = {.config = &app->daemon.config,
                             .task = &app->daemon.task,
                             .run_id = app->meta.run_id,
                             .pid = app->daemon.pid,
                             .port = daemon_port(&app->daemon),
                             .jobs = {.arg = app,
                                      .store = job_store,
                                      .fit = job_fit,
                                      .rollout = job_rollout,
                                      .save = job_save,
                                      .evaluated = job_evaluated},
                             .env = store_columns(app->store),
                             .env_rows = store_rows(app->store),
                             .actor_count = store_actor_count(app->store)};
    for (int role = WIRE_ROLE_ACTOR; role < STORE_ROLES; role++) {
        setup.starts[role] = store_starts(app->store, (enum wire_role)role);
    }
    setup.actors = setup.actor_count > 0 ? store_actor_at(app->store, 0) : NULL;
    if (learning_curve_open(&setup.history, workers.progress_path, &app->daemon.config, err,
                            sizeof(err)) != 0) {
        die(EXIT_CODE_IO, NULL, "%s", err);
    }
    struct ms_state state;
    struct fit_state fit = fit_state(app->fit);
    struct model model = {.params = xfloats(fit.params),
                          .normalizer = xfloats(fit.normalizer_floats),
                          .termination = xfloats(fit.termination_params),
                          .members = app->daemon.config.model.members,
                          .elites = app->daemon.config.model.elites};
    bool has_model = false;
    int loaded = ms_checkpoint_load(workers.checkpoint_path, &workers.run, &state, &fit, &model,
                                    &has_model, err, sizeof(err));
    if (loaded < 0) {
        die(EXIT_CODE_IO, NULL, "%s", err);
    }
    if (loaded > 0) {
        setup.state = &state;
        setup.model = has_model ? &model : NULL;
        setup.previous_step = ms_checkpoint_previous_step(workers.checkpoint_path);
    } else if (app->fit) {
        take_model(&app->daemon.config, &fit);
    }
    check_rows(app, &setup);
    app->workers = workers_create(&workers);
    app->core = ms_create(&setup, clock_ms());
    free(model.params);
    free(model.normalizer);
    free(model.termination);
}

static void log_start(const struct app *app) {
    log_info("spur-modelserver %s, task %s, seed %llu, run %016llx", SPUR_VERSION,
             app->daemon.task.name, (unsigned long long)app->meta.seed,
             (unsigned long long)app->meta.run_id);
    if (app->fit) {
        log_info("matrix products by %s; %d training thread%s", gemm_name(), app->threads,
                 app->threads == 1 ? "" : "s");
    } else {
        log_info("method %s trains no model", method_info(app->daemon.config.method)->name);
    }
    log_info("%llu real steps stored, of %llu", (unsigned long long)store_rows(app->store),
             (unsigned long long)config_steps_max(&app->daemon.config));
    log_info("listening at %s", app->daemon.own_endpoint);
}

static void close_all(struct app *app) {
    workers_join(app->workers);
    on_wake(app, clock_ms()); // returns batches and blocks to their owners
    ms_destroy(&app->core);
    workers_destroy(&app->workers);
    rollout_destroy(&app->rollout);
    fit_destroy(&app->fit);
    store_close(&app->store);
    daemon_close(&app->daemon);
}

static const struct daemon_spec daemon_spec = {
    .options = {.program = "spur-modelserver",
                .about =
                    "Stores a run's real transitions, trains its model, feeds its learner and\n"
                    "paces every process. Resumes the run in DIR if there is one.",
                .needs = OPTION_CONFIG | OPTION_RUN_DIR | OPTION_BIND},
    .name = "modelserver",
    .title = "model server",
    .tick_ms = 20,
    .message = on_message,
    .garbage = on_garbage,
    .tick = on_tick,
    .wake = on_wake,
    .stop = on_stop,
    .finished = finished,
};

// The largest messages to the model server are policies and rows.
static void limit_messages(struct app *app) {
    const struct task *task = &app->daemon.task;
    size_t row = (2 * (size_t)task->obs_dim + (size_t)task->act_dim + 1) * sizeof(float) + 1;
    size_t rows = row * (size_t)app->daemon.config.network.batch_rows_max;
    size_t policy = policy_params(&app->policy) * sizeof(float);
    size_t most = MESSAGE_ROOM + (rows > policy ? rows : policy);
    app->daemon.limits =
        (struct net_limits){.message_max = most < NET_MESSAGE_MAX ? most : NET_MESSAGE_MAX,
                            .send_max = QUEUE_MESSAGES_MAX,
                            .receive_max = QUEUE_MESSAGES_MAX};
}

// Lockstep: starts again from the checkpoint of the learner's step.
static void go_back(struct app *app) {
    uint64_t step;
    char path[PATH_MAX];
    if (!ms_starts_again(app->core, &step)) {
        return;
    }
    daemon_path(path, sizeof(path), &app->daemon, "checkpoint/modelserver.safetensors");
    close_all(app);
    ms_checkpoint_go_back(path, step);
    daemon_again(&app->daemon);
    exit(EXIT_CODE_TEMPFAIL);
}

int main(int argc, char *argv[]) {
    if (argc > 1 && strcmp(argv[1], "data") == 0) {
        static char name[] = "spur data";
        argv[1] = name;
        return data_main(argc - 1, argv + 1);
    }
    static struct app app;
    struct daemon *d = &app.daemon;
    daemon_init(d, &daemon_spec, &app, argc, argv);
    app.ensemble = ms_ensemble(&d->config, &d->task);
    app.policy = ms_policy(&d->config, &d->task);
    app.threads = thread_plan_divide(&d->config, host_cores()).modelserver;
    predict_memory(&app);
    limit_messages(&app);
    daemon_open(d);
    open_store(&app);
    start_core(&app);
    log_start(&app);

    daemon_run(d);

    go_back(&app);
    bool failed = ms_failed(app.core), unsaved = ms_unsaved(app.core) || app.curve_failed;
    bool untrained = ms_untrained(app.core);
    log_info("%s", ms_end_text(app.core));
    if (untrained) {
        log_error("the model was no longer trained at the end of the run; wild rows may be why: "
                  "spur data list RUN_DIR");
    }
    close_all(&app);
    return unsaved     ? EXIT_CODE_IO
           : failed    ? EXIT_CODE_FAILURE
           : untrained ? EXIT_CODE_DATA
                       : EXIT_CODE_OK;
}
