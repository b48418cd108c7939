// SPDX-License-Identifier: MIT
// Episodes with a policy or without one (actions.h), several in parallel.
//
// Lanes step together, with one batch for the policy. A lane whose episode has ended begins
// the next one. Start states are drawn from RNG_EVAL_RESET at the episode's number, so every
// evaluation of a seed has the same start states. Used by the evaluator and `spur eval`.
#ifndef SPUR_ACTOR_EVALUATION_H
#define SPUR_ACTOR_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/actions.h"
#include "actor/env/env.h"
#include "common/task/task.h"
#include "proto/wire.h"

#define EVALUATION_LANES_MAX 16

struct evaluation;

// Number of environments that an evaluation of the task steps together: more make larger batches
// for the policy. One for an environment in another process: the waits are sequential, and each
// process costs its start and the memory of an interpreter.
int evaluation_lanes(const struct task *task);

// Creates the environments of one task. Borrows wait (env.h), which may be NULL. NULL with
// the reason in err.
struct evaluation *evaluation_create(const struct task *task, const struct env_wait *wait,
                                     char *err, size_t err_len);
void evaluation_destroy(struct evaluation **e);

struct evaluation_plan {
    uint64_t seed;
    uint32_t episodes;  // 1 .. WIRE_EPISODES_MAX
    uint64_t steps_max; // an episode is cut after that many steps; 0: never
    double discount;    // for evaluation_discounted
    enum actions actions;
    const struct wire_policy *policy; // copied; NULL if the actions need none
};
// Begins an evaluation. 0, or -1 with the reason in err if the policy does not fit the task.
int evaluation_begin(struct evaluation *e, const struct evaluation_plan *plan, char *err,
                     size_t err_len);
// One step of every lane. False when all episodes have ended.
bool evaluation_step(struct evaluation *e);

// (episodes), complete when evaluation_step has returned false.
const double *evaluation_returns(const struct evaluation *e);
const double *evaluation_lengths(const struct evaluation *e);
// Sums of discount^t r_t over t = 0, 1, ... to the episode's end: the objective of learning,
// without the entropy and without rewards beyond a time limit.
const double *evaluation_discounted(const struct evaluation *e);
uint32_t evaluation_episodes(const struct evaluation *e);
uint64_t evaluation_steps(const struct evaluation *e); // since it was created
// Whether an environment is broken: its episodes are cut short.
bool evaluation_failed(const struct evaluation *e);
// Episodes cut short by a bad step of the simulator, since it was created.
uint64_t evaluation_broken(const struct evaluation *e);
// Episodes of this evaluation that were cut after steps_max steps.
uint32_t evaluation_cut(const struct evaluation *e);
const struct task *evaluation_task(const struct evaluation *e);

#endif
