// SPDX-License-Identifier: MIT
// spur-modelserver: joins the core (modelserver.h) to its socket, clock and
// signals, and to the threads that do the work (workers.h).
//
// The loop's thread answers within milliseconds whatever the workers do; they
// wake it when a result is there.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/host.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "common/config/options.h"
#include "common/config/thread_plan.h"
#include "common/io/loop.h"
#include "common/io/net.h"
#include "common/nn/gemm.h"
#include "common/nn/normalizer.h"
#include "modelserver/core/modelserver.h"
#include "modelserver/storage/checkpoint.h"
#include "modelserver/workers.h"
#include "proto/wire.h"

#define TICK_MS 20

struct app {
    struct options options;
    struct config config;
    struct task task; // borrows from config
    struct ensemble ensemble;
    struct policy policy;
    int threads; // that train
    int lock;
    struct loop *loop;
    struct loop_wake *wake;
    struct net *net;
    struct net_socket *socket;
    struct wire *wire;
    struct store_meta meta;
    struct store *store;
    struct fit *fit;
    struct rollout *rollout;
    struct workers *workers;
    struct modelserver *core;
    uint64_t stop_ms; // of the first signal to stop
};

// ---- the core's way out ----

static int port_send(void *arg, const struct net_peer *to, const struct wire_msg *msg) {
    struct app *app = arg;
    return wire_send(app->wire, app->socket, to, msg);
}

static void port_store(void *arg, struct store_batch *batch) {
    workers_store(((struct app *)arg)->workers, batch);
}

static void port_fit(void *arg, struct ms_fit_job *job) {
    workers_fit(((struct app *)arg)->workers, job);
}

static void port_rollout(void *arg, struct rollout_block *block) {
    workers_rollout(((struct app *)arg)->workers, block);
}

static void port_save(void *arg, struct ms_save_job *job) {
    workers_save(((struct app *)arg)->workers, job);
}

static void port_evaluated(void *arg, const struct ms_evaluation *evaluation) {
    workers_evaluation(((struct app *)arg)->workers, evaluation);
}

// ---- the core's way in ----

// After anything that the core did: does the run end?
static void settle(struct app *app) {
    if (ms_phase(app->core) != MS_RUNNING) {
        workers_interrupt(app->workers);
    }
    if (ms_phase(app->core) == MS_STOPPED) {
        loop_stop(app->loop);
    }
}

static void on_message(void *arg, const struct net_peer *from, const void *data, size_t len) {
    static struct wire_msg msg; // large; the loop's thread alone comes here
    struct app *app = arg;
    char err[512];
    memset(&msg, 0, sizeof(msg));
    uint64_t now = loop_now_ms(app->loop);
    int rc = wire_unpack(app->wire, &msg, data, len, err, sizeof(err));
    if (rc < 0) {
        ms_on_unparsable(app->core, now, from, (enum wire_refusal) - rc, err, &msg);
    } else {
        ms_on_message(app->core, now, from, &msg);
    }
    settle(app);
}

static void take_one(struct app *app, struct work *work) {
    uint64_t now = loop_now_ms(app->loop);
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
        break;
    }
    if (work->failed) {
        log_error("%s", work->err);
    }
    workers_give_back(app->workers, work);
}

static void take_results(void *arg) {
    struct app *app = arg;
    struct work *work;
    while ((work = workers_take(app->workers))) {
        take_one(app, work);
    }
    settle(app);
}

static void worker_ready(void *arg) {
    loop_wake_up(((struct app *)arg)->wake);
}

static void on_tick(void *arg) {
    struct app *app = arg;
    uint64_t now = loop_now_ms(app->loop);
    if (app->options.parent && getppid() != app->options.parent) {
        ms_stop(app->core, now, false, "the process that started the model server is gone");
    }
    ms_on_tick(app->core, now);
    settle(app);
}

static void on_signal(void *arg) {
    struct app *app = arg;
    if (host_stop_again(&app->stop_ms, loop_now_ms(app->loop))) {
        _exit(EXIT_CODE_FAILURE); // asked twice: at once; files are whole at any instant
    }
    ms_stop(app->core, loop_now_ms(app->loop), false, "stopped by a signal");
    settle(app);
}

// ---- start ----

static void load_config(struct app *app) {
    char err[1024];
    config_defaults(&app->config);
    if (config_load(&app->config, app->options.config, err, sizeof(err)) < 0 ||
        config_check(&app->config, err, sizeof(err)) < 0 ||
        task_configure(&app->task, &app->config, err, sizeof(err)) < 0) {
        die(EXIT_CODE_CONFIG, "`spur config` prints a full one", "%s", err);
    }
    gemm_start(app->config.compute.kernels);
    app->ensemble = ms_ensemble(&app->config, &app->task);
    app->policy = ms_policy(&app->config, &app->task);
    app->threads = thread_plan_divide(&app->config, host_cores()).modelserver;
}

