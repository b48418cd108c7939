// SPDX-License-Identifier: MIT
// Evaluations of the policy, and whether they end the run.
//
// The evaluator has one request at a time; one more may wait, and a newer one
// replaces it. A request holds a reference to its policy, so the policy of that
// step is evaluated, however late.
#ifndef SPUR_MODELSERVER_CORE_EVALUATION_H
#define SPUR_MODELSERVER_CORE_EVALUATION_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/jobs.h"
#include "modelserver/core/outbox.h"
#include "modelserver/core/peers.h"
#include "modelserver/core/run_context.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "proto/wire.h"

struct eval_request {
    uint64_t id, env_steps;
    struct policy_version *policy; // NULL: no request
    bool is_first;                 // of a policy that was taken over, before it learns
};

struct evaluation {
    const struct run_context *run;
    struct outbox *outbox;
    const struct ms_jobs *jobs;
    struct counters *counters;
    struct peer *evaluator; // NULL: none yet
    struct eval_request current, waiting;
    uint64_t sent_ms; // since when the evaluator has the current one, or should; 0: new
    uint64_t last_id;
    uint64_t boundary;        // last one requested, in units of eval.every_steps
    bool first_due;           // of the policy that was taken over
    bool final_requested;     // the one at the end of the run
    uint64_t alone_ms;        // last time with an evaluator, or without anything to evaluate
    bool awaited;             // one is connected, or may soon be
    uint64_t budget_spent_ms; // since when only the final evaluation is missing; 0: not yet
    struct learning_curve_history history;
    uint32_t episodes_cut; // of the last report, at eval.steps_max
};

void evaluation_init(struct evaluation *e, const struct run_context *run, struct outbox *outbox,
                     const struct ms_jobs *jobs, struct counters *counters,
                     const struct learning_curve_history *history);

// An evaluator said Hello, or returned after silence.
void evaluation_hello(struct evaluation *e, struct peer *p);
void evaluation_returned(struct evaluation *e, struct peer *p);

struct evaluation_view {
    uint64_t steps;
    struct policy_version *policy; // newest; NULL: none yet
    bool step_is_complete;         // the newest policy has learnt from all stored steps
    bool budget_is_spent;          // of steps and updates
};
enum evaluation_verdict { EVALUATION_CONTINUE, EVALUATION_SOLVED, EVALUATION_BUDGET_SPENT };
// Requests the evaluations that are due. Whether the run ends, and why.
enum evaluation_verdict evaluation_advance(struct evaluation *e, uint64_t now_ms,
                                           const struct evaluation_view *view);
// Lockstep: steps wait at each multiple of eval.every_steps for the evaluation there, so that the
// learning curve does not depend on the clock. How many there may be at `steps`.
uint64_t evaluation_steps_max(const struct evaluation *e, uint64_t steps);
// Whether those due at so many steps, after which nothing else is to be done, are reported.
bool evaluation_is_settled(const struct evaluation *e, uint64_t steps);

// Whether the run has made its steps and waits for its last evaluation: why, in out.
bool evaluation_is_last(const struct evaluation *e, uint64_t now_ms, char *out, size_t out_len);

void evaluation_fill_request(const struct evaluation *e, struct wire_eval_request *out);
// figures: the row of the learning curve but for what the report says.
// A report of other episodes than were asked for is refused.
void evaluation_report(struct evaluation *e, const struct wire_eval_report *r,
                       const struct learning_curve_row *figures);

#endif
