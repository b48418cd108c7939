// SPDX-License-Identifier: MIT
// The messages between processes, as plain structs, and their encoding.
//
// wire*.c encode them with protobuf-c (spur.proto; only these files include *.pb-c.h) and
// decode them. Decoding validates everything that a peer could get wrong: schema version,
// lengths, shapes against row counts, enums, strings without NUL, finite numbers, flags. A
// message that wire_unpack accepts needs no further checks, except of its dimensions against
// the task.
//
// Columns of numbers are little-endian float32 in `bytes` fields. docs/protocol.md states who
// sends which message, and when.
#ifndef SPUR_PROTO_WIRE_H
#define SPUR_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/metrics.h"

struct arena_block;
struct net_peer;
struct net_socket;
struct wire;

#define WIRE_SCHEMA 2               // version of spur.proto; other versions are refused
#define WIRE_ROWS_MAX 16384         // rows in one message
#define WIRE_DIM_MAX 4096           // numbers in one row of a column
#define WIRE_STRING_MAX 256         // bytes of any string, NUL included
#define WIRE_PARAMS_MAX (12u << 20) // floats of a policy
#define WIRE_LAYERS_MAX 11          // hidden layers of a policy
#define WIRE_ACTORS_MAX (4096 + 16) // actors, and some evaluators
#define WIRE_COUNTERS_MAX 64
#define WIRE_MEMBERS_MAX 32
#define WIRE_EPISODES_MAX 1024

enum wire_role { WIRE_ROLE_ACTOR = 1, WIRE_ROLE_EVALUATOR, WIRE_ROLE_LEARNER };

enum wire_type {
    WIRE_HELLO = 1,
    WIRE_WELCOME,
    WIRE_REFUSE,
    WIRE_TRANSITIONS,
    WIRE_ACK,
    WIRE_CREDIT,
    WIRE_EPISODE,
    WIRE_HEARTBEAT,
    WIRE_GOODBYE,
    WIRE_SHUTDOWN,
    WIRE_EVAL_REQUEST,
    WIRE_EVAL_REPORT,
    WIRE_EXPERIENCE,
    WIRE_GRANT,
    WIRE_PROGRESS,
    WIRE_POLICY_GET,
    WIRE_POLICY,
    WIRE_STATUS_REQUEST,
    WIRE_STATUS,
    WIRE_ENSEMBLE, // Model
    WIRE_STATES,
};
#define WIRE_TYPE_LAST WIRE_STATES
const char *wire_type_name(enum wire_type type);

// The first message on a connection, repeated after Refuse(UNKNOWN).
struct wire_hello {
    enum wire_role role;
    char id[WIRE_STRING_MAX]; // unique in its role: "actor-0", "learner"
    uint64_t incarnation;     // of this start: from Welcome; 0 before it
    char host[WIRE_STRING_MAX];
    uint64_t pid;
    char version[WIRE_STRING_MAX];  // of the software, for people
    char task[WIRE_STRING_MAX];     // required task; empty: the run's
    uint32_t obs_dim, act_dim;      // of the environment; 0: the run's
    char endpoint[WIRE_STRING_MAX]; // where the sender answers StatusRequest; may be empty
    // Learner only: its current state.
    uint64_t updates, policy_version, real_rows, model_rows;
    uint64_t states;       // distribution rollouts received
    uint64_t checkpoint;   // lockstep: as in Progress
    uint32_t environments; // of an actor; 0: one
};

// Correlation of an actor's noise over time (actor/action_noise.h).
enum wire_noise {
    WIRE_NOISE_DEFAULT, // absent: white
    WIRE_NOISE_WHITE,
    WIRE_NOISE_PINK,
    WIRE_NOISE_OU,
};

enum wire_flag { WIRE_TERMINATED = 1, WIRE_TRUNCATED = 2 };

// Rows of (s, a, r, s', flags), in columns.
struct wire_rows {
    uint32_t rows, obs_dim, act_dim;
    const float *obs;      // (rows, obs_dim)
    const float *act;      // (rows, act_dim), in [-1, 1]
    const float *reward;   // (rows)
    const float *next_obs; // (rows, obs_dim): the true next one, also at the end of an episode
    const uint8_t *flags;  // (rows), enum wire_flag bits
    struct wire *wire;     // owner of the memory; NULL: memory of the caller
};
// Bytes of one row in all its columns.
static inline uint64_t wire_row_bytes(uint64_t obs_dim, uint64_t act_dim) {
    return (2 * obs_dim + act_dim + 1) * sizeof(float) + 1;
}

