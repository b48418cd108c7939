// SPDX-License-Identifier: MIT
// Versions of the model and of the policy that several parts hold at once: the
// newest, the one behind a rollout under way, the one being evaluated.
//
// Each kind has a few slots, allocated at start-up. A slot is written once,
// between take and the first ref by others, and is free again when its count
// falls to zero. Counts belong to the loop thread: it takes a reference before
// it hands a snapshot to a worker, and drops it when the worker's answer is in.
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
    uint64_t version;  // 1, 2, ...: trainings that ended well
    uint64_t env_rows; // rows of D_env that it was trained on, held out ones included
    uint64_t epochs;
    float *params;      // ensemble_params()
    float *normalizer;  // of the inputs
    float *termination; // termination_params(); NULL where there are no heads
    int members, elites;
    int elite[ENSEMBLE_MEMBERS_MAX];         // best first
    float holdout_mse[ENSEMBLE_MEMBERS_MAX]; // of each member's restored weights
    struct termination_score termination_score[ENSEMBLE_MEMBERS_MAX]; // likewise, held out rows
};

struct model_slots {
    size_t params, normalizer, termination; // floats
    struct model slot[VERSION_SLOTS];
};
void model_slots_init(struct model_slots *s, const struct ensemble *e,
                      enum task_termination termination);
void model_slots_deinit(struct model_slots *s);
// A free slot with one reference. There always is one: see VERSION_SLOTS.
struct model *model_take(struct model_slots *s);
struct model *model_ref(struct model *m);
void model_drop(struct model **m); // sets NULL; NULL is fine
// Means over the elites.
double model_holdout_mse(const struct model *m);
struct termination_score model_termination_score(const struct model *m);

// Shapes of the networks, from the configuration.
struct ensemble ms_ensemble(const struct config *config, const struct task *task);
struct policy ms_policy(const struct config *config, const struct task *task);
// The heads beside an ensemble: one a member where termination is learnt, else none.
struct termination model_heads(const struct ensemble *e, enum task_termination termination);

struct policy_version {
    int refs;
    uint64_t version, updates;
    float *params;
};

struct policy_slots {
    size_t params;
    struct policy_version slot[VERSION_SLOTS];
};
void policy_slots_init(struct policy_slots *s, const struct policy *p);
void policy_slots_deinit(struct policy_slots *s);
struct policy_version *policy_take(struct policy_slots *s);
struct policy_version *policy_ref(struct policy_version *p);
void policy_drop(struct policy_version **p);

#endif
