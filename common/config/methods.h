// SPDX-License-Identifier: MIT
// The learning methods that a run can choose by `method:`, one row each: what a method consumes
// and which configuration keys are its own.
//
// Every process knows the method from its configuration. The learner finds the code by the same
// rows (learner/methods/method.h); the model server makes only what the method consumes.
// docs/methods.md says what a new method adds.
#ifndef SPUR_COMMON_CONFIG_METHODS_H
#define SPUR_COMMON_CONFIG_METHODS_H

#include <stdbool.h>
#include <stddef.h>

// What a method consumes, as bits.
enum method_needs {
    METHOD_REAL_ROWS = 1,  // transitions of D_env
    METHOD_MODEL = 2,      // an ensemble of dynamics models is trained
    METHOD_MODEL_ROWS = 4, // rows of its branched rollouts
    METHOD_STATES = 8,     // the ensemble itself, and the states of its distribution rollouts
};

// X(name, needs, sections, defaults)
//
// sections: of the configuration that belong to methods and that this one uses, separated by
// blanks. defaults: "section.key=value" assignments separated by ';', which take effect when the
// method is chosen; what a file or --set says of the same keys wins.
// clang-format off
#define METHODS(X)                                                                                 \
    X(mbpo, METHOD_REAL_ROWS | METHOD_MODEL | METHOD_MODEL_ROWS, "model rollout sac", "")          \
    X(sac, METHOD_REAL_ROWS, "sac",                                                                \
      "pacing.updates_per_step=1;sac.discount=0.99;sac.discount_rise=[];sac.target_entropy=auto")  \
    X(dhmbpo, METHOD_REAL_ROWS | METHOD_MODEL | METHOD_STATES, "model rollout sac dhmbpo",         \
      "pacing.updates_per_step=1;pacing.training=wait;model.members=8;model.elites=8;"             \
      "model.hidden=[];model.hidden_width=200;model.hidden_layers=4;"                              \
      "model.train_every_steps=1000;"                                                              \
      "model.stop=budget;model.steps_max=2500;model.targets=normalized;"                           \
      "rollout.schedule=[5,15,5,20];rollout.epoch_steps=1000;sac.hidden=[];sac.hidden_width=256;"  \
      "sac.hidden_layers=2;sac.activation=silu;sac.layer_norm=false;sac.critics=4;"                \
      "sac.bound_values=true;"                                                                     \
      "sac.batch_size=256;sac.learning_rate=0.0003;sac.discount=0.995;sac.discount_rise=[];"       \
      "sac.initial_temperature=0.1;sac.target_entropy=auto;sac.tau=0.005")
// clang-format on

enum method_id {
#define X(name, needs, sections, defaults) METHOD_##name,
    METHODS(X)
#undef X
};

// "mbpo|sac|": the names in the order of the enum, as a NAME of keys.h lists them.
#define METHOD_NAMES METHODS(METHOD_NAME_)
#define METHOD_NAME_(name, needs, sections, defaults) #name "|"

struct method_info {
    const char *name;
    unsigned needs; // enum method_needs bits
    const char *sections, *defaults;
};

const struct method_info *method_info(enum method_id id);
bool method_by_name(enum method_id *id, const char *name); // false: there is none
void method_names(char *out, size_t out_len);              // "mbpo, sac"

struct config;
struct config_key;
// Chooses a method: its defaults take effect, and replace what the configuration held. Keys for
// which only the method before has defaults return to those of the table.
void config_use_method(struct config *c, enum method_id id);
// Whether a run of this method reads the key.
bool config_key_used(const struct config_key *key, enum method_id id);
// Whether the key is in a section of the method's own.
bool config_key_of_method(const struct config_key *key, enum method_id id);
// The methods that use the key, "mbpo, sac"; "all".
void config_key_methods(char *out, size_t out_len, const struct config_key *key);
// "model.members: method sac does not use it; mbpo does"
void config_key_unused_text(char *out, size_t out_len, const struct config_key *key,
                            enum method_id id);
// Whether a run of this configuration trains a model; whether its learner takes the model itself
// and the states of distribution rollouts.
bool config_has_model(const struct config *c);
bool config_has_states(const struct config *c);

#endif
