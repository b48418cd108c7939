// SPDX-License-Identifier: MIT
// Process supervisor: starts the processes of a run, restarts them, and stops them in order.
//
// When a process exits by itself:
//
//   modelserver, exit code 0   the run is complete; the model server has sent Shutdown to all
//   modelserver or learner,    restarted a few times; it resumes from its checkpoint
//     killed by a signal
//   either of them, code 75    the run directory is still locked by an earlier process: restarted
//                              for up to a minute, and then a learner as a standby
//   learner, code 76           a standby has taken over: restarted as the next standby
//   actor or evaluator,        restarted forever, with exponential back-off; the run continues
//     killed by a signal
//   actor or evaluator, other  likewise, but six failures in a row stop the run, unless actors of
//     codes                    other hosts can replace the actor
//   actor or evaluator, 0      it was asked to leave: not restarted
//   anything else              the run is stopped, and the last lines of the log are printed
//
// On the first SIGINT, SIGTERM or SIGHUP the model server is asked to end the run, and has all
// processes checkpoint and exit. Those that do not exit in time get another signal, and are finally
// killed; those that are stopped (SIGSTOP), and a model server that does not answer, much sooner. A
// second signal kills all processes at once. Children also exit when the supervisor itself dies.
#ifndef SPUR_CLI_RUN_SUPERVISOR_H
#define SPUR_CLI_RUN_SUPERVISOR_H

#include "cli/run/endpoints.h"
#include "cli/run/rundir.h"

enum supervisor_end {
    SUPERVISOR_DONE,    // the model server ended the run
    SUPERVISOR_STOPPED, // in order, after a signal
    SUPERVISOR_UNSAVED, // likewise, but the last checkpoint could not be saved
    SUPERVISOR_KILLED,  // by the second signal
    SUPERVISOR_FAILED,  // a process failed permanently; the error has been printed
};

struct supervisor_result {
    enum supervisor_end end;
    int exit_code; // of the process that failed, or had no checkpoint
    bool killed;   // it had none because it was killed
    int signal;    // that stopped the run; 0: none
    double wall_s; // spent on the run, before it was resumed too; 0: not known
};

// Runs until all children have exited.
struct supervisor_result supervisor_run(const struct rundir *dir, const struct endpoints *e);

#endif
