// SPDX-License-Identifier: MIT
// The insides of the model server's core, shared by its files:
//
//   modelserver.c  life cycle, messages by kind, liveness, sending what is due
//   greeting.c     Hello
//   closing.c      saving, and the end of a run
//   ingest.c       actors: Hello, transitions into the store, credit
//   supply.c       learner: training, rollouts, experience, grants
//   evaluation.c   evaluations, and how the run ends
//   overview.c     status
#ifndef SPUR_MODELSERVER_CORE_CORE_H
#define SPUR_MODELSERVER_CORE_CORE_H

#include "modelserver/core/modelserver.h"
#include "modelserver/core/pacing.h"
#include "modelserver/core/peers.h"

#define MS_BATCHES 1024         // messages of actors on their way into the store
#define MS_POLICY_TIMES 1024    // publications remembered, for the age of a version
#define MS_BYE_LEARNER_MS 20000 // how long the end of a run waits for the learner's checkpoint
#define MS_BYE_OTHERS_MS 3000   // and for everybody else
#define MS_DRAIN_MS 2000        // and for rows on their way to the learner
#define MS_LAST_EVAL_MS 30000   // and for an evaluator to appear for the last evaluation

// An evaluation asked for, or on its way.
struct eval_request {
    uint64_t id, env_steps;
    struct policy_version *policy; // NULL: this place is empty
};

struct modelserver {
    struct config config;
    const struct task *task;
    uint64_t run_id, pid, started_ms;
    struct ms_port port;
    struct peers *peers;
    struct peer *owed[PEERS_MAX]; // peers to whom something is due
    int owed_count;
    struct pacing pacing;
    struct ms_state state;
    uint64_t wall_ms_before;          // spent before this process
    uint64_t now_ms, refusal_said_ms; // so that a log line is not said for every bad message
    struct learning_curve_history history;

    // Real steps.
    const struct store_columns *env;
    uint64_t steps;                   // S: rows stored
    uint64_t rows_pending;            // on their way into the store
    uint64_t steps_granted;           // the most that pacing ever allowed
    struct peer *actor_up[PEERS_MAX]; // actors that are up
    int actors_up;
    uint64_t credit_turn;        // who is served first, in turn
    struct store_batch *batches; // (MS_BATCHES), in use or among the free ones
    struct store_batch *free_batch[MS_BATCHES];
    int free_batches;
    struct rate steps_rate;
    char store_error[WIRE_STRING_MAX]; // of the last commit; empty: fine

    // Model.
    struct ensemble ensemble;
    struct model_slots models;
    struct model *model; // newest; NULL before the first training
    uint64_t model_ms;   // when it was ready
    struct ms_fit_job fit;
    bool fit_running;
    uint64_t fit_point; // training point of the one that runs

    // Learner.
    struct policy policy_shape;
    struct policy_slots policies;
    struct policy_version *policy; // newest; NULL: none yet
    struct peer *learner;          // NULL: none yet
    bool learner_fresh;            // its first policy may go back in version
    bool learner_seen;             // since this process began
    uint64_t learner_version;      // of its newest policy, as it says
    uint64_t updates;              // U
    struct wire_progress progress;
    struct wire_grant grant; // last one sent
    uint64_t policy_times[MS_POLICY_TIMES];
    struct rate updates_rate;

    // Rollouts. A batch is handed out block by block.
    struct experience_queue queue;
    struct rollout_block blocks[ROLLOUT_BLOCKS];
    bool block_used[ROLLOUT_BLOCKS];
    bool rollout_running;
    uint32_t block_rollouts; // in a block at most
    struct {
        bool is_fill;
        uint64_t number, total, asked, through_steps;
    } batch;
    uint64_t rollout_asked_steps; // rollouts up to here are asked for
    uint64_t fill_asked;
    struct rate rollout_rate;
    uint64_t rollouts_last, rollout_rows_last; // of the last block: mean length

    // Evaluations.
    struct peer *evaluator;
    struct eval_request eval_out, eval_waiting;
    uint64_t eval_next_id;
    uint64_t eval_marked;     // boundary, in units of eval.every_steps, that was asked for last
    bool eval_last_asked;     // the one at the end
    uint64_t budget_spent_ms; // since when only the last evaluation is missing; 0: not yet

