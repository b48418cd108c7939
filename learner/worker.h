// SPDX-License-Identifier: MIT
// The thread that trains, beside the loop that talks.
//
//   loop ──commands in order, bounded──▶ worker ──newest report, newest policy──▶ loop
//
// The worker takes every command that waits before it makes the next update, so
// data never queue behind updates. It leaves its report and the newest policy in
// one place under a lock and wakes the loop; a loop that comes late finds the
// newest only.
#ifndef SPUR_LEARNER_WORKER_H
#define SPUR_LEARNER_WORKER_H

#include <stdbool.h>

#include "learner/trainer.h"

struct worker;
typedef void worker_wake_fn(void *arg); // from the worker's thread

// Starts the thread; takes over trainer until worker_destroy. NULL with a
// sentence in err when there can be no thread.
struct worker *worker_create(struct trainer *trainer, size_t commands_max, worker_wake_fn *wake,
                             void *arg, char *err, size_t err_len);
// Ends the thread after the update in hand; commands that wait are dropped.
void worker_destroy(struct worker **w);

// Takes command, unless it returns false (full).
bool worker_submit(struct worker *w, struct trainer_command *command);

// Copies the report, sums since the last call included. True when a policy newer
// than the last one taken was published: copied to params (policy_n floats), with
// its version and the updates behind it.
bool worker_take(struct worker *w, struct trainer_report *report, float *params, uint64_t *version,
                 uint64_t *updates);

#endif
