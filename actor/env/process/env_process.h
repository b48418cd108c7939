// SPDX-License-Identifier: MIT
// Environments in another process: Python's (python:MODULE:FUNCTION), plug-ins (FILE.so), or any
// command that implements the protocol of actor/env/process/frame.h.
#ifndef SPUR_ACTOR_ENV_PROCESS_ENV_PROCESS_H
#define SPUR_ACTOR_ENV_PROCESS_ENV_PROCESS_H

#include <limits.h>

#include "actor/env/env.h"

#define ENV_PROCESS_PYTHON "python:"

// Limit of failures (a reset that raises an error; a call that hangs or ends the process) without
// ENV_PROCESS_GOOD_STEPS good steps between them. At the limit the process is not started again,
// and all steps are bad. An error of a step is no failure: it drops the episode.
#define ENV_PROCESS_FAILURES_MAX 5
#define ENV_PROCESS_GOOD_STEPS 1000
#define ENV_PROCESS_GRACE_MS 2000 // to close before it is killed

// Starts the process, which creates the environment and defines its task; horizon is 0 without a
// time limit. note (note_len bytes) is its message to the user. NULL with the reason in err; the
// output of the process is in the log.
struct env *env_process_create(const struct env_spec *spec, const struct env_wait *wait, char *note,
                               size_t note_len, char *err, size_t err_len);

// The same for a plug-in, which `spur-actor --env-host` loads.
struct env *env_process_create_plugin(const struct env_spec *spec, const struct env_wait *wait,
                                      char *err, size_t err_len);

// The interpreter for python: environments: `python`, or else python3 of $VIRTUAL_ENV, or else the
// first python3 in PATH. 0, or -1 with the reason in err.
int env_process_python(char out[PATH_MAX], const char *python, char *err, size_t err_len);

#endif
