// SPDX-License-Identifier: MIT
// A run directory: the files of one run, from which it can be resumed.
//
//   config.yaml   the resolved configuration; some keys may change when the run is resumed
//   checkpoint/config.yaml  the run's own record of it, which its processes read
//   log           log lines of all processes
//   lock          held by the active `spur run`
//   endpoints     addresses of the running processes
//   progress.csv  one row per evaluation (written by the model server)
//   and the daemons' files: store, checkpoints, policy.safetensors
#ifndef SPUR_CLI_RUN_RUNDIR_H
#define SPUR_CLI_RUN_RUNDIR_H

#include <limits.h>
#include <stdbool.h>

#include "cli/cli.h"

struct rundir {
    char path[PATH_MAX];
    char config_path[PATH_MAX], record_path[PATH_MAX];
    struct config config;
    struct config stored; // of a resumed run: before the changes of config.yaml and command line
    struct task task;     // borrows from config
    bool resumed;         // the directory already had a run
    char from[512];       // what a new run takes over from another one; "": nothing
    int lock_fd, log_fd;
};

// Resolves the source and the directory (NULL: runs/TASK-seedN), without writing anything. If the
// directory has a run, its configuration is used with the values of config.yaml and of the source
// for keys that may change (common/config/resume.h); other differences are refused. source->name
// may then be NULL. Returns 0, or an exit code after printing the error.
int rundir_find(struct rundir *r, const struct config_source *source, const char *path);

// Creates and locks the directory, writes config.yaml (new runs), opens the log and links
// runs/latest to it. Returns 0, or an exit code after printing the error.
int rundir_open(struct rundir *r);
// Prints, logs and stores the changes of a resumed run's configuration, in an open directory.
// Returns 0, or an exit code after printing the error.
int rundir_store_changes(const struct rundir *r);
void rundir_close(struct rundir *r);

// out = dir/name. Prints an error and returns false if the path is too long.
bool rundir_join(char out[PATH_MAX], const char *dir, const char *name);

#endif
