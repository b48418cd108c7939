// SPDX-License-Identifier: MIT
// The training thread, separate from the event loop.
//
//   loop ──commands in order, bounded──▶ worker ──newest report, newest policy──▶ loop
//
// The worker executes all queued commands before the next update, so experience
// never waits behind updates. Checkpoints are written by a thread of their own, from a
// copy, except the last one and those with D_model. It publishes its report and the newest policy
// under a lock and wakes the loop; a slow loop sees only the newest ones.
#ifndef SPUR_LEARNER_WORKER_H
#define SPUR_LEARNER_WORKER_H

#include <stdbool.h>

#include "learner/trainer.h"

struct worker;
typedef void worker_wake_fn(void *arg); // from the worker's thread

// Starts the thread; takes over trainer until worker_destroy. NULL with a
// sentence in err if no thread can be started.
struct worker *worker_create(struct trainer *trainer, size_t commands_max, worker_wake_fn *wake,
                             void *arg, char *err, size_t err_len);
// Ends the thread after the current update; queued commands are dropped.
void worker_destroy(struct worker **w);

// Takes command. False: the queue is full, and the caller keeps it.
bool worker_submit(struct worker *w, struct trainer_command *command);

// Copies the report, with sums since the last call. True: a newer policy was
// published since; it is copied to params (policy_n floats), with its version and
// number of updates.
bool worker_take(struct worker *w, struct trainer_report *report, float *params, uint64_t *version,
                 uint64_t *updates);

#endif
