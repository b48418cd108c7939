// SPDX-License-Identifier: MIT
// The inside of the learner's core, shared by the three files that are it:
// learner.c (its life, what it says), intake.c (what the model server says),
// answers.c (what anyone else asks). For nobody else.
#ifndef SPUR_LEARNER_CORE_H
#define SPUR_LEARNER_CORE_H

#include "common/base/stats.h"
#include "learner/learner.h"
#include "learner/policy_store.h"
#include "proto/session.h"

#define LEARNER_COUNTERS(X)                                                                        \
    X(experience_messages)                                                                         \
    X(experience_missing)                                                                          \
    X(experience_refused_shape)                                                                    \
    X(experience_refused_full)                                                                     \
    X(real_rows_repeated)                                                                          \
    X(model_capacity_clamped)                                                                      \
    X(messages_refused_format)                                                                     \
    X(messages_unexpected)                                                                         \
    X(policies_published)                                                                          \
    X(policies_asked_for)                                                                          \
    X(answers_dropped)

struct counters {
#define FIELD(name) uint64_t name;
    LEARNER_COUNTERS(FIELD)
#undef FIELD
};

enum stage {
    STAGE_RUNNING,
    STAGE_FINISHING, // told the trainer to finish, or still has to
    STAGE_GOODBYE,   // all is saved: say so
    STAGE_LEFT,
};

struct learner {
    struct learner_identity who;
    struct port port;
    struct learner_jobs jobs;
    struct session session;
    struct policy_store policies;
    struct trainer_report report;
    struct counters counters;
    uint64_t started_ms;

    // The conversation: what has been handed to the trainer.
    uint64_t conversation; // numbers the Welcomes
    uint64_t experience_seq, real_rows, model_rows, model_capacity;
    struct wire_grant grant;
    bool grant_pending; // its command did not fit in the queue yet
    uint64_t checkpoints_asked, checkpoint_id, checkpoint_ms, checkpoint_updates;

    // What is to be said.
    bool policy_due, progress_due;
    uint64_t progress_seq, progress_updates; // of the last Progress
    struct metrics_sum sum;                  // since then
    struct metrics mean;                     // of the last Progress that had any
    struct rate update_rate;

    enum stage stage;
    bool finish_pending; // the command did not fit in the queue yet
    uint64_t goodbye_ms;
    enum exit_code exit_code;
};

// For what nothing goes on; "" when it does.
void core_waiting(const struct learner *l, uint64_t now_ms, char *out, size_t out_len);
// Sends the policy, then Progress, as far as they are due and the server is there.
void core_say_what_is_due(struct learner *l, uint64_t now_ms);
// Takes command; false when the queue is full: it is then gone.
bool core_submit(struct learner *l, struct trainer_command *command);
void core_submit_grant(struct learner *l);
void core_submit_checkpoint(struct learner *l, uint64_t now_ms);
// The end: nothing more is said.
void core_leave(struct learner *l, enum exit_code code);

#endif
