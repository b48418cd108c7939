// SPDX-License-Identifier: MIT
// spur-actor: joins one core (actor, or evaluator with --evaluate) to the daemon's
// loop and sockets.
//
// One thread, one loop. A tick performs the due actions. The loop's idle phase steps the
// environments while the core may step, a few steps at a time, so that messages and status
// are answered within milliseconds. Otherwise the process sleeps.
//
// With --env-host FILE.so the program is the child process of a plug-in instead (env_host.h).
#include <stdio.h>
#include <string.h>

#include "actor/actor.h"
#include "actor/env/env_factory.h"
#include "actor/env/process/env_host.h"
#include "actor/evaluator.h"
#include "actor/spool_file.h"
#include "actor/vec_env.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "daemon/daemon.h"

_Static_assert(CONFIG_ENVS_PER_ACTOR_MAX <= VEC_ENV_ENVS_MAX, "--envs-per-actor is supported");

#define SPOOL_MIB 256 // default of --spool-mib

struct app {
    struct daemon daemon;
    struct client_identity who;
    struct env_own env; // --env
    struct spool_file spool;
    struct port port;
    // One of the two.
    struct actor *actor;
    struct evaluator *evaluator;
    int exit_code;
};

// ---- status ----

static void answer(struct app *app, const struct net_peer *to, const struct wire_msg *msg) {
    if (app->port.send(app->port.arg, PORT_OWN, to, msg) != 0) {
        log_debug("a request could not be answered: its sender is gone");
    }
}

static void refuse(struct app *app, const struct net_peer *to, enum wire_refusal code,
                   const char *text) {
    static struct wire_msg msg; // large; the loop's thread alone uses it
    msg = (struct wire_msg){.type = WIRE_REFUSE};
    msg.refuse.code = code;
    snprintf(msg.refuse.text, sizeof(msg.refuse.text), "%.200s", text);
    answer(app, to, &msg);
}

static void answer_status(struct app *app, uint64_t now_ms, const struct net_peer *to) {
    static struct wire_msg msg;
    struct wire_actor_status line;
    msg = (struct wire_msg){.type = WIRE_STATUS};
    if (app->actor) {
        actor_status(app->actor, now_ms, &msg.status, &line);
    } else {
        evaluator_status(app->evaluator, now_ms, &msg.status, &line);
    }
    msg.run_id = msg.status.run_id;
    answer(app, to, &msg);
}

// ---- the daemon's events ----

static void count_garbage(struct app *app) {
    if (app->actor) {
        actor_on_garbage(app->actor);
    } else {
        evaluator_on_garbage(app->evaluator);
    }
}

static void on_message(void *arg, uint64_t now_ms, enum port_socket socket,
                       const struct net_peer *from, const struct wire_msg *msg) {
    struct app *app = arg;
    if (socket != PORT_OWN) {
        if (app->actor) {
            actor_on_message(app->actor, socket, now_ms, msg);
        } else {
            evaluator_on_message(app->evaluator, now_ms, msg);
        }
    } else if (msg->type == WIRE_STATUS_REQUEST) {
        answer_status(app, now_ms, from);
    } else {
        count_garbage(app);
        refuse(app, from, WIRE_REFUSED_UNKNOWN, "an actor answers only StatusRequest");
    }
}

static void on_garbage(void *arg, uint64_t now_ms, enum port_socket socket,
                       const struct net_peer *from, enum wire_refusal code, const char *text,
                       const struct wire_msg *msg) {
    struct app *app = arg;
    (void)now_ms;
    (void)msg;
    count_garbage(app);
    if (socket == PORT_OWN) {
        refuse(app, from, code, text);
    } else {
        log_warn("refused a message from %s: %s",
                 socket == PORT_LEARNER ? "the learner" : app->who.modelserver, text);
    }
}

static void on_tick(void *arg, uint64_t now_ms) {
    struct app *app = arg;
    if (app->actor) {
        actor_on_tick(app->actor, now_ms);
    } else {
        evaluator_on_tick(app->evaluator, now_ms);
    }
}

static void on_idle(void *arg, uint64_t now_ms) {
    struct app *app = arg;
    if (app->actor) {
        actor_step(app->actor, now_ms);
    } else {
        evaluator_step(app->evaluator, now_ms);
    }
}

static void on_stop(void *arg, uint64_t now_ms, const char *why) {
    struct app *app = arg;
    if (app->actor) {
        actor_leave(app->actor, now_ms, why);
    } else {
        evaluator_leave(app->evaluator, now_ms, why);
    }
}

