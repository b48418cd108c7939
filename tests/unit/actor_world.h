// SPDX-License-Identifier: MIT
// Fixture for the cores of actor and evaluator: the test plays the server and reads
// the list of sent messages. The environment counts its steps, in episodes of five,
// so that every number is known.
#ifndef SPUR_TESTS_UNIT_ACTOR_WORLD_H
#define SPUR_TESTS_UNIT_ACTOR_WORLD_H

#include "actor/actor.h"
#include "actor/evaluator.h"
#include "tests/unit/sent.h"

#define RUN 42
#define SEED 7
#define OBS_DIM 3 // (start, steps in the episode, last action); reward = steps
#define ACT_DIM 1
#define EPISODE_STEPS 5
#define BATCH_MAX 4
#define UNACKED_MAX 12

extern int bad_step_at;             // number of the step at which the simulator fails; 0: none
extern bool bad_for_good;           // and all later steps
extern uint64_t slow_until_ms;      // time during a wait for an environment; 0: no wait
extern uint64_t slow_ms;            // how long that wait has lasted then
extern bool stop_requested;         // a signal has arrived
extern int steps_taken;             // over all environments
extern int world_envs;              // environments of actors created from now on
extern enum wire_noise world_noise; // of Welcomes from now on; ou with theta 0.0001

struct world {
    struct sent_list sent;
    bool deaf; // sockets accept nothing
    int reopened;
    const char *learner_at; // of the last connection to a learner; NULL: as given
    const char *told;       // the learner's address in credits; NULL: none
    struct port port;
    struct client_identity who;
    struct actor *actor;
    struct evaluator *evaluator;
    uint64_t now_ms;
};

struct world *world_make(bool evaluate);
void world_free(struct world *w);

// Incoming messages. Time passes in ticks of 50 ms.
void pass(struct world *w, uint64_t ms);
void hear(struct world *w, enum port_socket from, struct wire_msg *msg);
// After the Hello: for a fresh actor, and in general.
void welcome(struct world *w);
void welcome_with(struct world *w, uint64_t next_seq, uint64_t steps, uint64_t episodes);
// params: room for 256.
struct wire_policy make_policy(float *params, uint64_t version);
void give_policy(struct world *w, uint64_t version);
void credit(struct world *w, uint64_t allowed, uint64_t random, uint64_t min_version,
            uint64_t newest);
// A fresh actor with several environments, which has joined.
struct world *join_with(int envs);
// Steps the actor as far as it may.
void step(struct world *w);

// Messages that are not forgotten: their number, and number `which` of a type.
int count_sent(const struct world *w, enum wire_type type);
const struct wire_msg *find_sent(const struct world *w, enum wire_type type, int which);
uint64_t rows_sent(const struct world *w);
// Of row `n` of all that were sent, in full messages: its action ('a'), the start state of its
// episode ('s'), or the number of steps before it in that ('n').
float sent_value(const struct world *w, int n, char what);

// The core's status.
uint64_t counter(struct world *w, const char *name);
struct wire_actor_status line_of(struct world *w);
bool finished(struct world *w, int *code);

#endif
