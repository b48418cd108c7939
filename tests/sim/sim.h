// SPDX-License-Identifier: MIT
// The simulator of the whole system: all cores in one process, on a fake network, a fake clock
// and a fake disk, driven by one seed. Tests of the model server's core use its process, with the
// fake disk and the stand-ins, and play the others by hand (tests/unit/ms_world.h).
//
// The cores are the real ones, and messages are packed and unpacked by proto/wire.c. Worker
// threads are replaced by stand-ins that take fake time: no numerics. A seed decides the
// configuration, the machines' speeds and every fault. Events are executed in the order of
// (time, number), so the same seed gives the same trace.
//
// A process is one start of a program. It is destroyed by a crash; what is on struct disk stays.
// After every event check.c asserts the invariants. A violation ends the run.
#ifndef SPUR_TESTS_SIM_SIM_H
#define SPUR_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdio.h>

#include "actor/actor.h"
#include "actor/evaluator.h"
#include "common/base/rng.h"
#include "learner/learner.h"
#include "modelserver/core/modelserver.h"

#define SIM_PROCESSES_MAX 1024 // starts in one run
#define SIM_LINKS_MAX 8192     // connections in one run
#define SIM_SLOTS_MAX 16       // programs of a run
#define SIM_ROWS_MAX 4096      // of the fake store
#define SIM_COMMIT_MAX 256     // batches in one commit of the fake store
#define SIM_QUEUE_MAX 200      // messages on the way before a socket is full

enum sim_kind { SIM_MODELSERVER, SIM_LEARNER, SIM_ACTOR, SIM_EVALUATOR, SIM_STRANGER };

// Faults of the stand-ins, switched on one at a time. check.c must find each.
#define SIM_PLANTS(X)                                                                              \
    X(none)                                                                                        \
    X(commit_forgets_rows)  /* the store counts a message but keeps no rows of it */               \
    X(commit_not_durable)   /* the store answers before the commit is durable */                   \
    X(commit_forgets_actor) /* a crash after a commit loses the actor's entry */                   \
    X(commit_stores_twice)  /* the store keeps the rows of a message twice */                      \
    X(starts_not_durable)   /* numbers that were handed out are forgotten by a crash */            \
    X(full_disk_unreported) /* a commit on a full disk is reported as done */                      \
    X(grant_ignored)        /* the trainer makes an update more than granted */                    \
    X(version_repeated)     /* the trainer publishes other weights under the same version */       \
    X(report_lost)          /* the trainer's last report is not given to the core */               \
    X(rows_swapped)         /* the trainer receives two messages of real rows in reverse */        \
    X(checkpoint_of_later)  /* a resumed trainer begins with more updates than it made */          \
    X(fit_lost)             /* the second training's end is not reported */

enum sim_plant {
#define X(name) PLANT_##name,
    SIM_PLANTS(X)
#undef X
        PLANT_COUNT
};

// ---- disk: what survives crashes ----

struct sim_row {
    uint32_t process; // that made it; 0: a stranger
    uint32_t number;  // of the rows of that process: 1, 2, ...
};

struct sim_disk {
    struct sim_row row[SIM_ROWS_MAX];
    float *obs, *act, *reward, *next_obs; // columns (SIM_ROWS_MAX)
    uint8_t *flags;
    struct env_columns columns;
    uint64_t rows;
    struct store_actor actor[STORE_ACTORS_MAX];
    uint64_t actors;
    uint64_t starts[STORE_ROLES];
    bool has_state;
    struct ms_state state;
    uint64_t model_version, model_rows; // of the saved state; 0: none
    bool has_previous;                  // lockstep: the state before, with its model
    struct ms_state previous;
    uint64_t previous_version, previous_rows;
    struct learning_curve_history history;
    // The learner's checkpoint.
    bool has_learner;
    uint64_t updates, version, learner_model_rows, states, learner_step;
    bool full;
};

// ---- processes ----

struct sim;

