// SPDX-License-Identifier: MIT
// One connection of an actor or evaluator: a session (proto/session.h) joined
// to the callbacks that really send and reopen.
//
// What both cores share and nothing more: saying who we are, doing what the
// session finds due, stamping the run's id on every message.
#ifndef SPUR_ACTOR_CLIENT_H
#define SPUR_ACTOR_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/task/task.h"
#include "proto/port.h"
#include "proto/session.h"
#include "proto/wire.h"

// Who runs here. All strings are borrowed and outlive the core.
struct client_identity {
    const char *id, *host, *version;
    uint64_t incarnation, pid;
    const struct task *task;           // NULL: whatever the run's task is
    int envs;                          // stepped side by side by an actor
    const char *endpoint;              // where we answer StatusRequest; "" if nowhere
    const char *modelserver, *learner; // endpoints; learner may be NULL
};

struct client {
    struct session session;
    enum port_socket socket;
    const struct port *port;
    const struct client_identity *who;
    enum wire_role role;
    uint64_t have_version; // for PolicyGet
};

void client_init(struct client *c, enum port_socket socket, enum wire_role role,
                 const struct client_identity *who, const struct port *port, uint64_t now_ms);
// Does what the session finds due, all but heartbeats. True: a heartbeat is due.
bool client_on_tick(struct client *c, uint64_t now_ms);
// Stamps the run's id and sends. 0, or a negative errno: send it again later.
int client_send(struct client *c, uint64_t now_ms, struct wire_msg *msg);
bool client_up(const struct client *c);

// The run's task, in full, by its name in a message: the one that this process brought along
// (who->task), or a built-in one; with the run's time limit. 0, or -1 with what to do about it.
int client_task(struct task *task, const struct client *c, const char *name, uint32_t horizon,
                char *err, size_t err_len);

// Fills in what a core's status says about the process and its own line.
void client_status(const struct client *c, uint64_t now_ms, struct wire_status *status,
                   struct wire_actor_status *line);
void client_count(struct wire_status *status, const char *name, uint64_t value);

#endif
