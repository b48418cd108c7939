// SPDX-License-Identifier: MIT
// The state of the learner's core, private to its three files: learner.c (life
// cycle, outgoing messages), experience.c (messages of the model server),
// requests.c (requests of other peers).
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
    X(states_unexpected)                                                                           \
    X(real_rows_repeated)                                                                          \
    X(model_capacity_clamped)                                                                      \
    X(messages_refused_format)                                                                     \
    X(messages_unexpected)                                                                         \
    X(policies_published)                                                                          \
    X(policy_requests)                                                                             \
    X(replies_dropped)

struct counters {
#define FIELD(name) uint64_t name;
    LEARNER_COUNTERS(FIELD)
#undef FIELD
};

enum stage {
    STAGE_RUNNING,
    STAGE_FINISHING, // the trainer finishes and saves
    STAGE_GOODBYE,   // saved: Goodbye is being sent
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

    // Submitted to the trainer in this connection.
    uint64_t conversation; // number of Welcomes so far
    uint64_t experience_seq, real_rows, model_rows, model_capacity, states;
    uint64_t ensemble;           // version of the newest; 0: none in this connection
    uint64_t experience_late_ms; // since when grants know of fewer messages than have arrived
    struct wire_grant grant;
    bool grant_pending; // the queue was full
    uint64_t checkpoints_requested, checkpoint_id, checkpoint_ms, checkpoint_updates;

    // Pending messages to the model server.
    bool policy_pending, progress_pending;
    uint64_t policy_sent_ms;                 // when the newest was sent last
    uint64_t progress_seq, progress_updates; // of the last Progress
    struct metrics_sum sum;                  // since the last Progress
    struct metrics mean;                     // of the last Progress with any
    struct rate update_rate;

    enum stage stage;
    bool finish_pending; // the queue was full
    uint64_t goodbye_ms;
    enum exit_code exit_code;
    bool again; // the process starts again from its checkpoint
};

// The reason for waiting; "" for none.
void core_waiting(const struct learner *l, uint64_t now_ms, char *out, size_t out_len);
// Sends the pending policy, then the pending Progress, while the session is up.
void core_send_pending(struct learner *l, uint64_t now_ms);
// Takes command. False: the queue was full, and command is destroyed.
bool core_submit(struct learner *l, struct trainer_command *command);
void core_submit_grant(struct learner *l);
void core_submit_checkpoint(struct learner *l, uint64_t now_ms);
// Leaves without further messages.
void core_leave(struct learner *l, enum exit_code code);

#endif
