// SPDX-License-Identifier: MIT
// The model server's core: who is there, what is stored, what is due, and who
// waits for whom.
//
// No socket, clock or thread is in here. Messages, the passing of time and the
// results of jobs come in by the ms_on_ functions; messages go out and jobs are
// started by the port. All of it runs on one thread. After every event the core
// looks at the whole state and starts what has become possible, so no order of
// events can leave it waiting for one that has passed.
//
// Jobs run elsewhere, one of a kind at a time (stores: any number, done in
// their order): the core starts one by a hook and learns its result by the
// ms_on_ function of the same name.
#ifndef SPUR_MODELSERVER_CORE_MODELSERVER_H
#define SPUR_MODELSERVER_CORE_MODELSERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/io/net_peer.h"
#include "common/task/task.h"
#include "modelserver/core/jobs.h"
#include "modelserver/model/env_columns.h"
#include "modelserver/model/versions.h"
#include "modelserver/storage/learning_curve.h"
#include "modelserver/storage/state.h"
#include "modelserver/storage/store_batch.h"
#include "proto/port.h"
#include "proto/wire.h"

struct ms_setup {
    const struct config *config; // copied
    const struct task *task;
    uint64_t run_id, pid;
    struct port port;
    struct ms_jobs jobs;
    const struct env_columns *env;    // borrowed
    uint64_t env_rows;                // stored already
    const struct store_actor *actors; // known already, by index; copied
    uint64_t actor_count;
    struct learning_curve_history history;
    const struct ms_state *state; // of the checkpoint; NULL: none
    const struct model *model;    // of the checkpoint, copied; NULL: none
};

struct modelserver;
struct modelserver *ms_create(const struct ms_setup *setup, uint64_t now_ms);
void ms_destroy(struct modelserver **ms);
uint64_t ms_memory_bytes(const struct config *config, const struct task *task);

// What the networks look like, from the configuration.
struct ensemble ms_ensemble(const struct config *config, const struct task *task);
struct policy ms_policy(const struct config *config, const struct task *task);

void ms_on_message(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                   const struct wire_msg *msg);
// A message that wire_unpack refused, with its code and sentence. msg holds what
// could be read of it.
void ms_on_unparsable(struct modelserver *ms, uint64_t now_ms, const struct net_peer *from,
                      enum wire_refusal code, const char *text, const struct wire_msg *msg);
void ms_on_tick(struct modelserver *ms, uint64_t now_ms); // every 20 to 100 ms

void ms_on_stored(struct modelserver *ms, uint64_t now_ms, struct store_batch *batch,
                  const char *err);
void ms_on_fit(struct modelserver *ms, uint64_t now_ms, struct ms_fit_job *job);
void ms_on_rollout(struct modelserver *ms, uint64_t now_ms, struct rollout_block *block);
void ms_on_save(struct modelserver *ms, uint64_t now_ms, struct ms_save_job *job);

// Begins to end the run: no new work is started, peers are told, what they
// still have is taken in. done false: only stopped, to be resumed.
void ms_stop(struct modelserver *ms, uint64_t now_ms, bool done, const char *text);
enum ms_phase {
    MS_RUNNING,
    MS_STOPPING,
    MS_STOPPED, // peers have gone or had their time, jobs are back, the state is saved
};
enum ms_phase ms_phase(const struct modelserver *ms);
bool ms_failed(const struct modelserver *ms);          // stopped because the run cannot go on
const char *ms_end_text(const struct modelserver *ms); // why it stopped

// The whole system. Pointers in out are valid until the next call.
void ms_status(struct modelserver *ms, uint64_t now_ms, struct wire_status *out);

#endif
