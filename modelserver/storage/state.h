// SPDX-License-Identifier: MIT
// The core's state in a checkpoint: progress of trainings and rollouts, and the counters.
#ifndef SPUR_MODELSERVER_STORAGE_STATE_H
#define SPUR_MODELSERVER_STORAGE_STATE_H

#include <stdint.h>

// Counters of refused, dropped and repeated events, by the names that status prints.
#define MS_COUNTERS(X)                                                                             \
    X(transitions_duplicate) /* messages already stored; acknowledged again */                     \
    X(transitions_gap)       /* messages that arrived before a missing one */                      \
    X(transitions_deferred)  /* messages beyond credit or queue space; the actor resends them */   \
    X(rows_refused_value)    /* rows acknowledged but not stored: not finite or out of range */    \
    X(store_errors)          /* batches that the store failed to write */                          \
    X(refused_schema)                                                                              \
    X(refused_run)                                                                                 \
    X(refused_task)                                                                                \
    X(refused_fenced)                                                                              \
    X(refused_unknown)                                                                             \
    X(refused_value)                                                                               \
    X(refused_full)                                                                                \
    X(refused_mode)                                                                                \
    X(refused_format)                                                                              \
    X(refusals_received)                                                                           \
    X(peers_lost)                                                                                  \
    X(peers_returned)                                                                              \
    X(sends_delayed)          /* socket full: sent later */                                        \
    X(sends_failed)           /* peer disconnected */                                              \
    X(model_rows_not_finite)  /* predictions dropped */                                            \
    X(model_rows_unconfirmed) /* rollout rows in flight when the learner reconnected */            \
    X(trainings_broken)       /* trainings discarded: weights not finite */                        \
    X(messages_ignored)       /* from unknown peers, or that need no answer */                     \
    X(progress_stale)         /* from an earlier connection */                                     \
    X(policies_stale)         /* older than the newest version */                                  \
    X(policies_rewound)       /* from a learner that resumed from an older checkpoint */           \
    X(eval_requests_replaced)                                                                      \
    X(eval_reports_stale)                                                                          \
    X(saves_failed)

enum ms_counter {
#define X(name) MS_##name,
    MS_COUNTERS(X)
#undef X
        MS_COUNTER_COUNT
};

// State that a restarted core needs besides the store and the model. All members are uint64_t: a
// checkpoint stores them as one tensor. In lockstep, those up to rollout_rows depend on the seed
// only.
struct ms_state {
    uint64_t trainings;     // successful ones: the number of the next
    uint64_t trained_for;   // training point of the last; 0: none
    uint64_t rollout_steps; // the learner has the rollouts for real steps up to here
    // Current or last fill of D_model.
    uint64_t filled, fill_number, fill_total, fill_done;
    uint64_t rollouts, rollout_rows; // totals
    // These depend on the clock, also in lockstep.
    uint64_t wall_ms;       // time spent on the run
    uint64_t checkpoint_id; // last one requested of the learner
    uint64_t counters[MS_COUNTER_COUNT];
};

#endif
