// SPDX-License-Identifier: MIT
// The core's part of a checkpoint: how far trainings and rollouts are, and the
// counters.
#ifndef SPUR_MODELSERVER_STORAGE_STATE_H
#define SPUR_MODELSERVER_STORAGE_STATE_H

#include <stdint.h>

// Counters of refused, dropped and repeated things. Status shows zeros too. New ones are appended:
// checkpoints have the values in this order.
#define MS_COUNTERS(X)                                                                             \
    X(transitions_duplicate) /* stored before: acknowledged again */                               \
    X(transitions_gap)       /* arrived before a missing message */                                \
    X(transitions_deferred)  /* no free batch or no credit: the actor sends again */               \
    X(rows_refused_value)    /* acknowledged, not stored: not finite or out of range */            \
    X(store_errors)          /* batches that could not be stored */                                \
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
    X(sends_failed)           /* connection closed */                                              \
    X(model_rows_not_finite)  /* dropped predictions */                                            \
    X(model_rows_unconfirmed) /* rollout rows sent, but unconfirmed at the learner's next Hello */ \
    X(trainings_broken)       /* discarded trainings: weights not finite */                        \
    X(messages_ignored)       /* from unknown senders, and of a kind without answer */             \
    X(progress_stale)         /* of an earlier connection */                                       \
    X(policies_stale)         /* older than the newest */                                          \
    X(policies_rewound)       /* older, of a learner that resumed from an older checkpoint */      \
    X(eval_requests_replaced)                                                                      \
    X(eval_reports_stale)                                                                          \
    X(saves_failed)                                                                                \
    X(standstills)          /* reports that nothing in the run has moved for run.stuck_after_s */  \
    X(rows_refused_bound)   /* acknowledged, not stored: beyond the bounds of section data */      \
    X(eval_requests_resent) /* the request or its report was lost */                               \
    X(refused_key)          /* messages that the sender's key does not allow */                    \
    X(eval_reports_wrong)   /* with other episodes than were asked for */

enum ms_counter {
#define X(name) MS_##name,
    MS_COUNTERS(X)
#undef X
        MS_COUNTER_COUNT
};

// What the core restores after a restart, besides the store and the model. All
// fields are 64-bit words, which a checkpoint holds as plain numbers. In lockstep
// the fields up to rollout_rows depend on the seed alone.
struct ms_state {
    uint64_t trainings;     // that succeeded: the next one's number
    uint64_t trained_for;   // training point of the last; 0: none
    uint64_t rollout_steps; // rollouts for real steps up to here have reached the learner
    // The fill of D_model, in progress or complete.
    uint64_t filled, fill_number, fill_total, fill_done;
    uint64_t rollouts, rollout_rows; // totals
    // The following depend on the clock, also in lockstep.
    uint64_t wall_ms;       // time spent on the run
    uint64_t checkpoint_id; // last one requested of the learner
    uint64_t counters[MS_COUNTER_COUNT];
};

#endif
