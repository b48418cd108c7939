// SPDX-License-Identifier: MIT
// The part shared by `spur eval` and `spur render`: the policy or other source of actions, the
// number of episodes and their start states.
#ifndef SPUR_CLI_PLAY_PLAYER_H
#define SPUR_CLI_PLAY_PLAYER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "actor/actions.h"
#include "cli/cli.h"
#include "common/task/task.h"
#include "proto/wire.h"

// Lines for --help. The options are --env 'v', --episodes 'n', --seed 's', --policy 'p',
// --stochastic 'a', --steps 't'.
#define PLAYER_HELP                                                                                \
    "  RUN_DIR         a run directory\n"                                                          \
    "  ENV             instead of it: a task, FILE.yaml, FILE.so, python:MODULE:FUNCTION or a\n"   \
    "                  command; with --policy random, zero or a file\n"                            \
    "  --policy WHICH  newest (default), or best of the run by its evaluations; a file "           \
    "(policy.safetensors),\n"                                                                      \
    "                  whose task makes RUN_DIR and ENV optional; random: uniform actions; "       \
    "zero:\n"                                                                                      \
    "                  actions of 0, the middle of their bounds\n"                                 \
    "  --stochastic    sample actions from the policy instead of tanh of its mean\n"               \
    "  --env ENV       your own environment, if it was moved since the run\n"

// The policy of a file, in the form of a message to the evaluator.
struct player_policy {
    const struct task *task;
    struct wire_policy policy; // borrows params
    float *params;
};

// Loads a policy and checks it against its task. own: the user's task, which the file may be for
// (borrowed); NULL: built-in tasks only. 0, or -1 with a message in err.
int player_policy_load(struct player_policy *p, const char *path, const struct task *own, char *err,
                       size_t err_len);
void player_policy_deinit(struct player_policy *p); // also if zeroed

struct player {
    const char *run_dir;   // NULL: none
    const char *task_name; // a task or configuration file in its place; NULL: none
    const char *policy;    // as given; NULL: newest
    const char *env;       // as given; NULL: the run's
    uint64_t episodes, seed;
    uint64_t steps_max; // of an episode; 0: eval.steps_max
    bool has_episodes, has_seed, stochastic;
    enum actions actions;

    struct config config;       // of the run, or the defaults
    struct task task;           // of the run, or of --env; borrows from config
    char path[PATH_MAX];        // of the policy's file
    struct player_policy saved; // no policy, only its task, if the actions need none
};

// Parses one of these options from optarg. False if it is another option or invalid,
// in which case an error was printed.
bool player_option(struct player *p, int option, char **argv);
// Parses the remaining arguments, fills in missing values from the run directory, and
// loads the policy. 0, or an exit code after printing an error.
int player_load(struct player *p, int argc, char **argv);
void player_deinit(struct player *p); // also if zeroed

#endif
