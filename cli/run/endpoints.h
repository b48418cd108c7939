// SPDX-License-Identifier: MIT
// Addresses on which the processes of a run listen.
//
// By default ipc sockets in a private directory, accessible to the user only. For actors on other
// hosts TCP, by explicit choice of the user.
#ifndef SPUR_CLI_RUN_ENDPOINTS_H
#define SPUR_CLI_RUN_ENDPOINTS_H

#include <limits.h>
#include <stdbool.h>

#include "common/io/net.h"

struct endpoints {
    // To bind, and to connect to on this machine.
    char modelserver_bind[NET_ENDPOINT_MAX], learner_bind[NET_ENDPOINT_MAX];
    char modelserver[NET_ENDPOINT_MAX], learner[NET_ENDPOINT_MAX];
    // For actors started by hand; with TCP also on other hosts.
    char modelserver_join[NET_ENDPOINT_MAX], learner_join[NET_ENDPOINT_MAX];
    char folder[PATH_MAX]; // directory of the ipc sockets; empty for TCP
    char keys[PATH_MAX];   // --keys of the run's processes; empty for ipc
};

// Creates a private directory for ipc sockets, in the first writable of $XDG_RUNTIME_DIR, $TMPDIR,
// /tmp and the run directory. Returns 0, or an exit code after printing the error.
int endpoints_private(struct endpoints *e, const char *run_dir);
// TCP: tcp://HOST:PORT for the model server, PORT + 1 for the learner. keys: a folder of `spur
// keys`, or NULL: the usual folder where other machines can connect, else a new token in run_dir.
// Returns 0, or an exit code after printing the error.
int endpoints_listen(struct endpoints *e, const char *address, const char *keys,
                     const char *run_dir);
// The status endpoint of the actor or evaluator `name`: a socket in the private directory; "" with
// TCP.
void endpoints_of(char out[NET_ENDPOINT_MAX], const struct endpoints *e, const char *name);
// Removes the private directory, with any stale sockets in it.
void endpoints_remove(struct endpoints *e);

// RUN_DIR/endpoints: "modelserver: ipc://...\nlearner: ...\n", and "keys: PATH\n" with TCP.
int endpoints_write(const struct endpoints *e, const char *run_dir);
void endpoints_unwrite(const char *run_dir); // and the token
// Removes the file and the directory that it names, left by a killed `spur run`. The caller must
// hold the lock of the run directory, so that no process uses them.
void endpoints_clear(const char *run_dir);
// Reads the model server's endpoint and the keys. Returns 0, or -1 with a message in err.
int endpoints_read(char out[NET_ENDPOINT_MAX], char keys[PATH_MAX], const char *run_dir, char *err,
                   size_t err_len);

#endif
