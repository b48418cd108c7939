// SPDX-License-Identifier: MIT
// A thread that writes copies of checkpoints, one at a time, so that updates go on meanwhile.
#ifndef SPUR_LEARNER_CHECKPOINT_WRITER_H
#define SPUR_LEARNER_CHECKPOINT_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "learner/checkpoint.h"

struct checkpoint_writer;
typedef void checkpoint_written_fn(void *arg); // from the writer's thread, after each write

// NULL with a sentence in err if no thread can be started.
struct checkpoint_writer *checkpoint_writer_create(checkpoint_written_fn *written, void *arg,
                                                   char *err, size_t err_len);
// Ends the thread after the current write.
void checkpoint_writer_destroy(struct checkpoint_writer **w);

// Takes copy. The result of the one before must have been taken.
void checkpoint_writer_start(struct checkpoint_writer *w, struct checkpoint_copy *copy);

// Whether a write has ended whose result was not yet taken. *rc: of checkpoint_write, with its
// sentence in err. wait: for the end of the current write, if there is one.
bool checkpoint_writer_result(struct checkpoint_writer *w, bool wait, int *rc, char *err,
                              size_t err_len);

#endif
