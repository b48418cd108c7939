// SPDX-License-Identifier: MIT
// The supervisor's state machine: children, stages of the shutdown, status for the live line.
#include "cli/run/supervisor.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/run/display.h"
#include "cli/run/log_tail.h"
#include "cli/run/spawn.h"
#include "common/base/check.h"
#include "common/base/host.h"
#include "common/base/log.h"
#include "common/io/loop.h"

enum {
    TICK_MS = 250,           // interval of status requests and display updates
    STATUS_RETRY_MS = 2000,  // repeat an unanswered request
    SERVER_LEAVE_MS = 30000, // from SIGTERM to the exit of the model server
    TERM_MS = 20000,         // from SIGTERM to SIGKILL
    STOPPED_MS = 3000,       // from SIGTERM to SIGKILL, of a process that is stopped (SIGSTOP)
    UNANSWERED_MS = 10000,   // likewise, of a model server that does not answer
    ERROR_MS = 60000,        // between two lines about errors of a process
    ERROR_WAIT_MS = 1000,    // a process that ends because of an error does so within this time
    TAIL_LINES = 8,
};

// Stages of the shutdown. Each but the last has a deadline, after which the next one starts.
enum stage {
    STAGE_RUN,
    STAGE_SERVER, // the model server was asked to end the run
    STAGE_TERM,   // it has exited, after Shutdown to its peers; SIGTERM to all remaining processes
    STAGE_KILL,
};

// The argument of the handler of one signal.
struct stop_signal {
    struct supervisor *supervisor;
    int number;
};

enum { STOP_SIGNALS = 3 };

struct supervisor {
    const struct rundir *dir;
    struct loop *loop;
    struct keys keys;
    struct net *net;
    struct net_socket *socket; // to the model server, for its status
    struct wire *wire;
    struct child *children; // the model server is the first
    int child_count;
    enum stage stage;
    uint64_t stage_ms, deadline_ms; // begin and end of the stage
    struct stop_signal stop_signals[STOP_SIGNALS];
    uint64_t signal_ms; // time of the first stop signal; 0: none yet
    struct supervisor_result result;
    struct display display;
    struct wire_status status;
    uint64_t requested_ms, received_ms; // request without reply, last reply; 0: none
    uint64_t store_errors;              // of the last status
    off_t log_read;                     // the log was read for errors up to here
    char log_path[PATH_MAX];
};

// Prints an event, and logs it.
static void say(struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct supervisor *s, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    log_info("%s", text);
    display_event(&s->display, "%s", text);
}

static int running(const struct supervisor *s) {
    int n = 0;
    for (int i = 0; i < s->child_count; i++) {
        n += s->children[i].handle != NULL;
    }
    return n;
}

// ---- shutdown ----

static void signal_all(struct supervisor *s, int signal_number) {
    for (int i = 0; i < s->child_count; i++) {
        if (s->children[i].handle) {
            loop_child_kill(s->children[i].handle, signal_number);
        }
    }
}

static void enter(struct supervisor *s, enum stage stage) {
    static const uint64_t limit_ms[] = {
        [STAGE_SERVER] = SERVER_LEAVE_MS,
        [STAGE_TERM] = TERM_MS,
        [STAGE_KILL] = UINT32_MAX, // SIGKILL cannot be ignored
    };
    s->stage = stage;
    s->stage_ms = loop_now_ms(s->loop);
    s->deadline_ms = s->stage_ms + limit_ms[stage];
    if (stage == STAGE_SERVER && s->children[0].handle) {
        loop_child_kill(s->children[0].handle, SIGTERM);
    } else if (stage == STAGE_SERVER) {
        enter(s, STAGE_TERM); // no model server that could send Shutdown
        return;
    } else if (stage == STAGE_TERM) {
        signal_all(s, SIGTERM);
    } else if (stage == STAGE_KILL) {
        signal_all(s, SIGKILL);
    }
    if (running(s) == 0) {
        loop_stop(s->loop);
    }
}

static void fail(struct supervisor *s, const struct child *c, int exit_code, const char *how) {
    say(s, "%s %s: the run is stopped", c->name, how);
    log_tail_print(s->dir->log_fd, s->log_path, c->name, child_program(c), TAIL_LINES);
    s->result.end = SUPERVISOR_FAILED;
    s->result.exit_code = exit_code > 0 ? exit_code : EXIT_CODE_FAILURE;
    enter(s, STAGE_SERVER);
}

