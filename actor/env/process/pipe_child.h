// SPDX-License-Identifier: MIT
// A child process that replies to frames (frame.h): start, call, stop.
//
// Requests and replies have one pipe each, descriptors 3 and 4 of the child. Its standard output
// and error are copied to the log line by line with its name; its standard input is /dev/null. It
// runs in its own session, so that Ctrl-C in a terminal does not reach it, and the kernel kills it
// when the thread that started it ends. No action of the child ends this process.
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
    const char *dir;         // working directory; "": the caller's
    const char *script;      // text that the child reads from descriptor 5; NULL: none
};

struct pipe_child_reply {
    uint32_t type;       // enum frame_type, or anything else
    size_t len;          // of the payload
    const uint8_t *data; // valid until the next call
};

// Starts the child. Copies the command. NULL with the reason in err.
struct pipe_child *pipe_child_start(const struct pipe_child_command *command, char *err,
                                    size_t err_len);
// Sends a request and waits at most timeout_s for its reply; calls wait (may be NULL) meanwhile. 0,
// -ECANCELED if wait ended it, -EINTR if the child was killed by SIGKILL, or -1. On failure the
// reason is in err, and the child must be stopped.
int pipe_child_call(struct pipe_child *child, struct pipe_child_reply *reply, enum frame_type type,
                    const void *payload, size_t len, double timeout_s, const struct env_wait *wait,
                    char *err, size_t err_len);
int pipe_child_pid(const struct pipe_child *child);
void pipe_child_rename(struct pipe_child *child, const char *name); // in later log lines
// Logs one line with the child's name. Control characters become '?'.
void pipe_child_log(const struct pipe_child *child, const char *line, size_t len);
// Sends CLOSE, waits at most grace_ms for the end of the child, then kills it.
void pipe_child_stop(struct pipe_child **child, int grace_ms);

#endif
