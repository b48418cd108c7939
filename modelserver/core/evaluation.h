// SPDX-License-Identifier: MIT
// Evaluations of the policy: the evaluator, the requests, and the results so far.
#ifndef SPUR_MODELSERVER_CORE_EVALUATION_H
#define SPUR_MODELSERVER_CORE_EVALUATION_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/peers.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"

// A requested evaluation.
struct eval_request {
    uint64_t id, env_steps;
    struct policy_version *policy; // NULL: no request
};

struct evaluation {
    struct peer *evaluator; // NULL: none yet
    struct eval_request current, waiting;
    uint64_t last_id;
    uint64_t boundary;        // last one evaluated, in units of eval.every_steps
    bool final_requested;     // the one at the end of the run
    uint64_t budget_spent_ms; // since when only the final evaluation is missing; 0: not yet
    struct learning_curve_history history;
};

#endif