// The stand-in of the learner's trainer and its thread.
struct sim_trainer {
    struct trainer_command *queue[LEARNER_COMMANDS_MAX];
    int head, count;
    bool busy;
    struct trainer_report report;
    uint64_t model_version;
    uint64_t real_rows; // handled
};

struct sim_process {
    struct sim *sim;
    enum sim_kind kind;
    int slot;
    uint32_t number; // of the start: 1, 2, ...
    bool alive, leaving;
    uint64_t frozen_until, cut_until; // no event before; no message before
    uint64_t skew_ms;                 // of its clock
    int link[PORT_SOCKET_COUNT];      // -1: none
    char id[32], endpoint[64];
    struct port port;
    // One of these.
    struct modelserver *ms;
    struct learner *learner;
    struct actor *actor;
    struct evaluator *evaluator;
    struct client_identity who;
    struct learner_identity learner_who;
    struct sim_trainer trainer;
    bool step_pending;
    // Model server: work of its threads.
    struct store_batch *batch[1024];
    int batches;
    bool disk_busy;
    struct ms_fit_job *fit;
    struct rollout_block *block;
    struct ms_save_job *save;
    uint64_t policy_newest; // that it announced
    // Actor: what it made and sent.
    uint32_t made;
    uint64_t incarnation, seq, policy_version, heard_us;
    uint64_t allowed, allowed_max; // of Credit, as sent by the model server
    uint64_t stored;               // rows of it
    bool acknowledged;             // an Ack or Welcome has arrived since the last check
};

// A program that is kept running: its newest start.
struct sim_slot {
    enum sim_kind kind;
    char id[32];
    struct sim_process *process; // NULL: down
    int envs;
};

// ---- network ----

struct sim_link {
    int socket;
    struct sim_process *client, *server; // server: NULL while connecting
    char endpoint[64];
    bool closed; // by the client, or broken: no new messages
    bool silent; // broken, and neither side knows
    uint64_t last_us[2];
    int queued[2]; // to the server, to the client
};

// Two things that belong together once and for all.
struct sim_pair {
    uint64_t key, value;
};

// ---- events ----

enum sim_event_kind {
    SIM_TICK,
    SIM_MESSAGE,
    SIM_CONNECT,
    SIM_STEP,
    SIM_TRAIN,
    SIM_COMMIT,
    SIM_FIT,
    SIM_ROLLOUT,
    SIM_SAVE,
    SIM_LEARNER_SAVE,
    SIM_START,
    SIM_FAULT,
    SIM_HEAL,
};

struct sim_event {
    uint64_t at_us, number;
    enum sim_event_kind kind;
    struct sim_process *process;
    int link, slot;
    bool to_client;
    uint8_t *bytes;
    size_t len;
    uint64_t value[5];
};

// Probabilities are per message or per fault.
struct sim_faults {
    double drop, duplicate;
    uint64_t delay_us, jitter_us, fault_every_us;
    bool crashes, cuts, freezes, silences, full_disk, strangers, twins, moves, leaves;
};

struct sim {
    uint64_t seed, now_us;
    struct rng rng;
    bool trace, calm, verbose;
    enum sim_plant plant;
    struct config config;
    const struct task *task;
    struct sim_faults faults;
    uint64_t step_us, update_us, commit_us, fit_us, rollout_us, tick_us;
    enum fit_result fit_result;      // of trainings
    int fits, rollouts, saves;       // that were begun
    struct ms_evaluation evaluation; // the last
    int evaluations;
    struct sim_event *heap;
    size_t heap_len, heap_cap;
    uint64_t events, executed;
    uint64_t heal_us;
    bool healed, done;
    struct sim_disk disk;
    struct sim_disk disk_before;                    // the last commit; for planted faults
    struct sim_process *process[SIM_PROCESSES_MAX]; // by number - 1
    uint32_t processes;
    struct sim_slot slot[SIM_SLOTS_MAX];
    int slots;
    struct sim_link link[SIM_LINKS_MAX];
    int links;
    struct wire *pack, *unpack;
    // check.c
    uint64_t updates, updates_max; // of the newest trainer, of all
    uint64_t withdrawn;            // rows that may exceed the bound of steps
    uint64_t moved_us, mark, still_us_max;
    uint64_t newest;              // version that a Credit named
    struct sim_pair start[4096];  // (role and incarnation, process) that were handed out
    struct sim_pair policy[4096]; // (version, updates) that were published
    int start_count, policy_count;
    struct net_peer route;    // of the last message
    struct sim_process *gone; // its Goodbye has just arrived
    char violation[512];
    uint64_t trace_hash;
};

