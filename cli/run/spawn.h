// SPDX-License-Identifier: MIT
// Child processes of a run: their command lines, and what to do when one exits.
#ifndef SPUR_CLI_RUN_SPAWN_H
#define SPUR_CLI_RUN_SPAWN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/run/endpoints.h"
#include "cli/run/rundir.h"
#include "common/io/loop.h"

// Finds a program in the directory of the running `spur`. Prints an error and returns false if it
// is not there.
bool spawn_find_program(char out[PATH_MAX], const char *name);

enum child_role { CHILD_MODELSERVER, CHILD_LEARNER, CHILD_EVALUATOR, CHILD_ACTOR };

#define CHILD_ARGS_MAX 32
#define CHILD_PAUSE_MS 1000         // before the first restart; doubled at every further one
#define CHILD_PAUSE_MS_MAX 30000    // upper limit
#define CHILD_STEADY_MS 60000       // after running this long, a crash counts as the first
#define CHILD_CRASHES_MAX 3         // in a row, of model server or learner
#define CHILD_FAILURES_MAX 5        // in a row, of actors and evaluator: half a minute
#define CHILD_BUSY_MAX 6            // restarts while the run directory is locked: about a minute
#define CHILD_LEARNER_AWAY_MS 30000 // the run should have ended by then

struct child {
    enum child_role role;
    char name[32];
    char program[PATH_MAX], endpoint[NET_ENDPOINT_MAX], parent[16], envs[16], timeout[32];
    const char *args[CHILD_ARGS_MAX];
    struct loop_child *handle; // NULL: not running
    uint64_t started_ms;
    uint64_t again_ms;                   // time of the next start; 0: never
    int crashes;                         // in a row
    bool ended;                          // by SIGKILL, because it would not have ended by itself
    bool standby;                        // a learner whose place another has taken
    char error[256];                     // the newest that it logged, to be printed; empty: none
    uint64_t error_ms, error_printed_ms; // when it was read, and when one was last printed
    void *owner;
};

enum child_verdict {
    CHILD_AGAIN,    // restart at again_ms
    CHILD_AWAY,     // it left on request: do not restart
    CHILD_RUN_OVER, // the model server ended the run
    CHILD_FATAL,    // a restart would not help
};

// The name is made of role and number: "modelserver", "actor-3". Borrows dir and e. Prints an error
// and returns false if the program cannot be found.
bool child_init(struct child *c, enum child_role role, int number, const struct rundir *dir,
                const struct endpoints *e);
const char *child_program(const struct child *c); // "spur-actor"
bool child_is_vital(const struct child *c);       // the run cannot continue without it

// Called when the child has exited by itself: decides what to do, sets again_ms.
enum child_verdict child_judge(struct child *c, uint64_t now_ms, int exit_status, int term_signal);

// Called for a learner that is not running while the model server is not, and the run goes on. If
// it left in order, waiting for the end of the run is in vain: a model server that another `spur
// run` left behind has sent it away. It is started again soon.
void child_hurry(struct child *learner, uint64_t now_ms);

// "was killed by signal 9 (Killed)", "ended with code 78".
void child_describe_end(char *out, size_t out_len, int exit_status, int term_signal);

#endif
