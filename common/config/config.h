// SPDX-License-Identifier: MIT
// The configuration of a run: a YAML file, overrides from the command line, and one table
// (keys.h) with type, range, unit and meaning of each key.
//
// Precedence: defaults of the table < file < --set section.key=value. Unknown keys, wrong
// types and values out of range are refused with file, line, what was expected and the
// nearest valid key. Defaults are for a task of which nothing is known, so a value that belongs
// to one task (a target return, a schedule) is in that task's file in configs/.
#ifndef SPUR_COMMON_CONFIG_CONFIG_H
#define SPUR_COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/config/methods.h"

#define CONFIG_STRING_MAX 256
#define CONFIG_LIST_MAX 48
#define CONFIG_HIDDEN_MAX 11 // hidden layers of a network

#define CONFIG_ENVS_PER_ACTOR_MAX 256

// Whether acting and learning go on while the ensemble is trained, or wait for it.
enum pacing_training {
    PACING_TRAINING_OVERLAP,
    PACING_TRAINING_WAIT,
    PACING_TRAINING_PHASE, // wait, and steps, training and updates follow each other
};

enum pacing_mode {
    PACING_LOCKSTEP, // the exact order of Algorithm 2, one actor, reproducible to the bit
    PACING_RATIO,    // the same ratio on average, bounded slack, all processes overlap
    PACING_FREE,     // actors never wait; at most so many updates per step
};

enum model_targets {
    MODEL_TARGETS_NORMALIZED, // standardised by the statistics of D_env
    MODEL_TARGETS_RAW,        // as they are
};
enum model_stop {
    MODEL_STOP_PAPER,  // patience alone
    MODEL_STOP_BUDGET, // patience, or a number of gradient steps
    MODEL_STOP_PAIRED_TEST,
};
enum model_holdout {
    MODEL_HOLDOUT_DRAWN, // in each training
    MODEL_HOLDOUT_FIXED, // by row
};
enum model_noise {
    MODEL_NOISE_HEADS, // outputs of the networks
    MODEL_NOISE_FREE,  // one parameter for each member and target
};
enum model_bootstrap {
    MODEL_BOOTSTRAP_RESAMPLE,
    MODEL_BOOTSTRAP_EXPONENTIAL, // weights of the rows
};
enum model_init {
    MODEL_INIT_TRUNCATED,
    MODEL_INIT_KAIMING,
};
enum model_decay {
    MODEL_DECAY_L2,
    MODEL_DECAY_DECOUPLED, // AdamW
};
enum dhmbpo_policy_init {
    DHMBPO_POLICY_INIT_GLOROT,
    DHMBPO_POLICY_INIT_ORTHOGONAL,
};

enum task_termination {
    TASK_TERMINATION_RULE,    // the rule of the task, on predicted observations
    TASK_TERMINATION_NEVER,   // rollouts always have length k
    TASK_TERMINATION_LEARNED, // a head of the ensemble
    TASK_TERMINATION_AUTO,    // a rule where there is one, else learned: config_choose replaces it
};

enum compute_kernels {
    COMPUTE_AUTO, // the best that the processor supports
    COMPUTE_OPENBLAS,
    COMPUTE_AVX2,
    COMPUTE_AVX512,
    COMPUTE_BF16, // AVX-512; products between hidden layers round their operands to bf16
};

enum sac_activation { // of the hidden layers of policy and critics
    SAC_ACTIVATION_RELU,
    SAC_ACTIVATION_SILU,
};

enum explore_noise { // correlation of the noise of actions over time
    EXPLORE_NOISE_WHITE,
    EXPLORE_NOISE_PINK,
    EXPLORE_NOISE_OU,
};

struct config_list {
    int n;
    double v[CONFIG_LIST_MAX];
};