static void join_path(char *out, size_t out_len, const struct app *app, const char *name) {
    int rc = file_join(out, out_len, app->options.run_dir, name);
    if (rc < 0) {
        die(EXIT_CODE_USAGE, NULL, "--run-dir %s: %s", app->options.run_dir, strerror(-rc));
    }
}

// One model server a run directory.
static void claim_run_dir(struct app *app) {
    char dir[PATH_MAX], path[PATH_MAX];
    int pid = 0;
    join_path(dir, sizeof(dir), app, "checkpoint");
    int rc = file_make_dirs(dir);
    rc = rc ? rc : file_dir_writable(dir);
    rc = rc ? rc : file_join(path, sizeof(path), dir, "modelserver.lock");
    if (rc < 0) {
        die(EXIT_CODE_IO, "the run directory must be writable", "--run-dir %s: %s",
            app->options.run_dir, strerror(-rc));
    }
    app->lock = file_lock(path, &pid);
    if (app->lock < 0) {
        die(EXIT_CODE_TEMPFAIL, "stop that one, or use another --run-dir",
            "--run-dir %s: %s (process %d)", app->options.run_dir,
            app->lock == -EWOULDBLOCK ? "another model server serves it" : strerror(-app->lock),
            pid);
    }
}

static void part(char *out, size_t out_len, const char *what, uint64_t bytes, uint64_t *sum) {
    size_t n = strlen(out);
    snprintf(out + n, out_len - n, "%s%s %.1f MiB", n ? ", " : "", what, (double)bytes / (1 << 20));
    *sum += bytes;
}

// Room for rows: those of the budget, and those that an actor may still bring
// when others have already used the credit that was withdrawn from it.
static uint64_t rows_max(const struct config *c) {
    return c->run.steps + (uint64_t)c->network.unacked_rows_max;
}

// Everything large is allocated before the run, so its size is known before.
static void predict_memory(const struct app *app) {
    const struct config *c = &app->config;
    uint32_t o = (uint32_t)app->task.obs_dim, a = (uint32_t)app->task.act_dim;
    uint64_t sum = 0, limit = host_memory_limit();
    char text[512] = "";
    part(text, sizeof(text), "D_env", store_memory_bytes(rows_max(c), o, a), &sum);
    part(text, sizeof(text), "training",
         fit_memory_bytes(c, &app->ensemble, rows_max(c), app->threads), &sum);
    part(text, sizeof(text), "rollouts",
         rollout_memory_bytes(&app->ensemble, &app->policy, c->task.termination), &sum);
    part(text, sizeof(text), "buffers", ms_memory_bytes(c, &app->task), &sum);
    log_info("memory: %.1f MiB predicted (%s); disk: at most %.1f MiB", (double)sum / (1 << 20),
             text, (double)store_disk_bytes(rows_max(c), o, a) / (1 << 20));
    if (sum > limit) {
        die(EXIT_CODE_CONFIG, "lower run.steps, model.hidden_width or the rollout length",
            "this run needs %.1f MiB, this machine or container gives %.1f MiB",
            (double)sum / (1 << 20), (double)limit / (1 << 20));
    }
}

static void open_socket(struct app *app) {
    char err[512];
    if (net_open(&app->socket, app->net, NET_ROUTER, app->options.bind, err, sizeof(err)) < 0) {
        die(EXIT_CODE_UNAVAILABLE, "choose another --bind", "%s", err);
    }
}

static void open_store(struct app *app) {
    char dir[PATH_MAX], err[1024];
    join_path(dir, sizeof(dir), app, "store");
    snprintf(app->meta.task, sizeof(app->meta.task), "%s", app->task.name);
    app->meta.seed = app->config.run.seed;
    app->meta.obs_dim = (uint32_t)app->task.obs_dim;
    app->meta.act_dim = (uint32_t)app->task.act_dim;
    CHECK(getrandom(&app->meta.run_id, sizeof(app->meta.run_id), 0) == sizeof(app->meta.run_id));
    app->meta.run_id = app->meta.run_id >> 12 | 1; // not 0, and exact as a double
    if (store_open(&app->store, dir, &app->meta, rows_max(&app->config), err, sizeof(err)) != 0) {
        die(EXIT_CODE_IO, NULL, "%s", err);
    }
}