static void on_stop_signal(void *arg) {
    const struct stop_signal *stop = arg;
    struct supervisor *s = stop->supervisor;
    bool again = host_stop_again(&s->signal_ms, loop_now_ms(s->loop));
    if (s->stage == STAGE_RUN) {
        say(s, "stopping: a checkpoint is being saved (repeat the signal to stop at once)");
        s->result.end = SUPERVISOR_STOPPED;
        s->result.signal = stop->number;
        enter(s, STAGE_SERVER);
    } else if (s->stage != STAGE_KILL && again) {
        say(s, "stopping at once");
        if (s->result.end != SUPERVISOR_FAILED) {
            s->result.end = SUPERVISOR_KILLED;
        }
        enter(s, STAGE_KILL);
    }
}

// ---- children ----

// During a shutdown: whether the process has saved its checkpoint. SIGTERM ends a process that has
// only just started.
static void note_checkpoint(struct supervisor *s, const struct child *c, int exit_status,
                            int term_signal) {
    bool killed = term_signal != 0 && term_signal != SIGTERM;
    bool in_order = s->result.end == SUPERVISOR_DONE || s->result.end == SUPERVISOR_STOPPED;
    if (!child_is_vital(c) || !in_order || (exit_status == EXIT_CODE_OK && !killed)) {
        return;
    }
    char reason[256];
    log_tail_reason(reason, sizeof(reason), s->dir->log_fd, c->name, child_program(c));
    say(s, "%s: %s", c->name,
        killed      ? "it was killed, and its checkpoint was not made"
        : reason[0] ? reason
                    : "it could not write all of its files; the log lacks the reason");
    s->result.end = SUPERVISOR_UNSAVED;
    s->result.killed = killed;
    s->result.exit_code = killed ? EXIT_CODE_IO : exit_status;
}

// Why a process will not end by itself; NULL: it may.
static const char *is_still(const struct supervisor *s, const struct child *c, uint64_t now) {
    uint64_t heard = s->received_ms > s->stage_ms ? s->received_ms : s->stage_ms;
    if (host_is_stopped(loop_child_pid(c->handle))) {
        return now - s->stage_ms >= STOPPED_MS ? "is stopped (SIGSTOP)" : NULL;
    }
    bool silent = s->stage == STAGE_SERVER && c->role == CHILD_MODELSERVER;
    return silent && now - heard >= UNANSWERED_MS ? "does not answer" : NULL;
}

// Kills processes that will not end by themselves.
static void end_still(struct supervisor *s, uint64_t now) {
    for (int i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];
        const char *why = c->handle && !c->ended ? is_still(s, c, now) : NULL;
        if (why) {
            say(s, "%s, process %d, %s: it is killed", c->name, loop_child_pid(c->handle), why);
            c->ended = true;
            loop_child_kill(c->handle, SIGKILL);
        }
    }
}

// See child_hurry: neither model server nor learner runs, and the run goes on.
static void hurry_learner(struct supervisor *s, uint64_t now_ms) {
    if (s->stage != STAGE_RUN || s->children[0].handle) { // the first one is the model server
        return;
    }
    for (int i = 1; i < s->child_count; i++) {
        if (s->children[i].role == CHILD_LEARNER && !s->children[i].handle) {
            child_hurry(&s->children[i], now_ms);
        }
    }
}

