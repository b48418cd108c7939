// SPDX-License-Identifier: MIT
// The insides of the model server's core, shared by its files:
//
//   modelserver.c  life cycle, messages by kind, liveness, sending what is due
//   join.c     Hello
//   training.c     trainings of the model
//   rollouts.c     rollouts of the model
//   saving.c       checkpoints
//   shutdown.c     the end of a run
//   ingest.c       actors: Hello, transitions into the store, credit
//   learner_feed.c       learner: experience, policies, grants
//   evaluation.c   evaluations, and how the run ends
//   status_report.c     status
#ifndef SPUR_MODELSERVER_CORE_CORE_H
#define SPUR_MODELSERVER_CORE_CORE_H

#include "modelserver/core/evaluation.h"
#include "modelserver/core/ingest.h"
#include "modelserver/core/learner_feed.h"
#include "modelserver/core/modelserver.h"
#include "modelserver/core/outbox.h"
#include "modelserver/core/rollouts.h"
#include "modelserver/core/run_context.h"
#include "modelserver/core/saving.h"
#include "modelserver/core/shutdown.h"
#include "modelserver/core/training.h"

#define MS_BYE_LEARNER_MS 20000 // how long the end of a run waits for the learner's checkpoint
#define MS_BYE_OTHERS_MS 3000   // and for everybody else
#define MS_DRAIN_MS 2000        // and for rows on their way to the learner
#define MS_LAST_EVAL_MS 30000   // and for an evaluator to appear for the last evaluation

struct status_report {
    struct wire_actor_status *actors; // (PEERS_MAX)
};

struct counters {
    uint64_t n[MS_COUNTER_COUNT];
};

struct modelserver {
    struct run_context run;
    struct port port;
    struct ms_jobs jobs;
    struct peers *peers;
    struct outbox outbox;
    struct counters counters;
    struct ingest ingest;
    struct training training;
    struct rollouts rollouts;
    struct learner_feed feed;
    struct evaluation evaluation;
    struct saving saving;
    struct shutdown shutdown;
    struct status_report status;
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
// What a checkpoint holds of the core.
struct ms_state ms_state(const struct modelserver *ms);

// ---- join.c ----

void join_hello(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                const struct wire_hello *hello);

// ---- training.c ----

bool training_is_due(const struct modelserver *ms);
void training_start(struct modelserver *ms);

// ---- rollouts.c ----

// D_model is empty: the fill begins again.
void rollouts_empty_fill(struct modelserver *ms);
void rollouts_start(struct modelserver *ms);
// All rows of b are with the learner.
void rollouts_block_done(struct modelserver *ms, struct rollout_block *b);

// ---- saving.c ----

void saving_advance(struct modelserver *ms, uint64_t now_ms); // when it is due and possible

// ---- shutdown.c ----

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

// ---- learner_feed.c ----

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
