// SPDX-License-Identifier: MIT
// The one table of configuration keys. Defaults, parsing, --set, printing and
// docs/configuration.md all come from it; a key that is not here does not exist.
//
// For the config*.c files and their tests; others use common/config.h.
#ifndef SPUR_COMMON_CONFIG_KEYS_H
#define SPUR_COMMON_CONFIG_KEYS_H

#include "common/config/config.h"

// The keys without a section, X(key, kind, default, unit, meaning).
#define CONFIG_TOP_KEYS(X)                                                                         \
    X(method, NAME, "mbpo", METHOD_NAMES,                                                          \
      "how the policy is learned; each method has sections of its own: docs/methods.md")

// X(section, key, kind, default, min, max, unit, meaning)
//
// kind names the C type of c->section.key (config.c asserts it) and what YAML
// may hold there. default is YAML. min and max bound numbers, and the items of
// lists; they are ignored elsewhere. A NAME is one of those that its unit lists,
// "lockstep|ratio", in the order of the field's enum. Integers stay below 2^53 so that a double
// holds each of them and no reader of JSON or CSV rounds one.
#define CONFIG_KEYS(X)                                                                             \
    X(run, task, STRING, "hopper", 0, 0, "", "the task to learn, as `spur tasks` lists them")      \
    X(run, seed, U64, "1", 0, 9007199254740991, "", "all randomness of a run follows from it")     \
    X(run, steps, U64, "125000", 1, 1e9, "steps",                                                  \
      "budget of real environment steps, exploration included")                                    \
    X(run, explore_steps, U64, "5000", 2, 1e9, "steps",                                            \
      "of them, the first so many act uniformly at random; nothing is learnt before")              \
    X(run, actors, INT, "1", 0, 4096, "", "actors that `spur run` starts; others may join")        \
    X(run, envs_per_actor, INT, "1", 1, CONFIG_ENVS_PER_ACTOR_MAX, "",                             \
      "environments that an actor steps side by side, with one pass of the policy for all")        \
    X(run, stop_when_solved, BOOL, "true", 0, 0, "",                                               \
      "end at eval.solved_evaluations in a row at or above eval.target")                           \
    X(task, env, STRING, "\"\"", 0, 0, "",                                                         \
      "an environment of your own: FILE.yaml (a description), FILE.so (a plug-in), "               \
      "python:MODULE:FUNCTION or a command (in its own process); empty: run.task is built in")     \
    X(task, env_dir, STRING, "\"\"", 0, 0, "",                                                     \
      "directory in which the process of task.env starts; filled in: the current one")             \
    X(task, env_python, STRING, "\"\"", 0, 0, "",                                                  \
      "interpreter of python:; filled in: python3 of $VIRTUAL_ENV, or the first one in PATH")      \
    X(task, env_timeout_s, F64, "60", 0.1, 86400, "s",                                             \
      "for each answer of the process of task.env; without one it is ended and started again")     \
    X(task, obs_dim, INT, "0", 0, 512, "numbers",                                                  \
      "of an observation; for task.env, which fills it in where it is a file")                     \
    X(task, act_dim, INT, "0", 0, 64, "numbers", "of an action; likewise")                         \
    X(task, horizon, INT, "0", 0, 1e9, "steps",                                                    \
      "after which an episode is truncated; 0: as the task says")                                  \
    X(task, termination, NAME, "rule", 0, 0, "rule|never|learned",                                 \
      "what ends a rollout of the model: the task's rule, nothing, or a head of the ensemble")     \
    X(task, healthy, LIST, "[]", -1e9, 1e9, "",                                                    \
      "the rule of task.env: triples of an observation's index and its bounds, outside of which "  \
      "the episode ends")                                                                          \
    X(task, clipped, LIST, "[]", -1e9, 1e9, "",                                                    \
      "what task.env clips its observations to: first index, last index, low, high, for each "     \
      "such span")                                                                                 \
    X(pacing, mode, NAME, "ratio", 0, 0, "lockstep|ratio",                                         \
      "lockstep: the paper's order exactly, one actor, the same bits every time; "                 \
      "ratio: the same ratio in the long run, everything overlaps")                                \
    X(pacing, updates_per_step, F64, "20", 0.01, 1000, "updates/step",                             \
      "G, policy updates for each real step")                                                      \
    X(pacing, slack_steps, U64, "25", 1, 1e6, "steps",                                             \
      "ratio: how far either side may run ahead of the other")                                     \
    X(model, members, INT, "7", 1, 32, "", "networks in the ensemble")                             \
    X(model, elites, INT, "5", 1, 32, "", "of them, the best so many make rollouts")               \
    X(model, hidden_width, INT, "200", 1, 4096, "units", "width of a member's hidden layers")      \
    X(model, hidden_layers, INT, "4", 1, 11, "layers", "hidden layers of a member")                \
    X(model, learning_rate, F64, "0.001", 1e-8, 1, "", "Adam's, for the ensemble")                 \
    X(model, weight_decay, LIST, "[2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]", 0, 1, "",                 \
      "L2 coefficient of each layer's weights, hidden_layers + 1 values")                          \
    X(model, batch_size, INT, "256", 1, 65536, "rows", "rows a member sees in one step")           \
    X(model, train_every_steps, U64, "250", 1, 1e6, "steps",                                       \
      "F, real steps between two trainings of the ensemble")                                       \
    X(model, holdout_ratio, F64, "0.2", 0.001, 0.9, "",                                            \
      "share of the real rows held out of a training")                                             \
    X(model, holdout_rows_max, U64, "5000", 1, 1e7, "rows", "but never more rows than this")       \
    X(model, improvement, F64, "0.01", 0, 1, "",                                                   \
      "a member improved if its holdout error fell by more than this share")                       \
    X(model, patience_epochs, INT, "5", 0, 1000, "epochs",                                         \
      "training stops after more than so many epochs without any member improving")                \
    X(model, epochs_max, INT, "0", 0, 1e6, "epochs",                                               \
      "and after so many at the latest; 0: no bound")                                              \
    X(model, stop, NAME, "budget", 0, 0, "paper|budget",                                           \
      "what ends a training: patience_epochs alone, or steps_max as well")                         \
    X(model, steps_max, U64, "500", 1, 1e9, "steps",                                               \
      "stop: budget: gradient steps of a member in one training, in whole epochs, at least one")   \
    X(rollout, per_step, U64, "400", 1, 1e6, "rollouts/step",                                      \
      "M, branched model rollouts for each real step")                                             \
    X(rollout, schedule, LIST, "[20, 100, 1, 15]", 0, 1e6, "",                                     \
      "first epoch, last epoch, k at the first, k at the last; linear in between, rounded down")   \
    X(rollout, epoch_steps, U64, "1000", 1, 1e7, "steps",                                          \
      "real steps in an epoch of the schedule, counted from the end of exploration")               \
    X(rollout, retain_epochs, INT, "1", 1, 1000, "epochs",                                         \
      "D_model keeps the rollouts of so many epochs")                                              \
    X(rollout, clip, BOOL, "true", 0, 0, "",                                                       \
      "clip predicted observations where the environment clips its own, as Hopper's velocities "   \
      "at 10; false: as MBPO's own code")                                                          \
    X(sac, hidden_width, INT, "256", 1, 4096, "units", "hidden width of policy and critics")       \
    X(sac, hidden_layers, INT, "2", 1, 11, "layers", "hidden layers of policy and critics")        \
    X(sac, batch_size, INT, "256", 2, 65536, "rows", "rows in one update")                         \
    X(sac, learning_rate, F64, "0.0003", 1e-8, 1, "",                                              \
      "Adam's, for policy, critics and temperature")                                               \
    X(sac, discount, F64, "0.99", 0, 1, "", "gamma")                                               \
    X(sac, discount_rise, LIST, "[]", 0, 1e6, "",                                                  \
      "first epoch, last epoch, gamma up to the first: it rises linearly to discount at the "      \
      "last; empty: discount throughout")                                                          \
    X(sac, tau, F64, "0.005", 0, 1, "", "share of the critics that the targets take at an update") \
    X(sac, target_entropy, F64, "-1", -1000, 1000, "nats",                                         \
      "entropy that the temperature is tuned towards")                                             \
    X(sac, initial_temperature, F64, "1", 1e-6, 1000, "", "alpha at the first update")             \
    X(sac, real_ratio, F64, "0.05", 0, 1, "",                                                      \
      "share of real rows in a batch, rounded down to rows")                                       \
    X(eval, every_steps, U64, "1000", 1, 1e9, "steps", "real steps between two evaluations")       \
    X(eval, episodes, INT, "10", 1, 1024, "episodes", "deterministic episodes in an evaluation")   \
    X(eval, target, F64, "3800", -1e9, 1e9, "return",                                              \
      "mean return at which an evaluation counts as solved")                                       \
    X(eval, solved_evaluations, INT, "3", 1, 1000, "",                                             \
      "so many in a row and the task counts as solved")                                            \
    X(checkpoint, every_s, U64, "300", 1, 86400, "s",                                              \
      "between two checkpoints; one more is made at the end")                                      \
    X(network, heartbeat_ms, U64, "500", 10, 60000, "ms", "a silent process says it is alive")     \
    X(network, lost_after_ms, U64, "3000", 100, 600000, "ms",                                      \
      "silence after which a peer counts as lost")                                                 \
    X(network, batch_rows_max, INT, "256", 1, 16384, "rows",                                       \
      "transitions in one message of an actor")                                                    \
    X(network, unacked_rows_max, INT, "16384", 1, 1e7, "rows",                                     \
      "transitions that an actor keeps until they are acknowledged; then it waits")                \
    X(compute, kernels, NAME, "auto", 0, 0, "auto|openblas|avx2|avx512|bf16",                      \
      "that do the matrix products; auto: the best that the processor has; bf16: avx512 that "     \
      "rounds operands between hidden layers to bf16, 8 bits: updates take 0.6 of the time, but "  \
      "Hopper is learnt later")                                                                    \
    X(compute, learner_threads, INT, "0", 0, 1024, "threads",                                      \
      "threads of an update, 2 at most; 0: 2 where there are two cores")                           \
    X(compute, modelserver_threads, INT, "0", 0, 1024, "threads",                                  \
      "that train the ensemble, one a member at most; 0: all cores but two, at least 1")