static void on_child_exit(void *arg, int exit_status, int term_signal) {
    struct child *c = arg;
    struct supervisor *s = c->owner;
    char how[96];
    uint64_t now = loop_now_ms(s->loop);
    child_describe_end(how, sizeof(how), exit_status, term_signal);
    c->handle = NULL;
    if (s->stage != STAGE_RUN) {
        log_info("%s %s", c->name, how);
        note_checkpoint(s, c, exit_status, term_signal);
        if (running(s) == 0) {
            loop_stop(s->loop);
        } else if (s->stage == STAGE_SERVER && c->role == CHILD_MODELSERVER) {
            enter(s, STAGE_TERM);
        }
        return;
    }
    switch (child_judge(c, now, exit_status, term_signal)) {
    case CHILD_RUN_OVER:
        log_info("%s has ended the run", c->name);
        s->result.end = SUPERVISOR_DONE;
        enter(s, STAGE_TERM);
        break;
    case CHILD_AGAIN:
        if (exit_status != 0 || term_signal != 0) {
            char reason[256];
            log_tail_reason(reason, sizeof(reason), s->dir->log_fd, c->name, child_program(c));
            say(s, "%s %s; restarting in %llu s%s%s", c->name, how,
                (unsigned long long)(c->again_ms - now) / 1000, reason[0] ? ": " : "", reason);
        } else {
            log_info("%s has left; it is restarted unless the run ends soon", c->name);
        }
        break;
    case CHILD_AWAY:
        log_info("%s %s; not restarted", c->name,
                 exit_status == 0 ? "was asked to leave" : "was replaced or refused, see above");
        break;
    case CHILD_FATAL:
        fail(s, c, term_signal ? EXIT_CODE_FAILURE : exit_status, how);
        break;
    }
    hurry_learner(s, now);
}

static void start(struct supervisor *s, struct child *c) {
    char err[512];
    c->again_ms = 0;
    c->started_ms = loop_now_ms(s->loop);
    c->handle = loop_spawn(s->loop, c->args, s->dir->log_fd, on_child_exit, c, err, sizeof(err));
    if (!c->handle) {
        char how[600];
        snprintf(how, sizeof(how), "could not be started: %s", err);
        fail(s, c, EXIT_CODE_RESOURCES, how);
        return;
    }
    log_info("%s started as process %d", c->name, loop_child_pid(c->handle));
}

static void start_due(struct supervisor *s, uint64_t now) {
    for (int i = 0; i < s->child_count && s->stage == STAGE_RUN; i++) {
        struct child *c = &s->children[i];
        if (!c->handle && c->again_ms != 0 && now >= c->again_ms) {
            start(s, c);
        }
    }
}

// ---- status ----

static uint64_t counter(const struct wire_status *status, const char *name) {
    for (uint32_t i = 0; i < status->counter_count; i++) {
        if (strcmp(status->counters[i].name, name) == 0) {
            return status->counters[i].value;
        }
    }
    return 0;
}

// ---- errors of processes that go on ----

static void note_error(void *arg, const char *process, const char *text) {
    struct supervisor *s = arg;
    for (int i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];
        if (c->handle && strcmp(c->name, process) == 0) {
            c->error_ms = c->error[0] ? c->error_ms : loop_now_ms(s->loop);
            snprintf(c->error, sizeof(c->error), "%s", text);
        }
    }
}

// A log on a full disk has no lines of it: the status has.
static void note_store_error(struct supervisor *s) {
    uint64_t errors = counter(&s->status, "store_errors");
    if (errors > s->store_errors && s->status.waiting[0]) {
        note_error(s, s->children[0].name, s->status.waiting);
    }
    s->store_errors = errors;
}

// Prints what processes have logged as errors and have not ended of, once a minute each.
static void print_errors(struct supervisor *s, uint64_t now) {
    log_tail_errors(s->dir->log_fd, &s->log_read, note_error, s);
    for (int i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];
        if (!c->error[0] || now - c->error_ms < ERROR_WAIT_MS) {
            continue;
        }
        if (c->handle && log_due(&c->error_printed_ms, now, ERROR_MS)) {
            display_event(&s->display, "%s: %s", c->name, c->error);
        }
        c->error[0] = '\0';
    }
}

static void on_status(void *arg, const struct net_peer *from, const void *data, size_t len) {
    (void)from;
    struct supervisor *s = arg;
    struct wire_msg msg;
    char err[256];
    if (wire_unpack(s->wire, &msg, data, len, err, sizeof(err)) != 0 || msg.type != WIRE_STATUS) {
        log_debug("invalid status from the model server: %s", err);
        return;
    }
    s->status = msg.status;
    s->status.actors = NULL; // borrowed from the message, and not displayed
    s->status.actor_count = 0;
    s->received_ms = loop_now_ms(s->loop);
    s->requested_ms = 0;
    s->result.wall_s = s->status.wall_s;
    note_store_error(s);
}

static void request_status(struct supervisor *s, uint64_t now) {
    if (s->requested_ms != 0 && now - s->requested_ms < STATUS_RETRY_MS) {
        return;
    }
    const struct wire_msg msg = {.type = WIRE_STATUS_REQUEST};
    if (wire_send(s->wire, s->socket, NULL, &msg) == 0) {
        s->requested_ms = now;
    }
}

