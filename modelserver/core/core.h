// SPDX-License-Identifier: MIT
// The whole state of the model server's core: one struct a subject, and the
// questions that concern several subjects.
//
// A subject (ingest, training, ...) changes its own struct only and returns what
// happened. The dispatcher (modelserver.c) calls the subjects; status_report.c
// reads them all.
#ifndef SPUR_MODELSERVER_CORE_CORE_H
#define SPUR_MODELSERVER_CORE_CORE_H

#include "modelserver/core/counters.h"
#include "modelserver/core/divergence.h"
#include "modelserver/core/evaluation.h"
#include "modelserver/core/ingest.h"
#include "modelserver/core/jobs.h"
#include "modelserver/core/learner_feed.h"
#include "modelserver/core/outbox.h"
#include "modelserver/core/rollouts.h"
#include "modelserver/core/run_context.h"
#include "modelserver/core/saving.h"
#include "modelserver/core/setup.h"
#include "modelserver/core/shutdown.h"
#include "modelserver/core/training.h"
#include "modelserver/core/watchdog.h"

// Lockstep: the pair of checkpoints, of learner and model server, from which the run has gone on.
struct pair {
    bool matches;      // the two are of one step
    bool starts_again; // the process is to start again from the one of learner_step
    uint64_t learner_step;
};

// Lockstep: the end of the run waits for a pair of checkpoints of its last step.
struct closing {
    bool begun, done;
    uint64_t begun_ms;
    char text[WIRE_STRING_MAX];
};

struct modelserver {
    struct run_context run;
    struct ms_jobs jobs;
    struct counters counters;
    struct peers *peers;
    uint64_t starts[STORE_ROLES]; // last incarnation handed out, by role
    struct outbox outbox;
    struct ingest ingest;
    struct training training;
    struct rollouts rollouts;
    struct learner_feed feed;
    struct evaluation evaluation;
    struct divergence divergence;
    struct saving saving;
    struct shutdown shutdown;
    struct watchdog watchdog;
    struct pair pair;
    struct closing closing;
    struct wire_actor_status *actor_status; // (PEERS_MAX), of the last status
};

// The parts point to each other: ms must not move.
void core_init(struct modelserver *ms, const struct ms_setup *setup, uint64_t now_ms);
void core_deinit(struct modelserver *ms);
uint64_t core_memory_bytes(const struct config *config, const struct task *task);

// The core's part of a checkpoint.
struct ms_state core_state(const struct modelserver *ms, uint64_t now_ms);

// Lockstep: all that the steps so far allow is done, and the learner has answered the last request
// for a checkpoint. The state of both is a function of seed and steps.
bool core_is_quiet(const struct modelserver *ms);

struct pacing_view core_pacing_view(const struct modelserver *ms);
// How many real steps there may be now; why, unless NULL: what more of them wait for.
uint64_t core_steps_allowed(const struct modelserver *ms, char *why, size_t why_len);
// The grant for the learner without its reason, and the reason.
struct wire_grant core_grant(const struct modelserver *ms);
void core_grant_reason(const struct modelserver *ms, char *why, size_t why_len);

#endif