enum config_kind {
    CONFIG_STRING,
    CONFIG_U64,
    CONFIG_INT,
    CONFIG_F64,
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

// What YAML held for a key, still as text.
enum config_value_kind {
    CONFIG_VALUE_NOTHING,
    CONFIG_VALUE_SCALAR,
    CONFIG_VALUE_LIST,
    CONFIG_VALUE_MAPPING
};
struct config_value {
    enum config_value_kind kind;
    bool quoted; // a scalar in quotes is text, whatever it looks like
    int n;       // items of a list, 1 for a scalar; may exceed CONFIG_LIST_MAX
    const char *text[CONFIG_LIST_MAX]; // borrowed; NULL where an item is no plain scalar
};

// "section.name", or "name" for a key without a section.
void config_key_name(const struct config_key *key, char *out, size_t out_len);
// NULL when there is none. section is not NUL-terminated at its end.
const struct config_key *config_key_find(const char *section, const char *name);
bool config_section_known(const char *section);
// The key (section_only: any key of the section) closest in spelling. section
// may be "". Never NULL.
const struct config_key *config_key_nearest(const char *section, const char *name);
const char *config_section_nearest(const char *section);

// Puts a value into its field. Returns 0, or -1 with what was expected and
// what was found, without the key's name, in why.
int config_key_set(struct config *c, const struct config_key *key, const struct config_value *value,
                   char *why, size_t why_len);
// The value as YAML that reads back to the same bits.
void config_key_format(const struct config *c, const struct config_key *key, char *out,
                       size_t out_len);
// "between 0 and 1", or "" where there is no range; "lockstep or ratio" for names.
void config_key_range(const struct config_key *key, char *out, size_t out_len);
const char *config_kind_name(enum config_kind kind);
// Shortest decimal that reads back as x.
void config_format_number(double x, char *out, size_t out_len);

#endif
