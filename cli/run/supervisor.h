// SPDX-License-Identifier: MIT
// Starts the processes of a run, watches them, and stops them in order.
//
// What happens when one ends by itself:
//
//   modelserver, exit code 0   the run is over: the others have been told
//   modelserver or learner,    started again, a few times: they go on from
//     killed by a signal       their checkpoint
//   either of them, code 75    the run directory is still in use by an earlier
//                              one: tried again for a minute
//   actor or evaluator,        started again with a growing pause, for ever;
//     killed or failed         the run goes on meanwhile
//   actor or evaluator, 0      somebody asked it to leave: it stays away
//   anything else              the run is stopped, with the last lines of the log
//
// SIGINT, SIGTERM or SIGHUP once: the model server is asked to end the run, which tells
// all others to checkpoint and leave; who does not leave in time is told so
// again and in the end killed. Twice: all are killed at once. Children also
// watch for our own end, so none is ever left behind.
#ifndef SPUR_CLI_RUN_SUPERVISOR_H
#define SPUR_CLI_RUN_SUPERVISOR_H

#include "cli/run/endpoints.h"
#include "cli/run/rundir.h"

enum supervisor_end {
    SUPERVISOR_DONE,    // the model server ended the run
    SUPERVISOR_STOPPED, // by a signal, in order
    SUPERVISOR_KILLED,  // by the second signal
    SUPERVISOR_FAILED,  // a process failed for good; told to the user
};

struct supervisor_result {
    enum supervisor_end end;
    int exit_code; // of the process that failed
};

// Runs until all children are gone.
struct supervisor_result supervisor_run(const struct rundir *dir, const struct endpoints *e);

#endif
