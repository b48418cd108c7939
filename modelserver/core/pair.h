// SPDX-License-Identifier: MIT
// Lockstep: the pair of checkpoints, of learner and model server, from which a run goes on.
//
// Both are of one step, after which all is done that it allows (core_is_quiet). The model server
// writes its own first and keeps the one before, then the learner. So one of the two files fits
// the learner's, whenever a process is killed. The run goes on from there, and takes the stored
// steps one at a time, as when they were made.
#ifndef SPUR_MODELSERVER_CORE_PAIR_H
#define SPUR_MODELSERVER_CORE_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/core.h"

// A learner said Hello. A process that is ahead of the pair is to start again: the learner is
// refused, or ms->pair.starts_again is set. False: one of them is.
bool pair_hello(struct modelserver *ms, const struct peer *p, const struct wire_hello *h);
// A checkpoint is due: whether it may be made now, with the step in state, and whether the newest
// file is kept as the one before.
bool pair_may_save(struct modelserver *ms, struct ms_state *state, bool *keep);
// The end of the run, which begins with a pair of checkpoints, or without one if that takes too
// long.
void pair_begin_end(struct modelserver *ms, uint64_t now_ms, bool done, const char *text);
void pair_advance_end(struct modelserver *ms, uint64_t now_ms);

#endif
