// SPDX-License-Identifier: MIT
// spur-actor: joins one core (actor, or evaluator with --evaluate) to sockets,
// clock and signals.
//
// One thread, one loop. A tick does what is due; the loop's idle phase steps the
// environment while the core may step, a few steps at a time, so that messages
// and status are answered within milliseconds; when nothing may be done the
// process sleeps.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actor/actor.h"
#include "actor/env/env_factory.h"
#include "actor/evaluator.h"
#include "actor/vec_env.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/host.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "common/config/options.h"
#include "common/io/loop.h"
#include "common/io/net.h"
#include "common/nn/gemm.h"

#define TICK_MS 50

_Static_assert(CONFIG_ENVS_PER_ACTOR_MAX <= VEC_ENV_ENVS_MAX, "--envs-per-actor can be done");

struct app {
    struct options options;
    char id[128];
    struct client_identity who;
    struct env_file env; // --env
    char host[128];
    struct loop *loop;
    struct net *net;
    struct loop_idle *idle;
    struct wire *wire;
    struct net_socket *peers[CLIENT_PEERS], *status;
    struct client_port port;
    // One of the two.
    struct actor *actor;
    struct evaluator *evaluator;
    bool reopen[CLIENT_PEERS]; // asked for by the core, done by the tick
    uint64_t stop_ms;          // of the first signal to stop
    int exit_code;
    bool stopped; // loop_stop was called
};

// ---- one core, whichever it is ----

static void core_message(struct app *app, enum client_peer from, const struct wire_msg *msg) {
    uint64_t now_ms = loop_now_ms(app->loop);
    if (app->actor) {
        actor_on_message(app->actor, from, now_ms, msg);
    } else if (from == CLIENT_TO_MODELSERVER) {
        evaluator_on_message(app->evaluator, now_ms, msg);
    }
}

static void core_garbage(struct app *app) {
    if (app->actor) {
        actor_on_garbage(app->actor);
    } else {
        evaluator_on_garbage(app->evaluator);
    }
}

static void core_tick(struct app *app) {
    uint64_t now_ms = loop_now_ms(app->loop);
    if (app->actor) {
        actor_on_tick(app->actor, now_ms);
    } else {
        evaluator_on_tick(app->evaluator, now_ms);
    }
}

static void core_step(struct app *app) {
    uint64_t now_ms = loop_now_ms(app->loop);
    if (app->actor) {
        actor_step(app->actor, now_ms);
    } else {
        evaluator_step(app->evaluator, now_ms);
    }
}

static bool core_may_step(const struct app *app) {
    return app->actor ? actor_may_step(app->actor) : evaluator_may_step(app->evaluator);
}

static void core_leave(struct app *app, const char *why) {
    uint64_t now_ms = loop_now_ms(app->loop);
    if (app->actor) {
        actor_leave(app->actor, now_ms, why);
    } else {
        evaluator_leave(app->evaluator, now_ms, why);
    }
}

static bool core_finished(const struct app *app, int *exit_code, const char **why) {
    return app->actor ? actor_finished(app->actor, exit_code, why)
                      : evaluator_finished(app->evaluator, exit_code, why);
}

// ---- sockets ----

static void on_peer(struct app *app, enum client_peer peer, const void *data, size_t len);

static void on_modelserver(void *arg, const struct net_peer *from, const void *data, size_t len) {
    (void)from;
    on_peer(arg, CLIENT_TO_MODELSERVER, data, len);
}

static void on_learner(void *arg, const struct net_peer *from, const void *data, size_t len) {
    (void)from;
    on_peer(arg, CLIENT_TO_LEARNER, data, len);
}

static void open_peer(struct app *app, enum client_peer peer) {
    static loop_message_fn *const handlers[CLIENT_PEERS] = {on_modelserver, on_learner};
    char err[512];
    const char *endpoint = peer == CLIENT_TO_LEARNER ? app->who.learner : app->who.modelserver;
    int rc = net_open(&app->peers[peer], app->net, NET_DEALER, endpoint, err, sizeof(err));
    if (rc == -EINVAL || rc == -ENAMETOOLONG) {
        die(EXIT_CODE_USAGE, "endpoints look like tcp://HOST:PORT or ipc://PATH", "%s", err);
    }
    if (rc) {
        // A name that is not known yet, or too few descriptors: the session asks again later.
        log_warn("%s", err);
        return;
    }
    loop_add_socket(app->loop, app->peers[peer], handlers[peer], app);
}

