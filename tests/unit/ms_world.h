// SPDX-License-Identifier: MIT
// A world around the model server's core for tests: a clock that stands still
// until it is moved, peers that are calls, and jobs that end when told to.
//
// The store is real (in a folder of its own); trainings and rollouts give rows
// and models made by hand, at once or when the test says so.
#ifndef SPUR_TESTS_UNIT_MS_WORLD_H
#define SPUR_TESTS_UNIT_MS_WORLD_H

#include "modelserver/core/modelserver.h"
#include "modelserver/storage/store.h"

#define WORLD_SENT_MAX 65536
#define WORLD_BATCHES_MAX 1024

// A message that the core sent, in short. See world_send for what a, b, c are.
struct sent {
    uint8_t to; // first byte of the routing id
    enum wire_type type;
    uint64_t a, b, c;
    char text[64];
};

// Who is who in the tests: a routing id's only byte.
enum { ACTOR = 10, OTHER = 11, LEARNER = 20, EVALUATOR = 30, STRANGER = 40 };

struct world {
    struct config config;
    const struct task *task;
    struct modelserver *ms;
    struct store *store;
    char dir[64];
    uint64_t now;
    uint64_t run_id;

    struct sent *sent;
    int sent_count;
    int seen;          // world_next goes on from here
    bool sockets_full; // sends give -EAGAIN
    uint8_t gone;      // sends to this peer give -EHOSTUNREACH

    // Jobs under way. With `prompt` set they end as soon as the core returns.
    bool prompt, store_fails;
    struct store_batch *batches[WORLD_BATCHES_MAX];
    int batch_count;
    struct ms_fit_job *fit;
    struct rollout_block *block;
    struct ms_save_job *save;
    int fits, rollouts, saves;
    struct ms_state saved_state;
    struct ms_evaluation evaluation; // the last
    int evaluations;
    enum fit_result fit_result;

    // The learner's side, for world_learn.
    uint64_t updates, version, experience_seq, real_rows, model_rows;
};

// Small and quick: E 20, F 10, M 3, G 2, slack 4, 60 steps.
void world_init(struct world *w, enum pacing_mode mode);
void world_start(struct world *w);   // the core, on what the store holds
void world_restart(struct world *w); // a new core with the last saved state
void world_deinit(struct world *w);

void world_tick(struct world *w, uint64_t ms); // moves the clock, then ticks
void world_settle(struct world *w);            // ends all jobs until none is left
void world_end_stores(struct world *w);
void world_end_fit(struct world *w);
void world_end_rollout(struct world *w);
void world_end_save(struct world *w);

// Messages in. peer is the routing id's only byte.
void world_message(struct world *w, uint8_t peer, struct wire_msg *msg); // adds the run's id
void world_hello(struct world *w, uint8_t peer, enum wire_role role, const char *id,
                 uint64_t incarnation);
void world_rows(struct world *w, uint8_t peer, uint64_t seq, uint32_t rows);
void world_policy(struct world *w, uint8_t peer, uint64_t version, uint64_t updates);
void world_progress(struct world *w, uint8_t peer);
// The learner makes all updates that it may, publishing as it goes.
void world_learn(struct world *w, uint8_t peer);

// The same for the usual ones.
void world_meet_actor(struct world *w);   // actor-0
void world_meet_learner(struct world *w); // with its policy
// The actor takes steps one by one until S is `steps`, as far as it may. seq: of
// its next message; returns the one after.
uint64_t world_walk(struct world *w, uint64_t seq, uint64_t steps);
// The evaluator answers the last request: two episodes, value -+ 1.
void world_report(struct world *w, double value);

// The next message to peer (0: to anyone) of that type (0: any) that was not
// looked at, or NULL. Steps over others.
const struct sent *world_next(struct world *w, uint8_t peer, enum wire_type type);
// The newest message to peer of that type, or NULL.
const struct sent *world_last(const struct world *w, uint8_t peer, enum wire_type type);
int world_count(const struct world *w, uint8_t peer, enum wire_type type);
uint64_t world_counter(struct world *w, const char *name);
const struct wire_status *world_status(struct world *w);

#endif
