// SPDX-License-Identifier: MIT
// Hello, the first message of a connection: filled in by a process, and validated by the
// model server independent of other peers.
#ifndef SPUR_PROTO_HELLO_H
#define SPUR_PROTO_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

// The identity of the sending process. Strings are borrowed; NULL means "".
struct hello_sender {
    enum wire_role role;
    const char *id, *host, *version;
    const char *endpoint;      // that answers StatusRequest
    uint64_t incarnation, pid; // incarnation: from Welcome; 0 before it
    const char *task;          // the task that it requires; NULL: any
    int obs_dim, act_dim;      // of that task
    int environments;          // of an actor; 0: one
};

// Fills in all fields except the learner's (updates, policy_version, rows), which are set
// to 0.
void hello_fill(struct wire_hello *hello, const struct hello_sender *sender);

// Where other processes reach the sender: its endpoint, with its host in place of a wildcard.
void hello_endpoint(char out[WIRE_STRING_MAX], const struct wire_hello *hello);

// The run that a Hello is for.
struct hello_run {
    const char *task;
    int obs_dim, act_dim;
    bool lockstep;      // actors step one environment each
    uint64_t real_rows; // stored so far
};

// 0, or -1 with the code and text of a fatal refusal.
int hello_check(enum wire_refusal *code, char *text, size_t text_len,
                const struct wire_hello *hello, const struct hello_run *run);

#endif
