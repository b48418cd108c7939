// SPDX-License-Identifier: MIT
// The model server's core: who is there, what is stored, what is due, and who
// waits for whom.
//
// No socket, clock or thread is in here. Messages, the passing of time and the
// results of jobs come in by the ms_on_ functions; messages go out and jobs are
// started by the port. All of it runs on one thread. After every event the core
// looks at the whole state and starts what has become possible, so no order of
// events can leave it waiting for one that has passed.
//
// Jobs run elsewhere, one of a kind at a time (stores: any number, done in
// their order): the core starts one by a hook and learns its result by the
// ms_on_ function of the same name.
#ifndef SPUR_MODELSERVER_CORE_MODELSERVER_H
#define SPUR_MODELSERVER_CORE_MODELSERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/io/net.h"
#include "common/task/task.h"
#include "modelserver/core/experience_queue.h"
#include "modelserver/model/fit.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "modelserver/storage/store.h"
#include "proto/port.h"
#include "proto/wire.h"

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

struct ms_fit_job {
    struct model *out;
    uint64_t rows, number;
    enum fit_result result; // the answer
};

struct ms_save_job {
    struct ms_state state;
    const struct model *model; // NULL before the first training
    bool failed;               // the answer
};

// One evaluation for the record; policy is given when it is the best so far.
struct ms_evaluation {
    struct learning_curve_row row;
    const struct policy_version *best; // valid during the call; NULL: not the best
};

// Starts work that runs elsewhere; its result returns by the ms_on_ function of the same name.
struct ms_jobs {
    void *arg;
    void (*store)(void *arg, struct store_batch *batch);
    void (*fit)(void *arg, struct ms_fit_job *job);
    void (*rollout)(void *arg, struct rollout_block *block);
    void (*save)(void *arg, struct ms_save_job *job);
    void (*evaluated)(void *arg, const struct ms_evaluation *evaluation);
};

struct ms_setup {
    const struct config *config; // copied
    const struct task *task;
    uint64_t run_id, pid;
    struct port port;
    struct ms_jobs jobs;
    const struct store_columns *env;  // borrowed
    uint64_t env_rows;                // stored already
    const struct store_actor *actors; // known already, by index; copied
    uint64_t actor_count;
    struct learning_curve_history history;
    const struct ms_state *state; // of the checkpoint; NULL: none
    const struct model *model;    // of the checkpoint, copied; NULL: none
};

struct modelserver;
struct modelserver *ms_create(const struct ms_setup *setup, uint64_t now_ms);
void ms_destroy(struct modelserver **ms);
uint64_t ms_memory_bytes(const struct config *config, const struct task *task);

// What the networks look like, from the configuration.
struct ensemble ms_ensemble(const struct config *config, const struct task *task);
struct policy ms_policy(const struct config *config, const struct task *task);

void ms_on_message(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                   const struct wire_msg *msg);
// A message that wire_unpack refused, with its code and sentence. msg holds what
// could be read of it.
void ms_on_unparsable(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                      enum wire_refusal code, const char *text, const struct wire_msg *msg);
void ms_on_tick(struct modelserver *ms, uint64_t now_ms); // every 20 to 100 ms

void ms_on_stored(struct modelserver *ms, uint64_t now_ms, struct store_batch *batch,
                  const char *err);
void ms_on_fit(struct modelserver *ms, uint64_t now_ms, struct ms_fit_job *job);
void ms_on_rollout(struct modelserver *ms, uint64_t now_ms, struct rollout_block *block);
void ms_on_save(struct modelserver *ms, uint64_t now_ms, struct ms_save_job *job);

// Begins to end the run: no new work is started, peers are told, what they
// still have is taken in. done false: only stopped, to be resumed.
void ms_stop(struct modelserver *ms, uint64_t now_ms, bool done, const char *text);
enum ms_phase {
    MS_RUNNING,
    MS_STOPPING,
    MS_STOPPED, // peers have gone or had their time, jobs are back, the state is saved
};
enum ms_phase ms_phase(const struct modelserver *ms);
bool ms_failed(const struct modelserver *ms);          // stopped because the run cannot go on
const char *ms_end_text(const struct modelserver *ms); // why it stopped

// The whole system. Pointers in out are valid until the next call.
void ms_status(struct modelserver *ms, uint64_t now_ms, struct wire_status *out);

#endif
