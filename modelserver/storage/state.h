// SPDX-License-Identifier: MIT
// The core's part of a checkpoint: how far trainings and rollouts are, and the
// counters.
#ifndef SPUR_MODELSERVER_STORAGE_STATE_H
#define SPUR_MODELSERVER_STORAGE_STATE_H

#include <stdint.h>

// Everything refused, dropped or repeated, by name. Zero ones are shown too.
#define MS_COUNTERS(X)                                                                             \
    X(transitions_duplicate) /* messages stored before, acknowledged again */                      \
    X(transitions_gap)       /* messages that came before one that is missing */                   \
    X(transitions_deferred)  /* no room or no leave for them now; to be sent again */              \
    X(rows_refused_value)    /* rows handled but not stored: not finite or out of range */         \
    X(store_errors)          /* batches that the store could not take */                           \
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
    X(sends_delayed)          /* sockets full: sent later */                                       \
    X(sends_failed)           /* the peer's connection was gone */                                 \
    X(model_rows_not_finite)  /* predictions dropped */                                            \
    X(model_rows_unconfirmed) /* rows of rollouts on their way when the learner said Hello */      \
    X(trainings_broken)       /* trainings thrown away: weights not finite */                      \
    X(messages_ignored)       /* of strangers, and with no answer to give */                       \
    X(progress_stale)         /* of a connection before */                                         \
    X(policies_stale)         /* versions that came too late */                                    \
    X(policies_rewound)       /* versions of a learner that went on from an older checkpoint */    \
    X(eval_requests_replaced)                                                                      \
    X(eval_reports_stale)                                                                          \
    X(saves_failed)

enum ms_counter {
#define X(name) MS_##name,
    MS_COUNTERS(X)
#undef X
        MS_COUNTER_COUNT
};

// What the core itself must find again after a restart, besides the store and
// the model. All words, so that a checkpoint holds them as plain numbers. Up to
// rollout_rows they follow from the seed alone in lockstep.
struct ms_state {
    uint64_t trainings;     // that ended well: the next one's number
    uint64_t trained_for;   // training point of the last; 0: none
    uint64_t rollout_steps; // rollouts for real steps up to here are with the learner
    // The fill of D_model that is under way or done.
    uint64_t filled, fill_number, fill_total, fill_done;
    uint64_t rollouts, rollout_rows; // totals
    // From here on it depends on the clock, also in lockstep.
    uint64_t wall_ms;       // time spent on the run
    uint64_t checkpoint_id; // asked of the learner last
    uint64_t counters[MS_COUNTER_COUNT];
};

#endif
