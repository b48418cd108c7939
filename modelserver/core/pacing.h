// SPDX-License-Identifier: MIT
// The limiter with two sides: how many policy updates the learner may have made
// in all, and how many real steps the actors.
//
// Without it a result depends on how fast each machine happens to be. Pure
// functions of a view of the run; docs/protocol.md, "Pacing", has the rules.
// Every answer comes with the sentence that says who waits for what.
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
};
struct pacing pacing_make(const struct config *config);

struct pacing_view {
    uint64_t steps;   // S, stored
    uint64_t updates; // U, as the learner last said
    // Steps whose rollouts are with the learner (counted from 0; E when only
    // the first fill is).
    uint64_t rollout_steps;
    bool has_model;          // a first model is trained
    bool ready;              // and D_model is filled from it
    bool has_policy;         // of the learner's newest version
    uint64_t training_point; // whose training is due or runs; 0: none
};

// The training point reached at S steps: E, E + F, ...; 0 before E.
uint64_t pacing_training_point(const struct pacing *p, uint64_t steps);
// Updates that S steps are worth: floor(G (S - E)), 0 before E.
uint64_t pacing_updates_due(const struct pacing *p, uint64_t steps);
// For S = steps_max.
uint64_t pacing_updates_total(const struct pacing *p);

// Totals. why, unless NULL, receives what one more would wait for.
uint64_t pacing_updates_allowed(const struct pacing *p, const struct pacing_view *v, char *why,
                                size_t why_len);
uint64_t pacing_steps_allowed(const struct pacing *p, const struct pacing_view *v, char *why,
                              size_t why_len);

#endif
