// SPDX-License-Identifier: MIT
// spur-learner: joins the core (learner.h) to the daemon's loop and sockets, and
// the trainer to a thread of its own (worker.h).
//
// The loop's thread answers within milliseconds whatever the worker does; the
// worker wakes it when a report is ready.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/host.h"
#include "common/base/rlimits.h"
#include "common/base/log.h"
#include "common/config/thread_plan.h"
#include "common/nn/gemm.h"
#include "daemon/daemon.h"
#include "learner/learner.h"
#include "learner/standby.h"
#include "learner/trainer.h"
#include "learner/worker.h"

struct app {
    struct daemon daemon;
    struct learner_identity who;
    struct trainer *trainer;
    struct worker *worker;
    struct standby *standby; // with --standby, until it takes over
    struct learner *core;    // NULL until then
    float *params;           // the policy, copied from the worker for the core
    enum exit_code exit_code;
};

static bool submit(void *arg, struct trainer_command *command) {
    return worker_submit(((struct app *)arg)->worker, command);
}

// ---- the daemon's events ----

static void on_message(void *arg, uint64_t now_ms, enum port_socket socket,
                       const struct net_peer *from, const struct wire_msg *msg) {
    struct app *app = arg;
    if (!app->core) {
        standby_on_message(app->standby, now_ms, socket, from, msg);
    } else if (socket == PORT_MODELSERVER) {
        learner_on_server(app->core, now_ms, msg);
    } else {
        learner_on_peer(app->core, now_ms, from, msg);
    }
}

static void on_garbage(void *arg, uint64_t now_ms, enum port_socket socket,
                       const struct net_peer *from, enum wire_refusal code, const char *text,
                       const struct wire_msg *msg) {
    struct app *app = arg;
    const struct net_peer *sender = socket == PORT_OWN ? from : NULL;
    (void)now_ms;
    (void)msg;
    if (app->core) {
        learner_on_garbage(app->core, sender, code, text);
    } else {
        log_peer(LOG_WARN, "a message that does not parse: %s", text);
    }
}

static void take_report(void *arg, uint64_t now_ms) {
    struct app *app = arg;
    struct trainer_report report;
    uint64_t version = 0, updates = 0;
    bool newer = worker_take(app->worker, &report, app->params, &version, &updates);
    learner_on_report(app->core, now_ms, &report, newer ? app->params : NULL, version, updates);
}

static void join_run(struct app *app);

static void on_tick(void *arg, uint64_t now_ms) {
    struct app *app = arg;
    if (app->core) {
        take_report(app, now_ms);
        learner_on_tick(app->core, now_ms);
    } else if (standby_on_tick(app->standby, now_ms)) {
        daemon_take_run_dir(&app->daemon);
        join_run(app);
        standby_destroy(&app->standby);
    }
}

static void on_stop(void *arg, uint64_t now_ms, const char *why) {
    struct app *app = arg;
    (void)now_ms;
    if (app->core) {
        learner_stop(app->core, why);
    } else {
        standby_stop(app->standby, why);
    }
}

static bool finished(void *arg) {
    struct app *app = arg;
    return app->core ? learner_finished(app->core, &app->exit_code)
                     : standby_finished(app->standby, &app->exit_code);
}

// ---- start ----

static double mib(uint64_t bytes) {
    return (double)bytes / 0x1p20;
}

static void log_start(const struct app *app) {
    const struct config *c = &app->daemon.config;
    log_info("spur-learner %s: task %s, seed %llu, products by %s, %d training threads, pid %d",
             SPUR_VERSION, app->daemon.task.name, (unsigned long long)c->run.seed, gemm_name(),
             c->compute.learner_threads, (int)app->daemon.pid);
    uint64_t real, model, networks;
    trainer_memory(&real, &model, &networks, c, &app->daemon.task);
    log_info("memory at most: D_env %.1f MiB, D_model %.1f MiB, networks %.1f MiB", mib(real),
             mib(model), mib(networks));
    uint64_t limit = host_memory_limit();
    if (real + model + networks > limit) {
        die(EXIT_CODE_CONFIG, "lower rollout.retain_epochs or the last k of rollout.schedule",
            "%.0f MiB are needed, but this machine or container provides %.0f MiB",
            mib(real + model + networks), mib(limit));
    }
    char err[256];
    if (rlimits_check(0, 0, real + model + networks, err, sizeof(err)) != 0) {
        die(EXIT_CODE_RESOURCES,
            "raise the limit, or lower rollout.retain_epochs or the last k of rollout.schedule",
            "%s", err);
    }
}

// Loads the newest checkpoint and starts the core and the trainer's thread.
static void join_run(struct app *app) {
    struct daemon *d = &app->daemon;
    char err[1024];
    app->trainer = trainer_create(&d->config, &d->task, d->options.run_dir, err, sizeof(err));
    if (!app->trainer) {
        die(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    app->params = xfloats(policy_params(trainer_policy(app->trainer).shape));
    const struct port port = daemon_port(d);
    const struct learner_jobs jobs = {.arg = app, .submit = submit};
    app->core = learner_create(&app->who, &port, &jobs, trainer_policy(app->trainer).shape,
                               loop_now_ms(d->loop));
    app->worker =
        worker_create(app->trainer, LEARNER_COMMANDS_MAX, daemon_wake, d, err, sizeof(err));
    if (!app->worker) {
        die(EXIT_CODE_FAILURE, NULL, "%s", err);
    }
}

// A standby has a name of its own: under that of the learner it would take its place at once.
static void start(struct app *app) {
    struct daemon *d = &app->daemon;
    daemon_open(d);
    app->who = (struct learner_identity){
        .config = &d->config,
        .task = &d->task,
        .id = d->options.standby ? d->id : "learner",
        .host = d->host,
        .modelserver = d->options.modelserver,
        .endpoint = d->own_endpoint,
        .pid = d->pid,
    };
    if (d->options.standby) {
        const struct port port = daemon_port(d);
        app->standby = standby_create(&app->who, &port, loop_now_ms(d->loop));
    } else {
        join_run(app);
    }
    log_info("policies and status at %s, model server at %s", d->own_endpoint,
             d->options.modelserver);
}

static const struct daemon_spec daemon_spec = {
    .options = {.program = "spur-learner",
                .about = "Trains the policy of a run on the rows that the model server sends, and\n"
                         "serves it to the actors. Resumes from DIR/checkpoint if there is one.",
                .takes = OPTION_STANDBY,
                .needs = OPTION_CONFIG | OPTION_RUN_DIR | OPTION_MODELSERVER | OPTION_BIND},
    .name = "learner",
    .title = "learner",
    .tick_ms = 20,
    .message = on_message,
    .garbage = on_garbage,
    .tick = on_tick,
    .wake = take_report,
    .stop = on_stop,
    .finished = finished,
};

int main(int argc, char **argv) {
    static struct app app;
    struct daemon *d = &app.daemon;
    daemon_init(d, &daemon_spec, &app, argc, argv);
    d->config.compute.learner_threads = thread_plan_divide(&d->config, host_cores()).learner;
    log_start(&app);
    start(&app);

    daemon_run(d);

    bool again = app.core && learner_starts_again(app.core); // NULL: it stood by
    worker_destroy(&app.worker);
    trainer_destroy(&app.trainer);
    learner_destroy(&app.core);
    standby_destroy(&app.standby);
    daemon_close(d);
    free(app.params);
    if (again) {
        daemon_again(d);
    }
    log_info("left with exit code %d", (int)app.exit_code);
    return (int)daemon_exit_code(d, app.exit_code);
}
