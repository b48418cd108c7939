// SPDX-License-Identifier: MIT
// The event loop of a process: a thin doorway to libuv (uv.h is included by
// loop.c alone).
//
// One thread runs the loop; every callback runs on it and returns quickly.
// Worker threads reach it with loop_wake. The caller owns the memory of no
// handle: each add gives a pointer that lives until loop_destroy or the
// matching stop.
//
// ZeroMQ's descriptor is edge-triggered and says only "look again", so sockets
// are served in libuv's prepare and check phases: in prepare the readable state
// is read, and an idle handle keeps the loop from sleeping while there is work;
// callbacks are called with a budget so that one busy peer cannot starve timers.
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
void loop_destroy(struct loop **loop); // sockets added must be closed by their owner after this
int loop_run(struct loop *loop);       // until loop_stop
void loop_stop(struct loop *loop);
uint64_t loop_now_ms(const struct loop *loop); // monotonic, read once an iteration

// Calls fn for every message that arrives; borrows socket.
void loop_add_socket(struct loop *loop, struct net_socket *socket, loop_message_fn *fn, void *arg);
void loop_remove_socket(struct loop *loop, struct net_socket *socket); // before net_close

// First after `ms`, then every repeat_ms (0: once).
struct loop_timer *loop_add_timer(struct loop *loop, uint64_t ms, uint64_t repeat_ms, loop_fn *fn,
                                  void *arg);

// loop_wake_up may be called from any thread; fn runs on the loop soon after,
// once for any number of calls in between.
struct loop_wake *loop_add_wake(struct loop *loop, loop_fn *fn, void *arg);
void loop_wake_up(struct loop_wake *wake);

// fn runs once an iteration while active: for an actor's environment steps.
struct loop_idle *loop_add_idle(struct loop *loop, loop_fn *fn, void *arg);
void loop_idle_set(struct loop_idle *idle, bool active);

// fn on SIGINT, SIGTERM: first and second time are told apart by the caller.
void loop_on_signal(struct loop *loop, int signal_number, loop_fn *fn, void *arg);

// Starts a program (args[0] is its path, NULL-terminated; borrowed for the
// call). Its standard output and error go to log_fd, its input to /dev/null.
// The child dies with this process, however that ends. Gives a handle, or NULL
// and a sentence in err.
struct loop_child *loop_spawn(struct loop *loop, const char *const args[], int log_fd,
                              loop_exit_fn *fn, void *arg, char *err, size_t err_len);
int loop_child_pid(const struct loop_child *child);
void loop_child_kill(struct loop_child *child, int signal_number);

#endif
