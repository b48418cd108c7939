// SPDX-License-Identifier: MIT
// The table of configuration keys: the source of defaults, parsing, --set, printing and
// docs/configuration.md.
//
// Used by common/config and its tests; other code includes config.h.
#ifndef SPUR_COMMON_CONFIG_KEYS_H
#define SPUR_COMMON_CONFIG_KEYS_H

#include "common/config/config.h"

// The keys without a section, X(key, kind, default, unit, meaning).
#define CONFIG_TOP_KEYS(X)                                                                         \
    X(method, NAME, "mbpo", METHOD_NAMES,                                                          \
      "how the policy is learned; each method has sections of its own: docs/methods.md")

// X(section, key, kind, default, min, max, unit, meaning)
//
// kind: the C type of c->section.key (config.c asserts it) and of the YAML value. default: as
// YAML. min, max: of numbers and of the items of lists; ignored for other kinds. The unit of a
// NAME lists its values, "lockstep|ratio", in the order of the enum. Integers are below 2^53, so
// that a double, JSON and CSV represent them exactly.
#define CONFIG_KEYS(X)                                                                             \
    X(run, task, STRING, "\"\"", 0, 0, "",                                                         \
      "name of the task, as listed by `spur tasks`; `spur run` reads that of task.env from it")    \
    X(run, seed, U64, "1", 0, 9007199254740991, "", "seed of all random numbers of the run")       \
    X(run, steps, U64, "100000", 1, 1e9, "steps",                                                  \
      "number of real environment steps, including exploration")                                   \
    X(run, explore_steps, U64, "0", 0, 1e9, "steps",                                               \
      "initial steps with uniform random actions, part of run.steps; learning starts after "       \
      "them; 0: a tenth of run.steps, at most 5000")                                               \
    X(run, actors, INT, "1", 0, 4096, "",                                                          \
      "number of actors that `spur run` starts; more actors can join a run")                       \
    X(run, envs_per_actor, INT, "1", 1, CONFIG_ENVS_PER_ACTOR_MAX, "",                             \
      "environments per actor, stepped in turn; one pass of the policy computes their actions")    \
    X(run, stop_when_solved, BOOL, "true", 0, 0, "",                                               \
      "end the run after eval.solved_evaluations consecutive evaluations with a return of at "     \
      "least eval.target; without a target, never")                                                \
    X(run, stuck_after_s, U64, "60", 1, 1e6, "s",                                                  \
      "time without a step, an update, a training, a rollout or an evaluation after which status " \
      "and log say what is stuck")                                                                 \
    X(run, stuck_stop_s, U64, "86400", 0, 1e9, "s",                                                \
      "the same after which the run is stopped with a checkpoint, so that it can be resumed; 0: "  \
      "never")                                                                                     \
    X(from, run, STRING, "\"\"", 0, 0, "",                                                         \
      "directory of another run, from which this one starts (`spur run --from DIR`); empty: none") \
    X(from, policy, BOOL, "true", 0, 0, "",                                                        \
      "take over the policy and the temperature; actors then explore by the policy, not at "       \
      "random")                                                                                    \
    X(from, critics, BOOL, "true", 0, 0, "", "take over the critics")                              \
    X(from, model, BOOL, "true", 0, 0, "",                                                         \
      "take over the weights of the ensemble, from which the first training starts")               \
    X(from, rows, AUTO, "auto", 0, 1e9, "steps",                                                   \
      "number of real steps taken over, from the first one; they precede run.steps and replace "   \
      "exploration; auto: all up to the last evaluation, or none if the task is another")          \
    X(task, env, STRING, "\"\"", 0, 0, "",                                                         \
      "an environment of your own: FILE.yaml (a description), FILE.so (a plug-in), "               \
      "python:MODULE:FUNCTION or a command (in its own process); empty: run.task is built in")     \
    X(task, env_dir, STRING, "\"\"", 0, 0, "",                                                     \
      "working directory of the process of task.env; `spur run` sets it to the current one")       \
    X(task, env_python, STRING, "\"\"", 0, 0, "",                                                  \
      "interpreter of python:; `spur run` sets it to python3 of $VIRTUAL_ENV, or of PATH")         \
    X(task, env_timeout_s, F64, "60", 0.1, 86400, "s",                                             \
      "time limit of each answer of the process of task.env, which is then restarted")             \
    X(task, isolate, BOOL, "true", 0, 0, "",                                                       \
      "run a plug-in (FILE.so) in a process of its own, whose faults affect no other process; "    \
      "false: in the actor's, which saves about 10 to 50 us a step")                               \
    X(task, obs_dim, INT, "0", 0, 512, "numbers",                                                  \
      "size of an observation of task.env; `spur run` reads it from the environment")              \
    X(task, act_dim, INT, "0", 0, 64, "numbers",                                                   \
      "size of an action of task.env; `spur run` reads it from the environment")                   \
    X(task, horizon, INT, "0", 0, 1e9, "steps",                                                    \
      "length at which episodes are truncated; 0: the length defined by the task")                 \
    X(task, termination, NAME, "auto", 0, 0, "rule|never|learned|auto",                            \
      "what ends a model rollout before length k: the task's rule, nothing, or a learned head "    \
      "of the ensemble; auto: learned for a task.env without task.healthy, else rule")             \
    X(task, healthy, LIST, "[]", -1e9, 1e9, "",                                                    \
      "termination rule of task.env: triples of index, low and high; an episode ends when the "    \
      "observation with that index leaves (low, high)")                                            \
    X(task, clipped, LIST, "[]", -1e9, 1e9, "",                                                    \
      "ranges to which task.env clips its observations: first index, last index, low, high "       \
      "for each span")                                                                             \
    X(explore, noise, NAME, "white", 0, 0, "white|pink|ou",                                        \
      "correlation over time of the noise of actions, random ones included: none; 1/f (pink), "    \
      "for tasks where independent steps cancel; or a process of Ornstein and Uhlenbeck")          \
    X(explore, ou_theta, F64, "0.15", 1e-4, 1, "1/step",                                           \
      "explore.noise ou: rate of return to 0; the correlation of two steps is 1 - ou_theta")       \
    X(pacing, mode, NAME, "ratio", 0, 0, "lockstep|ratio|free",                                    \
      "lockstep: the exact order of the paper's Algorithm 2, one actor, reproducible to the "      \
      "bit; ratio: the same ratio of updates to steps on average, all processes overlap; free: "   \
      "actors never wait, as a real robot cannot, and the learner makes at most "                  \
      "updates_per_step")                                                                          \
    X(pacing, updates_per_step, F64, "20", 0.01, 1000, "updates/step",                             \
      "G, policy updates per real step")                                                           \
    X(pacing, slack_steps, U64, "25", 1, 1e6, "steps",                                             \
      "pacing.mode ratio: the number of steps that acting or learning may be ahead of the "        \
      "other")                                                                                     \
    X(pacing, training, NAME, "overlap", 0, 0, "overlap|wait|phase",                               \
      "pacing.mode ratio: steps and updates go on while the ensemble is trained, with the one "    \
      "before (overlap), or wait for the new one, and all cores train it; phase: they alternate "  \
      "as well, first model.train_every_steps steps by a policy that stays, then the training, "   \
      "then their updates")                                                                        \
    X(model, members, INT, "7", 1, 32, "", "networks in the ensemble")                             \
    X(model, elites, INT, "5", 1, 32, "",                                                          \
      "members with the lowest holdout error, which predict the rollouts")                         \
    X(model, hidden_width, INT, "200", 1, 4096, "units", "width of a member's hidden layers")      \
    X(model, hidden_layers, INT, "4", 1, 11, "layers", "hidden layers of a member")                \
    X(model, hidden, LIST, "[]", 1, 4096, "units",                                                 \
      "widths of the hidden layers of a member, from the first; empty: hidden_layers of "          \
      "hidden_width")                                                                              \
    X(model, layer_norm, BOOL, "false", 0, 0, "",                                                  \
      "members normalise the inputs of their layers after the first (layer normalisation)")        \
    X(model, dropout, LIST, "[]", 0, 0.9, "",                                                      \
      "share of the outputs of each hidden layer, from the first, that a gradient step sets to 0;" \
      " layers that are not listed: 0")                                                            \
    X(model, layer_norm_epsilon, LIST, "[]", 1e-8, 10, "",                                         \
      "model.layer_norm: what is added to the variance of the outputs of each hidden layer, from " \
      "the first; layers that are not listed: 1e-5")                                               \
    X(model, noise, NAME, "heads", 0, 0, "heads|free",                                             \
      "variance of a member's prediction: an output of its network for each target (heads), as "   \
      "in PETS and MBPO, or one trained number for each target (free)")                            \
    X(model, bootstrap, NAME, "resample", 0, 0, "resample|exponential",                            \
      "how members differ in their rows: each draws them with replacement (resample), or all see " \
      "the same batches, in which each row has a weight of its own for each member, from the "     \
      "exponential distribution (exponential)")                                                    \
    X(model, init, NAME, "truncated", 0, 0, "truncated|kaiming",                                   \
      "first weights of members: truncated normal, as in PETS and MBPO, or normal with sd "        \
      "sqrt(2 / inputs) and random biases (kaiming)")                                              \
    X(model, learning_rate, F64, "0.001", 1e-8, 1, "", "learning rate of Adam for the ensemble")   \
    X(model, weight_decay, LIST, "[2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]", 0, 1, "",                 \
      "L2 coefficient of the weights of each layer, hidden_layers + 1 values")                     \
    X(model, decay, NAME, "l2", 0, 0, "l2|decoupled",                                              \
      "weight_decay is a term of the loss (l2), or shrinks weights and biases by "                 \
      "learning_rate * weight_decay in each step, as AdamW does (decoupled)")                      \
    X(model, reset_optimizer, BOOL, "false", 0, 0, "",                                             \
      "Adam of the ensemble starts anew in each training")                                         \
    X(model, rows_max, U64, "0", 0, 1e9, "rows",                                                   \
      "real rows of a training, drawn at random, held-out ones included; 0: all")                  \
    X(model, batch_size, INT, "256", 1, 65536, "rows",                                             \
      "batch size of a member in one gradient step")                                               \
    X(model, train_every_steps, U64, "250", 1, 1e6, "steps",                                       \
      "F, real steps between two trainings of the ensemble")                                       \
    X(model, holdout_ratio, F64, "0.2", 0.001, 0.9, "",                                            \
      "fraction of the real rows in the holdout set")                                              \
    X(model, holdout, NAME, "drawn", 0, 0, "drawn|fixed",                                          \
      "which rows are held out: others in each training (drawn), or the same in all, so that "     \
      "none of them is ever trained on (fixed)")                                                   \
    X(model, holdout_rows_max, U64, "5000", 1, 1e7, "rows", "maximum size of the holdout set")     \
    X(model, improvement, F64, "0.01", 0, 1, "",                                                   \
      "relative decrease of the holdout error that counts as an improvement of a member")          \
    X(model, patience_epochs, INT, "5", 0, 1000, "epochs",                                         \
      "a training ends after more than this number of epochs without an improvement of any "       \
      "member")                                                                                    \
    X(model, epoch_batches, INT, "0", 0, 1e6, "batches",                                           \
      "maximum number of batches of an epoch; 0: all training rows")                               \
    X(model, epochs_max, INT, "0", 0, 1e6, "epochs",                                               \
      "maximum number of epochs of a training; 0: no limit")                                       \
    X(model, targets, NAME, "normalized", 0, 0, "normalized|raw",                                  \
      "units in which the ensemble predicts rewards and changes of observations: normalized by "   \
      "mean and spread of the real rows, so that any scale is learned; raw, as in MBPO's code")    \
    X(model, stop, NAME, "budget", 0, 0, "paper|budget|paired_test",                               \
      "what ends a training: patience_epochs alone (paper), or steps_max as well (budget), or 50 " \
      "ln(obs_dim + 1) epochs in which no paired test finds the whole ensemble better "            \
      "(paired_test)")                                                                             \
    X(model, steps_max, U64, "500", 1, 1e9, "steps",                                               \
      "model.stop budget: gradient steps of a member in one training, in whole epochs, at "        \
      "least one epoch")                                                                           \
    X(model, lag_trainings, INT, "0", 0, 8, "trainings",                                           \
      "rollouts and updates use the ensemble of so many trainings ago, to measure what a stale "   \
      "one costs; not in lockstep")                                                                \
    X(rollout, per_step, U64, "400", 1, 1e6, "rollouts/step",                                      \
      "M, branched model rollouts per real step")                                                  \
    X(rollout, schedule, LIST, "[20, 100, 1, 1]", 0, 1e6, "",                                      \
      "rollout length k: first epoch, last epoch, k at the first, k at the last; linear in "       \
      "between, rounded down")                                                                     \
    X(rollout, epoch_steps, U64, "1000", 1, 1e7, "steps",                                          \
      "real steps per epoch of the schedules, counted from the end of exploration")                \
    X(rollout, retain_epochs, INT, "1", 1, 1000, "epochs",                                         \
      "number of epochs of rollouts that D_model keeps")                                           \
    X(rollout, clip, BOOL, "true", 0, 0, "",                                                       \
      "clip predicted observations to the ranges to which the environment clips, such as "         \
      "Hopper's velocities to 10; false: as in MBPO's code")                                       \
    X(rollout, policy_lag_updates, U64, "0", 0, 2000, "updates",                                   \
      "rollouts use the policy of so many updates ago, to measure what a stale one costs; not in " \
      "lockstep")                                                                                  \
    X(sac, hidden_width, INT, "256", 1, 4096, "units",                                             \
      "width of the hidden layers of policy and critics")                                          \
    X(sac, hidden_layers, INT, "2", 1, 11, "layers", "hidden layers of policy and critics")        \
    X(sac, hidden, LIST, "[]", 1, 4096, "units",                                                   \
      "widths of the hidden layers of policy and critics, from the first, as in [400, 300]; "      \
      "empty: hidden_layers of hidden_width")                                                      \
    X(sac, activation, NAME, "relu", 0, 0, "relu|silu",                                            \
      "activation of the hidden layers of policy and critics")                                     \
    X(sac, critics, INT, "2", 2, 10, "critics",                                                    \
      "number of critics; the smallest of their values counts")                                    \
    X(sac, layer_norm, BOOL, "false", 0, 0, "",                                                    \
      "critics normalise the inputs of their layers after the first (layer normalisation); needs " \
      "sac.activation silu")                                                                       \
    X(sac, bound_values, BOOL, "false", 0, 0, "",                                                  \
      "values in the critics' targets stay within bounds that follow the rewards of batches: "     \
      "their 1% and 99% quantiles / (1 - discount), and 0; always with dhmbpo")                    \
    X(sac, batch_size, INT, "256", 2, 65536, "rows", "batch size of an update")                    \
    X(sac, learning_rate, F64, "0.0003", 1e-8, 1, "",                                              \
      "learning rate of Adam for policy, critics and temperature")                                 \
    X(sac, policy_learning_rate, AUTO, "auto", 1e-8, 1, "",                                        \
      "learning rate of the policy; auto: sac.learning_rate")                                      \
    X(sac, critic_learning_rate, AUTO, "auto", 1e-8, 1, "",                                        \
      "learning rate of the critics; auto: sac.learning_rate")                                     \
    X(sac, temperature_learning_rate, AUTO, "auto", 1e-8, 1, "",                                   \
      "learning rate of the temperature; auto: sac.learning_rate")                                 \
    X(sac, gradient_norm_max, NONE, "none", 1e-6, 1e9, "",                                         \
      "largest norm of the policy's gradient, and of the critics' together: a longer one is "      \
      "scaled down; none: no limit")                                                               \
    X(sac, discount, F64, "0.99", 0, 1, "", "gamma")                                               \
    X(sac, discount_rise, LIST, "[]", 0, 1e6, "",                                                  \
      "first epoch, last epoch, gamma until the first; gamma rises linearly to sac.discount "      \
      "at the last epoch; empty: constant sac.discount")                                           \
    X(sac, tau, F64, "0.005", 0, 1, "", "rate of the Polyak average of the target critics")        \
    X(sac, target_entropy, AUTO, "auto", -1000, 1000, "nats",                                      \
      "target entropy of the temperature update; auto: minus the number of actions")               \
    X(sac, initial_temperature, F64, "1", 1e-6, 1000, "", "initial temperature alpha")             \
    X(sac, real_ratio, F64, "0.05", 0, 1, "", "fraction of real rows in a batch, rounded down")    \
    X(sac, scale_observations, BOOL, "true", 0, 0, "",                                             \
      "policy and critics learn from observations less their mean, with a spread between 0.03 "    \
      "and 1; the published policy takes observations as they are")                                \
    X(sac, scale_rewards, BOOL, "true", 0, 0, "",                                                  \
      "critics and temperature learn in units of the rewards' spread; figures stay in the "        \
      "rewards' own")                                                                              \
    X(dhmbpo, horizon, INT, "5", 1, 20, "steps",                                                   \
      "H, length of the training rollouts, through which the policy's gradient flows")             \
    X(dhmbpo, states_every, U64, "20", 1, 10000, "updates",                                        \
      "updates between two distribution rollouts, and between two publications of the policy")     \
    X(dhmbpo, starts, INT, "256", 1, 4096, "rollouts",                                             \
      "rollouts of a distribution rollout, from uniformly drawn real states; its length is k")     \
    X(dhmbpo, states, U64, "5120", 1, 16384, "states",                                             \
      "a distribution rollout is repeated until it has so many states, at most 20 times")          \
    X(dhmbpo, error_sum, F64, "0", 0, 1e6, "",                                                     \
      "distribution rollouts are at most this / the ensemble's holdout error steps long (its "     \
      "mean squared error of one step, in the targets' variance), so that a young ensemble is "    \
      "not rolled out far; at least 1; 0: rollout.schedule alone decides")                         \
    X(dhmbpo, retain, INT, "10", 1, 1000, "",                                                      \
      "distribution rollouts whose states are kept as start states of training rollouts")          \
    X(dhmbpo, warm_start_updates, U64, "5000", 0, 1e6, "updates",                                  \
      "updates at the end of exploration, before pacing.updates_per_step applies")                 \
    X(dhmbpo, critic_updates, INT, "64", 0, 1e5, "updates",                                        \
      "updates of the critics alone after each training of the ensemble")                          \
    X(dhmbpo, critic_dropout, F64, "0", 0, 0.9, "",                                                \
      "share of the outputs of the critics' hidden layers that an update of theirs sets to 0")     \
    X(dhmbpo, policy_init, NAME, "glorot", 0, 0, "glorot|orthogonal",                              \
      "first weights of the policy: uniform (glorot), or orthogonal matrices")                     \
    X(dhmbpo, reset_optimizers, BOOL, "false", 0, 0, "",                                           \
      "Adam of policy, critics and temperature starts anew after each training of the ensemble")   \
    X(dhmbpo, policy_tau, F64, "1", 1e-6, 1, "",                                                   \
      "rate per update of the average of the policy's parameters, which actors and evaluations "   \
      "receive; 1: the policy itself")                                                             \
    X(eval, every_steps, U64, "1000", 1, 1e9, "steps", "real steps between two evaluations")       \
    X(eval, episodes, INT, "10", 1, 1024, "episodes", "deterministic episodes per evaluation")     \
    X(eval, steps_max, U64, "10000", 1, 1e9, "steps",                                              \
      "maximum length of an evaluation episode; a longer one is cut, and its return is that of "   \
      "the steps until then")                                                                      \
    X(eval, target, NONE, "none", -1e9, 1e9, "return",                                             \
      "mean return of an evaluation that counts as solved; none: the task is never solved")        \
    X(eval, solved_evaluations, INT, "3", 1, 1000, "",                                             \
      "number of consecutive evaluations with at least eval.target that make the task solved; "    \
      "those before the first update do not count")                                                \
    X(checkpoint, every_s, U64, "300", 1, 86400, "s",                                              \
      "interval between checkpoints; the last one is made at the end of the run")                  \
    X(data, bound, F64, "1e4", 0, 1e30, "",                                                        \
      "a real step is refused, and counted, if an observation or the reward is further from the "  \
      "mean of the steps so far than this many times their spread (the largest of standard "       \
      "deviation, magnitude of the mean, and 1); 0: no bound")                                     \
    X(data, bound_rows, U64, "100", 1, 1e9, "steps",                                               \
      "number of stored steps from which on data.bound holds")                                     \
    X(data, largest, F64, "1e10", 1, 1e30, "",                                                     \
      "a real step with a number of a larger magnitude is refused, from the first one")            \
    X(network, heartbeat_ms, U64, "500", 10, 60000, "ms",                                          \
      "interval of heartbeats while nothing else is sent")                                         \
    X(network, lost_after_ms, U64, "3000", 100, 600000, "ms",                                      \
      "time without a message after which a peer counts as lost")                                  \
    X(network, batch_rows_max, INT, "256", 1, 16384, "rows",                                       \
      "maximum number of transitions in a message of an actor")                                    \
    X(network, unacked_rows_max, INT, "16384", 1, 1e7, "rows",                                     \
      "maximum number of unacknowledged transitions of an actor; it waits when they are "          \
      "reached")                                                                                   \
    X(compute, kernels, NAME, "auto", 0, 0, "auto|openblas|avx2|avx512|bf16",                      \
      "kernels of matrix products; auto: the fastest exact ones of the processor; bf16: "          \
      "avx512 with operands between hidden layers rounded to bf16 (8 bits): updates take 0.6 "     \
      "of the time, but Hopper is solved later")                                                   \
    X(compute, learner_threads, INT, "0", 0, 1024, "threads",                                      \
      "threads of an update, at most 2, or 8 of dhmbpo; 0: as many as there are cores, 1 for "     \
      "small networks")                                                                            \
    X(compute, modelserver_threads, INT, "0", 0, 1024, "threads",                                  \
      "threads that train the ensemble, at most one per member; 0: all cores but two, at "         \
      "least 1, or all cores with pacing.training wait")