// Threads, and the core with what an earlier process left.
static void start_core(struct app *app) {
    char err[1024];
    struct workers_setup workers = {.store = app->store,
                                    .task = &app->task,
                                    .policy = app->policy,
                                    .run = {app->task.name, app->meta.run_id, app->meta.seed},
                                    .normalizer_len = normalizer_floats(app->ensemble.in_dim),
                                    .ready = worker_ready,
                                    .arg = app};
    join_path(workers.progress_path, sizeof(workers.progress_path), app, "progress.csv");
    join_path(workers.best_path, sizeof(workers.best_path), app, "policy_best.safetensors");
    join_path(workers.checkpoint_path, sizeof(workers.checkpoint_path), app,
              "checkpoint/modelserver.safetensors");
    app->fit = fit_create(&app->config, &app->ensemble, store_rows_max(app->store), app->threads);
    app->rollout = rollout_create(&app->ensemble, &app->policy, &app->task, app->config.run.seed);
    workers.fit = app->fit;
    workers.rollout = app->rollout;

    struct ms_setup setup = {.config = &app->config,
                             .task = &app->task,
                             .run_id = app->meta.run_id,
                             .pid = (uint64_t)getpid(),
                             .port = {.arg = app,
                                      .send = port_send,
                                      .store = port_store,
                                      .fit = port_fit,
                                      .rollout = port_rollout,
                                      .save = port_save,
                                      .evaluated = port_evaluated},
                             .env = store_columns(app->store),
                             .env_rows = store_rows(app->store),
                             .actor_count = store_actor_count(app->store)};
    setup.actors = setup.actor_count > 0 ? store_actor_at(app->store, 0) : NULL;
    if (learning_curve_open(&setup.history, workers.progress_path, &app->config, err,
                            sizeof(err)) != 0) {
        die(EXIT_CODE_IO, NULL, "%s", err);
    }
    struct ms_state state;
    struct fit_state fit = fit_state(app->fit);
    struct model model = {.params = xfloats(fit.params),
                          .normalizer = xfloats(workers.normalizer_len),
                          .termination = xfloats(fit.termination_params),
                          .members = app->config.model.members,
                          .elites = app->config.model.elites};
    bool has_model = false;
    if (file_exists(workers.checkpoint_path)) {
        if (ms_checkpoint_read(workers.checkpoint_path, &workers.run, &state, &fit, &model,
                               &has_model, workers.normalizer_len, err, sizeof(err)) != 0) {
            die(EXIT_CODE_IO, NULL, "%s", err);
        }
        setup.state = &state;
        setup.model = has_model ? &model : NULL;
    }
    app->workers = workers_create(&workers);
    app->core = ms_create(&setup, clock_ms());
    free(model.params);
    free(model.normalizer);
    free(model.termination);
}

static void greet(const struct app *app) {
    char slow[256];
    log_info("spur-modelserver %s, task %s, seed %llu, run %016llx", SPUR_VERSION, app->task.name,
             (unsigned long long)app->meta.seed, (unsigned long long)app->meta.run_id);
    log_info("matrix products by %s; %d training thread%s", gemm_name(), app->threads,
             app->threads == 1 ? "" : "s");
    if (gemm_is_slow(slow, sizeof(slow))) {
        log_warn("%s", slow);
    }
    log_info("%llu real steps stored, of %llu", (unsigned long long)store_rows(app->store),
             (unsigned long long)app->config.run.steps);
    log_info("listening at %s", net_endpoint(app->socket));
}

static void shut(struct app *app) {
    workers_join(app->workers);
    take_results(app); // batches and blocks go home
    ms_destroy(&app->core);
    workers_destroy(&app->workers);
    loop_remove_socket(app->loop, app->socket);
    loop_destroy(&app->loop);
    net_close(&app->socket);
    net_destroy(&app->net);
    wire_destroy(&app->wire);
    rollout_destroy(&app->rollout);
    fit_destroy(&app->fit);
    store_close(&app->store);
    close(app->lock);
}

static const struct options_spec command_line = {
    .program = "spur-modelserver",
    .about = "Stores a run's real transitions, trains its model, feeds its learner and paces\n"
             "everybody. Goes on from DIR if there is a run in it.",
    .needs = OPTION_CONFIG | OPTION_RUN_DIR | OPTION_BIND,
};

int main(int argc, char *argv[]) {
    struct app app = {0};
    options_parse(&app.options, &command_line, argc, argv);
    options_open_log(&app.options, "modelserver");
    load_config(&app);
    predict_memory(&app);
    claim_run_dir(&app);
    app.net = net_create();
    app.wire = wire_create();
    open_socket(&app);
    open_store(&app);
    app.loop = loop_create();
    app.wake = loop_add_wake(app.loop, take_results, &app);
    start_core(&app);
    greet(&app);
    loop_add_socket(app.loop, app.socket, on_message, &app);
    loop_add_timer(app.loop, TICK_MS, TICK_MS, on_tick, &app);
    loop_on_signal(app.loop, SIGTERM, on_signal, &app);
    loop_on_signal(app.loop, SIGINT, on_signal, &app);
    loop_run(app.loop);

    bool failed = ms_failed(app.core);
    log_info("%s", ms_end_text(app.core));
    shut(&app);
    return failed ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}
