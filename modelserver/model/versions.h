// SPDX-License-Identifier: MIT
// Reference-counted versions of the model and of the policy: the newest, those of
// rollouts in progress, the one being evaluated.
//
// Each kind has a fixed number of slots, allocated at start-up: VERSION_SLOTS, and `more` for older
// versions that are kept. A slot is written
// once, after model_take or policy_take, and is free again when its count drops to
// zero. Only the loop thread changes counts: it takes a reference before a job
// starts and drops it when the job is done.
#ifndef SPUR_MODELSERVER_MODEL_VERSIONS_H
#define SPUR_MODELSERVER_MODEL_VERSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/nn/ensemble.h"
#include "common/nn/policy.h"
#include "common/nn/termination.h"
#include "common/task/task.h"

#define VERSION_SLOTS 6

// A trained ensemble.
struct model {
    int refs;
    uint64_t version;  // 1, 2, ...: successful trainings
    uint64_t env_rows; // rows of D_env at the training, held-out ones included
    uint64_t outliers; // rows among them that were left out, far from all others
    uint64_t epochs;
    float *params;      // ensemble_params()
    float *normalizer;  // ensemble_normalizer_floats(): of inputs and targets
    float *termination; // termination_params(); NULL where there are no heads
    size_t params_len, normalizer_len, termination_len; // floats of these
    int members, elites;
    int elite[ENSEMBLE_MEMBERS_MAX];         // best first
    float holdout_mse[ENSEMBLE_MEMBERS_MAX]; // of each member's best weights
    struct termination_score termination_score[ENSEMBLE_MEMBERS_MAX]; // likewise
};

struct model_slots {
    size_t params, normalizer, termination; // floats
    int count;
    struct model *slot; // (count)
};
void model_slots_init(struct model_slots *s, const struct ensemble *e,
                      enum task_termination termination, int more);
void model_slots_deinit(struct model_slots *s);
// A free slot with one reference. There is always one: see versions.c.
struct model *model_take(struct model_slots *s);
struct model *model_ref(struct model *m);
void model_drop(struct model **m); // sets NULL; accepts NULL
// Means over the elites.
double model_holdout_mse(const struct model *m);
struct termination_score model_termination_score(const struct model *m);

// Shapes of the networks, from the configuration.
struct ensemble ms_ensemble(const struct config *config, const struct task *task);
struct policy ms_policy(const struct config *config, const struct task *task);
// The termination heads of an ensemble: one per member if termination is learnt, else none.
struct termination model_heads(const struct ensemble *e, enum task_termination termination);

struct policy_version {
    int refs;
    uint64_t version, updates;
    float *params;
};

struct policy_slots {
    size_t params;
    int count;
    struct policy_version *slot; // (count)
};
void policy_slots_init(struct policy_slots *s, const struct policy *p, int more);
void policy_slots_deinit(struct policy_slots *s);
struct policy_version *policy_take(struct policy_slots *s);
struct policy_version *policy_ref(struct policy_version *p);
void policy_drop(struct policy_version **p);

#endif
