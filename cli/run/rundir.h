// SPDX-License-Identifier: MIT
// A run directory: what one run leaves behind and is taken up again from.
//
//   config.yaml   the resolved configuration; a run keeps it for life
//   log           lines of all its processes
//   lock          held by the `spur run` that is at work on it
//   endpoints     where its processes listen, while they do
//   progress.csv  one row an evaluation (written by the model server)
//   and what the daemons keep: the store, checkpoints, policy.safetensors
#ifndef SPUR_CLI_RUN_RUNDIR_H
#define SPUR_CLI_RUN_RUNDIR_H

#include <limits.h>
#include <stdbool.h>

#include "cli/cli.h"

struct rundir {
    char path[PATH_MAX];
    char config_path[PATH_MAX];
    struct config config;
    struct task task; // borrows from config
    bool resumed;     // it held a run already
    int lock_fd, log_fd;
};

// Looks, without touching anything: resolves the source and the directory (NULL:
// runs/TASK-seedN). If a run is there, its configuration is taken, and anything
// in the source that differs from it is refused, but for run.actors and
// run.envs_per_actor, which may change. source->name may be NULL if the directory
// holds a run. 0, or an exit code, told to the user.
int rundir_find(struct rundir *r, const struct config_source *source, const char *path);

// Makes it, locks it, writes config.yaml (new runs), opens the log and points
// runs/latest at it. 0, or an exit code, told to the user.
int rundir_open(struct rundir *r);
void rundir_close(struct rundir *r);

// dir/name into out; too long a path is told to the user.
bool rundir_join(char out[PATH_MAX], const char *dir, const char *name);

#endif
