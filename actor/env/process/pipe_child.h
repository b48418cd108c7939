// SPDX-License-Identifier: MIT
// A child process that answers frames (frame.h): started, called, stopped.
//
// Requests and replies have a pipe each, descriptors 3 and 4 of the child. Its standard output and
// error go to the log, line by line, under its name; its input is /dev/null. It runs in a process
// group of its own, so that Ctrl-C in a terminal does not reach it, and is killed when the thread
// that started it ends, however that ends. Nothing that it does or sends ends this process.
#ifndef SPUR_ACTOR_ENV_PROCESS_PIPE_CHILD_H
#define SPUR_ACTOR_ENV_PROCESS_PIPE_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include "actor/env/env.h"
#include "actor/env/process/frame.h"

struct pipe_child;

struct pipe_child_command {
    const char *name;        // in the log
    const char *const *args; // NULL-terminated; args[0] is a path
    const char *dir;         // to start in; "": the caller's
    const char *script;      // text that the child reads from descriptor 5; NULL: none
};

struct pipe_child_reply {
    uint32_t type;       // enum frame_type, or anything else
    size_t len;          // of the payload
    const uint8_t *data; // valid until the next call
};

// Starts it. Copies what it needs of the command. NULL with a sentence in err.
struct pipe_child *pipe_child_start(const struct pipe_child_command *command, char *err,
                                    size_t err_len);
// Sends a request and waits for its reply, timeout_s at most; wait (may be NULL) is called
// meanwhile. 0, -ECANCELED where wait ended it, or -1; then with a sentence in err, and the child
// must be stopped.
int pipe_child_call(struct pipe_child *child, struct pipe_child_reply *reply, enum frame_type type,
                    const void *payload, size_t len, double timeout_s, const struct env_wait *wait,
                    char *err, size_t err_len);
int pipe_child_pid(const struct pipe_child *child);
void pipe_child_rename(struct pipe_child *child, const char *name); // in the log, from now on
// Writes one line of the child's to the log, under its name. What is no text is left out.
void pipe_child_log(const struct pipe_child *child, const char *line, size_t len);
// Asks it to close and waits for its end, grace_ms at most; then it is killed.
void pipe_child_stop(struct pipe_child **child, int grace_ms);

#endif
