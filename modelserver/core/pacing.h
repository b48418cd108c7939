// SPDX-License-Identifier: MIT
// The ratio of policy updates to real steps, after a warm start of W updates: bounds on the total
// number of updates of the learner and of real steps of the actors.
//
// Without these bounds a result depends on the relative speed of the machines.
// In free mode actors are not bounded, and the learner makes at most the updates due.
// Pure functions of a view of the run; docs/protocol.md, "Pacing", has the rules.
// Each bound comes with the reason for waiting, as text.
#ifndef SPUR_MODELSERVER_CORE_PACING_H
#define SPUR_MODELSERVER_CORE_PACING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

struct pacing {
    enum pacing_mode mode;
    double updates_per_step; // G
    uint64_t explore;        // E
    uint64_t steps_max;      // of the run
    uint64_t slack;          // ratio, in steps; at least 1 / G
    uint64_t train_every;    // F
    bool waits;              // acting and learning wait for trainings
    bool phases;             // and they take turns
    uint64_t warm_start;     // W, updates due at the end of exploration
};
struct pacing pacing_make(const struct config *config);

struct pacing_view {
    uint64_t steps;   // S, stored
    uint64_t updates; // U, as the learner last reported
    // Steps whose rollouts have reached the learner (counted from 0; E when only
    // the first fill has).
    uint64_t rollout_steps;
    // Updates whose distribution rollouts have reached the learner; 0: none are needed.
    uint64_t updates_supplied;
    bool has_model;          // a first model is trained
    bool ready;              // and D_model is filled by its rollouts
    bool has_policy;         // the learner's newest policy has arrived
    uint64_t training_point; // with a training due or running; 0: none
};

// The training point reached at S steps: E, E + F, ...; 0 before E.
uint64_t pacing_training_point(const struct pacing *p, uint64_t steps);
// Updates due for S steps: W + floor(G (S - E)), 0 before E.
uint64_t pacing_updates_due(const struct pacing *p, uint64_t steps);
// For S = steps_max.
uint64_t pacing_updates_total(const struct pacing *p);
// Steps after exploration that so many updates are due for.
double pacing_steps_of(const struct pacing *p, uint64_t updates);

// Bounds on totals. why, unless NULL, receives the reason why one more must wait.
uint64_t pacing_updates_allowed(const struct pacing *p, const struct pacing_view *v, char *why,
                                size_t why_len);
uint64_t pacing_steps_allowed(const struct pacing *p, const struct pacing_view *v, char *why,
                              size_t why_len);

#endif
