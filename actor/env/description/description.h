// SPDX-License-Identifier: MIT
// A described environment after reading: plain arrays, over which its row's functions loop.
//
// Filled in by read.c with names.c (lookup of names in the compiled model) and fields.c (fields
// of the YAML file). env_description.c computes observations and rewards from it.
#ifndef SPUR_ACTOR_ENV_DESCRIPTION_DESCRIPTION_H
#define SPUR_ACTOR_ENV_DESCRIPTION_DESCRIPTION_H

#include <limits.h>

#include "actor/env/env.h"
#include "actor/env/tasks/task_row.h"
#include "common/config/yaml_doc.h"

#define DESCRIPTION_REWARD_MAX 1024 // entries of all terms of the reward
#define DESCRIPTION_UNIFORM_MAX 64  // joints with a uniform start

// One number of the simulation.
enum source {
    SOURCE_QPOS,
    SOURCE_QVEL,
    SOURCE_COS, // of qpos
    SOURCE_SIN,
    SOURCE_SENSOR,
    SOURCE_ACTION,
};
struct entry {
    enum source source;
    int index;
    double low, high; // clipped to these; infinite: not clipped
};

enum term_kind {
    TERM_CONSTANT,
    TERM_ENTRIES,  // sum over entries of shape(entry - target)
    TERM_DISTANCE, // shape(|site a - site b| - target)
    TERM_VELOCITY, // shape(mean velocity of a body's origin along an axis in the step - target)
};
enum shape { SHAPE_VALUE, SHAPE_SQUARE, SHAPE_ABS };
struct term {
    char name[32];
    enum term_kind kind;
    enum shape shape;
    double weight, constant, target;
    int first, count; // TERM_ENTRIES: range in description.reward_entry
    int site[2];      // TERM_DISTANCE
    int coordinate;   // TERM_VELOCITY: index in env_view.xpos
    int mark;         // TERM_VELOCITY: index of its value before the step
};

struct uniform_start {
    int index; // of qpos
    double low, high;
};

struct description {
    char path[PATH_MAX], model[PATH_MAX];
    char name[ENV_NAME_MAX];
    struct yaml *doc; // during reading
    struct task task;
    struct env_task row;

    struct entry obs[TASK_OBS_DIM_MAX]; // (task.obs_dim)
    struct term term[ENV_PARTS_MAX];
    int terms, marks;
    struct entry reward_entry[DESCRIPTION_REWARD_MAX];
    int reward_entries;

    // Start state: a keyframe (NULL: the model's reference pose), uniform noise on each coordinate,
    // and joints with a uniform distribution of their own. Quaternions are normalised afterwards.
    double *key_qpos, *key_qvel;     // (nq), (nv), owned
    double *qpos_noise, *qvel_noise; // (nq), (nv), half-widths, owned
    struct uniform_start uniform_start[DESCRIPTION_UNIFORM_MAX];
    int uniforms;
};

// Reads the parts that need no model: name, model, frame_skip, horizon. 0, or -1 with the
// reason in err.
int description_open(struct description *d, const char *path, char *err, size_t err_len);
// Reads the other parts, with the names of the compiled model.
int description_bind(struct description *d, const struct env *env, char *err, size_t err_len);

// ---- lookup in the model ----

// kind: "joint", "sensor", "site", "body", "actuator", "key".
int model_count(const struct env *env, const char *kind);
// Index of a named object; -1 with the reason and the choices in why.
int model_find(const struct env *env, const char *kind, const char *name, char *why,
               size_t why_len);
// Element `index` of a field of MuJoCo's model.
double model_value(const struct env *env, const char *field, int index);
// Formats "a, b, c". choices ends with NULL.
void list_choices(char *out, size_t out_len, const char *const *choices);
const char *nearest_choice(const char *given, const char *const *choices);
// The end of a sentence about an unknown name: "; did you mean hinge?", or "." if none is similar.
const char *suggest_choice(char *out, size_t out_len, const char *given,
                           const char *const *choices);

#endif
