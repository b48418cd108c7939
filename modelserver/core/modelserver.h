// SPDX-License-Identifier: MIT
// The model server's core: a state machine driven by messages, ticks and results
// of jobs.
//
// It has no socket, clock or thread. Messages, time and results enter by the
// ms_on_ functions; messages leave by the port, jobs by struct ms_jobs. All of it
// runs on one thread. After every event the core examines its whole state and
// starts what has become possible, so no order of events can leave it waiting
// for one that has passed.
#ifndef SPUR_MODELSERVER_CORE_MODELSERVER_H
#define SPUR_MODELSERVER_CORE_MODELSERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "modelserver/core/jobs.h"
#include "modelserver/core/phase.h"
#include "modelserver/core/setup.h"
#include "proto/wire.h"

struct modelserver;
struct modelserver *ms_create(const struct ms_setup *setup, uint64_t now_ms);
void ms_destroy(struct modelserver **ms);
uint64_t ms_memory_bytes(const struct config *config, const struct task *task);

void ms_on_message(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                   const struct wire_msg *msg);
// A message that wire_unpack refused, with its code and sentence. msg holds the
// fields that could be decoded.
void ms_on_unparsable(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                      enum wire_refusal code, const char *text, const struct wire_msg *msg);
void ms_on_tick(struct modelserver *ms, uint64_t now_ms); // every 20 to 100 ms

void ms_on_stored(struct modelserver *ms, uint64_t now_ms, struct store_batch *batch,
                  const char *err);
void ms_on_fit(struct modelserver *ms, uint64_t now_ms, struct ms_fit_job *job);
void ms_on_rollout(struct modelserver *ms, uint64_t now_ms, struct rollout_block *block);
void ms_on_save(struct modelserver *ms, uint64_t now_ms, struct ms_save_job *job);

// Begins the end of the run: no new jobs start, peers are sent Shutdown, their
// last rows are accepted. done: the run is complete; else it can be resumed.
void ms_stop(struct modelserver *ms, uint64_t now_ms, bool done, const char *text);
// Lockstep: the learner has gone back to its checkpoint. The process is to start again from its own
// of the same step, which is one of its two files, or from the beginning: 0.
bool ms_starts_again(const struct modelserver *ms, uint64_t *learner_step);
enum ms_phase ms_phase(const struct modelserver *ms);
bool ms_failed(const struct modelserver *ms);    // stopped because the run cannot go on
bool ms_untrained(const struct modelserver *ms); // complete, but the model was no longer trained
bool ms_unsaved(const struct modelserver *ms);   // the last checkpoint or the last rows failed
const char *ms_end_text(const struct modelserver *ms); // why it stopped

// The status of the whole run. Pointers in out are valid until the next call.
void ms_status(struct modelserver *ms, uint64_t now_ms, struct wire_status *out);

#endif