static bool finished(void *arg) {
    struct app *app = arg;
    const char *why;
    daemon_set_idle(&app->daemon,
                    app->actor ? actor_may_step(app->actor) : evaluator_may_step(app->evaluator));
    if (!(app->actor ? actor_finished(app->actor, &app->exit_code, &why)
                     : evaluator_finished(app->evaluator, &app->exit_code, &why))) {
        return false;
    }
    if (app->exit_code == EXIT_CODE_OK) {
        app->exit_code = client_exit_code(app->actor ? actor_server(app->actor)
                                                     : evaluator_server(app->evaluator),
                                          app->exit_code);
        log_info("leaving: %s", why);
    } else {
        log_error("%s", why);
    }
    return true;
}

// ---- start ----

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

// The required task: of --env, of --task, or NULL for the run's.
static const struct task *choose_task(struct app *app) {
    char err[1024];
    const struct options *o = &app->daemon.options;
    const char *name = o->task;
    if (!o->env) {
        return name ? find_task(name) : NULL;
    }
    struct env_spec spec = {.env = o->env,
                            .dir = o->env_dir,
                            .python = o->env_python,
                            .timeout_s = o->env_timeout_s,
                            .shared = o->env_shared};
    if (env_own_read(&app->env, &spec, err, sizeof(err)) < 0) {
        die(EXIT_CODE_CONFIG, NULL, "--env %s", err);
    }
    if (app->env.note[0] != '\0') {
        log_info("%s: %s", app->env.name, app->env.note);
    }
    if (name && strcmp(name, app->env.name) != 0) {
        die(EXIT_CODE_USAGE, NULL, "--task %s: the environment of --env is %s", name,
            app->env.name);
    }
    return &app->env.task;
}

// Where rows are kept: --spool, --spool-mib, --when-full.
static struct spool_home open_spool(struct app *app) {
    const struct options *o = &app->daemon.options;
    char err[1024];
    size_t bytes = (size_t)(o->spool_mib ? o->spool_mib : SPOOL_MIB) << 20;
    if (o->spool && !o->id) {
        die(EXIT_CODE_USAGE, NULL,
            "--spool needs --id: rows are sent on by a start of the same name");
    }
    if (o->spool && spool_file_open(&app->spool, o->spool, bytes, err, sizeof(err)) < 0) {
        die(EXIT_CODE_IO, NULL, "--spool %s", err);
    }
    return (struct spool_home){.path = o->spool,
                               .block = app->spool.block,
                               .bytes = app->spool.bytes,
                               .drops = o->drop_oldest};
}

static void start(struct app *app) {
    struct daemon *d = &app->daemon;
    app->who = (struct client_identity){
        .id = d->id,
        .host = d->host,
        .version = SPUR_VERSION,
        .pid = d->pid,
        .envs = d->options.envs ? d->options.envs : 1,
        .task = choose_task(app),
        .supervised = d->options.parent != 0,
        .stop_requested = daemon_stop_requested,
        .exit_now = daemon_exit_now,
        .stop_arg = d,
        .modelserver = d->options.modelserver,
        .learner = d->options.learner,
    };
    log_info("spur-actor %s, for MuJoCo %s, pid %d", SPUR_VERSION, SPUR_MUJOCO_VERSION,
             (int)d->pid);
    daemon_open(d);
    app->who.endpoint = d->own_endpoint;
    app->port = daemon_port(d);
    if (d->options.evaluate) {
        app->evaluator = evaluator_create(&app->who, &app->port, loop_now_ms(d->loop));
    } else {
        app->actor = actor_create(&app->who, &app->port, loop_now_ms(d->loop));
        struct spool_home home = open_spool(app);
        actor_use_spool(app->actor, &home);
    }
}

static const struct daemon_spec daemon_spec = {
    .options = {.program = "spur-actor",
                .about = "Steps the run's environment with the newest policy and streams the\n"
                         "transitions to the model server. May join and leave a run at any time.",
                .built_for = ", for MuJoCo " SPUR_MUJOCO_VERSION,
                .needs = OPTION_MODELSERVER,
                .takes = OPTION_LEARNER | OPTION_EVALUATE | OPTION_ENVS | OPTION_SPOOL | OPTION_ID |
                         OPTION_TASK | OPTION_ENV | OPTION_BIND},
    .title = "actor",
    .tick_ms = 50,
    .message = on_message,
    .garbage = on_garbage,
    .tick = on_tick,
    .idle = on_idle,
    .stop = on_stop,
    .finished = finished,
};

int main(int argc, char **argv) {
    static struct app app;
    struct daemon *d = &app.daemon;
    if (argc == 3 && strcmp(argv[1], ENV_HOST_OPTION) == 0) {
        return env_host(argv[2]);
    }
    daemon_init(d, &daemon_spec, &app, argc, argv);
    if (d->options.evaluate) {
        d->options.learner = NULL; // the model server sends the policies to evaluate
    }
    start(&app);

    daemon_run(d);

    actor_destroy(&app.actor);
    evaluator_destroy(&app.evaluator);
    spool_file_close(&app.spool);
    daemon_close(d);
    return daemon_exit_code(d, app.exit_code);
}
