// SPDX-License-Identifier: MIT
// Environments in another process: Python's (python:MODULE:FUNCTION), or any command that speaks
// the protocol of actor/env/process/frame.h.
#ifndef SPUR_ACTOR_ENV_PROCESS_ENV_PROCESS_H
#define SPUR_ACTOR_ENV_PROCESS_ENV_PROCESS_H

#include <limits.h>

#include "actor/env/env.h"

#define ENV_PROCESS_PYTHON "python:"

// Failures of the process (a call that raises, hangs or ends it) without ENV_PROCESS_GOOD_STEPS
// good steps between them: after so many it is not started again, and its steps stay bad.
#define ENV_PROCESS_FAILURES_MAX 5
#define ENV_PROCESS_GOOD_STEPS 1000
#define ENV_PROCESS_GRACE_MS 2000 // to close, before it is killed

// Starts the process and has it make the environment; the environment's task says what it says of
// itself, horizon 0 where it has none. note (note_len bytes) is what it says to the user. NULL
// with a sentence in err; what the process printed is in the log.
struct env *env_process_create(const struct env_spec *spec, const struct env_wait *wait, char *note,
                               size_t note_len, char *err, size_t err_len);

// The interpreter of python: environments: spec->python, or python3 of $VIRTUAL_ENV, or the first
// python3 in PATH. 0, or -1 with a sentence in err.
int env_process_python(char out[PATH_MAX], const char *python, char *err, size_t err_len);

#endif