// ---- events.c ----

struct sim_event *sim_schedule(struct sim *s, uint64_t in_us, enum sim_event_kind kind,
                               struct sim_process *p);
struct sim_event sim_next_event(struct sim *s);
void sim_forget_events(struct sim *s);
bool sim_chance(struct sim *s, double p);
uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high); // both inclusive
uint64_t sim_now_ms(const struct sim_process *p);                 // its own clock

// ---- sim.c ----

// Runs one seed. Returns whether all invariants held; else s->violation says which did not.
bool sim_run(struct sim *s);
void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct sim_process *sim_start(struct sim *s, int slot);
void sim_crash(struct sim_process *p);
// The process ended by itself.
void sim_exit(struct sim_process *p, int code, const char *why);
// After an event of p: what has become possible for it.
void sim_settle(struct sim_process *p);

// ---- network.c ----

int network_send(void *arg, enum port_socket socket, const struct net_peer *to,
                 const struct wire_msg *msg);
void network_reopen(void *arg, enum port_socket socket, const char *endpoint);
void network_connect(struct sim *s, const struct sim_event *e);
// Returns the process that got the message; NULL: nobody.
struct sim_process *network_deliver(struct sim *s, struct sim_event *e);
// It is gone: its connections break; silently: clients are not told.
void network_forget(struct sim_process *p, bool silently);
void network_silence(struct sim *s, int link); // messages are lost, and neither side gets an error
void network_cut(struct sim *s, int link);     // breaks one, with what is on the way
void network_raw(struct sim_process *p, int socket, const void *bytes, size_t len);

// ---- server.c, trainer.c, actors.c: the programs ----

void disk_init(struct sim_disk *d, const struct task *task);
void disk_deinit(struct sim_disk *d);
// The first batches, SIM_COMMIT_MAX at most, by the rules of store_commit. Returns how many; their
// errors are set.
int disk_commit(struct sim *s, struct store_batch **batch, int n);
void server_start(struct sim_process *p);
// Lockstep: undoes what is newer than the checkpoint of that step, as ms_checkpoint_go_back.
void server_go_back(struct sim *s, uint64_t step);
void server_event(struct sim_process *p, struct sim_event *e);
void server_crash(struct sim_process *p);
void trainer_start(struct sim_process *p);
void trainer_event(struct sim_process *p, struct sim_event *e);
void trainer_wake(struct sim_process *p);
void trainer_stop(struct sim_process *p);
void actors_start(struct sim_process *p);
void actors_step(struct sim_process *p);
void actors_enter(struct sim_process *p); // environments that are created now are its own

// ---- faults.c ----

void faults_choose(struct sim *s); // the configuration, speeds and faults of the seed
void faults_event(struct sim *s);
void faults_heal(struct sim *s);
void stranger_tick(struct sim_process *p);

// ---- check.c ----

void check_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_sent(struct sim *s, struct sim_process *from, struct sim_process *to,
                const struct wire_msg *msg);
void check_delivered(struct sim *s, struct sim_process *to, struct sim_process *from,
                     const struct wire_msg *msg);
void check_stored(struct sim *s, const struct sim_row *row);
void check_trained(struct sim_process *p, const struct trainer_command *command);
void check_gone(struct sim *s, const struct sim_process *p);
void check_after(struct sim *s, const struct sim_process *p);
void check_end(struct sim *s);

#endif
