// SPDX-License-Identifier: MIT
// spur-learner: joins the core (learner.h) to sockets, clock and signals, and
// the trainer to a thread of its own (worker.h).
//
// The loop's thread answers within milliseconds whatever the worker does; the
// worker wakes it when there is something to say.
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "learner/learner.h"
#include "learner/trainer.h"
#include "learner/worker.h"
#include "proto/wire.h"

#define TICK_MS 20

struct app {
    struct options options;
    struct config config;
    struct task task; // borrows from config
    struct learner_identity who;
    char host[128];
    int lock;
    struct loop *loop;
    struct loop_wake *wake;
    struct net *net;
    struct net_socket *server, *own;
    struct wire *wire;
    struct trainer *trainer;
    struct worker *worker;
    struct learner *core;
    float *params;    // the policy on its way from worker to core
    uint64_t stop_ms; // of the first signal to stop
    enum exit_code exit_code;
};

// After anything that the core did: is this the end?
static void settle(struct app *app) {
    if (learner_finished(app->core, &app->exit_code)) {
        loop_stop(app->loop);
    }
}

// ---- sockets ----

static void on_server(void *arg, const struct net_peer *from, const void *data, size_t len) {
    static struct wire_msg msg; // large; the loop's thread alone comes here
    struct app *app = arg;
    char err[512];
    (void)from;
    int rc = wire_unpack(app->wire, &msg, data, len, err, sizeof(err));
    if (rc < 0) {
        learner_on_garbage(app->core, NULL, rc, err);
    } else {
        learner_on_server(app->core, loop_now_ms(app->loop), &msg);
    }
    settle(app);
}

static void on_peer(void *arg, const struct net_peer *from, const void *data, size_t len) {
    static struct wire_msg msg;
    struct app *app = arg;
    char err[512];
    int rc = wire_unpack(app->wire, &msg, data, len, err, sizeof(err));
    if (rc < 0) {
        learner_on_garbage(app->core, from, rc, err);
    } else {
        learner_on_peer(app->core, loop_now_ms(app->loop), from, &msg);
    }
}

static void open_server(struct app *app) {
    char err[512];
    if (net_open(&app->server, app->net, NET_DEALER, app->options.modelserver, err, sizeof(err))) {
        die(EXIT_CODE_USAGE, "endpoints look like tcp://HOST:PORT or ipc://PATH", "%s", err);
    }
    loop_add_socket(app->loop, app->server, on_server, app);
}

static void open_own(struct app *app) {
    char err[512];
    if (net_open(&app->own, app->net, NET_ROUTER, app->options.bind, err, sizeof(err))) {
        die(EXIT_CODE_UNAVAILABLE, "choose another --bind", "%s", err);
    }
    loop_add_socket(app->loop, app->own, on_peer, app);
}

// ---- the core's way out ----

static int port_to_server(void *arg, const struct wire_msg *msg) {
    struct app *app = arg;
    return wire_send(app->wire, app->server, NULL, msg);
}

static int port_to_peer(void *arg, const struct net_peer *to, const struct wire_msg *msg) {
    struct app *app = arg;
    return wire_send(app->wire, app->own, to, msg);
}

// Only the core's tick asks for this, so never inside the socket's own callback.
static void port_reopen(void *arg) {
    struct app *app = arg;
    loop_remove_socket(app->loop, app->server);
    net_close(&app->server);
    open_server(app);
}

static bool port_submit(void *arg, struct trainer_command *command) {
    struct app *app = arg;
    return worker_submit(app->worker, command);
}

// ---- loop ----

static void worker_woke(void *arg) {
    struct app *app = arg;
    loop_wake_up(app->wake);
}

static void take_report(void *arg) {
    struct app *app = arg;
    struct trainer_report report;
    uint64_t version = 0, updates = 0;
    bool newer = worker_take(app->worker, &report, app->params, &version, &updates);
    learner_on_report(app->core, loop_now_ms(app->loop), &report, newer ? app->params : NULL,
                      version, updates);
    settle(app);
}

static void on_tick(void *arg) {
    struct app *app = arg;
    if (app->options.parent && getppid() != app->options.parent) {
        learner_stop(app->core, "the process that started it is gone");
    }
    take_report(app);
    learner_on_tick(app->core, loop_now_ms(app->loop));
    settle(app);
}

static void on_signal(void *arg) {
    struct app *app = arg;
    if (host_stop_again(&app->stop_ms, loop_now_ms(app->loop))) {
        _exit(EXIT_CODE_FAILURE); // asked twice: at once; files are whole at any instant
    }
    learner_stop(app->core, "stopped by a signal");
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
    static_assert(THREAD_PLAN_LEARNER_MAX == SAC_THREADS_MAX,
                  "the division knows what an update can use");
    app->config.compute.learner_threads = thread_plan_divide(&app->config, host_cores()).learner;
}

