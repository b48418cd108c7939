// SPDX-License-Identifier: MIT
// The trainer: replay buffers, updates by the configured method, checkpoints.
//
// It owns the copy of D_env, D_model and the method's state. It executes commands in
// order of arrival and makes one update per call. It has no thread, socket or
// clock: the worker's thread runs it, tests call it, and in lockstep its state is a
// function of its commands. The method (methods/method.h) decides which rows an
// update samples and what it computes.
//
// A checkpoint is copied in the trainer and may be written elsewhere: with `writes_later` the
// copy is handed out by trainer_take_copy, and trainer_written reports its end.
//
// Losses or weights that are not finite stop it with an error; the last good
// checkpoint is kept.
#ifndef SPUR_LEARNER_TRAINER_H
#define SPUR_LEARNER_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/task/task.h"
#include "learner/checkpoint.h"
#include "learner/methods/method.h"
#include "learner/replay.h"
#include "proto/wire.h"

#define TRAINER_TEXT_MAX 512

enum trainer_command_kind {
    TRAINER_EXPERIENCE, // rows for D_env or D_model
    TRAINER_MODEL,      // the newest ensemble
    TRAINER_STATES,     // the states of a distribution rollout
    TRAINER_GRANT,      // total of updates, and D_model's capacity
    TRAINER_WRITTEN,    // nothing: wakes the thread (worker.h)
    TRAINER_CHECKPOINT, // write one
    TRAINER_FINISH,     // write the last one; no commands follow
};

struct trainer_command {
    enum trainer_command_kind kind;
    uint64_t session, seq;   // EXPERIENCE, MODEL, STATES: connection and message number
    bool model;              // EXPERIENCE: rows of D_model
    struct replay_rows rows; // EXPERIENCE: in kept, except `terminated`
    struct wire_kept *kept;
    struct wire_model ensemble; // MODEL: numbers in memory
    struct wire_states states;  // STATES: likewise
    float *memory;
    uint64_t updates_allowed, model_capacity; // GRANT
    uint64_t step;                            // CHECKPOINT: in lockstep, of real steps
    uint8_t terminated[];                     // EXPERIENCE: (rows)
};

// The caller destroys it or gives it to the trainer.
struct trainer_command *trainer_command_create(enum trainer_command_kind kind);
// Experience: the rows of a message after the first `skip`, kept by wire_keep.
struct trainer_command *trainer_command_experience(const struct wire_rows *rows, uint32_t skip);
// Copies of messages; the form is that of the configuration.
struct trainer_command *trainer_command_model(const struct wire_model *model);
struct trainer_command *trainer_command_states(const struct wire_states *states);
void trainer_command_destroy(struct trainer_command **command);

// State of the trainer; plain data, copied to the loop thread.
struct trainer_report {
    uint64_t session, experience_seq; // last message added to the buffers
    uint64_t updates, updates_allowed, policy_version;
    uint64_t real_rows, model_rows, model_capacity;
    uint64_t states;        // distribution rollouts received
    struct metrics_sum sum; // since the figures were last taken
    uint64_t checkpoints, checkpoint_failures;
    uint64_t checkpoint_step;    // lockstep: step of the one on the disk; 0: none
    bool idle;                   // no update is possible now
    bool saved;                  // the last requested checkpoint was written
    bool finished;               // after TRAINER_FINISH
    bool failed;                 // stopped: losses or weights are not finite
    bool replaced;               // another start has taken over the files of the run
    char text[TRAINER_TEXT_MAX]; // the last failure, of updates or of a checkpoint
};

struct trainer {
    struct config config; // a copy
    const struct task *task;
    char run_dir[CONFIG_STRING_MAX * 4];
    char staging[PATH_MAX]; // the folder of this start, for checkpoints
    const struct method *method;
    void *agent; // the method's state
    bool has_model_rows, has_states;
    struct replay d_env, d_model; // copy of D_env; D_model, zero if the method needs none
    struct states d_states;       // these two likewise
    struct dynamics dynamics;
    uint64_t updates;             // total
    uint64_t publish_every;       // updates between publications
    float *published;             // the policy of the last one
    uint64_t published_updates;   // made by then
    bool writes_later;            // TRAINER_CHECKPOINT hands out a copy, unless it has D_model
    struct checkpoint_copy *copy; // handed out next; NULL: none
    uint64_t saving_step;         // lockstep: of the one that is being written
    struct trainer_report report;
};

// The largest capacity of D_model during the run, in rows; 0 if the method needs none.
uint64_t trainer_model_rows_max(const struct config *config);
// Bytes of D_env's copy, of D_model at its largest or D_states, and of networks with moments and
// scratch. The copy of a checkpoint is not included: it lives for the time of its writing.
void trainer_memory(uint64_t *real, uint64_t *model, uint64_t *networks,
                    const struct config *config, const struct task *task);

// Resumes from the checkpoint in run_dir; without one, starts with policy version 1. An earlier
// start of a learner, should it still run, can write no more checkpoints there.
// NULL with a sentence in err.
struct trainer *trainer_create(const struct config *config, const struct task *task,
                               const char *run_dir, char *err, size_t err_len);
void trainer_destroy(struct trainer **t);

// Takes command.
void trainer_handle(struct trainer *t, struct trainer_command *command);
// Whether an update is granted and there are rows.
bool trainer_can_update(const struct trainer *t);
// One update. True when it published a policy: t->published, under report.policy_version.
bool trainer_update(struct trainer *t);

struct method_policy trainer_policy(const struct trainer *t);

// The copy that the last command left to be written (checkpoint.h). NULL: none. Gives.
struct checkpoint_copy *trainer_take_copy(struct trainer *t);
// It was written, or could not be: why, else NULL.
void trainer_written(struct trainer *t, const char *why);

#endif
