// SPDX-License-Identifier: MIT
// The learner's core: what it says to whom, and when.
//
// No socket, clock or thread: main.c hands in messages, ticks and the worker's
// reports, and the core sends and submits by callbacks. Commands reach the
// trainer in the order in which their messages arrived.
//
// Experience comes numbered. A number that is missing, rows that leave a hole in
// D_env, or rows of other shapes end the conversation: the core says Hello again,
// from the real rows that it has, and drops what comes until the new Welcome.
#ifndef SPUR_LEARNER_LEARNER_H
#define SPUR_LEARNER_LEARNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/config/config.h"
#include "common/io/net.h"
#include "common/task/task.h"
#include "learner/trainer.h"
#include "proto/port.h"
#include "proto/wire.h"

// Experience messages beyond the last Progress; protocol.md.
#define LEARNER_EXPERIENCE_MAX 64
// Room that the commands' queue must have: experience, a grant before each, and
// some that only wait for the trainer to look.
#define LEARNER_COMMANDS_MAX 256

// The queue of the trainer's thread. Must not call back into the core.
struct learner_jobs {
    void *arg;
    bool (*submit)(void *arg, struct trainer_command *command); // takes it when true
};

// Who runs here; borrowed, outlives the core.
struct learner_identity {
    const struct config *config;
    const struct task *task;
    const char *host, *modelserver, *endpoint; // endpoint: where we are bound
    uint64_t incarnation, pid;
};

struct learner;
// policy: of the trainer, for its shape. Gives.
struct learner *learner_create(const struct learner_identity *who, const struct port *port,
                               const struct learner_jobs *jobs, const struct policy *policy,
                               uint64_t now_ms);
void learner_destroy(struct learner **l);

// A message of the model server, or of anyone at our own endpoint.
void learner_on_server(struct learner *l, uint64_t now_ms, const struct wire_msg *msg);
void learner_on_peer(struct learner *l, uint64_t now_ms, const struct net_peer *from,
                     const struct wire_msg *msg);
// Bytes that wire_unpack refused, with its code and sentence. from NULL: the model server.
void learner_on_garbage(struct learner *l, const struct net_peer *from, enum wire_refusal code,
                        const char *text);

// Every 20 ms or so.
void learner_on_tick(struct learner *l, uint64_t now_ms);

// What the worker left: its report, and params when there is a newer policy of
// that version after so many updates (else NULL).
void learner_on_report(struct learner *l, uint64_t now_ms, const struct trainer_report *report,
                       const float *params, uint64_t version, uint64_t updates);

// Finish the update in hand, checkpoint, say Goodbye. why is for the log.
void learner_stop(struct learner *l, const char *why);
// True when all is done: leave with *exit_code.
bool learner_finished(const struct learner *l, enum exit_code *exit_code);

#endif