struct wire_welcome {
    uint64_t seed;
    char task[WIRE_STRING_MAX];
    uint32_t obs_dim, act_dim, horizon;
    uint32_t actor_index;    // number of the random streams; constant per id in a run
    uint64_t next_seq;       // first sequence number of this incarnation that is not stored
    uint64_t actor_steps;    // stored transitions of this id, all incarnations
    uint64_t actor_episodes; // episodes begun by this id, for the reset stream
    uint32_t heartbeat_ms, lost_after_ms;
    uint32_t batch_rows_max, unacked_rows_max;
    enum wire_noise noise;
    double noise_ou_theta; // of WIRE_NOISE_OU
    uint64_t incarnation;  // number of this start; of the learner: its epoch (proto/epoch.h)
    // Lockstep: the stored rows of the actor's unfinished episode; none: 0 rows.
    struct wire_rows episode;
};

enum wire_refusal {
    WIRE_REFUSED_SCHEMA = 1, // another version of spur.proto
    WIRE_REFUSED_RUN,        // a message of another run
    WIRE_REFUSED_TASK,       // another task or other shapes
    WIRE_REFUSED_FENCED,     // a newer incarnation of the same id has joined
    WIRE_REFUSED_UNKNOWN,    // send Hello first (again)
    WIRE_REFUSED_VALUE,      // non-finite or out-of-range values
    WIRE_REFUSED_FULL,       // no space for another peer
    WIRE_REFUSED_MODE,       // not possible in this mode: a second actor in lockstep
    WIRE_REFUSED_FORMAT,     // does not parse
    WIRE_REFUSED_KEY,        // not allowed to the sender's key
};
// fatal: the receiver stops with this text; else it may retry.
struct wire_refuse {
    enum wire_refusal code;
    bool fatal;
    char text[WIRE_STRING_MAX];
};

struct wire_transitions {
    uint64_t seq;            // of this message: 1, 2, ... in one incarnation
    uint64_t policy_version; // of the policy that acted; 0: uniform random
    struct wire_rows rows;
};
// All messages up to and including seq are stored.
struct wire_ack {
    uint64_t seq;
};
// Limits of an actor, in totals of its incarnation, so that a lost or repeated message does
// no harm.
struct wire_credit {
    uint64_t steps_allowed;      // maximum of rows
    uint64_t random_steps;       // the first of them, with uniform random actions
    uint64_t min_policy_version; // oldest version that may act
    uint64_t newest_policy_version;
    char reason[WIRE_STRING_MAX];  // reason for the limit, for the actor's status
    char learner[WIRE_STRING_MAX]; // where the learner answers PolicyGet; empty: not known
};

struct wire_episode {
    uint64_t length;
    double episode_return;
    bool terminated; // else truncated
    uint64_t policy_version;
};

// Of an actor: figures for the server's status.
struct wire_heartbeat {
    uint64_t steps, policy_version, unacked_rows;
    uint64_t steps_bad; // dropped by this incarnation
    char waiting[WIRE_STRING_MAX];
};

struct wire_shutdown {
    bool done;                  // the run is finished; else stopped, and may be resumed
    char text[WIRE_STRING_MAX]; // "solved", "step budget spent", "stopped by SIGTERM"
};

enum wire_activation { WIRE_ACTIVATION_RELU = 1, WIRE_ACTIVATION_SILU };

struct wire_policy {
    uint64_t version; // proto/epoch.h
    uint64_t updates; // number of updates in it
    uint32_t obs_dim, act_dim;
    uint32_t hidden_layers;
    uint32_t hidden[WIRE_LAYERS_MAX]; // (hidden_layers) their widths
    enum wire_activation activation;
    uint64_t params_len; // floats; 0: the receiver has the newest
    const float *params;
};
// Sets the hidden layers: widths (layers), at most WIRE_LAYERS_MAX.
void wire_policy_hidden(struct wire_policy *p, int layers, const int *widths,
                        enum wire_activation activation);

struct wire_status_request {
    bool standby; // a standby learner: an end of the run waits for its next request
};

struct wire_policy_get {
    uint64_t have_version; // 0: none
};

struct wire_eval_request {
    uint64_t id, env_steps;
    uint64_t seed;
    char task[WIRE_STRING_MAX];
    uint32_t episodes;
    uint64_t steps_max; // of an episode; 0: no limit
    struct wire_policy policy;
};
struct wire_eval_report {
    uint64_t id, env_steps, policy_version;
    uint32_t episodes, episodes_cut; // cut: at steps_max
    const double *returns;           // (episodes)
    const double *lengths;           // (episodes)
};

