// SPDX-License-Identifier: MIT
// The programs that a run consists of: their command lines, and what to do when
// one of them ends.
#ifndef SPUR_CLI_RUN_SPAWN_H
#define SPUR_CLI_RUN_SPAWN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/run/endpoints.h"
#include "cli/run/rundir.h"
#include "common/io/loop.h"

enum child_role { CHILD_MODELSERVER, CHILD_LEARNER, CHILD_EVALUATOR, CHILD_ACTOR };

#define CHILD_ARGS_MAX 32
#define CHILD_PAUSE_MS 1000         // before the first restart; doubles
#define CHILD_PAUSE_MS_MAX 30000    // up to this
#define CHILD_STEADY_MS 60000       // having lived so long, it starts over with a short pause
#define CHILD_CRASHES_MAX 3         // of model server or learner, one after the other
#define CHILD_BUSY_MAX 6            // times that it finds its run directory in use: a minute in all
#define CHILD_LEARNER_AWAY_MS 30000 // the run should be over by then

struct child {
    enum child_role role;
    char name[32];
    char program[PATH_MAX], endpoint[NET_ENDPOINT_MAX], parent[16], envs[16], timeout[32];
    const char *args[CHILD_ARGS_MAX];
    struct loop_child *handle; // NULL: not running
    uint64_t started_ms;
    uint64_t again_ms; // start it (again) then; 0: never
    int crashes;       // in a row
    void *owner;
};

enum child_verdict {
    CHILD_AGAIN,    // started again: again_ms says when
    CHILD_AWAY,     // left as it was asked to: stays away
    CHILD_RUN_OVER, // the model server ended the run
    CHILD_FATAL,    // starting it again would not help
};

// role and number make the name: "modelserver", "actor-3". Borrows dir and e.
// False, and told to the user, if the programs cannot be found.
bool child_init(struct child *c, enum child_role role, int number, const struct rundir *dir,
                const struct endpoints *e);
const char *child_program(const struct child *c); // "spur-actor"
bool child_is_vital(const struct child *c);       // nothing goes on without it

// It has ended by itself: decides what follows and sets again_ms.
enum child_verdict child_judge(struct child *c, uint64_t now_ms, int exit_status, int term_signal);

// "was killed by signal 9 (Killed)", "ended with code 78".
void child_describe_end(char *out, size_t out_len, int exit_status, int term_signal);

#endif
