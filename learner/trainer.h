// SPDX-License-Identifier: MIT
// The learner's work: experience in, updates made, policies out.
//
// A trainer holds the copy of D_env, D_model and the method's state. It is handed
// commands in the order of their arrival and asked for one update at a time.
// It has no thread, socket or clock: the worker runs it beside the loop, tests
// run it by hand, and in lockstep its state is a function of its commands.
//
// What an update does and which rows it draws is the method's (methods/method.h).
//
// It refuses to go on from losses or weights that are not finite: it stops
// with a sentence and leaves the last good checkpoint alone.
#ifndef SPUR_LEARNER_TRAINER_H
#define SPUR_LEARNER_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/task/task.h"
#include "learner/methods/method.h"
#include "learner/replay.h"
#include "proto/wire.h"

#define TRAINER_TEXT_MAX 512

enum trainer_command_kind {
    TRAINER_EXPERIENCE, // rows for D_env or D_model
    TRAINER_GRANT,      // how many updates in all, and D_model's capacity
    TRAINER_CHECKPOINT, // write one
    TRAINER_FINISH,     // write the last one; no more commands come
};

struct trainer_command {
    enum trainer_command_kind kind;
    uint64_t session, seq;   // EXPERIENCE: which connection's numbering, and the number
    bool model;              // EXPERIENCE: rows of D_model
    struct replay_rows rows; // EXPERIENCE: in kept's memory, but for `terminated`
    struct wire_kept *kept;
    uint64_t updates_allowed, model_capacity; // GRANT
    uint8_t terminated[];                     // EXPERIENCE: (rows)
};

// Caller destroys it, or gives it to the trainer.
struct trainer_command *trainer_command_create(enum trainer_command_kind kind);
// Experience: the rows of a message but for the first `skip`, kept beyond its time (wire_keep).
struct trainer_command *trainer_command_experience(const struct wire_rows *rows, uint32_t skip);
void trainer_command_destroy(struct trainer_command **command);

// Where the trainer stands; plain data, copied to the loop thread.
struct trainer_report {
    uint64_t session, experience_seq; // taken in up to here
    uint64_t updates, updates_allowed, policy_version;
    uint64_t real_rows, model_rows, model_capacity;
    struct metrics_sum sum; // since the figures were last taken
    uint64_t checkpoints, checkpoint_failures;
    bool idle;                   // can make no update now
    bool saved;                  // the last checkpoint that was asked for was written
    bool finished;               // after TRAINER_FINISH
    bool failed;                 // stopped by numbers that are not finite
    char text[TRAINER_TEXT_MAX]; // the last failure, of updates or of a checkpoint
};

struct trainer {
    struct config config; // a copy
    const struct task *task;
    char run_dir[CONFIG_STRING_MAX * 4];
    const struct method *method;
    void *agent; // the method's state
    bool has_model_rows;
    struct replay d_env, d_model; // D_env's copy; D_model, zeroed where the method needs none
    uint64_t updates;             // made in all
    uint64_t publish_every;       // updates between publications
    struct trainer_report report;
};

// D_model's largest capacity over the whole run, in rows; 0 where the method needs none.
uint64_t trainer_model_rows_max(const struct config *config);
// Bytes that D_env's copy, D_model at its largest, and networks with moments
// and scratch will take.
void trainer_memory(uint64_t *real, uint64_t *model, uint64_t *networks,
                    const struct config *config, const struct task *task);

// Goes on from run_dir's checkpoint if there is one, else starts anew with
// policy version 1. NULL with a sentence in err.
struct trainer *trainer_create(const struct config *config, const struct task *task,
                               const char *run_dir, char *err, size_t err_len);
void trainer_destroy(struct trainer **t);

// Takes command.
void trainer_handle(struct trainer *t, struct trainer_command *command);
// Whether an update is granted, and there are rows for it.
bool trainer_can_update(const struct trainer *t);
// One update. True when it published a policy: trainer_policy, under report.policy_version.
bool trainer_update(struct trainer *t);

struct method_policy trainer_policy(const struct trainer *t);

#endif
