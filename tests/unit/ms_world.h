// SPDX-License-Identifier: MIT
// Fixture for the model server's core: a clock that the test advances, peers whose
// messages are function calls, and jobs that end on request.
//
// The server is the simulator's (tests/sim/server.c), with its fake disk and its stand-ins of the
// worker threads. Its network is a list of what was sent.
#ifndef SPUR_TESTS_UNIT_MS_WORLD_H
#define SPUR_TESTS_UNIT_MS_WORLD_H

#include "tests/sim/sim.h"
#include "tests/unit/sent.h"

// The peers of the tests: the only byte of their routing ids.
// 20 to 29 are learners.
enum { ACTOR = 10, OTHER = 11, LEARNER = 20, EVALUATOR = 30, STRANGER = 40 };

struct world {
    struct config config; // of the next start
    const struct task *task;
    struct sim *sim;            // its disk, and how often jobs were begun
    struct sim_process *server; // the newest start, with its jobs
    struct modelserver *ms;     // of it
    uint64_t now;
    uint64_t run_id;
    const char *endpoint; // of the next Hellos; NULL: none
    bool rejoins;         // the Hello that is sent is not the first of its process

    struct sent_list sent;
    bool sockets_full; // sends return -EAGAIN
    uint8_t gone;      // sends to this peer return -EHOSTUNREACH
    uint8_t busy;      // the next busy_sends sends to this peer return -EAGAIN
    int busy_sends;

    bool prompt; // jobs end as soon as the core returns

    // The learner's side, for world_learn.
    uint64_t epoch; // of the last Welcome to it
    uint64_t updates, version, experience_seq, real_rows, model_rows, states; // version: number
    uint64_t checkpoint; // that it has on its disk: the last that a Grant asked for
};

// Small and quick: E 20, F 10, M 3, G 2, slack 4, 60 steps.
void world_init(struct world *w, enum pacing_mode mode);
// The same for a method that takes states: one distribution rollout for 4 updates, 8 updates at E.
void world_init_states(struct world *w, enum pacing_mode mode);
void world_restart(struct world *w); // another start, from what is on the disk
void world_deinit(struct world *w);

void world_tick(struct world *w, uint64_t ms); // moves the clock, then ticks
void world_settle(struct world *w);            // ends jobs until none is left
bool world_is_busy(const struct world *w);     // jobs are running
void world_end_stores(struct world *w);
void world_end_fit(struct world *w);
void world_end_rollout(struct world *w);
void world_end_save(struct world *w);

// Incoming messages. peer is the only byte of the routing id.
void world_message(struct world *w, uint8_t peer, struct wire_msg *msg); // adds the run's id
// Hello of a process that was welcomed before.
void world_rejoin(struct world *w, uint8_t peer, enum wire_role role, const char *id,
                  uint64_t incarnation);
void world_hello(struct world *w, uint8_t peer, enum wire_role role, const char *id,
                 uint64_t incarnation);
void world_rows(struct world *w, uint8_t peer, uint64_t seq, uint32_t rows);
uint64_t world_version(const struct world *w); // of its policy, as others see it
// A message whose rows wire_unpack refuses (VALUE).
void world_refused_rows(struct world *w, uint8_t peer, uint64_t seq, uint32_t rows);
void world_policy(struct world *w, uint8_t peer, uint64_t version, uint64_t updates);
void world_progress(struct world *w, uint8_t peer);
// The learner makes all granted updates and publishes policies.
void world_learn(struct world *w, uint8_t peer);

// The same for the usual peers.
void world_meet_actor(struct world *w);   // actor-0
void world_meet_learner(struct world *w); // with its policy
// The actor takes single steps until S is `steps` or its credit is used. seq: of
// its next message; returns the following one.
uint64_t world_walk(struct world *w, uint64_t seq, uint64_t steps);
// The evaluator answers the last request: two episodes, value -+ 1.
void world_report(struct world *w, double value);
#define WORLD_EPISODES_MAX 16
void world_report_of(struct world *w, double value, uint32_t episodes);

uint64_t world_counter(struct world *w, const char *name);
const struct wire_status *world_status(struct world *w);

#endif
