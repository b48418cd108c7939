// SPDX-License-Identifier: MIT
// The learner's core: a state machine driven by messages, ticks and reports of the
// trainer's thread.
//
// It has no socket, clock or thread; it sends messages and submits commands by
// callbacks. Commands reach the trainer in the order in which their messages
// arrived.
//
// Experience messages are numbered. After a missing number, a gap in the real rows
// or rows of another shape, the core says Hello again with the number of its real
// rows, and drops experience until the new Welcome.
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
// Capacity that the queue of commands must have: experience, a grant before each,
// and a reserve while the trainer is busy.
#define LEARNER_COMMANDS_MAX 256

// The queue of the trainer's thread. Must not call back into the core.
struct learner_jobs {
    void *arg;
    bool (*submit)(void *arg, struct trainer_command *command); // takes it when true
};

// Identity of this process; borrowed, outlives the core.
struct learner_identity {
    const struct config *config;
    const struct task *task;
    const char *id;                            // in the run
    const char *host, *modelserver, *endpoint; // endpoint: the bound one
    uint64_t pid;
};

struct learner;
// policy: the shape of the trainer's policy. Gives.
struct learner *learner_create(const struct learner_identity *who, const struct port *port,
                               const struct learner_jobs *jobs, const struct policy *policy,
                               uint64_t now_ms);
void learner_destroy(struct learner **l);

// A message of the model server, or of another peer at the own endpoint.
void learner_on_server(struct learner *l, uint64_t now_ms, const struct wire_msg *msg);
void learner_on_peer(struct learner *l, uint64_t now_ms, const struct net_peer *from,
                     const struct wire_msg *msg);
// Bytes that wire_unpack refused, with its code and sentence. from NULL: the model server.
void learner_on_garbage(struct learner *l, const struct net_peer *from, enum wire_refusal code,
                        const char *text);

// Every 20 ms, about.
void learner_on_tick(struct learner *l, uint64_t now_ms);

// The trainer's report. params: of a newer policy, with its version and number of
// updates; NULL: none.
void learner_on_report(struct learner *l, uint64_t now_ms, const struct trainer_report *report,
                       const float *params, uint64_t version, uint64_t updates);

// Finishes the current update, saves, says Goodbye. why: for the log.
void learner_stop(struct learner *l, const char *why);
// True at the end: the process exits with *exit_code.
bool learner_finished(const struct learner *l, enum exit_code *exit_code);
// Then: the model server, in lockstep, is at an earlier step, and this process is to start again
// from its checkpoint.
bool learner_starts_again(const struct learner *l);

#endif
