// SPDX-License-Identifier: MIT
// Episodes with the deterministic policy tanh(mu), several at a time.
//
// Lanes step together so that the policy sees one batch; a lane whose episode
// is over takes the next one. Start states come from RNG_EVAL_RESET with the
// episode's number, so every evaluation of a seed starts from the same states.
// Used by the evaluator and by `spur eval`.
#ifndef SPUR_ACTOR_EVALUATION_H
#define SPUR_ACTOR_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/task/task.h"
#include "proto/wire.h"

#define EVALUATION_LANES_MAX 16

struct evaluation;

// Makes the environments of one task. NULL with a sentence in err.
struct evaluation *evaluation_create(const struct task *task, char *err, size_t err_len);
void evaluation_destroy(struct evaluation **e);

// Starts over with a policy (copied) and 1 .. WIRE_EPISODES_MAX episodes. 0, or
// -1 with a sentence in err if the policy does not fit the task. discount: of
// evaluation_discounted alone.
int evaluation_begin(struct evaluation *e, const struct wire_policy *policy, uint64_t seed,
                     uint32_t episodes, double discount, char *err, size_t err_len);
// One step of every lane. False when all episodes are over.
bool evaluation_step(struct evaluation *e);

// (episodes), complete when evaluation_step has returned false.
const double *evaluation_returns(const struct evaluation *e);
const double *evaluation_lengths(const struct evaluation *e);
// Sums of discount^t r_t over t = 0, 1, ... to the episode's end: what learning
// maximises, but for the entropy and what lies behind a time limit.
const double *evaluation_discounted(const struct evaluation *e);
uint32_t evaluation_episodes(const struct evaluation *e);
uint64_t evaluation_steps(const struct evaluation *e); // since it was created
// Episodes cut short because the simulator gave a bad step, since it was created.
uint64_t evaluation_broken(const struct evaluation *e);
const struct task *evaluation_task(const struct evaluation *e);

#endif