    // Saving and the end.
    struct ms_save_job save;
    bool save_running, save_wanted, saved_last;
    uint64_t saved_ms;
    enum ms_phase phase;
    uint64_t stop_ms;
    bool shutdown_told, failed;
    struct wire_shutdown shutdown;

    struct wire_actor_status *actor_status; // for ms_status
};

void ms_count(struct modelserver *ms, enum ms_counter counter, uint64_t n);

// ---- modelserver.c ----

// Owes p these messages (enum pending bits); they leave at the next flush.
void ms_queue(struct modelserver *ms, struct peer *p, unsigned due);
// 0 when the message is gone; else it stays due.
int ms_send(struct modelserver *ms, struct peer *p, uint64_t now_ms, struct wire_msg *msg);
void ms_refuse(struct modelserver *ms, const struct net_peer *to, enum wire_refusal code,
               bool fatal, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
// Sends what is due to p, in order, as far as it goes.
void ms_flush(struct modelserver *ms, struct peer *p, uint64_t now_ms);
// p is not there any more: lost, or left.
void ms_peer_gone(struct modelserver *ms, struct peer *p, enum wire_peer_state state);
// Starts whatever has become possible. After every event.
void ms_advance(struct modelserver *ms, uint64_t now_ms);
uint64_t ms_wall_ms(const struct modelserver *ms, uint64_t now_ms);

// ---- greeting.c ----

void join_hello(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                const struct wire_hello *hello);

// ---- closing.c ----

void shutdown_save(struct modelserver *ms, uint64_t now_ms); // when it is due and possible
void shutdown_advance(struct modelserver *ms, uint64_t now_ms);

// ---- ingest.c ----

void ingest_hello(struct modelserver *ms, struct peer *p, bool begins);
void ingest_transitions(struct modelserver *ms, struct peer *p, const struct wire_transitions *t);
// A message with rows that cannot be taken: handled, so acknowledged, not stored.
void ingest_refused_rows(struct modelserver *ms, struct peer *p, uint64_t seq, uint32_t rows);
void ingest_drop_rows(struct store_batch *b); // those that it keeps
void ingest_gone(struct modelserver *ms, struct peer *p);
void ingest_back(struct modelserver *ms, struct peer *p);
void ingest_credit(struct modelserver *ms); // shares out what pacing allows
// How many real steps there may be now; why, unless NULL: what more wait for.
uint64_t ingest_steps_allowed(const struct modelserver *ms, char *why, size_t why_len);
void ingest_fill_welcome(const struct modelserver *ms, const struct peer *p,
                         struct wire_welcome *out);
void ingest_fill_credit(struct modelserver *ms, const struct peer *p, struct wire_credit *out);

// ---- supply.c ----

struct pacing_view learner_feed_view(const struct modelserver *ms);
uint64_t learner_feed_capacity(const struct modelserver *ms); // of D_model, in rows, now
bool learner_feed_learner_up(const struct modelserver *ms);
void learner_feed_hello(struct modelserver *ms, const struct wire_hello *hello, bool begins);
void learner_feed_policy(struct modelserver *ms, uint64_t now_ms, const struct wire_policy *policy);
void learner_feed_progress(struct modelserver *ms, uint64_t now_ms,
                           const struct wire_progress *progress);
void learner_feed_advance(struct modelserver *ms,
                          uint64_t now_ms); // training, rollouts, feed, grant
void learner_feed_fill_grant(struct modelserver *ms, struct wire_grant *out);
bool learner_feed_drained(const struct modelserver *ms); // nothing is on its way to the learner

// ---- evaluation.c ----

void evaluation_advance(struct modelserver *ms, uint64_t now_ms);
void evaluation_report(struct modelserver *ms, uint64_t now_ms, const struct wire_eval_report *r);
void evaluation_fill_request(const struct modelserver *ms, struct wire_eval_request *out);
// Lockstep: the next step waits for an evaluation, because it may end the run.
bool evaluation_holds_steps(const struct modelserver *ms);

#endif