static void close_peer(struct app *app, enum client_peer peer) {
    if (app->peers[peer]) {
        loop_remove_socket(app->loop, app->peers[peer]);
        net_close(&app->peers[peer]);
    }
}

static int port_send(void *arg, enum client_peer to, const struct wire_msg *msg) {
    struct app *app = arg;
    if (!app->peers[to] || app->reopen[to]) {
        return -EAGAIN;
    }
    return wire_send(app->wire, app->peers[to], NULL, msg) ? -EAGAIN : 0;
}

// A core may ask for this while it handles a message of the very socket: the
// tick does it.
static void port_reopen(void *arg, enum client_peer peer) {
    struct app *app = arg;
    app->reopen[peer] = true;
}

// After anything that the core did: steps to take, or the end.
static void settle(struct app *app) {
    const char *why;
    loop_idle_set(app->idle, core_may_step(app));
    if (!app->stopped && core_finished(app, &app->exit_code, &why)) {
        app->stopped = true;
        if (app->exit_code == EXIT_CODE_OK) {
            log_info("leaving: %s", why);
        } else {
            log_error("%s", why);
        }
        loop_stop(app->loop);
    }
}

static void on_peer(struct app *app, enum client_peer peer, const void *data, size_t len) {
    static struct wire_msg msg; // large; the loop's thread alone comes here
    char err[512];
    if (wire_unpack(app->wire, &msg, data, len, err, sizeof(err))) {
        core_garbage(app);
        log_warn("a message from %s is refused: %s", net_endpoint(app->peers[peer]), err);
        return;
    }
    core_message(app, peer, &msg);
    settle(app);
}

// ---- status ----

static void on_status_socket(void *arg, const struct net_peer *from, const void *data, size_t len) {
    static struct wire_msg msg;
    struct app *app = arg;
    struct wire_actor_status line;
    char err[512];
    int rc = wire_unpack(app->wire, &msg, data, len, err, sizeof(err));
    if (rc == 0 && msg.type == WIRE_STATUS_REQUEST) {
        uint64_t now_ms = loop_now_ms(app->loop);
        struct wire_status *status = &msg.status;
        if (app->actor) {
            actor_status(app->actor, now_ms, status, &line);
        } else {
            evaluator_status(app->evaluator, now_ms, status, &line);
        }
        msg.type = WIRE_STATUS;
        msg.run_id = status->run_id;
    } else {
        core_garbage(app);
        msg = (struct wire_msg){.type = WIRE_REFUSE};
        msg.refuse.code = rc ? (enum wire_refusal) - rc : WIRE_REFUSED_UNKNOWN;
        snprintf(msg.refuse.text, sizeof(msg.refuse.text), "%.200s",
                 rc ? err : "an actor answers StatusRequest alone");
    }
    if (wire_send(app->wire, app->status, from, &msg)) {
        log_debug("a status request could not be answered: its sender is gone");
    }
}

static void open_status(struct app *app) {
    char err[512];
    if (!app->options.bind) {
        return;
    }
    if (net_open(&app->status, app->net, NET_ROUTER, app->options.bind, err, sizeof(err))) {
        die(EXIT_CODE_UNAVAILABLE, "choose another --bind", "%s", err);
    }
    loop_add_socket(app->loop, app->status, on_status_socket, app);
    app->who.endpoint = net_endpoint(app->status);
}

// ---- loop ----

static void on_tick(void *arg) {
    struct app *app = arg;
    if (app->options.parent && getppid() != app->options.parent) {
        core_leave(app, "the process that started it is gone");
    }
    core_tick(app);
    for (int i = 0; i < CLIENT_PEERS; i++) {
        if (app->reopen[i]) {
            app->reopen[i] = false;
            close_peer(app, (enum client_peer)i);
            open_peer(app, (enum client_peer)i);
        }
    }
    settle(app);
}

static void on_idle(void *arg) {
    struct app *app = arg;
    core_step(app);
    settle(app);
}

static void on_signal(void *arg) {
    struct app *app = arg;
    if (host_stop_again(&app->stop_ms, loop_now_ms(app->loop))) {
        _exit(EXIT_CODE_FAILURE); // asked twice: at once
    }
    core_leave(app, "stopped by a signal");
    settle(app);
}