enum wire_experience_kind { WIRE_REAL = 1, WIRE_MODEL };
struct wire_experience {
    uint64_t seq; // 1, 2, ... since the learner's Hello
    enum wire_experience_kind kind;
    uint64_t first_index;                   // real rows: index of the first in D_env
    uint64_t model_version, policy_version; // model rows: that made them
    struct wire_rows rows;
};
// The ensemble, and the states of a distribution rollout; seq continues that of Experience.
struct wire_model {
    uint64_t seq, version, env_rows;                      // env_rows: rows of D_env at its training
    uint64_t params_len, normalizer_len, termination_len; // floats
    const float *params, *normalizer, *termination;       // as in nn/ensemble.h, nn/termination.h
    uint32_t elites;
    uint32_t elite[WIRE_MEMBERS_MAX]; // (elites) members that predict
};
struct wire_states {
    uint64_t seq, number; // of the rollout: 0, 1, ...
    uint64_t model_version, policy_version, policy_updates;
    uint32_t rows, obs_dim;
    const float *obs; // (rows, obs_dim)
};
struct wire_grant {
    uint64_t updates_allowed; // total
    uint64_t model_capacity;  // D_model's rows from now on
    uint64_t env_steps;
    uint64_t checkpoint_id;       // the learner writes a checkpoint when this grows
                                  // lockstep: the step of it
    uint64_t experience_seq;      // last message of experience that was sent
    uint64_t policy_version;      // newest policy that has arrived
    char reason[WIRE_STRING_MAX]; // reason for the limit
};
struct wire_progress {
    uint64_t experience_seq; // last message that was handled
    uint64_t updates, policy_version;
    uint64_t real_rows, model_rows, model_capacity;
    double updates_per_s;
    struct metrics metrics;        // means over the updates since the last Progress
    char waiting[WIRE_STRING_MAX]; // reason for waiting; empty: working
    uint64_t checkpoint_id;        // last one of Grant that was carried out, or failed
    uint64_t checkpoint;           // lockstep: step of the one on the disk; 0: none
};

// ---- status ----

enum wire_peer_state {
    WIRE_PEER_CONNECTED = 1,
    WIRE_PEER_WAITING, // for credit, policy or acknowledgement: see `waiting`
    WIRE_PEER_LOST,    // no message for lost_after_ms
    WIRE_PEER_LEFT,    // has sent Goodbye
};

struct wire_actor_status {
    char id[WIRE_STRING_MAX];
    char host[WIRE_STRING_MAX];
    enum wire_role role;
    enum wire_peer_state state;
    uint64_t pid, index;
    uint64_t steps, episodes;
    double steps_per_s;
    uint64_t policy_version;
    double policy_age_s, heard_s; // age of that version; time since the last message
    uint64_t unacked_rows, steps_bad;
    uint32_t environments;
    double last_return; // NaN: no episode has ended
    char waiting[WIRE_STRING_MAX];
};

struct wire_counter {
    char name[WIRE_STRING_MAX];
    uint64_t value;
};

// Sent by every daemon. Parts that do not apply are absent (has_* false, counts 0). The model
// server's covers the whole system.
struct wire_status {
    char daemon[WIRE_STRING_MAX]; // "modelserver", "learner", "actor-0"
    char version[WIRE_STRING_MAX];
    char task[WIRE_STRING_MAX], method[WIRE_STRING_MAX];
    uint64_t run_id, seed, pid;
    double uptime_s;
    double wall_s;                 // of the whole run, earlier processes included; 0: not known
    char state[WIRE_STRING_MAX];   // "exploring", "learning", "stopping", "solved", ...
    char waiting[WIRE_STRING_MAX]; // reason for waiting; empty: working
    char stuck[WIRE_STRING_MAX];   // what holds the run up, and since when; empty: it moves
    bool ending;                   // the run ends: a learner that leaves is not replaced
    char warning[WIRE_STRING_MAX]; // learning diverges: how, and what to try; empty: it does not

    uint64_t env_steps, env_steps_budget, explore_steps, episodes;
    double env_steps_per_s;
    uint64_t env_rows, model_rows, model_capacity; // D_env, D_model

    bool has_pacing;
    char pacing_mode[WIRE_STRING_MAX];
    double updates_per_step, updates_per_step_achieved;
    uint64_t updates_allowed, steps_allowed;

    bool has_learner;
    enum wire_peer_state learner_state;
    uint64_t updates, policy_version;
    double updates_per_s;
    struct metrics metrics; // of the learner's method
    char learner_waiting[WIRE_STRING_MAX];