struct config {
    enum method_id method; // a key without a section
    struct {
        char task[CONFIG_STRING_MAX]; // as in `spur tasks`
        uint64_t seed;
        uint64_t steps;         // budget of real environment steps, exploration included
        uint64_t explore_steps; // uniform random actions, part of steps; 0: see config_choose
        int actors;             // started by `spur run`
        int envs_per_actor;     // environments of each actor
        bool stop_when_solved;  // end after eval.solved_evaluations in a row >= eval.target
        uint64_t stuck_after_s; // without a move until it is reported
        uint64_t stuck_stop_s;  // and until the run is stopped; 0: never
    } run;
    struct {
        char run[CONFIG_STRING_MAX]; // directory of a run from which this one starts; "": none
        bool policy, critics, model; // which weights are taken over
        double rows;                 // steps taken over, the run's first; NaN: auto
    } from;
    struct {
        char env[CONFIG_STRING_MAX];     // "": built in; else a file, python: or a command
        char env_dir[CONFIG_STRING_MAX]; // working directory of the process of env
        char env_python[CONFIG_STRING_MAX];
        double env_timeout_s; // of each answer of the process
        bool isolate;         // run a plug-in in a process of its own
        int obs_dim, act_dim; // of env; 0 for a built-in task
        int horizon;          // 0: as defined by the task
        enum task_termination termination;
        struct config_list healthy; // (index, low, high)...: termination rule of task.env
        struct config_list clipped; // (first, last, low, high)...: clipping of task.env
    } task;
    struct {
        enum explore_noise noise;
        double ou_theta; // EXPLORE_NOISE_OU
    } explore;
    struct {
        enum pacing_mode mode;
        double updates_per_step; // G, the update-to-data ratio
        enum pacing_training training;
        uint64_t slack_steps; // ratio: real steps that acting or learning may be ahead
    } pacing;
    struct {
        int members, elites;             // 7, 5
        int hidden_width, hidden_layers; // 200, 4
        struct config_list hidden;       // widths of the hidden layers, instead; or none
        bool layer_norm;                 // of the members
        struct config_list dropout;      // rates of the hidden layers, from the first; or none
        struct config_list layer_norm_epsilon;
        enum model_noise noise;
        enum model_bootstrap bootstrap;
        enum model_init init;
        double learning_rate;            // Adam
        struct config_list weight_decay; // one per layer, hidden_layers + 1 values
        enum model_decay decay;
        bool reset_optimizer;       // in each training
        uint64_t rows_max;          // of a training; 0: all
        int batch_size;             // of a member
        uint64_t train_every_steps; // F
        double holdout_ratio;       // fraction of all rows, 0.2
        enum model_holdout holdout;
        uint64_t holdout_rows_max; // 5000
        double improvement;        // relative decrease of the holdout MSE that counts, 0.01
        int patience_epochs;       // a training ends after more epochs without improvement
        int epoch_batches;         // at most; 0: all rows
        int epochs_max;            // 0: no limit
        enum model_targets targets;
        enum model_stop stop;
        uint64_t steps_max; // MODEL_STOP_BUDGET: gradient steps of a member in one training
        int lag_trainings;  // age of the ensemble that is used
    } model;
    struct {
        uint64_t per_step;           // M, rollouts per real step
        struct config_list schedule; // first epoch, last epoch, k at first, k at last
        uint64_t epoch_steps;        // real steps per epoch of schedules and retention
        int retain_epochs;           // D_model keeps this many epochs of rollouts
        bool clip;                   // clip predicted observations as the environment does
        uint64_t policy_lag_updates; // age of the policy that is used
    } rollout;
    struct {
        int hidden_width, hidden_layers; // 256, 2: policy and critics
        struct config_list hidden;       // widths of the hidden layers, instead; or none
        enum sac_activation activation;
        int critics;          // 2: the smallest value of all counts
        bool layer_norm;      // of the critics
        bool bound_values;    // in the critics' targets
        int batch_size;       // 256
        double learning_rate; // policy, critics, temperature
        double policy_learning_rate, critic_learning_rate, temperature_learning_rate; // NaN: auto
        double gradient_norm_max;         // of policy, and of all critics; NaN: none
        double discount, tau;             // 0.99, 0.005
        struct config_list discount_rise; // first epoch, last epoch, gamma up to the first; or none
        double target_entropy;            // NaN: auto, minus the number of actions
        double initial_temperature;       // 1
        double real_ratio;                // 0.05: fraction of real rows in a batch
        bool scale_observations, scale_rewards; // learn in units of the data
    } sac;
    struct {
        int horizon;                 // H, steps of a training rollout
        uint64_t states_every;       // updates that one distribution rollout serves
        int starts;                  // rollouts of a distribution rollout at a time
        uint64_t states;             // least number of states of a distribution rollout
        double error_sum;            // of the one-step errors over a distribution rollout; 0: any
        int retain;                  // distribution rollouts that D_states keeps
        uint64_t warm_start_updates; // after the first training of the ensemble
        int critic_updates;          // of the critics alone, after each training
        double critic_dropout;
        enum dhmbpo_policy_init policy_init;
        bool reset_optimizers; // after each training
        double policy_tau;     // rate of the averaged policy, which is published
    } dhmbpo;
    struct {
        uint64_t every_steps;
        int episodes;
        uint64_t steps_max;     // of an evaluation episode
        double target;          // mean return that counts as solved; NaN: none
        int solved_evaluations; // consecutive evaluations with target
    } eval;
    struct {
        uint64_t every_s; // between checkpoints; the last one is made at the end
    } checkpoint;
    struct {
        double bound, largest; // of the numbers of real rows; bound 0: none
        uint64_t bound_rows;
    } data;
    struct {
        uint64_t heartbeat_ms, lost_after_ms;
        int batch_rows_max;   // transitions in a message of an actor
        int unacked_rows_max; // of an actor; it waits when they are reached
    } network;
    struct {
        enum compute_kernels kernels;             // of matrix products
        int learner_threads, modelserver_threads; // 0: chosen by the number of cores
    } compute;
};

