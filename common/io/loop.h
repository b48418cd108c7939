// SPDX-License-Identifier: MIT
// Event loop of a process: sockets, timers, signals and child processes on libuv.
//
// One thread runs the loop; callbacks run on that thread and must return quickly. Other threads
// signal it with loop_wake_up. The loop owns all handles: they are valid until loop_destroy, or
// until their callback is removed. Only loop.c includes uv.h.
//
// ZeroMQ's descriptor is edge-triggered and means only "check again", so sockets are served in
// libuv's prepare and check phases: prepare polls them, and an idle handle keeps the loop from
// blocking while messages are pending; check receives with a budget, so that one busy peer cannot
// starve timers.
#ifndef SPUR_COMMON_IO_LOOP_H
#define SPUR_COMMON_IO_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/io/net.h"

struct loop;
struct loop_timer;
struct loop_wake;
struct loop_idle;
struct loop_child;

typedef void loop_fn(void *arg);
typedef void loop_message_fn(void *arg, const struct net_peer *from, const void *data, size_t len);
typedef void loop_exit_fn(void *arg, int exit_status, int term_signal);

struct loop *loop_create(void);
void loop_destroy(struct loop **loop); // close sockets after this, not before
int loop_run(struct loop *loop);       // returns 0 after loop_stop
void loop_stop(struct loop *loop);
uint64_t loop_now_ms(const struct loop *loop); // monotonic, updated once per iteration

// Calls fn for every message received; borrows socket.
void loop_add_socket(struct loop *loop, struct net_socket *socket, loop_message_fn *fn, void *arg);
void loop_remove_socket(struct loop *loop, struct net_socket *socket); // before net_close

// Calls fn after `ms`, then every repeat_ms (0: once only).
struct loop_timer *loop_add_timer(struct loop *loop, uint64_t ms, uint64_t repeat_ms, loop_fn *fn,
                                  void *arg);

// loop_wake_up may be called from any thread; fn then runs once on the loop's thread. Calls before
// it runs are coalesced.
struct loop_wake *loop_add_wake(struct loop *loop, loop_fn *fn, void *arg);
void loop_wake_up(struct loop_wake *wake);

// fn runs once per iteration while active, for an actor's environment steps.
struct loop_idle *loop_add_idle(struct loop *loop, loop_fn *fn, void *arg);
void loop_idle_set(struct loop_idle *idle, bool active);

// Calls fn on every delivery of a signal.
void loop_on_signal(struct loop *loop, int signal_number, loop_fn *fn, void *arg);
// Whether one of those signals has arrived, for a callback that takes long: fn itself is called
// only after it.
bool loop_signal_arrived(struct loop *loop);

// Starts a program. args is NULL-terminated, args[0] the path; borrowed for the call. Its standard
// output and error are log_fd, its standard input is /dev/null. The kernel kills the child when
// this process ends, however it ends. fn is called when the child has exited. Returns a handle, or
// NULL with a message in err.
struct loop_child *loop_spawn(struct loop *loop, const char *const args[], int log_fd,
                              loop_exit_fn *fn, void *arg, char *err, size_t err_len);
int loop_child_pid(const struct loop_child *child);
void loop_child_kill(struct loop_child *child, int signal_number);

#endif