static void on_tick(void *arg) {
    struct supervisor *s = arg;
    uint64_t now = loop_now_ms(s->loop);
    if (s->stage != STAGE_RUN && s->stage != STAGE_KILL && now >= s->deadline_ms) {
        log_warn("not all processes exited in time");
        enter(s, s->stage < STAGE_TERM ? STAGE_TERM : STAGE_KILL);
        return;
    }
    if (s->stage == STAGE_SERVER || s->stage == STAGE_TERM) {
        end_still(s, now);
    }
    start_due(s, now);
    request_status(s, now);
    if (s->stage == STAGE_RUN) {
        print_errors(s, now);
        display_update(&s->display, now, s->received_ms ? &s->status : NULL, now - s->received_ms);
    }
}

// ---- the run ----

static bool init_children(struct supervisor *s, const struct endpoints *e) {
    int actors = s->dir->config.run.actors;
    s->children = xcalloc(3 + (size_t)actors, sizeof(*s->children));
    bool found = child_init(&s->children[s->child_count++], CHILD_MODELSERVER, 0, s->dir, e) &&
                 child_init(&s->children[s->child_count++], CHILD_LEARNER, 0, s->dir, e) &&
                 child_init(&s->children[s->child_count++], CHILD_EVALUATOR, 0, s->dir, e);
    for (int i = 0; i < actors && found; i++) {
        found = child_init(&s->children[s->child_count++], CHILD_ACTOR, i, s->dir, e);
    }
    for (int i = 0; i < s->child_count; i++) {
        s->children[i].owner = s;
        s->children[i].again_ms = 1; // due at once
    }
    return found;
}

static void watch_signals(struct supervisor *s) {
    static const int numbers[STOP_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction now;
        if (numbers[i] == SIGHUP &&
            (sigaction(SIGHUP, NULL, &now) != 0 || now.sa_handler == SIG_IGN)) {
            continue; // ignored by nohup
        }
        s->stop_signals[i] = (struct stop_signal){s, numbers[i]};
        loop_on_signal(s->loop, numbers[i], on_stop_signal, &s->stop_signals[i]);
    }
}

struct supervisor_result supervisor_run(const struct rundir *dir, const struct endpoints *e) {
    // On the heap: a status is large.
    struct supervisor *s = xmalloc(sizeof(*s));
    s->dir = dir;
    s->result =
        (struct supervisor_result){.end = SUPERVISOR_FAILED, .exit_code = EXIT_CODE_UNAVAILABLE};
    display_init(&s->display);
    struct stat log;
    s->log_read = fstat(dir->log_fd, &log) == 0 ? log.st_size : 0;
    if (!rundir_join(s->log_path, dir->path, "log") || !init_children(s, e)) {
        goto out_children;
    }
    s->loop = loop_create();
    s->net = net_create();
    s->wire = wire_create();
    log_init("spur", LOG_INFO, dir->log_fd);
    char err[1024];
    if (e->keys[0] != '\0' && keys_load(&s->keys, e->keys, err, sizeof(err)) < 0) {
        s->result.exit_code = cli_fail(EXIT_CODE_DENIED, NULL, "%s", err);
        goto out;
    }
    net_secure(s->net, &s->keys);
    if (net_open(&s->socket, s->net, NET_DEALER, e->modelserver, err, sizeof(err)) != 0) {
        s->result.exit_code = cli_fail(EXIT_CODE_UNAVAILABLE, NULL, "%s", err);
        goto out;
    }
    loop_add_socket(s->loop, s->socket, on_status, s);
    loop_add_timer(s->loop, 0, TICK_MS, on_tick, s);
    watch_signals(s);
    loop_run(s->loop);
    CHECK(running(s) == 0);
    display_end(&s->display);
    loop_remove_socket(s->loop, s->socket);
    net_close(&s->socket);
out:
    loop_destroy(&s->loop);
    net_destroy(&s->net);
    wire_destroy(&s->wire);
    keys_free(&s->keys);
    log_init("spur", LOG_INFO, -1);
out_children:;
    struct supervisor_result result = s->result;
    free(s->children);
    free(s);
    return result;
}
