// SPDX-License-Identifier: MIT
// Where the processes of a run listen.
//
// On one machine: sockets in a private folder, which nobody else can enter. For
// actors on other hosts: TCP, by the user's explicit choice.
#ifndef SPUR_CLI_RUN_ENDPOINTS_H
#define SPUR_CLI_RUN_ENDPOINTS_H

#include <limits.h>
#include <stdbool.h>

#include "common/io/net.h"

struct endpoints {
    // To bind, and to connect to from this machine.
    char modelserver_bind[NET_ENDPOINT_MAX], learner_bind[NET_ENDPOINT_MAX];
    char modelserver[NET_ENDPOINT_MAX], learner[NET_ENDPOINT_MAX];
    // What those who join by hand connect to; from other hosts too, with TCP.
    char modelserver_join[NET_ENDPOINT_MAX], learner_join[NET_ENDPOINT_MAX];
    char folder[PATH_MAX]; // of the ipc sockets; empty for TCP
};

// Sockets in a fresh private folder. 0, or an exit code, told to the user.
int endpoints_private(struct endpoints *e);
// "tcp://HOST:PORT" for the model server, PORT + 1 for the learner. Warns when
// other hosts can reach it. 0, or an exit code, told to the user.
int endpoints_listen(struct endpoints *e, const char *address);
// Where the actor or evaluator `name` answers for its status: a socket in the
// private folder; "" with TCP, where ports are few.
void endpoints_of(char out[NET_ENDPOINT_MAX], const struct endpoints *e, const char *name);
// Removes the private folder with the sockets that killed processes left in it.
void endpoints_remove(struct endpoints *e);

// RUN_DIR/endpoints: "modelserver: ipc://...\nlearner: ...\n".
int endpoints_write(const struct endpoints *e, const char *run_dir);
void endpoints_unwrite(const char *run_dir);
// After a spur that was killed: removes the file and the folder that it names.
// The caller holds the run directory's lock, so nobody uses them any more.
void endpoints_clear(const char *run_dir);
// The model server's, into out. 0, or -1 with a sentence in err.
int endpoints_read(char out[NET_ENDPOINT_MAX], const char *run_dir, char *err, size_t err_len);

#endif