// Sets the defaults of the table.
void config_defaults(struct config *c);

// Reads YAML text; keys that it does not contain keep their values. name: for errors. 0, or
// -1 with a sentence in err: "hopper.yaml:12: model.hiden_width: unknown key; did you mean
// model.hidden_width?".
int config_parse(struct config *c, const char *text, size_t len, const char *name, char *err,
                 size_t err_len);
int config_load(struct config *c, const char *path, char *err, size_t err_len);

// One override, "section.key=value".
int config_set(struct config *c, const char *assignment, char *err, size_t err_len);

// A sentence that names the replacement where this value of task.env was removed; else NULL.
const char *config_env_removed(const char *env);

// Replaces values that stand for a choice by other keys: run.explore_steps 0, task.termination
// auto. Before config_check.
void config_choose(struct config *c);
// task.termination, and what auto stands for.
enum task_termination config_termination(const struct config *c);

// Whether evaluations can find the task solved.
bool config_has_target(const struct config *c);

// Checks the rules between keys: elites <= members, one decay per layer, and so on.
int config_check(const struct config *c, char *err, size_t err_len);

// Prints all keys as YAML, which config_parse reads back to the same values. comments:
// followed by meaning, unit and range.
void config_print(const struct config *c, FILE *out, bool comments);
// Prints docs/configuration.md.
void config_document(FILE *out);

// Number of hidden layers: of the list, or `layers` if it is empty.
int config_hidden_layers(const struct config_list *list, int layers);

// Steps taken over from another run; 0 while from.rows is auto.
uint64_t config_rows_taken(const struct config *c);
// The run's last step: run.steps after those taken over.
uint64_t config_steps_max(const struct config *c);
// The step at which learning starts: run.explore_steps, or the steps taken over if they are more.
uint64_t config_explore_end(const struct config *c);

// k at a real step: the linear schedule, rounded down, over epochs counted from the end of
// exploration (paper, appendix C: k = k0 + clip((e-e0)/(e1-e0)) (k1-k0)).
int config_rollout_length(const struct config *c, uint64_t env_steps);
int config_rollout_length_max(const struct config *c);
// gamma at a real step, by the same epochs: sac.discount_rise up to sac.discount.
double config_discount(const struct config *c, uint64_t env_steps);
// D_model's capacity in rows at a real step: retain_epochs * epoch_steps * M * k; 0 for a method
// without model rollouts.
uint64_t config_model_rows(const struct config *c, uint64_t env_steps);
// Updates that are made at the end of exploration, before the ratio of updates to steps applies.
uint64_t config_warm_start(const struct config *c);
const char *config_pacing_name(const struct config *c); // of pacing.mode
// The real step that update t, from 1, belongs to.
uint64_t config_step_of_update(const struct config *c, uint64_t t);
// Updates between two publications of the policy.
uint64_t config_publish_every(const struct config *c);
// The most states that one distribution rollout can have; 0 for a method without.
uint64_t config_states_max(const struct config *c);
// The most rows that D_env can hold: those of the budget, and those that one actor may
// still send when others have used the credit that was withdrawn from it.
uint64_t config_env_rows_max(const struct config *c);

#endif