// One learner a run directory: two would write each other's checkpoints over.
static void claim_run_dir(struct app *app) {
    char dir[PATH_MAX], path[PATH_MAX];
    int pid, rc = file_join(dir, sizeof(dir), app->options.run_dir, "checkpoint");
    rc = rc ? rc : file_join(path, sizeof(path), dir, "learner.lock");
    rc = rc ? rc : file_make_dirs(dir);
    rc = rc ? rc : file_dir_writable(dir);
    if (rc < 0) {
        die(EXIT_CODE_IO, "the run directory must be writable", "--run-dir %s: %s",
            app->options.run_dir, strerror(-rc));
    }
    app->lock = file_lock(path, &pid);
    if (app->lock == -EWOULDBLOCK) {
        die(EXIT_CODE_TEMPFAIL, "stop it first",
            "--run-dir %s: another learner (pid %d) is at work", app->options.run_dir, pid);
    }
    if (app->lock < 0) {
        die(EXIT_CODE_IO, NULL, "%s: %s", path, strerror(-app->lock));
    }
}

static double mib(uint64_t bytes) {
    return (double)bytes / 0x1p20;
}

static void say_start(const struct app *app) {
    const struct config *c = &app->config;
    char slow[256];
    log_info("spur-learner %s: task %s, seed %llu, products by %s, %d training threads, pid %d",
             SPUR_VERSION, app->task.name, (unsigned long long)c->run.seed, gemm_name(),
             c->compute.learner_threads, (int)getpid());
    if (gemm_is_slow(slow, sizeof(slow))) {
        log_warn("%s", slow);
    }
    uint64_t real, model, networks;
    trainer_memory(&real, &model, &networks, c, &app->task);
    log_info("memory at most: D_env %.1f MiB, D_model %.1f MiB, networks %.1f MiB", mib(real),
             mib(model), mib(networks));
    uint64_t limit = host_memory_limit();
    if (real + model + networks > limit) {
        die(EXIT_CODE_CONFIG, "lower rollout.retain_epochs or the last k of rollout.schedule",
            "%.0f MiB will be needed, this machine or container gives %.0f MiB",
            mib(real + model + networks), mib(limit));
    }
}

static void start(struct app *app) {
    char err[1024];
    app->trainer = trainer_create(&app->config, &app->task, app->options.run_dir, err, sizeof(err));
    if (!app->trainer) {
        die(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    app->net = net_create();
    app->loop = loop_create();
    app->wire = wire_create();
    app->params = xfloats(app->trainer->sac.policy_n);
    app->wake = loop_add_wake(app->loop, take_report, app);
    open_own(app);
    open_server(app);
    if (gethostname(app->host, sizeof(app->host))) {
        snprintf(app->host, sizeof(app->host), "unknown");
    }
    app->host[sizeof(app->host) - 1] = '\0';
    app->who = (struct learner_identity){
        .config = &app->config,
        .task = &app->task,
        .host = app->host,
        .modelserver = app->options.modelserver,
        .endpoint = net_endpoint(app->own),
        // Grows with every start, on machines whose clocks agree.
        .incarnation = (uint64_t)(clock_wall_s() * 1e9),
        .pid = (uint64_t)getpid(),
    };
    const struct learner_port port = {app, port_to_server, port_to_peer, port_reopen, port_submit};
    app->core = learner_create(&app->who, &port, &app->trainer->sac.policy, loop_now_ms(app->loop));
    app->worker =
        worker_create(app->trainer, LEARNER_COMMANDS_MAX, worker_woke, app, err, sizeof(err));
    if (!app->worker) {
        die(EXIT_CODE_FAILURE, NULL, "%s", err);
    }
    take_report(app);
    loop_add_timer(app->loop, 0, TICK_MS, on_tick, app);
    loop_on_signal(app->loop, SIGINT, on_signal, app);
    loop_on_signal(app->loop, SIGTERM, on_signal, app);
    log_info("policies and status at %s, model server at %s", app->who.endpoint,
             app->options.modelserver);
}

static const struct options_spec command_line = {
    .program = "spur-learner",
    .about = "Trains the policy of a run from the rows that the model server sends, and gives it\n"
             "out. Goes on from DIR/checkpoint if there is one.",
    .needs = OPTION_CONFIG | OPTION_RUN_DIR | OPTION_MODELSERVER | OPTION_BIND,
};

int main(int argc, char **argv) {
    static struct app app;
    options_parse(&app.options, &command_line, argc, argv);
    options_open_log(&app.options, "learner");
    load_config(&app);
    claim_run_dir(&app);
    say_start(&app);
    start(&app);

    loop_run(app.loop);

    worker_destroy(&app.worker);
    trainer_destroy(&app.trainer);
    learner_destroy(&app.core);
    loop_destroy(&app.loop);
    net_close(&app.server);
    net_close(&app.own);
    net_destroy(&app.net);
    wire_destroy(&app.wire);
    free(app.params);
    close(app.lock);
    log_info("left with exit code %d", (int)app.exit_code);
    return (int)app.exit_code;
}