static const struct task *find_task(const char *name) {
    char all[512] = "";
    const struct task *task = task_find(name);
    if (task) {
        return task;
    }
    for (int i = 0; i < task_count(); i++) {
        size_t len = strlen(all);
        snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", task_at(i)->name);
    }
    die(EXIT_CODE_USAGE, NULL, "--task %s: there is no such task; nearest: %s; all: %s", name,
        task_nearest(name), all);
}

// The task to insist on: that of the file --env, a built-in one, or none.
static const struct task *choose_task(struct app *app) {
    char err[1024];
    const char *env = app->options.env, *name = app->options.task;
    if (!env) {
        return name ? find_task(name) : NULL;
    }
    if (env_file_read(&app->env, env, err, sizeof(err)) < 0) {
        die(EXIT_CODE_CONFIG, NULL, "--env %s", err);
    }
    if (name && strcmp(name, app->env.name) != 0) {
        die(EXIT_CODE_USAGE, NULL, "--task %s: the environment of --env calls itself %s", name,
            app->env.name);
    }
    return &app->env.task;
}

// Who this is, before anything is logged under that name.
static void identify(struct app *app) {
    if (gethostname(app->host, sizeof(app->host))) {
        snprintf(app->host, sizeof(app->host), "unknown");
    }
    app->host[sizeof(app->host) - 1] = '\0';
    const char *id = app->options.id;
    if (!id) {
        snprintf(app->id, sizeof(app->id), "%.64s-%d", app->host, (int)getpid());
    } else if (*id == '\0' || strlen(id) >= sizeof(app->id)) {
        die(EXIT_CODE_USAGE, NULL, "--id: 1 to %zu characters, not %zu", sizeof(app->id) - 1,
            strlen(id));
    } else {
        snprintf(app->id, sizeof(app->id), "%s", id);
    }
    app->who = (struct client_identity){
        .id = app->id,
        .host = app->host,
        .version = SPUR_VERSION,
        // Grows with every start of the same id, on machines whose clocks agree.
        .incarnation = (uint64_t)(clock_wall_s() * 1e9),
        .pid = (uint64_t)getpid(),
        .envs = app->options.envs ? app->options.envs : 1,
        .task = choose_task(app),
        .endpoint = "",
        .modelserver = app->options.modelserver,
        .learner = app->options.evaluate ? NULL : app->options.learner,
    };
}

static const struct options_spec command_line = {
    .program = "spur-actor",
    .about = "Steps the run's environment with the newest policy and streams what it sees to the\n"
             "model server. May join a run and leave it at any time.",
    .needs = OPTION_MODELSERVER,
    .takes = OPTION_LEARNER | OPTION_EVALUATE | OPTION_ENVS | OPTION_ID | OPTION_TASK | OPTION_ENV |
             OPTION_BIND,
};

int main(int argc, char **argv) {
    static struct app app;
    options_parse(&app.options, &command_line, argc, argv);
    identify(&app);
    options_open_log(&app.options, app.id);
    char slow[256];
    if (gemm_is_slow(slow, sizeof(slow))) {
        log_warn("%s", slow);
    }

    app.net = net_create();
    app.loop = loop_create();
    app.wire = wire_create();
    open_status(&app);
    open_peer(&app, CLIENT_TO_MODELSERVER);
    if (app.who.learner) {
        open_peer(&app, CLIENT_TO_LEARNER);
    }
    app.port = (struct client_port){.arg = &app, .send = port_send, .reopen = port_reopen};
    uint64_t now_ms = loop_now_ms(app.loop);
    if (app.options.evaluate) {
        app.evaluator = evaluator_create(&app.who, &app.port, now_ms);
    } else {
        app.actor = actor_create(&app.who, &app.port, now_ms);
    }
    app.idle = loop_add_idle(app.loop, on_idle, &app);
    loop_add_timer(app.loop, 0, TICK_MS, on_tick, &app);
    loop_on_signal(app.loop, SIGINT, on_signal, &app);
    loop_on_signal(app.loop, SIGTERM, on_signal, &app);

    loop_run(app.loop);

    actor_destroy(&app.actor);
    evaluator_destroy(&app.evaluator);
    loop_destroy(&app.loop);
    for (int i = 0; i < CLIENT_PEERS; i++) {
        net_close(&app.peers[i]);
    }
    net_close(&app.status);
    net_destroy(&app.net);
    wire_destroy(&app.wire);
    return app.exit_code;
}
