// SPDX-License-Identifier: MIT
// The shell of a daemon, shared by spur-modelserver, spur-learner and spur-actor.
//
// It parses the command line, opens the log, loads the configuration, locks the
// run directory, opens the sockets and runs the event loop on one thread. Messages
// are unpacked and passed to the core, a timer ticks, and SIGINT, SIGTERM or the
// parent's end stop the core; a second signal ends the process immediately. The core
// interprets the messages and decides when the daemon ends.
#ifndef SPUR_DAEMON_DAEMON_H
#define SPUR_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/config/config.h"
#include "common/io/loop.h"
#include "common/io/net.h"
#include "common/task/task.h"
#include "daemon/options.h"
#include "proto/port.h"
#include "proto/wire.h"

// One daemon's constants and callbacks. All callbacks run on the loop's thread
// and return within milliseconds; arg is daemon_init's.
struct daemon_spec {
    struct options_spec options;
    const char *name;  // in the log and of the lock; NULL: that of --id
    const char *title; // in sentences: "model server"
    uint64_t tick_ms;

    void (*message)(void *arg, uint64_t now_ms, enum port_socket socket,
                    const struct net_peer *from, const struct wire_msg *msg);
    // Bytes that wire_unpack refused, with its code and message; msg as filled in by it.
    void (*garbage)(void *arg, uint64_t now_ms, enum port_socket socket,
                    const struct net_peer *from, enum wire_refusal code, const char *text,
                    const struct wire_msg *msg);
    void (*tick)(void *arg, uint64_t now_ms);
    void (*wake)(void *arg, uint64_t now_ms); // after daemon_wake; NULL: never called
    void (*idle)(void *arg, uint64_t now_ms); // while daemon_set_idle; NULL: never
    // Begin an orderly shutdown. why is for the log.
    void (*stop)(void *arg, uint64_t now_ms, const char *why);
    // Called after each of the above. True ends the loop.
    bool (*finished)(void *arg);
};

struct daemon {
    struct options options;
    struct config config; // with --config: loaded and checked
    struct task task;     // with --config: the run's; borrows from config
    char id[128];         // --id, or HOST-PID-RANDOM
    char host[128];
    uint64_t pid;
    char own_endpoint[NET_ENDPOINT_MAX]; // where it is bound; "": nowhere
    struct keys keys;
    struct net_limits limits;       // of its own socket; daemon_init: for requests without rows
    const struct daemon_spec *spec; // from here on daemon.c's
    void *arg;
    int lock; // of the run directory; -1: none
    struct loop *loop;
    struct loop_wake *wake;
    struct loop_idle *idle;
    struct net *net;
    struct net_socket *sockets[PORT_SOCKET_COUNT];
    bool reopen[PORT_SOCKET_COUNT];                      // requested by the core, done by the tick
    char endpoints[PORT_SOCKET_COUNT][NET_ENDPOINT_MAX]; // where to; not of the own one
    struct wire *wire;
    struct wire_msg msg; // the one that is being handled
    uint64_t stop_ms;    // of the first signal to stop
    char **argv;         // of the process
    bool running, stopped;
    bool refused; // by a server, for good
};

// Everything up to the lock of the run directory, which --standby does not take yet. Dies with a
// message on an error.
// Borrows spec and arg.
void daemon_init(struct daemon *d, const struct daemon_spec *spec, void *arg, int argc,
                 char *argv[]);
// With --standby: takes the run directory, which daemon_init leaves to the process before, from
// that process. Dies on an error.
void daemon_take_run_dir(struct daemon *d);
// Creates the loop and opens the sockets given by the options. Dies on an error.
void daemon_open(struct daemon *d);
void daemon_run(struct daemon *d); // until finished
// The exit code of the process: the core's, or EXIT_CODE_DENIED after a refusal.
enum exit_code daemon_exit_code(const struct daemon *d, enum exit_code code);
// Closes everything. Threads that call daemon_wake must have ended.
void daemon_close(struct daemon *d);

// After daemon_close: the process begins anew, as if it had been killed and started again. Returns
// only if that fails, and logs why.
void daemon_again(const struct daemon *d);

struct port daemon_port(struct daemon *d);
void daemon_wake(void *daemon); // from any thread: calls wake soon
void daemon_set_idle(struct daemon *d, bool active);
// Whether a signal to stop has arrived, for a callback that takes long.
bool daemon_stop_requested(void *daemon);
// Ends the process with EXIT_CODE_OK while the loop's thread is blocked in a callback.
void daemon_exit_now(void *daemon);

// A file of the run directory. Dies when the path is too long.
void daemon_path(char *out, size_t out_len, const struct daemon *d, const char *name);

#endif