enum config_kind {
    CONFIG_STRING,
    CONFIG_U64,
    CONFIG_INT,
    CONFIG_F64,
    CONFIG_AUTO, // a number, or "auto", which is NaN in the field
    CONFIG_NONE, // a number, or "none", likewise
    CONFIG_BOOL,
    CONFIG_LIST,
    CONFIG_NAME,
};

struct config_key {
    const char *section, *name; // section "": a key without one
    enum config_kind kind;
    size_t offset; // of the field in struct config
    const char *def;
    double min, max;
    const char *unit, *meaning;
};

extern const struct config_key config_keys[];
extern const int config_key_count;

// The YAML value of a key, before conversion.
enum config_value_kind {
    CONFIG_VALUE_NOTHING,
    CONFIG_VALUE_SCALAR,
    CONFIG_VALUE_LIST,
    CONFIG_VALUE_MAPPING
};
struct config_value {
    enum config_value_kind kind;
    bool quoted; // a scalar in quotes, which is always text
    int n;       // items of a list, 1 for a scalar; may exceed CONFIG_LIST_MAX
    const char *text[CONFIG_LIST_MAX]; // borrowed; NULL for an item that is no plain scalar
};

// "section.name", or "name" for a key without a section.
void config_key_name(const struct config_key *key, char *out, size_t out_len);
// NULL if there is none.
const struct config_key *config_key_find(const char *section, const char *name);
bool config_section_known(const char *section);
// The key that is probably meant, by its spelling or by another program's name of it. section may
// be "". NULL: none.
const struct config_key *config_key_nearest(const char *section, const char *name);
const char *config_section_nearest(const char *section);
// Writes the end of a sentence about an unknown key: "did you mean sac.discount?".
void config_key_suggest(char *out, size_t out_len, const char *section, const char *name);

// Sets a field. 0, or -1 with what was expected and found, without the name of the key, in
// why.
int config_key_set(struct config *c, const struct config_key *key, const struct config_value *value,
                   char *why, size_t why_len);
// Formats the value as YAML, which reads back to the same bits.
void config_key_format(const struct config *c, const struct config_key *key, char *out,
                       size_t out_len);
// "between 0 and 1"; "" for kinds without a range; "lockstep or ratio" for names.
void config_key_range(const struct config_key *key, char *out, size_t out_len);
const char *config_kind_name(enum config_kind kind);
// The shortest decimal that reads back as x.
void config_format_number(double x, char *out, size_t out_len);

#endif