    bool has_model;
    uint64_t model_version, model_trainings, model_epochs; // epochs of the last training
    bool model_training_now;
    double model_age_s;
    uint64_t model_age_steps;
    uint64_t rollout_length, rollout_rows;
    double rollout_rows_per_s, rollout_length_mean;
    uint32_t members;
    double holdout_mse[WIRE_MEMBERS_MAX];
    uint32_t elites;
    uint32_t elite[WIRE_MEMBERS_MAX];
    // Termination heads on held-out rows: number of terminal rows, nats a row, rates of false
    // negatives and false positives.
    bool has_termination;
    uint64_t termination_ended;
    double termination_log_loss, termination_missed, termination_wrong;

    // How real episodes end: rows that the environment terminated; of these, rows in which the
    // task's rule does not hold; other rows in which it holds; what to do about it, or empty.
    bool has_ends;
    uint64_t ends_terminated, ends_unexplained, ends_contradicted;
    char ends_advice[WIRE_STRING_MAX];

    bool has_eval;
    uint64_t evaluations, eval_env_steps;
    double eval_return_last, eval_return_std, eval_return_best, eval_target;
    uint32_t eval_solved_in_row, eval_episodes_cut;

    uint32_t actor_count;
    const struct wire_actor_status *actors;
    uint32_t counter_count; // of refused, dropped and resent messages and so on; zeros included
    struct wire_counter counters[WIRE_COUNTERS_MAX];
};

struct wire_msg {
    enum wire_type type;
    uint64_t run_id; // 0 in the first Hello of a process, StatusRequest and a Refuse without a run
    union {
        struct wire_hello hello;
        struct wire_welcome welcome;
        struct wire_refuse refuse;
        struct wire_transitions transitions;
        struct wire_ack ack;
        struct wire_credit credit;
        struct wire_episode episode;
        struct wire_shutdown shutdown;
        struct wire_eval_request eval_request;
        struct wire_eval_report eval_report;
        struct wire_experience experience;
        struct wire_grant grant;
        struct wire_progress progress;
        struct wire_policy_get policy_get;
        struct wire_status_request status_request;
        struct wire_policy policy;
        struct wire_status status;
        struct wire_heartbeat heartbeat;
        struct wire_model model;
        struct wire_states states;
        // Goodbye is empty.
    };
};

// Memory for one packed and one unpacked message; one per thread.
struct wire *wire_create(void);
void wire_destroy(struct wire **wire);

// *data (borrowed) is valid until the next wire_pack on the same wire. CHECKs the form that
// unpack validates (limits, enums, dimensions, at least one row, at most NET_MESSAGE_MAX
// bytes): a malformed outgoing message is a programmer error. Numbers are validated by the
// receiver, because environments diverge.
void wire_pack(struct wire *wire, const void **data, size_t *len, const struct wire_msg *msg);

// Packs into the memory of a network frame and sends it. Returns net_send's result; msg is
// unchanged, for a retry. (In wire_send.c, the only part that needs sockets.)
int wire_send(struct wire *wire, struct net_socket *socket, const struct net_peer *to,
              const struct wire_msg *msg);

// Pointers in *msg are aligned to 16 bytes and valid until the next wire_unpack on the same
// wire. data needs no alignment. Returns 0, or a negative enum wire_refusal with a sentence in
// err:
// -WIRE_REFUSED_SCHEMA: another schema; err contains both versions;
// -WIRE_REFUSED_FORMAT: err names the field;
// -WIRE_REFUSED_VALUE: the form is correct, but a number is not finite, or an action is outside
//   [-1, 1] by more than 1e-6. *msg is filled in (type, run_id, seq, ...), so that the message
//   can be answered and counted.
// After the first two *msg is all zero. Measurements (the doubles of Progress and Status) need
// not be finite: a diverging run must be able to report them. Strings contain no NUL;
// characters that are not printable UTF-8 become '?'.
int wire_unpack(struct wire *wire, struct wire_msg *msg, const void *data, size_t len, char *err,
                size_t err_len);

// Rows with a lifetime beyond their message. Any thread may read and drop them.
struct wire_kept {
    struct wire_rows rows;
    struct arena_block *memory;
};
// Call at most once for the rows of a message, before the next wire_unpack. Takes over the
// memory of unpacked rows; copies rows in memory of the caller.
struct wire_kept *wire_keep(const struct wire_rows *rows);
// Copies row `from` to row `to` <= from.
void wire_kept_move(struct wire_kept *kept, uint32_t to, uint32_t from);
void wire_drop(struct wire_kept **kept);

#endif
