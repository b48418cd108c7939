// SPDX-License-Identifier: MIT
// Hello, the first message of a connection: how a process fills it in, and what the
// model server demands of it before any question of who else is connected.
#ifndef SPUR_PROTO_HELLO_H
#define SPUR_PROTO_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

// A process, as it introduces itself. Strings are borrowed; NULL stands for "".
struct hello_sender {
    enum wire_role role;
    const char *id, *host, *version;
    const char *endpoint;      // where it answers StatusRequest itself
    uint64_t incarnation, pid; // incarnation: larger for each start of the same id
    const char *task;          // the only task that it can do; NULL: any
    int obs_dim, act_dim;      // of that task
    int environments;          // actors: stepped side by side; 0: one
};

// Fills in all but the learner's figures (updates, policy_version, rows), which
// become 0.
void hello_fill(struct wire_hello *hello, const struct hello_sender *sender);

// The run that a Hello is for.
struct hello_run {
    const char *task;
    int obs_dim, act_dim;
    bool lockstep;      // actors step one environment each
    uint64_t real_rows; // stored so far
};

// Validates a Hello independent of other peers. 0, or -1 with the code and the
// sentence of a fatal refusal.
int hello_check(enum wire_refusal *code, char *text, size_t text_len,
                const struct wire_hello *hello, const struct hello_run *run);

#endif
