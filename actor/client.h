// SPDX-License-Identifier: MIT
// One connection of an actor or evaluator: a session (proto/session.h) and the port that
// sends its messages and reopens its socket.
//
// Shared by both cores: Hello or PolicyGet, the actions that the session returns as due, and
// the run id in each message.
#ifndef SPUR_ACTOR_CLIENT_H
#define SPUR_ACTOR_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/task/task.h"
#include "proto/port.h"
#include "proto/session.h"
#include "proto/wire.h"

// The identity of this process. Strings are borrowed and outlive the core.
struct client_identity {
    const char *id, *host, *version;
    uint64_t pid;
    const struct task *task;           // required task; NULL: the run's
    int envs;                          // environments of an actor
    bool supervised;                   // by `spur run`, which starts it again
    bool (*stop_requested)(void *arg); // whether a signal to stop arrived; NULL: never
    void (*exit_now)(void *arg);       // ends the process during a blocked call; NULL: it is not
    void *stop_arg;
    const char *endpoint;              // that answers StatusRequest; "": none
    const char *modelserver, *learner; // endpoints; learner may be NULL: as the model server says
};

struct client {
    struct session session;
    enum port_socket socket;
    const struct port *port;
    const struct client_identity *who;
    enum wire_role role;
    uint64_t have_version; // for PolicyGet
    // The learner's address, as the model server says; empty: not yet. It takes the place of
    // who->learner when it changes, or where that does not answer.
    char told[WIRE_STRING_MAX];
};

void client_init(struct client *c, enum port_socket socket, enum wire_role role,
                 const struct client_identity *who, const struct port *port, uint64_t now_ms);
// Performs the session's due actions except heartbeats. True: a heartbeat is due.
bool client_on_tick(struct client *c, uint64_t now_ms);
// Sets the run id and sends. 0, or a negative errno: retry later.
int client_send(struct client *c, uint64_t now_ms, struct wire_msg *msg);
bool client_up(const struct client *c);
// The model server says that the learner answers at endpoint; empty: it does not know.
void client_tell(struct client *c, uint64_t now_ms, const char *endpoint);
// The learner does not answer as it should: tries the other address, if there are two.
void client_try_other(struct client *c, uint64_t now_ms);
bool client_has_address(const struct client *c);
// Whether no message was sent for heartbeat_ms.
bool client_silent(const struct client *c, uint64_t now_ms);
bool client_stop_requested(const struct client *c);
// The exit code after SESSION_STOP: whether the process may be started again.
enum exit_code client_stop_code(const struct client *c);
// The exit code of a process that ends with `code`. A run that was stopped may be resumed at once
// at the same address, and a supervised process of the new start may join the old server before
// that has ended: it is to be started again.
int client_exit_code(const struct client *c, int code);
// The reason for waiting while a call to the environment takes waited_ms; "" below a second.
void client_describe_env_wait(uint64_t waited_ms, char *out, size_t out_len);
// For env_wait.abandon: says Goodbye and ends the process.
void client_abandon(struct client *c);

// Looks up the run's task by name: who->task or a built-in one, with the run's time limit.
// 0, or -1 with the reason and a remedy in err.
int client_task(struct task *task, const struct client *c, const char *name, uint32_t horizon,
                char *err, size_t err_len);

// Fills in the process's part of a status, and its line among the actors.
void client_status(const struct client *c, uint64_t now_ms, struct wire_status *status,
                   struct wire_actor_status *line);

#endif
